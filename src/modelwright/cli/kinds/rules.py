"""Policies, evidence, principals and the workspace itself at the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.cli.kinds.base import Face, flat
from modelwright.cli.output import COLOURS, aside, day, facts, paragraph, say, section, short, when
from modelwright.core.errors import Invalid, NotFound
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert

if TYPE_CHECKING:
    from modelwright.policy import GateReport
    from modelwright.policy.records import Account, Right
    from modelwright.policy.service import PolicyVersion
    from modelwright.store import Evidence, Version
    from modelwright.workspace import Status, Workspace

MANY = 30  # figures that are still shown one by one


class PolicyFace(Face):
    """Versions of policies."""

    kind = Kind.POLICY
    columns = ("policy", "made", "by", "about")

    def show(self, rooms: Workspace, ref: Ref) -> PolicyVersion:
        return rooms.policy.show(ref)

    def tell(self, rooms: Workspace, found: PolicyVersion) -> None:
        made = f"{when(found.created_at)} by {found.created_by}" if found.created_at else "it comes with Modelwright"
        facts(found.ref, {"made": made, "digest": short(found.digest)})
        say("")
        for line in found.english.splitlines():
            paragraph(line)

    def list(self, rooms: Workspace, where: Filter) -> Page[Version]:
        return rooms.policy.list(where)

    def row(self, item: Version) -> Sequence[Any]:
        return [str(item.ref).removeprefix("policy:"), day(item.created_at), item.created_by, item.description]

    def diff(self, rooms: Workspace, before: Ref, after: Ref) -> Sequence[str]:
        return rooms.policy.diff(before, after)

    def tell_diff(self, found: Sequence[str]) -> None:
        for line in found or ["They do not differ."]:
            say(line, style={"+": "green", "-": "red", "~": "yellow"}.get(line[:1]))


class EvidenceFace(Face):
    """What is known about exact versions."""

    kind = Kind.EVIDENCE
    columns = ("kind", "verdict", "on", "by", "what it says")

    def show(self, rooms: Workspace, ref: Ref) -> Evidence:
        subjects = [Ref.parse(event.resource) for event in rooms.record.history(ref).items]
        for subject in dict.fromkeys(subjects):
            for piece in rooms.record.evidence(subject.whole):
                if piece.id == ref.name:
                    return piece
        raise NotFound(f"There is no {ref}.", mend="See what is known of a version: mw list evidence --about REF")

    def tell(self, rooms: Workspace, found: Evidence) -> None:
        from modelwright.policy import GateReport

        facts(
            str(found.ref),
            {
                "kind": found.kind,
                "about": found.subject,
                "verdict": found.verdict.value,
                "says": found.summary,
                "by": f"{found.producer}, {when(found.created_at)}",
                "until": when(found.expires_at),
                "computed from": "\n".join(map(str, found.inputs)),
                "report": f"object {found.report}" if found.report else None,
                "digest": short(found.subject_digest),
            },
        )
        if found.kind == "gate" and "report" in found.figures:
            say("")
            tell_gate(convert(found.figures["report"], GateReport))
            return
        figures = flat(found.figures)
        section(["figure", "value"], list(figures.items())[:MANY])
        if len(figures) > MANY:
            aside(f"There are {len(figures)} figures: --json shows all.")

    def list(self, rooms: Workspace, where: Filter) -> Page[Evidence]:
        raise Invalid("Evidence is listed of a thing.", mend="Say of what: mw list evidence --about model:delay@1")

    def about(self, rooms: Workspace, ref: Ref, where: Filter) -> Page[Evidence]:
        """The evidence about one thing; `where.text` names a kind."""
        return Page(items=rooms.record.evidence(ref, where.text)[: where.limit])

    def row(self, item: Evidence) -> Sequence[Any]:
        says = "\n".join(line for line in (item.summary, str(item.subject), str(item.ref)) if line)
        return [item.kind, item.verdict.value, day(item.created_at), item.producer, says]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An account with what it may."""

    account: Account
    rights: Sequence[Right]


class PrincipalFace(Face):
    """People and service accounts."""

    kind = Kind.PRINCIPAL
    columns = ("account", "name", "acts for", "stands", "made")

    def show(self, rooms: Workspace, ref: Ref) -> Standing:
        for account in rooms.access.list():
            if account.id == ref.name:
                return Standing(account=account, rights=rooms.access.what_can(ref.name))
        raise NotFound(f"There is no {ref}.", mend="See who there is: mw user list")

    def tell(self, rooms: Workspace, found: Standing) -> None:
        account = found.account
        facts(
            f"principal:{account.id}",
            {
                "name": account.display,
                "kind": account.kind.value,
                "owner": account.owner,
                "active": "yes" if account.active else "no",
                "made": f"{when(account.created_at)} by {account.created_by}",
            },
        )
        rows = [["barred" if r.deny else "may", r.scope, r.role, ", ".join(r.verbs)] for r in found.rights]
        if rows:
            section(["", "scope", "role", "verbs"], rows)
        else:
            say("  No role is held.")

    def list(self, rooms: Workspace, where: Filter) -> Page[Account]:
        return Page(items=list(rooms.access.list()))

    def row(self, item: Account) -> Sequence[Any]:
        stands = "active" if item.active else "kept out"
        return [item.id, item.display, item.owner, stands, day(item.created_at)]


class WorkspaceFace(Face):
    """The workspace itself."""

    kind = Kind.WORKSPACE
    columns = ("workspace", "version", "now", "database")

    def show(self, rooms: Workspace, ref: Ref) -> Status:
        return rooms.workspace.status()

    def tell(self, rooms: Workspace, found: Status) -> None:
        facts(
            f"workspace:{found.name}",
            {
                "version": found.version,
                "now": when(found.now),
                "clock": found.clock,
                "database": found.database,
                "operator": f"turned at {when(found.turned_at)}" if found.turned_at else "does not run here",
            },
        )

    def list(self, rooms: Workspace, where: Filter) -> Page[Status]:
        return Page(items=[rooms.workspace.status()])

    def row(self, item: Status) -> Sequence[Any]:
        return [item.name, item.version, when(item.now), item.database]


def tell_gate(report: GateReport) -> None:
    """A gate as a table: how each requirement stands, and of what is missing, why and what puts it right."""
    where = f" to {report.environment}" if report.environment else ""
    say(f"{report.action} {report.subject}{where}   risk tier {report.tier.value}, {report.policy}", style="bold")
    rows = [[r.id, r.status.value.replace("_", " "), r.reason or r.sentence] for r in report.requirements]
    section(["requirement", "stands", "because"], rows)
    say("")
    if report.passed:
        say("Nothing stands in the way.", style=COLOURS["pass"])
        return
    mends = list(dict.fromkeys(each.mend for each in report.unmet if each.mend))
    told = (
        f"{len(report.unmet)} of {len(report.requirements)} {'stands' if len(report.unmet) == 1 else 'stand'} in the way."
    )
    say(f"{told} What puts {'it' if len(report.unmet) == 1 else 'them'} right:" if mends else told, style=COLOURS["fail"])
    for mend in mends:
        say(f"  {mend}")
