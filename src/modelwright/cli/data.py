"""`mw data`: bringing data in, and checking them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwright.cli import contracts, folders, privacy, versions
from modelwright.cli.checks import exit_by, tell_checks
from modelwright.cli.explain import add_group
from modelwright.cli.kinds.data import NAME, DatasetFace
from modelwright.cli.options import (
    AsJson,
    Reason,
    RefArgument,
    Where,
    pairs,
    parse_ref,
    project_folder,
    workspace,
)
from modelwright.cli.output import COLOURS, aside, counted, fits, print_json, say, table
from modelwright.cli.progress import progress
from modelwright.core.errors import Invalid, NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.core.texts import line

if TYPE_CHECKING:
    from modelwright.datasets.records import DatasetVersion
    from modelwright.workspace import Workspace

SURE = 4  # standard errors by which an estimated number of different values must fall short to be told

ROWS = (*(f".csv.{each}" for each in ("gz", "zst", "bz2", "zip")), ".json", ".jsonl", ".ndjson", ".xlsx", ".avro", ".orc")
SHOWN = 8  # columns that a remark names
CELL = 200  # characters of one that `mw data head` prints


def register(app: typer.Typer) -> None:
    """Add the group."""
    add_group(
        app,
        "data",
        "Bring data in, look at them, check them, compare versions.",
        {
            "add": add,
            "show": show,
            "check": check,
            "suggest": suggest,
            "diff": diff,
            "head": head,
            **folders.COMMANDS,
            **versions.COMMANDS,
            **privacy.COMMANDS,
            **contracts.COMMANDS,
        },
    )


def add(
    name: Annotated[str, typer.Argument(help="The dataset's name.")],
    files: Annotated[
        list[str] | None,
        typer.Argument(
            help="CSV or Parquet files, all of one version; a folder, or a file of any kind; s3://bucket/prefix/;"
            " delta:TABLE, iceberg:TABLE."
        ),
    ] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Leave the rows of a Delta or Iceberg table where they lie.")
    ] = False,
    query: Annotated[str, typer.Option(metavar="SQL", help="Instead of files: the rows of a query of --database.")] = "",
    database: Annotated[
        str, typer.Option(metavar="URL", help="postgresql+psycopg://..., sqlite:///file.db; no password is kept.")
    ] = "",
    key: Annotated[list[str] | None, typer.Option(help="A column of the key; may be repeated.")] = None,
    time_column: Annotated[
        str | None, typer.Option("--time", help="The column of event times.", show_default=False)
    ] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", metavar="COLUMN=TYPE", help="int, float, text, bool, date, time.")
    ] = None,
    personal: Annotated[list[str] | None, typer.Option(help="A column about a person; may be repeated.")] = None,
    missing: Annotated[list[str] | None, typer.Option(help="Text that stands for a missing value.")] = None,
    delimiter: Annotated[str, typer.Option(help="What separates the fields of a CSV file.")] = ",",
    checks: Annotated[Path | None, typer.Option(help="A TOML file of checks to run on it.", show_default=False)] = None,
    derived_from: Annotated[
        list[str] | None, typer.Option("--from", metavar="REF", help="What it was computed from; may be repeated.")
    ] = None,
    parent: Annotated[
        str | None,
        typer.Option(metavar="REF", help="The version of it that it was made from, if not the newest.", show_default=False),
    ] = None,
    description: Annotated[str, typer.Option(help="What it is.")] = "",
    tag: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A tag; may be repeated.")] = None,
    as_files: Annotated[bool, typer.Option("--files", help="Keep CSV and Parquet as the files they are.")] = False,
    verify: folders.Verify = False,
    link: Annotated[
        bool, typer.Option("--link", help="Link large files into the store instead of copying them: they become read-only.")
    ] = False,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Make a version of one or more files, or of a folder; the same content twice is the same version.

    CSV and Parquet become rows; a folder, or any other file, is kept as it is. Of a prefix of a bucket CSV and Parquet are
    rows, too, unless --files is given, and only what changed there is fetched. delta:FOLDER@3 and
    iceberg:s3://bucket/TABLE@SNAPSHOT are tables of a lake: their rows are copied, or with --in-place registered where they
    are and verified whenever they are read.

    With --link files from 4 MiB that are kept as they are become the store's without a copy: a later version of one costs
    all of its size, and whoever makes it writable and changes it damages what is stored, which every reading notices. What
    cannot be linked is copied, and told.

    A broken row is told with its file, line and column, and nothing is loaded. Key, time column, types and personal columns
    are those of the version before where they are not given.
    """
    from modelwright.datasets.lakes.records import names_lake
    from modelwright.datasets.records import CsvFormat, Query

    inputs = [Ref.parse(text) for text in derived_from or []]
    if parent is not None:
        parse_ref(parent, Kind.DATASET)
    files = files or []
    if bool(files) == bool(query) or bool(query) != bool(database):
        raise Invalid("Rows come from files, or from --query and --database.", mend="Name the one or the other.")
    lakes = [file for file in files if names_lake(file)]
    if in_place and (len(files) != 1 or not lakes or as_files or type_ or missing or delimiter != ","):
        raise Invalid(
            "A table in place is one of a lake, with the types that it has.", mend="Name one: delta:FOLDER, iceberg:FOLDER."
        )
    if as_files or any(folders.holds_files(Path(file)) for file in files if "://" not in file):
        if len(files) > 1 or key or time_column or type_ or personal or missing or checks:
            packed = [each for each in files if each.endswith((".csv.gz", ".csv.zst", ".csv.bz2", ".csv.zip"))]
            mend = f"Unpack {packed[0]} first, to have it as a table." if packed else ""
            raise Invalid(
                "Files have no columns and no checks.", mend=mend or "Name one folder or file, without such options."
            )
        told = {"description": description, "tags": pairs(tag, option="--tag"), "reason": reason, "parent": parent}
        folders.add_files(name, files[0], verify=verify, link=link, inputs=inputs, about=told, where=where, as_json=as_json)
        if not as_files and files[0].lower().endswith(ROWS):
            aside("It is kept as a file, whose rows nothing here reads. As CSV or Parquet, unpacked, it would be a table.")
        return
    if link:
        raise Invalid(
            "Rows are written anew, so there is nothing to link.", mend="Keep them as the files they are: --files."
        )
    form = CsvFormat(delimiter=delimiter, missing=tuple(missing) if missing else CsvFormat().missing)
    about: dict[str, Any] = {
        "key": key,
        "time_column": time_column,
        "personal": personal or (),
        "parent": parent,
        "inputs": inputs,
    }
    about |= {"description": description, "tags": pairs(tag, option="--tag"), "reason": reason}
    with workspace(where) as rooms, progress(f"adding {name}"):
        before = _newest(rooms, name)
        if in_place:
            version = rooms.datasets.add_in_place(name, files[0], **about)
        else:
            source = Query(database=database, sql=query) if query else files[0] if len(files) == 1 else files
            version = rooms.datasets.add(name, source, types=pairs(type_, option="--type"), csv=form, **about)
        report = rooms.datasets.check(version.ref, checks) if checks else None
        promised = rooms.contracts.kept(version.ref)[:1]
        repeats = "" if as_json else _repeats(rooms, version)
        same = version.ref == before
        otherwise = "" if as_json or same else _otherwise(rooms, version)
    if as_json:
        print_json({"version": version, "as_before": same, **({"checks": report} if report else {})})
    else:
        known = ", as before" if same else ""
        say(f"{version.ref}: {counted(version.rows, 'row')}, {counted(len(version.columns), 'column')}{known}")
        if same and (description or tag):
            aside("It is there already, so description and tags stay as they were.")
        if version.unconfirmed:
            found = ", ".join(f"{each.column} ({each.tag})" for each in version.unconfirmed)
            aside(f"Somebody has to decide what is perhaps about people: {found}. See mw data classes {version.ref}")
        if otherwise:
            aside(otherwise)
        if repeats:
            aside(repeats)
        for piece in promised:
            say(piece.summary, style=COLOURS.get(piece.verdict.value))
        if report:
            tell_checks(report)
    exit_by(report)


def _newest(rooms: Workspace, name: str) -> Ref | None:
    """The newest version of a dataset, if there is one."""
    try:
        return rooms.datasets.show(Ref(Kind.DATASET, name)).ref
    except NotFound:
        return None


def _otherwise(rooms: Workspace, version: DatasetVersion) -> str:
    """A remark where the columns are not those of the version that it came from."""
    if version.parent is None or version.parent.whole != version.ref.whole:
        return ""
    try:
        before = {each.name: each.type for each in rooms.datasets.show(version.parent).columns}
    except NotFound:
        return ""
    now = {each.name: each.type for each in version.columns}
    said = [f"{name} is {now[name]} (was {before[name]})" for name in now if name in before and now[name] != before[name]]
    said += [f"{name} is new" for name in now if name not in before]
    said += [f"{name} is not there any more" for name in before if name not in now]
    more = f"; and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
    return f"Otherwise than in {version.parent}: {'; '.join(said[:SHOWN])}{more}." if said else ""


def _repeats(rooms: Workspace, version: DatasetVersion) -> str:
    """A remark where the profile shows that a key of one column does not name rows alone."""
    if len(version.key) != 1:
        return ""
    try:
        found = rooms.datasets.profile(version.ref).column(version.key[0])
    except NotFound:
        return ""
    if found.distinct is None:
        return ""
    about, off = ("", 0.0) if found.distinct_exact else ("about ", SURE * found.distinct_error)
    has = []
    if found.distinct < found.count * (1 - off):
        has.append(
            f"{about}{found.distinct:,} different {'value' if found.distinct == 1 else 'values'} in {found.count:,} rows"
        )
    if found.missing:
        has.append(f"none in {found.missing:,}")
    if not has:
        return ""
    return (
        f"The key {found.name} does not name rows alone: it has {' and '.join(has)}. Differences compare whole rows then, "
        'and merging is refused; a check of the kind "unique" shows which repeat.'
    )


def show(ref: RefArgument, where: Where = None, as_json: AsJson = False) -> None:
    """Show a version: columns with their profile, rows, times, and what its checks said."""
    face = DatasetFace()
    with workspace(where) as rooms:
        found = face.show(rooms, parse_ref(ref, Kind.DATASET))
        if as_json:
            print_json(found)
        else:
            face.tell(rooms, found)


def head(
    ref: RefArgument,
    rows: Annotated[int, typer.Option("--rows", "-n", help="How many.")] = 10,
    purpose: Annotated[str, typer.Option(help="The purpose whose key pseudonyms are made with.")] = "",
    masked: Annotated[bool, typer.Option("--masked", help="Mask what is masked for anybody, also for you.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Print the first rows of a version; columns that you may not read in clear are masked."""
    with workspace(where) as rooms:
        found = rooms.datasets.head(parse_ref(ref, Kind.DATASET), rows, purpose=purpose, masked=masked)
    if as_json:
        print_json([dict(zip(found.column_names, row, strict=True)) for row in _rows_of(found)])
    else:
        _tell_rows(found.column_names, [[_shown(each) for each in row] for row in _rows_of(found)])


def _tell_rows(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Rows as a table; where the columns are too many for a line, each is a line, and the rows stand side by side."""
    columns = [line(each, NAME) for each in names]
    if fits(columns, rows):
        table(columns, rows)
        return
    turned = [[name, *(row[at] for row in rows)] for at, name in enumerate(columns)]
    table(["column", *(f"row {number}" for number in range(1, len(rows) + 1))], turned)


def _rows_of(found: Any) -> list[tuple[Any, ...]]:
    """The rows of a table; a time that Python has no object for is text."""
    from modelwright.datasets.engine import cells

    columns = []
    for column in found.columns:
        try:
            columns.append(column.to_pylist())
        except (OverflowError, ValueError):
            columns.append(cells(column))
    return list(zip(*columns, strict=True))


def _shown(value: Any) -> Any:
    """A cell on one line, of a long text or list its beginning: --json has all of it."""
    return line(str(value), CELL) if isinstance(value, str | bytes | list | dict) and value else value


def check(
    ref: RefArgument,
    checks: Annotated[
        Path | None, typer.Argument(help="A TOML file of checks; by default the project's checks/NAME.toml.")
    ] = None,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Run checks on a version and put the results on the record as evidence; exit code 10 where one failed."""
    parsed = parse_ref(ref, Kind.DATASET)
    with workspace(where) as rooms:
        file = checks or _checks_of(rooms, parsed)
        with progress(f"checking {parsed}"):
            report = rooms.datasets.check(parsed, file, reason=reason)
    if as_json:
        print_json(report)
    else:
        tell_checks(report)
    exit_by(report)


def suggest(ref: RefArgument, where: Where = None, as_json: AsJson = False) -> None:
    """Print checks that a version passes and the next one ought to, to be read, pruned and kept.

    mw data suggest dataset:flights > checks/flights.toml
    """
    with workspace(where) as rooms:
        found = rooms.datasets.suggest(parse_ref(ref, Kind.DATASET))
    if as_json:
        print_json(found)
        return
    from modelwright.core.wire import to_plain

    for each in found:
        fields = {name: value for name, value in to_plain(each).items() if value not in (None, "", [], "error")}
        typer.echo("[[check]]")
        for name, value in fields.items():
            typer.echo(f"{name} = {_toml(value)}")
        typer.echo("")


def diff(
    ref: RefArgument,
    other: Annotated[str | None, typer.Argument(help="A ref, or just another version; by default the latest.")] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed from one version to another: columns, rows, distributions, times."""
    from modelwright.cli.look import diff as compare

    compare(str(parse_ref(ref, Kind.DATASET)), other, where=where, as_json=as_json)


def _checks_of(rooms: Workspace, ref: Ref) -> Path:
    file = project_folder(rooms) / "checks" / f"{ref.name}.toml"
    if not file.is_file():
        raise NotFound(f"There is no {file}.", mend=f"Begin with: mw data suggest {ref} > checks/{ref.name}.toml")
    return file


def _toml(value: Any) -> str:
    """A value in TOML: numbers and truth as in JSON, text quoted, lists and tables in line."""
    import json

    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)
