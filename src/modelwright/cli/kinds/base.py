"""What a kind's face offers, and what stands in where a kind has no such thing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import msgspec

from modelwright.cli.output import day, facts, section, short, table, when
from modelwright.core.errors import Invalid
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import to_plain

if TYPE_CHECKING:
    from datetime import datetime

    from modelwright.workspace import Workspace

DIGEST = re.compile(r"[0-9a-f]{64}")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One field that two things have with different values."""

    field: str
    before: Any = None
    after: Any = None


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """The fields in which two things of a kind differ."""

    before: Ref
    after: Ref
    changes: list[Change]


class Face:
    """One kind of thing at the command line: how it is shown, listed, compared, tagged and retired.

    `show`, `list`, `within`, `diff`, `tag` and `retire` return records, which is what `--json` prints; `tell`, `row` and
    `tell_diff` lay such a record out for a person.
    """

    kind: ClassVar[Kind]
    columns: ClassVar[Sequence[str]] = ("ref",)
    right: ClassVar[Sequence[str]] = ()

    def show(self, rooms: Workspace, ref: Ref) -> Any:
        """The record of one thing."""
        return rooms.record.show(ref)

    def tell(self, rooms: Workspace, found: Any) -> None:
        """The record for a person: by default its fields."""
        plain = to_plain(found)
        facts(str(found.ref), {name.replace("_", " "): value for name, value in plain.items() if name != "ref"})

    def list(self, rooms: Workspace, where: Filter) -> Page[Any]:
        """The things of this kind."""
        self._cannot("listed")

    def row(self, item: Any) -> Sequence[Any]:
        """One line of a list, in the order of `columns`."""
        return [item.ref]

    def within(self, rooms: Workspace, ref: Ref, where: Filter) -> tuple[Face, Page[Any]]:
        """What belongs to one thing: its versions, runs, executions, rollouts; with the face that lists them."""
        self._cannot("looked into with `mw list`")

    def diff(self, rooms: Workspace, before: Ref, after: Ref) -> Any:
        """What changed from one to another."""
        self._cannot("compared")

    def tell_diff(self, found: Any) -> None:
        """A difference for a person."""
        rows = [[each.field, each.before, each.after] for each in found.changes]
        tell_changes(found.before, found.after, ["what", "before", "after"], rows)

    def tag(self, rooms: Workspace, ref: Ref, tags: dict[str, str | None], reason: str) -> dict[str, str]:
        """Set tags, or take them away where the value is None; returns those that it has now."""
        held: dict[str, str] = {}
        for key, value in tags.items():
            held = rooms.record.tag(ref, key, value)
        return held

    def retire(self, rooms: Workspace, ref: Ref, successor: Ref | None, reason: str) -> Any:
        """Take out of use for good."""
        self._cannot("retired")

    def _cannot(self, done: str) -> NoReturn:
        raise Invalid(f"{self.kind.value.capitalize()}: things of this kind cannot be {done}.")


def changes(before: Ref, after: Ref, one: Any, two: Any, *, ignore: Sequence[str] = ()) -> Changes:
    """The fields in which two records differ, nested ones by their path."""
    old, new = flat(to_plain(one)), flat(to_plain(two))
    skipped = {"ref", "digest", "created_at", "created_by", *ignore}
    fields = [name for name in [*old, *(n for n in new if n not in old)] if name.split(".")[0] not in skipped]
    found = [Change(field=n, before=old.get(n), after=new.get(n)) for n in fields if old.get(n) != new.get(n)]
    return Changes(before=before, after=after, changes=found)


def tell_changes(before: Ref, after: Ref, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table of differences under the two refs, or that there are none."""
    from modelwright.cli.output import say

    say(f"{before} → {after}", style="bold")
    if rows:
        table(columns, [[_value(cell) for cell in row] for row in rows])
    else:
        say("  They do not differ.")


def tell_evidence(rooms: Workspace, ref: Ref) -> None:
    """The newest evidence of each kind about a version."""
    newest: dict[str, Any] = {}
    for piece in rooms.record.evidence(ref):
        newest.setdefault(piece.kind, piece)
    if newest:
        rows = [[p.kind, p.verdict.value, day(p.created_at), p.producer, p.summary] for p in newest.values()]
        section(["evidence", "verdict", "on", "by", "what it says"], rows)


def standing(found: Any) -> dict[str, Any]:
    """What every version has: where it stands, who made it when, aliases, tags."""
    return {
        "state": getattr(found, "state", None) if str(getattr(found, "state", "active")) != "active" else None,
        "successor": getattr(found, "successor", None),
        "made": f"{when(found.created_at)} by {found.created_by}",
        "aliases": list(getattr(found, "aliases", [])),
        "tags": [f"{key}={value}" for key, value in found.tags.items()],
        "digest": short(found.digest),
    }


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """What is nested, by its path."""
    if isinstance(value, dict) and value:
        return {k: v for name, each in value.items() for k, v in flat(each, f"{path}.{name}" if path else name).items()}
    return {path: value}


def _value(value: Any) -> str:
    text = "" if value is None else str(value)
    if DIGEST.fullmatch(text):
        return short(text)
    return text if len(text) <= 60 else text[:59] + "…"


def titled(name: str, title: str) -> str:
    """An experiment by its title, with its name where that is another."""
    return name if title in ("", name) else f"{title} (experiment:{name})"


def time_of(rooms: Workspace) -> datetime:
    """The time of a workspace: by its own clock where it lies here, else by that of this machine."""
    from modelwright.core.clock import SystemClock

    return SystemClock().now() if rooms.home is None else rooms.home.clock.now()
