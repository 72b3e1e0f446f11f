"""Versions of datasets: the rows go, and a tombstone stays where the version was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from modelwright.core.clock import isoformat
from modelwright.core.errors import NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.datasets import Datasets, DatasetVersion, Tombstone, objects_of
from modelwright.governance.retention import queries
from modelwright.governance.retention.objects import Shelf
from modelwright.governance.retention.records import Covers, Due, Finished, Marked, RetentionClass
from modelwright.store import Transaction, Verdict, catalog, evidence

ACCEPTED = "data-loss"  # evidence that somebody accepts what a deletion takes from live models
UNREPRODUCIBLE = "retention"  # evidence about a model: data that it was made from are gone
COPIES = "checkouts, exports, depots that it was pushed to, backups, and caches of those who read it from elsewhere"


class DatasetKeeper:
    """See `ports.Keeper`."""

    covers = Covers.DATASETS

    def __init__(self, datasets: Datasets, shelf: Shelf) -> None:
        self._datasets = datasets
        self._shelf = shelf

    def due(
        self, tx: Transaction, retention: RetentionClass, path: str, now: datetime, *, only: Ref | None = None
    ) -> Sequence[Due]:
        """See `ports.Keeper`. A live model that came of it keeps a version, until somebody accepts that."""
        found, live = [], None
        for ref in queries.versions_before(tx, Kind.DATASET, path, retention.before(now)):
            if only is not None and ref != only:
                continue
            version = self._datasets.known(tx, ref)
            if version.tombstone is not None or not _is_about(version, retention.about):
                continue
            live = queries.live_models(tx) if live is None else live
            made, whole = queries.downstream(tx, ref)
            holds = [f"the alias @{alias}: move it first" for alias in version.aliases]
            if not retention.newest and queries.newest_of(tx, ref) == ref:
                holds.append("it is the newest version: add one without what is overdue")
            if not _accepted(tx, ref):
                served = [each for each in made if each in live]
                told = queries.may_name(tx, served)
                holds += [f"{name}, live{_at(live, name)}, came of it: mw retention accept {ref}" for name in told]
                if not whole:
                    holds.append(f"what came of it is too much to be followed: mw retention accept {ref}")
            found.append(
                Due(
                    retention=retention.name,
                    covers=self.covers,
                    ref=ref,
                    since=version.created_at,
                    due=version.created_at + (now - retention.before(now)),
                    count=version.rows or version.files,
                    unit="rows" if version.is_table else "files",
                    size=version.bytes,
                    holds=holds,
                    affects=queries.may_name(tx, [each for each in made if each.kind in (Kind.DATASET, Kind.MODEL)]),
                )
            )
        return found

    def mark(self, tx: Transaction, due: Due, deletion: str) -> Marked:
        """See `ports.Keeper`. Models that were made from it are told that they cannot be made again."""
        version = self._datasets.known(tx, due.ref)
        copies = [part.digest for part in version.parts]
        digests = sorted(objects_of(self._datasets.blobs, [version]))
        made, _ = queries.downstream(tx, due.ref)
        derived = [str(each) for each in made if each.kind is Kind.DATASET]
        unreached = [COPIES] + ([f"datasets that were made from it: {', '.join(derived)}"] if derived else [])
        stone = Tombstone(deletion=deletion, retention=due.retention, at=isoformat(tx.now))
        left = replace(version.as_added, parts=[], manifest=None, profile=None, tombstone=stone)
        catalog.bury(tx, due.ref, left)
        for model in (each for each in made if each.kind is Kind.MODEL):
            _tell(tx, model, due)
        return Marked(objects=digests, copies=copies, count=due.count, size=version.bytes, unreached=unreached)

    def finish(self, tx: Transaction, due: tuple[str, str], marked: Marked) -> Finished:
        """See `ports.Keeper`."""
        return self._shelf.drop(tx, marked)

    def again(self, tx: Transaction, due: tuple[str, str], marked: Marked, done: Finished) -> Sequence[str]:
        """See `ports.Keeper`."""
        version = catalog.find(tx, Ref.parse(due[0]))
        told = [] if version is None or version.record.get("tombstone") else [f"{due[0]} is no tombstone"]
        return [*told, *self._shelf.there(marked, done)]


def _is_about(version: DatasetVersion, about: Sequence[str]) -> bool:
    tags = {each.tag for each in version.classes if each.holds}
    return not about or any(tag == want or tag.startswith(f"{want}.") for tag in tags for want in about)


def _accepted(tx: Transaction, ref: Ref) -> bool:
    given = evidence.about(tx, ref, ACCEPTED)
    return bool(given) and given[0].verdict is Verdict.PASS


def _at(live: dict[Ref, list[str]], name: str) -> str:
    places = next((places for model, places in live.items() if str(model) == name), [])
    return f" as {', '.join(places)}" if places else ""


def _tell(tx: Transaction, model: Ref, due: Due) -> None:
    try:
        version = catalog.get(tx, model)
    except NotFound:
        return  # it was deleted since: nobody is left to be told
    evidence.attach(
        tx,
        UNREPRODUCIBLE,
        version.ref,
        subject_digest=version.digest,
        verdict=Verdict.WARN,
        figures={"dataset": str(due.ref), "class": due.retention},
        summary=f"{due.ref}, which it was made from, is deleted under the retention class {due.retention}: "
        "it cannot be made again from the same data.",
        inputs=[due.ref],
    )
