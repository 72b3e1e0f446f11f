"""`mw retention`: how long data are kept, what is due, legal holds, and the proof of what went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwright.cli.explain import add_group, carries_out
from modelwright.cli.options import AsJson, RefArgument, Where, Yes, confirm, parse_ref, workspace
from modelwright.cli.output import COLOURS, aside, day, print_json, say, section, table, when
from modelwright.core.paging import Filter
from modelwright.core.refs import Kind
from modelwright.core.sizes import size

if TYPE_CHECKING:
    from modelwright.governance.retention import Deletion, Due

PROOF_FAILED = 7  # the exit code where a proof does not hold, as where the ledger does not
Why = Annotated[str, typer.Option("--reason", "-m", help="Why: it goes on the record.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    add_group(
        app,
        "retention",
        "How long data are kept: classes, what is due, legal holds, and the proof of what went.",
        {
            "declare": declare,
            "withdraw": withdraw,
            "classes": classes,
            "plan": plan,
            "run": run,
            "hold": hold,
            "lift": lift,
            "holds": holds,
            "accept": accept,
            "proofs": proofs,
            "verify": verify,
        },
    )


@carries_out("retention.declare")
def declare(
    name: Name,
    covers: Annotated[
        list[str], typer.Argument(metavar="DATA...", help="datasets:crm, predictions:*, traces:support, ...")
    ],
    keep: Annotated[str, typer.Option(help="How long: 36h, 90d, 8w, 7y.")],
    reason: Why,
    about: Annotated[
        list[str] | None, typer.Option(metavar="CLASS", help="Only versions with such columns: pii, special.health.")
    ] = None,
    newest: Annotated[bool, typer.Option("--newest", help="Even the newest version of a dataset goes.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        made = rooms.retention.declare(name, keep, covers, about=about or [], newest=newest, reason=reason)
    if as_json:
        print_json(made)
    else:
        say(f"{', '.join(made.covers)}: kept {made.keep} under {made.name}. See what is due: mw retention plan")


@carries_out("retention.withdraw")
def withdraw(name: Name, reason: Why, where: Where = None, as_json: AsJson = False) -> None:
    with workspace(where) as rooms:
        rooms.retention.withdraw(name, reason=reason)
    if as_json:
        print_json({"withdrawn": name})
    else:
        say(f"Nothing more is due under {name}.")


@carries_out("retention.classes")
def classes(where: Where = None, as_json: AsJson = False) -> None:
    with workspace(where) as rooms:
        found = rooms.retention.classes()
    if as_json:
        print_json(found)
        return
    if not found:
        say("No class is declared: everything is kept until somebody deletes it.")
        return
    rows = [
        [each.name, each.keep, ", ".join(each.covers), ", ".join(each.about), "yes" if each.newest else "", each.by]
        for each in found
    ]
    table(["class", "kept", "covers", "about", "newest too", "declared by"], rows)


@carries_out("retention.plan")
def plan(
    name: Annotated[str | None, typer.Argument(metavar="[CLASS]", help="One class; by default all.")] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        found = rooms.retention.plan(name=name)
    if as_json:
        print_json(found)
        return
    if not found.goes and not found.held:
        say("Nothing is due.")
        return
    if found.goes:
        say("Would go:")
        _tell_due(list(found.goes))
    if found.held:
        say("Is due, and stays:")
        rows = [[each.what, day(each.due), "; ".join(each.holds)] for each in found.held]
        section(["what", "due since", "because"], rows)
    aside("Nothing went. A running server does it by itself; at once: mw retention run")


def _tell_due(found: list[Due]) -> None:
    rows = [
        [each.what, each.retention, day(each.due), each.counted, size(each.size), ", ".join(each.affects)] for each in found
    ]
    section(["what", "class", "due since", "how many", "bytes", "made from it, and stays"], rows)


def run(yes: Yes = False, where: Where = None, as_json: AsJson = False) -> None:
    """Let go of everything that is due and that nothing keeps; finish what a kill left half done."""
    with workspace(where) as rooms:
        due = len(rooms.retention.plan().goes)
        if due:
            confirm(f"{due} things are due. Delete them for good?", yes=yes)
        found = rooms.retention.carry_out()
    if as_json:
        print_json(found)
    elif not found:
        say("Nothing was due.")
    else:
        _tell_deletions(list(found))


@carries_out("retention.hold")
def hold(
    name: Name,
    on: Annotated[
        str, typer.Argument(metavar="DATA", help="datasets:crm@3, traces:support, models:credit, or * for everything.")
    ],
    reason: Why,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        made = rooms.retention.hold(name, on, reason=reason)
    if as_json:
        print_json(made)
    else:
        say(f"Nobody deletes {made.scope} until {made.name} is lifted.")


@carries_out("retention.lift")
def lift(name: Name, reason: Why, where: Where = None, as_json: AsJson = False) -> None:
    with workspace(where) as rooms:
        found = rooms.retention.lift(name, reason=reason)
    if as_json:
        print_json(found)
    else:
        say(f"{found.name} is lifted from {found.scope}. What is due of it: mw retention plan")


@carries_out("retention.holds")
def holds(
    lifted: Annotated[bool, typer.Option("--lifted", help="Also those that were lifted.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        found = rooms.retention.holds(lifted=lifted)
    if as_json:
        print_json(found)
        return
    if not found:
        say("No hold stands.")
        return
    rows = [
        [
            *(each.name, each.scope, each.reason, each.placed_by, when(each.placed_at)),
            f"{when(each.lifted_at)} by {each.lifted_by}: {each.lifted_because}" if each.lifted_at else "",
        ]
        for each in found
    ]
    table(["hold", "on", "why", "placed by", "when", "lifted"], rows)


@carries_out("retention.accept")
def accept(ref: RefArgument, reason: Why, where: Where = None, as_json: AsJson = False) -> None:
    with workspace(where) as rooms:
        made = rooms.retention.accept(parse_ref(ref, Kind.DATASET), reason=reason)
    if as_json:
        print_json(made)
    else:
        say(f"{made.subject} may go, though live models came of it.")


@carries_out("retention.proofs")
def proofs(
    ref: Annotated[str | None, typer.Argument(metavar="[REF]", help="Of one thing; by default of all.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many at most.")] = 50,
    after: Annotated[str | None, typer.Option(help="Go on after the page before.", show_default=False)] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        page = rooms.retention.proofs(ref=parse_ref(ref) if ref else None, where=Filter(limit=limit, after=after))
    if as_json:
        print_json(page)
        return
    if not page.items:
        say("Nothing went.")
        return
    _tell_deletions(page.items)
    if page.next:
        aside(f"There are more: --after {page.next}")


def _tell_deletions(found: list[Deletion]) -> None:
    rows: list[list[Any]] = [
        [
            each.id,
            each.what,
            each.counted,
            f"{each.gone:,} of {each.gone + len(each.left):,}",
            size(each.size),
            when(each.finished_at) if each.finished_at else "not over yet",
            "" if each.proof_seq is None else each.proof_seq,
        ]
        for each in found
    ]
    table(["deletion", "what", "how many", "digests gone", "bytes", "when", "event"], rows, right=("event",))


@carries_out("retention.verify")
def verify(
    which: Annotated[
        str | None, typer.Argument(metavar="[DELETION|REF]", help="One, or those of one thing; by default the newest.")
    ] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    one = which is not None and ":" not in which
    with workspace(where) as rooms:
        ref = parse_ref(which) if which is not None and not one else None
        found = rooms.retention.verify(deletion=which if one else None, ref=ref)
    if as_json:
        print_json(found)
    elif not found:
        say("Nothing went, so there is nothing to prove.")
    else:
        for each in found:
            _tell_proof(each)
    if not all(each.holds for each in found if each.deletion.finished_at is not None):
        raise typer.Exit(PROOF_FAILED)


def _tell_proof(check: Any) -> None:
    gone: Deletion = check.deletion
    if check.holds:
        say(f"{gone.id}: {gone.what} is gone; event {gone.proof_seq} proves it.", style=COLOURS["pass"])
    elif gone.finished_at is None:
        say(f"{gone.id}: {gone.what} is out of reach, and is not proved gone yet.", style=COLOURS["warn"])
    else:
        say(f"{gone.id}: the proof for {gone.what} does not hold.", style=COLOURS["fail"])
    for finding in check.findings:
        aside(f"  {finding}")
    for holder in sorted(set(gone.left.values())):
        count = sum(each == holder for each in gone.left.values())
        aside(f"  {count} of its objects stay for the sake of {holder}")
    for copy in gone.unreached:
        aside(f"  not reached: {copy}")
