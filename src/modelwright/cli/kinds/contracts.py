"""Contracts of datasets at the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from modelwright.cli.kinds.base import Face, standing, tell_changes
from modelwright.cli.output import day, facts, say, section
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref

if TYPE_CHECKING:
    from modelwright.datasets import ContractDiff, ContractVersion
    from modelwright.workspace import Workspace


class ContractFace(Face):
    """Versions of what the producer of a dataset promises."""

    kind = Kind.CONTRACT
    columns = ("contract", "owner", "columns", "checks", "fresh", "consumers", "made", "by")
    right = ("columns", "checks")

    def show(self, rooms: Workspace, ref: Ref) -> ContractVersion:
        return rooms.contracts.show(ref)

    def tell(self, rooms: Workspace, found: ContractVersion) -> None:
        facts(
            str(found.ref),
            {
                "about": found.description,
                "dataset": found.dataset,
                "owner": found.owner,
                "fresh": f"the newest event is at most {found.fresh} old" if found.fresh else None,
                "consumers": found.consumers,
                **standing(found),
            },
        )
        rows = [[c.name, c.type, "" if c.nullable else "always there", c.description] for c in found.columns]
        section(["column", "type", "", "about"], rows)
        section(["check", "severity"], [[check.title, check.severity.value] for check in found.checks])
        kept = next(iter(rooms.contracts.kept(found.dataset)), None)
        if kept is not None:
            say("")
            say(f"{kept.subject}: {kept.summary}")

    def list(self, rooms: Workspace, where: Filter) -> Page[ContractVersion]:
        return rooms.contracts.list(where)

    def within(self, rooms: Workspace, ref: Ref, where: Filter) -> tuple[Face, Page[ContractVersion]]:
        return self, rooms.contracts.versions(ref, where)

    def row(self, item: ContractVersion) -> Sequence[Any]:
        ref = str(item.ref).removeprefix("contract:")
        counts = [len(item.columns), len(item.checks)]
        return [ref, item.owner, *counts, item.fresh, ", ".join(item.consumers), day(item.created_at), item.created_by]

    def diff(self, rooms: Workspace, before: Ref, after: Ref) -> ContractDiff:
        return rooms.contracts.diff(before, after)

    def tell_diff(self, found: ContractDiff) -> None:
        rows = [["breaks" if each.breaking else "", each.what] for each in found.changes]
        tell_changes(found.before, found.after, ["", "what"], rows)

    def retire(self, rooms: Workspace, ref: Ref, successor: Ref | None, reason: str) -> ContractVersion:
        return rooms.contracts.retire(ref, successor=successor, reason=reason)
