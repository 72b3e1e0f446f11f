"""The commands that only look: `list`, `show`, `diff`, `lineage`, `history`, `live`, `card`, `figures`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwright.cli.explain import add_commands, carries_out
from modelwright.cli.kinds import face_of, kind_named
from modelwright.cli.kinds.base import Face
from modelwright.cli.options import (
    Action,
    Actor,
    After,
    AsJson,
    Limit,
    Moment,
    RefArgument,
    Since,
    Until,
    Where,
    chosen_events,
    pairs,
    parse_moment,
    parse_ref,
    workspace,
)
from modelwright.cli.output import aside, facts, print_json, say, section, show, table, tell_events, when
from modelwright.core.errors import Invalid
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.store.records import Direction

if TYPE_CHECKING:
    from modelwright.deployments.records import Live


SHORT = 10  # digits of what can only be meant as a version: an id is longer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_commands(
        app,
        {
            "list": list_,
            "show": show_,
            "diff": diff,
            "lineage": lineage,
            "history": history,
            "live": live,
            "card": card,
            "figures": figures,
        },
    )


def list_(
    what: Annotated[str, typer.Argument(metavar="KIND|REF", help="A kind (model), or a thing to look into (model:delay).")],
    under: Annotated[
        str | None, typer.Option(help="A name, or the path that names begin with.", show_default=False)
    ] = None,
    text: Annotated[str | None, typer.Option(help="Occurs in name or description.", show_default=False)] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Has this tag.")] = None,
    state: Annotated[str | None, typer.Option(help="Stands so: active, running, open, ...", show_default=False)] = None,
    about: Annotated[
        str | None, typer.Option(metavar="REF", help="With evidence: what it speaks of.", show_default=False)
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    after: After = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """List things of a kind, the newest first; or, of one thing, its versions, runs, executions or rollouts.

    mw list model             the latest version of every model
    mw list model:delay       every version of that one
    mw list evidence --about model:delay@3
    """
    wanted = Filter(
        under=under,
        text=text,
        tags=pairs(tag, option="--tag"),
        state=state,
        since=parse_moment(since),
        until=parse_moment(until),
        limit=limit,
        after=after,
    )
    face: Face
    page: Page[Any]
    with workspace(where) as rooms:
        if about is not None:
            from modelwright.cli.kinds.rules import EvidenceFace

            face, page = EvidenceFace(), EvidenceFace().about(rooms, parse_ref(about), wanted)
        elif ":" in what:
            ref = parse_ref(what)
            face, page = face_of(ref.kind).within(rooms, ref, wanted)
        else:
            face = face_of(kind_named(what))
            page = face.list(rooms, wanted)
    if as_json:
        print_json(page)
    elif page.items:
        table(face.columns, [face.row(item) for item in page.items], right=face.right)
        if page.next:
            aside(f"There are more: --after {page.next}")
    else:
        aside("There is none.")


def show_(ref: RefArgument, where: Where = None, as_json: AsJson = False) -> None:
    """Show one thing: a version, a run, a deployment, an incident, a policy."""
    parsed = parse_ref(ref)
    face = face_of(parsed.kind)
    with workspace(where) as rooms:
        found = face.show(rooms, parsed)
        if as_json:
            print_json(found)
        else:
            face.tell(rooms, found)


def diff(
    ref: RefArgument,
    other: Annotated[
        str | None,
        typer.Argument(help="A ref, or just another version: 3, champion; the latest by default. Of a run, another."),
    ] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed from one version to another; of two runs, their parameters and figures side by side."""
    before = parse_ref(ref)
    after = _other(before, other)
    face = face_of(before.kind)
    with workspace(where) as rooms:
        found = face.diff(rooms, before, after)
        if as_json:
            print_json(found)
        else:
            face.tell_diff(found)


@carries_out("record.lineage")
def lineage(
    ref: RefArgument,
    up: Annotated[bool, typer.Option("--up", help="Only what it came from.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only what came from it.")] = False,
    depth: Annotated[int, typer.Option(help="How many steps to follow, 1 to 100.")] = 20,
    column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Follow this one column, as it is known now.", show_default=False)
    ] = None,
    at: Moment = None,
    evidence: Annotated[bool, typer.Option("--evidence", help="Draw pieces of evidence too.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    from modelwright.cli.drawing import draw_lineage

    direction = Direction.BOTH if up == down else Direction.UP if up else Direction.DOWN
    if column is not None:
        _columns(parse_ref(ref), column, direction, depth, where, as_json=as_json)
        return
    with workspace(where) as rooms:
        found = rooms.record.lineage(parse_ref(ref), direction, depth=depth, as_of=parse_moment(at))
    if as_json:
        print_json(found)
        return
    show(draw_lineage(found, evidence=evidence))
    if not found.complete:
        aside(f"There is more beyond {depth} steps: --depth {min(100, depth * 2)}")


def _columns(ref: Ref, column: str, direction: Direction, depth: int, where: str | None, *, as_json: bool) -> None:
    from modelwright.cli.drawing import draw_columns

    with workspace(where) as rooms:
        found = rooms.openlineage.columns(ref, column, direction, depth=depth)
    if as_json:
        print_json(found)
    else:
        show(draw_columns(found))


@carries_out("record.history")
def history(
    ref: RefArgument,
    actor: Actor = None,
    action: Action = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    after: After = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    narrowed = chosen_events(since, until, actor, action, limit, after)
    with workspace(where) as rooms:
        page = rooms.record.history(parse_ref(ref), narrowed)
    if as_json:
        print_json(page)
        return
    if not page.items:
        aside("Nothing happened to it in that time.")
        return
    tell_events(page)


@carries_out("deployments.live")
def live(
    ref: Annotated[
        str | None, typer.Argument(metavar="[REF]", help="Only of this model or deployment, with the evidence it rests on.")
    ] = None,
    at: Moment = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    moment = parse_moment(at)
    with workspace(where) as rooms:
        if ref is not None:
            answer = rooms.governance.answer(parse_ref(ref, Kind.MODEL, Kind.DEPLOYMENT), at=moment)
            if as_json:
                print_json(answer)
                return
            for sentence in answer.sentences:
                say(sentence)
            return
        found = rooms.deployments.live(as_of=moment)
    if as_json:
        print_json(found)
    elif not found:
        aside("Nothing was live." if moment else "Nothing is live.")
    else:
        rows = [
            [e.deployment.name, e.environment, str(e.model).removeprefix("model:"), when(e.since), _by(e), e.reason]
            for e in found
        ]
        table(["deployment", "environment", "live", "since", "by", "why"], rows)


@carries_out("governance.card")
def card(
    ref: RefArgument,
    html: Annotated[bool, typer.Option("--html", help="As one HTML page instead of Markdown.")] = False,
    attach: Annotated[bool, typer.Option("--attach", help="Also attach it to the version as evidence.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    parsed = parse_ref(ref, Kind.MODEL)
    with workspace(where) as rooms:
        if attach:
            piece = rooms.governance.publish_card(parsed)
            aside(f"Attached as {piece.ref}: {piece.verdict.value}. {piece.summary}.")
            if not html and not as_json and piece.report is not None:  # what was attached, and not built once more
                typer.echo(rooms.caller.blobs.read(piece.report).decode())
                return
        if as_json:
            print_json(rooms.governance.card(parsed))
        else:
            typer.echo(rooms.governance.html(parsed) if html else rooms.governance.markdown(parsed))


@carries_out("governance.value")
def figures(
    since: Annotated[str, typer.Argument(metavar="SINCE", help="The beginning of the period, such as 2026-01-01.")],
    until: Until = None,
    failing_within: Annotated[int, typer.Option(help="Days within which a rollback counts as a failed change.")] = 7,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    begin = parse_moment(since)
    assert begin is not None
    with workspace(where) as rooms:
        report = rooms.governance.value(since=begin, until=parse_moment(until), failing_within_days=failing_within)
    if as_json:
        print_json(report)
        return
    facts("Figures", {"from": when(report.since), "to": when(report.until)})
    section(["figure", "value"], [[each.label, each.text] for each in report.figures])


def _by(held: Live) -> str:
    """Who put it there, and who had approved it."""
    return f"{held.by}\napproved by {', '.join(held.approved_by)}" if held.approved_by else held.by


def _another(before: Ref, text: str | None) -> Ref:
    """The second of two runs, by its ref or its id: a run has no versions."""
    mend = f"Name another: mw diff {before.whole} run:... (mw list run shows them)"
    if text is None:
        raise Invalid(f"With which other run is {before.whole} to be compared?", mend=mend)
    if text.removeprefix("@").isdigit() and len(text) < SHORT:
        raise Invalid(f"{before.whole} has no versions, so there is no {text} of it.", mend=mend)
    other = parse_ref(text if ":" in text else f"run:{text}", Kind.RUN)
    if other.whole == before.whole:
        raise Invalid(f"{before.whole} is named twice, and differs in nothing from itself.", mend=mend)
    return other


def _other(before: Ref, text: str | None) -> Ref:
    """The second of two refs, of which the selector alone may be given."""
    if before.kind is Kind.RUN:
        return _another(before, text)
    if text is None:
        if before.selector is None:
            raise Invalid(f"Which versions of {before}?", mend=f"Say two: mw diff {before}@1 {before}@2")
        return before.whole
    if ":" in text and not text.startswith("b3:"):
        return parse_ref(text, before.kind)
    return Ref.parse(f"{before.whole}@{text.removeprefix('@')}")
