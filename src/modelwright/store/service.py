"""The record: the same few questions asked of every kind of thing, and answered from versions, evidence and events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from modelwright.core.errors import Invalid, NotFound, Refused
from modelwright.core.operations import Caller, Resource, Room, operation
from modelwright.core.paging import Page
from modelwright.core.refs import Kind, Ref
from modelwright.store import catalog, evidence, queries, scopes
from modelwright.store.audit.checkpoints import LedgerSettings
from modelwright.store.audit.service import Audit
from modelwright.store.database import Transaction
from modelwright.store.records import AliasMove, Direction, Event, EventFilter, Evidence, Lineage, Verdict, Version

DECISIONS = ("approval", "waiver", "data-loss")  # evidence that only `policy` and `retention` make, after asking who may
QUOTED = {Kind.DATASET: ("time_range",)}  # what a room's own description quotes of data, perhaps about people
REVEALING = ("reveal.pii", "reveal.special")  # the rights to see such in clear
FOUND = ("signature", "security-scan", "parity", "minimisation")  # evidence that only whoever looked at the files can give


class Record(Audit):
    """Versions, aliases, tags, evidence, history and lineage of everything; and, from `Audit`, the ledger itself."""

    room, kind = "record", Kind.WORKSPACE

    def __init__(
        self,
        caller: Caller,
        *,
        ledger: LedgerSettings = LedgerSettings(),
        homes: Mapping[Kind, Callable[[], Room]] = {},
    ) -> None:
        """`homes` leads to the rooms of kinds whose rights are asked on another thing: of runs, on their experiment."""
        super().__init__(caller, ledger=ledger)
        self._homes = homes

    def resource_of(self, tx: Any, ref: Ref) -> Resource:
        """The resource that its own room asks rights on; of what is gone for good, the thing itself."""
        if ref.kind in self._homes:
            try:
                return self._homes[ref.kind]().resource_of(tx, ref)
            except (NotFound, Invalid):
                pass
        return super().resource_of(tx, ref)

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> Version:
        """Show the version that a ref stands for, of any kind; what its `record` quotes of data, to who may see them."""
        found = catalog.get(tx, ref)
        hidden = [name for name in QUOTED.get(found.ref.kind, ()) if found.record.get(name) is not None]
        if not hidden or all(scopes.may(tx, verb, found.ref.kind, found.ref.name) for verb in REVEALING):
            return found
        return replace(found, record={name: value for name, value in found.record.items() if name not in hidden})

    @operation("write", event="catalog.tag.set")
    def tag(self, tx: Transaction, ref: Ref, key: str, value: str | None) -> dict[str, str]:
        """Set a tag on a version (or a thing that has none), or with null take it away; returns its tags."""
        pinned = queries.pinned(tx, ref)
        before = catalog.tags_of(tx, [pinned])[str(pinned)]
        catalog.set_tag(tx, pinned, key, value)
        if before.get(key) == value:
            tx.unchanged()
        tx.note(resource=pinned, before={"tag": key, "value": before.get(key)}, after={"tag": key, "value": value})
        return catalog.tags_of(tx, [pinned])[str(pinned)]

    @operation("read")
    def alias_history(
        self, tx: Transaction, ref: Ref, alias: str | None = None, as_of: datetime | None = None
    ) -> list[AliasMove]:
        """Every move of a thing's aliases, newest first: to which version, when, by whom, why."""
        catalog.resolve(tx, ref.whole)
        return catalog.alias_history(tx, ref, alias, as_of=as_of)

    @operation("read")
    def live(
        self,
        tx: Transaction,
        ref: Ref | None = None,
        alias: str = "champion",
        kind: Kind = Kind.MODEL,
        as_of: datetime | None = None,
    ) -> list[AliasMove]:
        """What an alias pointed at, at a moment: of one thing, or of every thing of a kind; since when and by whom."""
        if ref is not None:
            held = catalog.aliased_at(tx, ref, alias, as_of or tx.now)
            return [held] if held else []
        moves = catalog.all_aliased_at(tx, kind, alias, as_of or tx.now)
        seen = set(queries.readable(tx, [move.ref for move in moves]))
        return [move for move in moves if move.ref in seen]

    @operation("read")
    def history(self, tx: Transaction, ref: Ref, where: EventFilter = EventFilter()) -> Page[Event]:
        """Everything that touched a thing (or one version of it), newest first."""
        return queries.history(tx, ref, where)

    @operation("read")
    def lineage(
        self,
        tx: Transaction,
        ref: Ref,
        direction: Direction = Direction.BOTH,
        depth: int = 20,
        as_of: datetime | None = None,
    ) -> Lineage:
        """What a version came from and what came from it, as of a time; what the caller may not read is left out."""
        return queries.lineage(tx, ref, direction, depth, as_of, home=self.resource_of)

    @operation("read")
    def evidence(self, tx: Transaction, ref: Ref, kind: str | None = None, as_of: datetime | None = None) -> list[Evidence]:
        """What is known about a version, newest first; of a thing without a selector, about all its versions."""
        subject = ref if ref.selector is None else queries.pinned(tx, ref, as_of)
        return evidence.about(tx, subject, kind, as_of=as_of)

    @operation("evaluate", data=True)
    def attach(
        self,
        tx: Transaction,
        ref: Ref,
        kind: str,
        verdict: Verdict,
        *,
        figures: dict[str, Any] | None = None,
        summary: str = "",
        report: str | None = None,
        inputs: list[Ref] | None = None,
        expires_at: datetime | None = None,
    ) -> Evidence:
        """Attach evidence of your own to an exact version; the ledger says who did, and approvals are not made so."""
        if kind in DECISIONS:
            mend = "mw retention accept." if kind == "data-loss" else "mw approve."
            raise Refused(f"A decision ({kind}) is not attached.", mend=f"Make it where duties are separated: {mend}")
        if kind in FOUND:
            raise Refused(f"Evidence of the kind {kind} is not attached: it is found by looking at the files themselves.")
        version = catalog.get(tx, ref)
        return evidence.attach(
            tx,
            kind,
            version.ref,
            subject_digest=version.digest,
            verdict=verdict,
            figures=figures,
            summary=summary,
            report=report,
            inputs=inputs or [],
            expires_at=expires_at,
        )

    @operation("read")
    def dependants(self, tx: Transaction, ref: Ref) -> list[Ref]:
        """What needs this version (or, without a selector, any version), and so keeps it from being deleted."""
        held = catalog.dependants(tx, ref if ref.selector is None else queries.pinned(tx, ref))
        return queries.readable(tx, held, self.resource_of)

    @operation("erase", event="catalog.version.deleted")
    def delete(self, tx: Transaction, ref: Ref, reason: str) -> Version:
        """Delete one version that nothing depends on; `InUse` names what does. Its number is never given out again."""
        if ref.selector is None:
            raise Invalid(f"{ref} is a thing with all its versions.", mend=f"Say which version: {ref}@1")
        version = catalog.delete(tx, ref)
        tx.note(resource=version.ref, before={"digest": version.digest})
        return version
