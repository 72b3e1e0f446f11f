"""`mw features`: feature views, applied, put online, read and verified."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwright.cli.checks import CHECKS_FAILED
from modelwright.cli.explain import add_group
from modelwright.cli.kinds.data import COSTS, told_cost
from modelwright.cli.options import (
    AsJson,
    Reason,
    RefArgument,
    Where,
    pairs,
    parse_moment,
    parse_ref,
    project_folder,
    workspace,
)
from modelwright.cli.output import aside, counted, print_json, say, section, table, when
from modelwright.cli.progress import Telling, progress
from modelwright.core.errors import Invalid, NotFound
from modelwright.core.refs import Kind, Ref

if TYPE_CHECKING:
    from modelwright.features.records import Comparison, ViewUse
    from modelwright.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add the group."""
    add_group(
        app,
        "features",
        "Apply feature views, put them online, read them, and verify that.\n\n"
        "A feature view says what is known of an entity (a customer, a depot) at any moment, computed from the rows of a "
        "dataset. Write views into features.py (mw init makes one), apply them, and materialise those that are read "
        "online. Training sets are made in Python: workspace.features.training(rows, views).\n\n"
        "mw features apply; mw features materialise features:depots; mw features read features:depots -k "
        '\'{"depot": "north"}\'',
        {
            "apply": apply,
            "materialise": materialise,
            "read": read,
            "push": push,
            "fold": fold,
            "verify": verify,
            "find": find,
            "freshness": freshness,
            "sql": plan_sql,
            "diff": diff_views,
        },
    )


def apply(
    file: Annotated[Path | None, typer.Argument(help="By default the project's features.py.")] = None,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Check the views of a file against their sources, and add those that changed as new versions."""
    from modelwright.features import load_views

    with _functions_at_hand(where) as rooms:
        views = load_views(file or _project_file(rooms, "features"))
        made, new = [], set[Ref]()
        with progress("applying views", len(views)) as told:
            for view in views:
                before = _newest(rooms, view.ref)
                made.append(rooms.features.apply(view, reason=reason))
                if made[-1].ref != before:
                    new.add(made[-1].ref)
                told(len(made))
    if as_json:
        print_json(made)
    else:
        rows = [[str(v.ref), "new" if v.ref in new else "as before", len(v.columns), str(v.source)] for v in made]
        table(["view", "", "features", "checked against"], rows, right=("features",))
        if new:
            aside("To be read online, a version is materialised: mw features materialise REF")


def _newest(rooms: Workspace, ref: Ref) -> Ref | None:
    try:
        return rooms.features.show(ref.whole).ref
    except NotFound:
        return None


def materialise(
    refs: Annotated[list[str] | None, typer.Argument(metavar="REF...", help="Feature views.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="From; by default now.", show_default=False)] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Up to; by default now.", show_default=False)] = None,
    source: Annotated[
        str | None, typer.Option(metavar="REF", help="Another version of the source.", show_default=False)
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Compute every entity, not those alone that changed.")] = False,
    lost: Annotated[
        bool, typer.Option("--lost", help="All that stood online and is not there any more, as far back as it went.")
    ] = False,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Compute views and put them online, to be read at times from --since to --until."""
    if bool(refs) == lost:
        raise Invalid("Views are named, or --lost finds them.", mend="Name some: mw features find shows which there are.")
    made, begin = [], parse_moment(since)
    with _functions_at_hand(where) as rooms:
        gone = {each.view: each for each in rooms.pushes.lost()} if lost else {}
        for ref in [*gone, *(parse_ref(text, Kind.FEATURES) for text in refs or [])]:
            back = gone[ref].since if ref in gone and gone[ref].since < gone[ref].until else None
            with progress(f"materialising {ref}, entities sent") as told:
                state = _telling(rooms, told).materialise(
                    ref,
                    parse_moment(until),
                    since=begin or back,
                    source=Ref.parse(source) if source else None,
                    whole=whole,
                    reason=reason,
                )
            made.append(state)
    if as_json:
        print_json(made)
    elif not made:
        say("Nothing is lost: all that was put online is there.")
    else:
        rows = [[str(s.view), s.rows, str(s.source), when(s.since), when(s.until)] for s in made]
        table(["view", "entities", "from", "since", "until"], rows, right=("entities",))
        for empty in (s for s in made if not s.rows):
            aside(
                f"No entity of {empty.view} has a row that holds from {when(empty.since)} on. "
                f"If the rows of {empty.source} end before that, --since TIME puts them online."
            )


def verify(
    refs: Annotated[
        list[str] | None, typer.Argument(metavar="REF...", help="Views; with --logged, by default all.")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", "-n", help="How many entities to compare.")] = 200,
    logged: Annotated[
        bool, typer.Option("--logged", help="Hold logged reads against offline, not a drawn sample.")
    ] = False,
    after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Logged reads after it; by default, since the last time.")
    ] = None,
    purpose: Annotated[str, typer.Option(help="What it is for, where the data are for some purposes alone.")] = "",
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Read rows online, compute the same rows offline, and put on the record whether they agree; exit code 10 if not."""
    views = [parse_ref(text, Kind.FEATURES) for text in refs or []]
    if not views and not logged:
        raise Invalid("No view is named.", mend="Name some, or say --logged for all that were read online.")
    with _functions_at_hand(where) as rooms, progress("verifying"):
        if logged:
            found = rooms.features.replay(views, after=parse_moment(after), reason=reason)
        else:
            found = rooms.features.verify(views, rows, purpose=purpose, reason=reason)
    if as_json:
        print_json(found)
    else:
        if not found:
            say("No online read was logged since the last comparison: there is nothing to compare.")
            return
        lines = [[str(c.view), c.rows, c.values, c.mismatches, _compared(c)] for c in found]
        table(["view", "rows", "values", "differing", "verdict"], lines, right=("rows", "values", "differing"))
        examples = [
            [m.feature, ", ".join(map(str, m.entity.values())), m.online, m.offline] for c in found for m in c.examples
        ]
        section(["feature", "of", "online", "offline"], examples)
    if not all(each.equal for each in found):
        raise typer.Exit(CHECKS_FAILED)


def _key(text: str) -> dict[str, Any]:
    from modelwright.core.wire import decode

    try:
        return decode(text, dict[str, Any])
    except Invalid:
        raise Invalid(f"The key {text!r} is not a JSON object.", mend='Such as: -k \'{"depot": "north"}\'') from None


def _compared(found: Comparison) -> str:
    if not found.rows:
        return "nothing to compare"
    return "equal" if found.equal else "not equal"


def read(
    refs: Annotated[list[str], typer.Argument(metavar="REF...", help="Feature views.")],
    key: Annotated[
        list[str], typer.Option("--key", "-k", metavar="JSON", help='One entity: {"origin": "JFK"}; repeat it.')
    ],
    now: Annotated[str | None, typer.Option("--at", metavar="TIME", help="By default now.", show_default=False)] = None,
    max_age: Annotated[str | None, typer.Option(metavar="DURATION", help="Refuse what is older, such as 1h.")] = None,
    purpose: Annotated[str, typer.Option(help="What it is for.")] = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Read features online, for one entity or several."""
    keys = [_key(text) for text in key]
    views = [parse_ref(text, Kind.FEATURES) for text in refs]
    with _functions_at_hand(where) as rooms:
        found = rooms.features.online(views, keys, now=parse_moment(now), max_age=max_age, purpose=purpose)
    if as_json:
        print_json(found)
        return
    for given, row in zip(keys, found, strict=True):
        section(["of " + ", ".join(map(str, given.values())), "value"], [[name, value] for name, value in row.items()])


def push(
    source: Annotated[str, typer.Argument(metavar="DATASET", help="The dataset that the rows belong to.")],
    file: Annotated[Path, typer.Argument(help="Rows as JSON lines, with the dataset's columns; - reads standard input.")],
    id_: Annotated[str, typer.Option("--id", help="Sent again under the same id, the rows count once.")] = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Add rows to a dataset as they happen: online at once, offline in its next version."""
    rows = _json_lines(file)
    with _functions_at_hand(where) as rooms:
        made = rooms.pushes.push(parse_ref(source, Kind.DATASET), rows, id=id_)
    if as_json:
        print_json(made)
    else:
        if made.ahead:
            aside(f"{counted(made.ahead, 'row')} of them will be seen by no read before their time: is a clock ahead?")
        again = ", as before" if made.repeated else ""
        say(f"{counted(made.rows, 'row')} {'is' if made.rows == 1 else 'are'} push {made.number}{again}.")


def _json_lines(file: Path) -> list[dict[str, Any]]:
    """Rows as JSON objects, one a line; of a file, or of standard input where it is `-`."""
    import sys

    from modelwright.core.wire import decode

    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise NotFound(f"{file} cannot be read: {error.strerror}.", mend="Name a file of JSON lines, or -.") from None
    rows = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            rows.append(decode(line, dict[str, Any]))
        except Invalid as error:
            raise Invalid(
                f"{file}, line {number} is no JSON object: {error.message.removeprefix('The value does not fit: ')}",
                mend='Each line is a row: {"id": 7, "at": "2026-03-01T08:00:00Z"}',
            ) from None
    if not rows:
        raise Invalid(f"{file} has no rows.", mend='Each line is a row: {"id": 7, "at": "2026-03-01T08:00:00Z"}')
    return rows


def fold(
    source: Annotated[str, typer.Argument(metavar="DATASET", help="The dataset.")],
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Put what was pushed to a dataset into a version of it; a running server does so by itself."""
    with _functions_at_hand(where) as rooms:
        made = rooms.pushes.fold(parse_ref(source, Kind.DATASET), reason=reason)
    if as_json:
        print_json({"version": str(made)})
    else:
        say(f"{made} holds everything that was pushed.")


def find(
    text: Annotated[str, typer.Argument(help="Words that occur in names, features, sources, owners, tags.")] = "",
    unused: Annotated[bool, typer.Option("--unused", help="Only views with features that nothing takes.")] = False,
    sort: Annotated[
        str, typer.Option(help="changed, importance, bytes, seconds or reads: the greatest first.")
    ] = "changed",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Find feature views, who uses them, how much they matter and cost, and which features nobody takes.

    What matters is the greatest share that a view has in what one model would lose by its inputs, where that was measured.
    Sorted by bytes, seconds or reads, what views cost is told: the dataset behind them, what stands online, how long the
    last materialisation and the last training set took, and how many rows are read online in a day.
    """
    from modelwright.features.records import Order

    if sort not in list(Order):
        raise Invalid(f"Views are not sorted by {sort!r}.", mend=f"Sort by {', '.join(Order)}.")
    with _functions_at_hand(where) as rooms:
        found = rooms.features.find(text, unused=unused, order=Order(sort))
    if as_json:
        print_json(found)
        return
    if not found:
        say("No view is like that." if text or unused else "There is no view yet: write one in features.py, and apply it.")
        return
    if found[0].silent:
        aside(found[0].silent)
    if sort in (Order.BYTES, Order.SECONDS, Order.READS):
        table(["view", *COSTS, "used by"], [[str(e.version.ref), *told_cost(e.cost), _users(e)] for e in found])
        return
    rows = [
        [
            str(use.version.ref),
            ", ".join(use.version.view.names),
            use.version.view.owner,
            _users(use),
            "" if use.importance is None else f"{use.importance:.0%}",
            ", ".join(use.unused),
            "not known" if use.silent else "no" if use.age is None else f"{use.age:,.0f} s old",
            _parity(use),
        ]
        for use in found
    ]
    table(["view", "features", "owner", "used by", "matters", "not taken", "online", "offline"], rows)


def _parity(use: ViewUse) -> str:
    if use.parity is None:
        return ""
    if not use.parity.compared:
        return "nothing to compare"
    return "differs" if use.parity.failing else "agrees"


def _users(use: ViewUse) -> str:
    return ", ".join(str(each.ref) for each in use.consumers) or "nobody"


def freshness(
    refs: Annotated[
        list[str] | None, typer.Argument(metavar="REF...", help="Feature views; by default all that stand online.")
    ] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Say how fresh views stand online, and how much that was pushed is still on its way."""
    with _functions_at_hand(where) as rooms:
        views = [parse_ref(text, Kind.FEATURES) for text in refs or []] or [s.view for s in rooms.features.standing()]
        found = [rooms.pushes.freshness(view) for view in views]
        lost = [] if refs else rooms.pushes.lost()
    if as_json:
        print_json(found)
        return
    if lost:
        names = ", ".join(str(each.view) for each in lost)
        aside(f"Not in the online store any more, where the record has them: {names}. mw features materialise --lost")
    if found:
        rows = [[str(f.view), str(f.source), when(f.fresh), f"{f.age:,.1f} s", f.behind, f.unfolded] for f in found]
        table(["view", "from", "fresh", "age", "pushes behind", "rows not folded"], rows)
    elif not lost:
        say("No view stands online. Put one there: mw features materialise REF")


def plan_sql(
    refs: Annotated[list[str], typer.Argument(metavar="REF...", help="Feature views.")],
    dialect: Annotated[str, typer.Option(help="spark or duckdb.")] = "spark",
    tables: Annotated[
        list[str] | None, typer.Option("--table", metavar="DATASET=TABLE", help="Where a dataset's rows are; repeat it.")
    ] = None,
    requests: Annotated[str, typer.Option(help="The table of the rows that are asked for.")] = "requests",
    timestamp: Annotated[str, typer.Option(help="The column of their times.")] = "event_timestamp",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Print a training set as one SELECT, for Spark where it outgrows one machine; run it in a session in UTC.

    mw features sql features:weather --table weather=lake.weather --requests lake.flights > training.sql
    """
    views = [parse_ref(text, Kind.FEATURES) for text in refs]
    with _functions_at_hand(where) as rooms:
        found = rooms.features.plan_sql(
            views, dialect=dialect, tables=pairs(tables, option="--table"), requests=requests, timestamp=timestamp
        )
    if as_json:
        print_json({"dialect": dialect, "sql": found})
    else:
        typer.echo(found, nl=False)


def diff_views(
    ref: RefArgument,
    other: Annotated[str | None, typer.Argument(help="A ref, or just another version; by default the latest.")] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed in a view from one version to another, and whether models built on the first break."""
    from modelwright.cli.look import diff as compare

    compare(str(parse_ref(ref, Kind.FEATURES)), other, where=where, as_json=as_json)


def _telling(rooms: Workspace, told: Any) -> Any:
    """The features room over a caller that counts the entities on their way."""
    sent = 0

    def count(operation: str, result: Any) -> None:
        nonlocal sent
        if operation == "features/load":
            sent = int(result)
            told(sent)

    return rooms.features.over(Telling(rooms.caller, count))


@contextmanager
def _functions_at_hand(where: str | None) -> Iterator[Workspace]:
    """The workspace, and with a server's the functions in Python of the project around: they run here, not there."""
    with workspace(where) as rooms:
        with suppress(Invalid):  # there is no project
            if rooms.home is None:
                from modelwright.features import load_views, look_in

                defined = _project_file(rooms, "features")
                look_in(defined, lambda: load_views(defined))
        yield rooms


def _project_file(rooms: Workspace, which: str) -> Path:
    from modelwright.workspace import ProjectSettings

    settings = rooms.home.settings.project if rooms.home else ProjectSettings()
    return project_folder(rooms) / str(getattr(settings, which))
