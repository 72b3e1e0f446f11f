"""The service: versions of feature views on the record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import ClassVar

import msgspec
from msgspec.structs import replace

from modelwright.core.clock import SystemClock
from modelwright.core.errors import Invalid
from modelwright.core.hashing import digest_value
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.core.signature import Column
from modelwright.core.wire import convert, decode, time_text, to_plain
from modelwright.datasets import Datasets
from modelwright.features.admission import about
from modelwright.features.columns import columns_behind
from modelwright.features.definitions import FeatureView
from modelwright.features.diff import diff
from modelwright.features.ports import OnlineStore
from modelwright.features.pushes import Pushes
from modelwright.features.reads import ReadLog
from modelwright.features.records import Comparison, FeatureColumn, ViewDiff, ViewRecord, ViewVersion
from modelwright.features.uses import Uses
from modelwright.store import State, Transaction, Verdict, Version, catalog, evidence

PARITY = "online-offline"  # the kind of evidence that a comparison becomes


class FeatureSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[features]`: where the online store is, and how rows travel there."""

    online: str = ""  # redis://... or postgresql://...; empty: a file beside the workspace's database
    log_share: float = 0.01  # of the rows that are read online are logged, to be verified afterwards
    log_days: int = 7  # for which they are kept: they hold the keys that were asked for
    verify_every: float = 3600.0  # seconds between two comparisons of logged reads, while a server is up
    fold_every: float = 60.0  # seconds between two versions made of what was pushed, while a server is up
    batch_rows: int = 20_000  # entities sent at a time when a view is materialised
    batch_bytes: int = 4_000_000  # and at most so much of them, but for a single larger entity


def _types_of(keys: Sequence[Column], columns: Sequence[FeatureColumn]) -> list[list[str | int | None]]:
    lengths = [None] * len(keys) + [each.length for each in columns]
    return [[each.dtype.value, length] for each, length in zip([*keys, *columns], lengths, strict=True)]


class Views(Room):
    """Versions of views on the record; `Standing` adds the online store, `Features` what a caller does."""

    room: ClassVar[str] = "features"
    kind: ClassVar[Kind] = Kind.FEATURES

    def __init__(
        self,
        caller: Caller,
        *,
        datasets: Datasets,
        pushes: Pushes,
        uses: Uses,
        settings: FeatureSettings = FeatureSettings(),
        online: OnlineStore | None = None,
        log: ReadLog | None = None,
        now: Callable[[], datetime] = SystemClock().now,
    ) -> None:
        """`online` and `log` are where the workspace is; at a distance there are none. `now` is for readers."""
        super().__init__(caller)
        self._datasets = datasets
        self._pushes = pushes
        self._uses = uses
        self._settings = settings
        self._store = online
        self._log = log
        self._now = now
        self._records: dict[Ref, ViewRecord] = {}  # by pinned ref: versions never change

    @operation("write", event="features.view.registered")
    def register(
        self,
        tx: Transaction,
        name: str,
        *,
        view: FeatureView,
        source: Ref,
        keys: Sequence[Column],
        columns: Sequence[FeatureColumn],
        reason: str = "",
    ) -> ViewVersion:
        """Add a version of a view whose types were found from a dataset version; `apply` is the way to here.

        The same definition as the newest version's, with the same types, is that version again, and nothing is written.
        """
        if view.name != name or not source.whole == view.source.whole or source.version is None:
            raise Invalid(f"{name!r} from {source} does not go with the definition of {view.ref} from {view.source}.")
        if [c.name for c in keys] != view.entity or [c.name for c in columns] != view.names:
            raise Invalid(f"The types given for {view.ref} are not those of its entity and features.")
        digest, typed = digest_value(to_plain(view)), _types_of(keys, columns)
        newest = catalog.latest(tx, view.ref)
        if newest is not None and newest.state is State.ACTIVE:
            held = record_of(newest)
            if digest_value(to_plain(held.view)) == digest:
                if _types_of(held.keys, held.columns) == typed:
                    tx.unchanged()
                    return version_of(newest)
                digest = digest_value([digest, typed])  # the dataset's columns have other types by now
        pinned = catalog.resolve(tx, source)
        behind = columns_behind(view, self._datasets.known(tx, pinned).names)
        version = catalog.add(
            tx,
            Kind.FEATURES,
            name,
            digest=digest,
            record=ViewRecord(view=view, source=pinned, keys=list(keys), columns=list(columns), origins=behind),
            description=view.description,
            tags=view.tags,
            needs=[pinned],
        )
        tx.note(resource=version.ref, inputs=[pinned], outputs=[version.ref], after={"digest": digest})
        return version_of(version)

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> ViewVersion:
        """One version of a view: definition, types, the dataset version it was checked against, and what it is about."""
        version = version_of(catalog.get(tx, ref))
        classes, masks = about(self._datasets, tx, version)
        return replace(version, classes=classes, masks=masks)

    @operation("read")
    def versions(self, tx: Transaction, ref: Ref, where: Filter = Filter()) -> Page[ViewVersion]:
        """The versions of one view, newest first."""
        page = catalog.list_versions(tx, ref, where)
        return Page(items=[version_of(version) for version in page.items], next=page.next)

    @operation("read", on="")
    def list(self, tx: Transaction, where: Filter = Filter()) -> Page[ViewVersion]:
        """The latest version of every view that the caller may read, the most recently changed first."""
        page = catalog.list_things(tx, Kind.FEATURES, where)
        return Page(items=[version_of(version) for version in page.items], next=page.next)

    @operation("read")
    def diff(self, tx: Transaction, ref: Ref, other: Ref) -> ViewDiff:
        """What changed in a view from version `ref` to version `other`, and whether it breaks models built on the first."""
        if ref.whole != other.whole:
            raise Invalid(f"{ref} and {other} are not versions of one view.")
        before, after = catalog.get(tx, ref), catalog.get(tx, other)
        return diff((before.ref, record_of(before)), (after.ref, record_of(after)))

    @operation("write", event="features.view.retired")
    def retire(self, tx: Transaction, ref: Ref, *, successor: Ref | None = None, reason: str = "") -> ViewVersion:
        """Take a version out of use for good: it leaves the online store, its definition stays readable."""
        version = catalog.retire(tx, ref, successor)
        after = {"state": version.state.value, "successor": str(version.successor or "")}
        tx.note(resource=version.ref, inputs=[version.ref], before={"state": State.ACTIVE.value}, after=after)
        tx.committed.append(lambda: self._online().drop(version.ref))
        return version_of(version)

    @operation("validate", event="features.view.verified")
    def attest(self, tx: Transaction, ref: Ref, *, report: str, reason: str = "") -> Comparison:
        """Put a comparison of online with offline rows on the record, as evidence about the version of the view.

        `report` is the digest of the stored `Comparison`; verdict and figures are read from it, so that they agree. It
        passes when something was compared and nothing differed.
        """
        version = catalog.get(tx, ref)
        found = decode(self.blobs.read(report), Comparison)
        if found.view != version.ref:
            raise Invalid(f"The report is about {found.view}, not {version.ref}.")
        verdict = Verdict.PASS if found.equal else Verdict.FAIL
        tx.note(
            resource=version.ref, inputs=[version.ref, found.source], after={"verdict": verdict.value, "report": report}
        )
        attached = evidence.attach(
            tx,
            PARITY,
            version.ref,
            subject_digest=version.digest,
            verdict=verdict,
            figures={
                "rows": found.rows,
                "values": found.values,
                "mismatches": found.mismatches,
                "stale": found.stale,
                "features": sorted({each.feature for each in found.examples}),
                "replayed_until": time_text(found.replayed_until),
            },
            summary=f"{found.mismatches} of {found.values} values in {found.rows} rows differ between online and offline."
            if found.rows
            else f"There was nothing to compare: no row of {version.ref} was found online.",
            report=report,
            inputs=[version.ref, found.source],
        )
        return replace(found, evidence=attached.id)

    def _online(self) -> OnlineStore:
        if self._store is None:
            raise RuntimeError("the body of an operation runs where the workspace is")
        return self._store


def record_of(version: Version) -> ViewRecord:
    """What the catalog holds of a version, as the room's own struct."""
    found: ViewRecord = convert(version.record, ViewRecord)
    return found


def version_of(version: Version) -> ViewVersion:
    """A version as it is shown, less what only `show` finds out."""
    record = record_of(version)
    left_out = ("record", "description", "changed_at")
    about = {name: getattr(version, name) for name in version.__struct_fields__ if name not in left_out}
    return ViewVersion(**about, **{name: getattr(record, name) for name in record.__struct_fields__})
