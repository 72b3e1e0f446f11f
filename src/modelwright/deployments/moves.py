"""The moves of a rollout, each with the rows it writes, the event it leaves and what else follows, in one transaction."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from modelwright.core.errors import Conflict, Refused
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import to_plain
from modelwright.deployments import tables, verdict
from modelwright.deployments.queries import GONE, LIVE
from modelwright.deployments.records import (
    PRODUCTION,
    Arms,
    Deployment,
    Judgement,
    Outcome,
    Placement,
    Release,
    Rollout,
    RolloutState,
    Strategy,
)
from modelwright.deployments.rollout import Action, Advance, Begin, Pause, Promote, RollBack, Wait
from modelwright.models import CHAMPION, Models, ModelVersion, Stage
from modelwright.models.records import way
from modelwright.policy import require
from modelwright.store import Transaction, Verdict, catalog, evidence

_VERDICTS = {Outcome.PASS: Verdict.PASS, Outcome.FAIL: Verdict.FAIL, Outcome.INCONCLUSIVE: Verdict.WARN}


# What a version must have reached before it can be deployed to an environment of that name.
_STAGES = {
    "staging": frozenset({Stage.STAGING, Stage.PRODUCTION}),
    "production": frozenset({Stage.PRODUCTION}),
}


def next_to(stage: Stage, environment: str) -> str:
    """The stage to which a version goes next on its way to an environment: not every step can be left out."""
    return next(iter(way(stage, Stage(environment)) or [Stage(environment)])).value


def admit(tx: Transaction, version: ModelVersion, environment: str) -> None:
    """Let a version go live in an environment, or raise `Refused`: it has reached the stage, and meets its policy now."""
    if version.stage is Stage.RETIRED:
        instead = f"Deploy its successor: {version.successor}." if version.successor else ""
        raise Refused(f"{version.ref} is retired.", mend=instead)
    stages = _STAGES.get(environment)
    if stages is not None and version.stage not in stages:
        raise Refused(
            f"{version.ref} is on the stage {version.stage}, which is not enough for {environment}.",
            mend=f"Promote it first: mw promote {version.ref} {next_to(version.stage, environment)}",
        )
    require(tx, version.ref, "deploy", environment=environment)


class Mover:
    """Carries out what was decided. Called inside the operation that decided it."""

    def __init__(self, models: Models, *, keep: int, changed: Callable[[], None]) -> None:
        self._models = models
        self._changed = changed
        self._keep = keep

    def announce(self, tx: Transaction) -> None:
        """Once this is committed, whatever serves here follows."""
        if self._changed not in tx.committed:
            tx.committed.append(self._changed)

    def act(self, tx: Transaction, deployment: Deployment, placement: Placement, rollout: Rollout, action: Action) -> None:
        """Carry out one decision of the reconciler."""
        match action:
            case Begin():
                self.move(tx, deployment, rollout, RolloutState.ANALYSING, why="the candidate is loaded", step=0)
            case Advance():
                step = rollout.step + 1
                self.move(tx, deployment, rollout, RolloutState.ANALYSING, why=rollout.judgement.why, step=step)
            case Wait(why):
                self.move(tx, deployment, rollout, RolloutState.WAITING, why=why)
            case Pause(why):
                self.move(tx, deployment, rollout, RolloutState.PAUSED, why=why)
            case Promote(why):
                self.promote(tx, deployment, placement, rollout, why=why)
            case RollBack(why):
                self.roll_back(tx, deployment, placement, rollout, why=why)

    def begin(
        self,
        tx: Transaction,
        deployment: Deployment,
        placement: Placement,
        candidate: Release,
        strategy: Strategy,
        *,
        reason: str,
    ) -> None:
        """Start a rollout: it waits until the candidate is loaded."""
        rollout = Rollout(
            id=tx.new_id(),
            deployment=deployment.ref,
            environment=placement.environment,
            candidate=candidate,
            baseline=placement.stable.model,
            strategy=strategy,
            state=RolloutState.PENDING,
            step=0,
            step_since=tx.now,
            judgement=Judgement(outcome=Outcome.INCONCLUSIVE, why="nothing was seen yet"),
            started_at=tx.now,
            by=tx.principal.id,
            reason=reason,
        )
        tables.insert_rollout(tx, rollout)
        self._put(tx, deployment, msgspec.structs.replace(placement, rollout=rollout))

    def move(
        self,
        tx: Transaction,
        deployment: Deployment,
        rollout: Rollout,
        to: RolloutState,
        *,
        why: str,
        step: int | None = None,
    ) -> Rollout:
        """Move a rollout, say so in the running operation's event, and begin the clock of its step anew if it goes on."""
        rollout.check_move(to)
        changes: dict[str, object] = {"state": to, "outcome": why}
        if to is RolloutState.ANALYSING:
            changes |= {"step_since": tx.now, "step_seen": Arms(), "step": rollout.step if step is None else step}
        if to.over:
            changes["ended_at"] = tx.now
        moved = tables.update_rollout(tx, msgspec.structs.replace(rollout, **changes))
        tables.touch(tx, deployment.name)
        self.announce(tx)
        tx.note(
            resource=deployment.ref,
            inputs=[rollout.candidate.model, rollout.baseline],
            outputs=[rollout.ref],
            before={"state": rollout.state.value, "weight": f"{rollout.weight:g}"},
            after={"state": to.value, "weight": f"{moved.weight:g}", "model": str(rollout.candidate.model)},
            reason=why,
            environment=rollout.environment,
            action=f"deployments.rollout.{_past(to, rollout.state)}",
        )
        return moved

    def promote(self, tx: Transaction, deployment: Deployment, placement: Placement, rollout: Rollout, *, why: str) -> None:
        """The candidate becomes what is live. The gate is asked first, before anything is written."""
        admit(tx, self._models.show(rollout.candidate.model), rollout.environment)
        moved = self.move(tx, deployment, rollout, RolloutState.PROMOTED, why=why)
        self._keep_evidence(tx, rollout)
        placement = msgspec.structs.replace(placement, rollout=moved)
        self.replace(tx, deployment, placement, rollout.candidate, reason=why)

    def roll_back(
        self, tx: Transaction, deployment: Deployment, placement: Placement, rollout: Rollout, *, why: str
    ) -> None:
        """The candidate is out; what was live stays live."""
        moved = self.move(tx, deployment, rollout, RolloutState.ROLLED_BACK, why=why)
        self._keep_evidence(tx, rollout)
        self._put(tx, deployment, msgspec.structs.replace(placement, rollout=moved))

    def supersede(self, tx: Transaction, deployment: Deployment, placement: Placement, *, by: Ref) -> None:
        """A rollout that is under way makes room for another; leaves an event of its own."""
        rollout = placement.active
        if rollout is None:
            return
        rollout.check_move(RolloutState.SUPERSEDED)
        changed = {"state": RolloutState.SUPERSEDED, "outcome": f"superseded by {by}", "ended_at": tx.now}
        tables.update_rollout(tx, msgspec.structs.replace(rollout, **changed))
        tx.record(
            "deployments.rollout.superseded",
            deployment.ref,
            inputs=[rollout.candidate.model, by],
            outputs=[rollout.ref],
            after={"state": RolloutState.SUPERSEDED.value, "model": str(rollout.candidate.model)},
            reason=f"superseded by {by}",
            environment=rollout.environment,
        )

    def replace(
        self, tx: Transaction, deployment: Deployment, placement: Placement, release: Release, *, reason: str
    ) -> None:
        """Another version becomes live; the one before is remembered, for the way back."""
        release = msgspec.structs.replace(release, at=tx.now, reason=reason)  # by: whoever began the rollout
        former = [*placement.former, placement.stable][-self._keep :]
        after = msgspec.structs.replace(placement, stable=release, former=former)
        self.live(tx, deployment, after, before=placement.stable.model, reason=reason)

    def restore(self, tx: Transaction, deployment: Deployment, placement: Placement, *, reason: str) -> None:
        """The version that was live before is live again; the one that was is not a way back."""
        previous = placement.previous
        if previous is None:
            raise Conflict(
                f"{deployment.ref} has had no other version in {placement.environment} that it could go back to.",
                mend=f"Turn it off instead: mw kill {deployment.name} --env {placement.environment}",
            )
        back = msgspec.structs.replace(previous, at=tx.now, by=tx.principal.id, reason=reason)
        after = msgspec.structs.replace(placement, stable=back, former=placement.former[:-1])
        tx.note(
            resource=deployment.ref,
            inputs=[placement.stable.model, back.model],
            outputs=[deployment.ref],
            before={"model": str(placement.stable.model)},
            after={"model": str(back.model)},
            environment=placement.environment,
        )
        self.live(tx, deployment, after, before=placement.stable.model, reason=reason)

    def live(
        self, tx: Transaction, deployment: Deployment, placement: Placement, *, before: Ref | None, reason: str
    ) -> None:
        """Write what is live now, say so in the ledger, and in production move the champion alias with it."""
        self._put(tx, deployment, placement)
        model = placement.stable.model
        tx.record(
            LIVE,
            deployment.ref,
            inputs=[model],
            outputs=[deployment.ref],
            before={"model": str(before) if before else None},
            after={"model": str(model), "endpoint": placement.endpoint, "by": placement.stable.by},
            reason=reason,
            environment=placement.environment,
        )
        if placement.environment == PRODUCTION:
            catalog.set_alias(tx, model, CHAMPION, reason=f"live as {placement.endpoint}", holder=deployment.ref)

    def gone(self, tx: Transaction, deployment: Deployment, placement: Placement, *, reason: str) -> None:
        """Nothing is live there any more."""
        model = placement.stable.model
        tx.record(
            GONE,
            deployment.ref,
            inputs=[model],
            before={"model": str(model)},
            reason=reason,
            environment=placement.environment,
        )
        if placement.environment != PRODUCTION or catalog.holder(tx, model, CHAMPION) != deployment.ref:
            return
        if (other := self._serves_too(tx, deployment, model)) is not None:
            catalog.set_alias(tx, model, CHAMPION, reason=f"live as {other.name}", holder=other)
        else:
            catalog.drop_alias(tx, model, CHAMPION, reason=reason)

    def _serves_too(self, tx: Transaction, deployment: Deployment, model: Ref) -> Ref | None:
        """Another deployment that has the same version live in production."""
        for ref in catalog.dependants(tx, model):
            if ref.kind is not Kind.DEPLOYMENT or ref == deployment.ref:
                continue
            for each in tables.get_deployment(tx, ref.name).placements:
                if each.environment == PRODUCTION and each.stable.model == model:
                    return ref
        return None

    def _put(self, tx: Transaction, deployment: Deployment, placement: Placement) -> None:
        """Write a placement, and what it cannot do without: no model it may still need can be deleted."""
        tables.put_placement(tx, deployment.name, placement)
        self.announce(tx)
        catalog.release(tx, deployment.ref)
        others = [each for each in deployment.placements if each.environment != placement.environment]
        catalog.depend(tx, deployment.ref, [ref for each in (*others, placement) for ref in _needed(each)])

    def _keep_evidence(self, tx: Transaction, rollout: Rollout) -> None:
        if not rollout.judgement.readings:
            return
        findings = verdict.finding_of(rollout.judgement)
        evidence.attach(
            tx,
            "canary",
            rollout.candidate.model,
            subject_digest=rollout.candidate.digest,
            verdict=_VERDICTS[rollout.judgement.outcome],
            figures={"environment": rollout.environment, "guardrails": to_plain(findings)},
            summary=rollout.judgement.why,
            inputs=[rollout.ref, rollout.baseline],
            producer="modelwright/rollout",
        )


def _needed(placement: Placement) -> list[Ref]:
    releases = [placement.stable, *placement.former, *([placement.active.candidate] if placement.active else [])]
    return [release.model for release in releases]


def _past(to: RolloutState, before: RolloutState) -> str:
    """The event's last word."""
    if to is RolloutState.ANALYSING:
        return {RolloutState.PENDING: "began", RolloutState.ANALYSING: "advanced"}.get(before, "resumed")
    return to.value
