"""Makes what serves follow what the record wants, and tells the record what was seen.

Everything it wants is in the database and everything it holds can be fetched again, so after a restart the plane comes
back by itself. `sync` and `report` belong into every process that serves; `turn`, which also decides, is the operator's.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Corrupt, ModelwrightError, Unavailable
from modelwright.core.paging import Filter, every
from modelwright.core.principals import OPERATOR
from modelwright.deployments.records import Arms, Deployment, Interval, Placement, Release, Rollout, Unserved
from modelwright.deployments.rollout import decide
from modelwright.deployments.service import Deployments
from modelwright.serving import Plane, Predictor, load, telling_file
from modelwright.serving.records import Route, Tally, Variant
from modelwright.store import acting_as

LONGEST_PAUSE = 64  # turns for which a broken model is left alone


class Controller:
    """Keeps one data plane true. A reconciler of the operator (`name`, `turn`)."""

    name = "deployments"

    def __init__(self, deployments: Deployments, plane: Plane, cache: Path) -> None:
        self._deployments = deployments
        self._plane = plane
        self._packages = Packages(deployments.blobs, cache)
        self._told: dict[tuple[str, str, float, Variant], Tally] = {}
        self._lock = threading.RLock()
        self.unserved: Sequence[Unserved] = ()  # what should answer, and does not because of its model

    def sync(self) -> list[str]:
        """Load what is wanted, put the routing table in force if it changed, drop what nobody wants. Says what it did."""
        with self._lock, acting_as(OPERATOR):
            return self._sync(self._wanted())

    def stop(self) -> None:
        """Begin to load no further model: the process is about to end."""
        self._packages.stopped = True

    def report(self) -> list[Rollout]:
        """Tell every rollout under way what this plane has seen since the last report; the rollouts as they stand now."""
        with self._lock, acting_as(OPERATOR):
            return [rollout for deployment in self._wanted() for rollout in self._report(deployment)]

    def turn(self, now: datetime) -> Sequence[str]:
        """Sync, report, and do what is due in every rollout."""
        with self._lock, acting_as(OPERATOR):
            wanted = self._wanted()
            done = self._sync(wanted)
            acted = [
                said for deployment in wanted for rollout in self._report(deployment) if (said := self._act(rollout, now))
            ]
            return [*done, *acted, *(self._sync(self._wanted()) if acted else [])]

    def ready(self) -> bool:
        """Whether every endpoint that is wanted is served."""
        with acting_as(OPERATOR):
            wanted = {route.endpoint for deployment in self._wanted() for route in deployment.routes}
        return wanted <= self._plane.routes.keys()

    def _wanted(self) -> list[Deployment]:
        return list(every(self._deployments.list, Filter(state="active")))

    def _sync(self, wanted: list[Deployment]) -> list[str]:
        placements = [placement for deployment in wanted for placement in deployment.placements]
        said = self._packages.keep([release for placement in placements for release in _warm(placement)])
        self._packages.forget_others([release for placement in placements for release in placement.former])
        routes = [route for deployment in wanted for each in deployment.routes if (route := self._servable(each))]
        table = {route.endpoint: route for route in routes}
        before, unserved = self._plane.routes, self._unserved(wanted, table.keys())
        if table == before and unserved == self.unserved:
            return said
        self._plane.swap(routes, self._packages.loaded, {each.endpoint: each.model for each in unserved})
        self.unserved = unserved
        changed = [name for name in table.keys() | before.keys() if table.get(name) != before.get(name)]
        return said + [f"{name}: {_told(table.get(name))}" for name in sorted(changed)]

    def _unserved(self, wanted: Sequence[Deployment], served: Collection[str]) -> list[Unserved]:
        """What does not answer because of its model, with what is wrong with that."""
        return [
            Unserved(deployment=each.ref, environment=p.environment, endpoint=p.endpoint, model=p.stable.model, why=why)
            for each in wanted
            for p in each.placements
            if p.endpoint not in served and (why := self._packages.troubles.get(p.stable.digest, ""))
        ]

    def _servable(self, route: Route) -> Route | None:
        """The route with those of its sides that are loaded; None if not even stable is."""
        loaded = self._packages.loaded
        if route.stable.digest not in loaded:
            return None
        if route.canary is not None and route.canary.digest not in loaded:
            return msgspec.structs.replace(route, canary=None, weight=0.0)
        return route

    def _report(self, deployment: Deployment) -> list[Rollout]:
        rollouts = []
        for placement in deployment.placements:
            rollout = placement.active
            if rollout is None:
                continue
            for interval, seen in self._intervals(rollout):
                rollout = self._deployments.observe(deployment.name, placement.environment, interval) or rollout
                self._told.update(seen)  # only what has been written down counts as told
            rollouts.append(rollout)
        return rollouts

    def _intervals(self, rollout: Rollout) -> list[tuple[Interval, dict[tuple[str, str, float, Variant], Tally]]]:
        """What was seen since the last report, by the weight that was in force."""
        tallies = {_key(t): t for t in self._plane.tallies() if t.salt == rollout.salt}
        found = []
        for weight in sorted({t.weight for t in tallies.values()}):
            now = {key: tally for key, tally in tallies.items() if tally.weight == weight}
            new = {key[3]: tally.since(self._told.get(key)) for key, tally in now.items()}
            if any(tally.requests for tally in new.values()):
                found.append((_interval(weight, new), now))
        return found

    def _act(self, rollout: Rollout, now: datetime) -> str:
        candidate = rollout.candidate.digest
        loaded, broken = candidate in self._packages.loaded, self._packages.broken.get(candidate, "")
        if decide(rollout, now, loaded=loaded, broken=broken) is None:
            return ""
        name, environment = rollout.deployment.name, rollout.environment
        after = self._deployments.turn(name, environment, loaded=loaded, broken=broken, revision=rollout.revision)
        if after is None or after.revision == rollout.revision:
            return ""
        return f"{rollout.deployment} in {environment}: {rollout.candidate.model} {after.state}: {after.outcome}"


class Packages:
    """The models in memory, and their files in a local folder, so that going back needs neither registry nor network."""

    def __init__(self, blobs: Blobs, cache: Path) -> None:
        self._blobs = blobs
        self._cache = cache
        self.loaded: dict[str, Predictor] = {}
        self.broken: dict[str, str] = {}  # those that never will load, and why
        self.stopped = False  # begin to load no more
        self.troubles: dict[str, str] = {}  # why what is wanted is not in memory; nothing of what is
        self._pauses: dict[str, tuple[int, int]] = {}  # of those that are broken: calls to pass over, and how many are left

    def keep(self, releases: Sequence[Release]) -> list[str]:
        """Load these, and let go of all others. What cannot be loaded is tried again the next time; says so once.

        What is broken stays so until somebody has mended it, and to find out all of it is read: so it is tried again after
        one call, then after two, four, and so on up to `LONGEST_PAUSE`.
        """
        wanted = {release.digest: release for release in releases}
        for digest in self.loaded.keys() - wanted.keys():
            del self.loaded[digest]
        said = []
        for digest, release in wanted.items():
            if digest in self.loaded or self.stopped or self._pausing(digest):
                continue
            trouble = self._load(release)
            if not trouble or trouble != self.troubles.get(digest):
                said.append(f"{release.model} cannot be loaded: {trouble}" if trouble else f"{release.model} loaded")
            self.troubles[digest] = trouble
        for digest in self.troubles.keys() - wanted.keys():
            del self.troubles[digest]
            self._pauses.pop(digest, None)
            self.broken.pop(digest, None)
        return said

    def _pausing(self, digest: str) -> bool:
        """Whether a broken model is left alone this time."""
        whole, left = self._pauses.get(digest, (0, 0))
        if left:
            self._pauses[digest] = (whole, left - 1)
        return left > 0

    def _load(self, release: Release) -> str:
        """Why it cannot be loaded, or nothing."""
        pause, _ = self._pauses.pop(release.digest, (0, 0))
        self.broken.pop(release.digest, None)
        try:
            self.loaded[release.digest] = load(release.manifest, self._fetch(release))
        except Unavailable as error:  # the objects do not answer: the model itself may be good
            return str(error)
        except (ModelwrightError, ImportError) as error:
            if isinstance(error, Corrupt):
                shutil.rmtree(self._cache / release.digest, ignore_errors=True)
            self.broken[release.digest] = str(error)
            pause = min(max(1, 2 * pause), LONGEST_PAUSE)
            self._pauses[release.digest] = (pause, pause)
            return str(error)
        return ""

    def forget_others(self, former: Sequence[Release]) -> None:
        """Delete the files of models that are neither in memory nor a way back."""
        if self.stopped:
            return  # what was not loaded any more is wanted by the next process
        kept = self.loaded.keys() | self.broken.keys() | {release.digest for release in former}
        for folder in self._cache.iterdir() if self._cache.is_dir() else ():
            if folder.name not in kept:
                shutil.rmtree(folder)

    def _fetch(self, release: Release) -> Path:
        """The package's folder; files that are not there are fetched (loading verifies them all)."""
        folder = self._cache / release.digest
        for path, digest in release.manifest.files.items():
            local = folder / path
            if not local.is_file():
                local.parent.mkdir(parents=True, exist_ok=True)
                with telling_file(path):
                    self._blobs.fetch(digest, local)
        return folder


def _warm(placement: Placement) -> list[Release]:
    """What must be in memory: what answers, what may be gone back to, what is coming."""
    releases = [placement.stable]
    if placement.previous is not None:
        releases.append(placement.previous)
    if placement.active is not None:
        releases.append(placement.active.candidate)
    return releases


def _key(tally: Tally) -> tuple[str, str, float, Variant]:
    return tally.endpoint, tally.salt, tally.weight, tally.variant


def _interval(weight: float, new: dict[Variant, Tally]) -> Interval:
    nothing = Tally(endpoint="", salt="", weight=weight, variant=Variant.STABLE)
    stable, canary = new.get(Variant.STABLE, nothing), new.get(Variant.CANARY, nothing)
    totals = {"baseline": stable.requests, "candidate": canary.requests}
    return Interval(
        weight=weight,
        guardrails={
            "errors": Arms(**totals, baseline_bad=stable.errors, candidate_bad=canary.errors),
            "latency": Arms(**totals, baseline_bad=stable.slow, candidate_bad=canary.slow),
        },
        units_baseline=stable.units,
        units_candidate=canary.units,
        streak=canary.streak,
    )


def _told(route: Route | None) -> str:
    if route is None:
        return "not served any more"
    if route.canary is None:
        return f"{route.stable.model}, switch {route.switch}"
    return f"{route.stable.model} and {route.canary.model} at {route.weight:g} %, switch {route.switch}"
