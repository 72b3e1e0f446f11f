"""`import`, `export`: coming from elsewhere, and going there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwright.cli.explain import add_group
from modelwright.cli.options import AsJson, RefArgument, Where, named, parse_ref, workspace
from modelwright.cli.output import print_json, say, section, table

if TYPE_CHECKING:
    from modelwright.exchange import Outcome

DIFFERS = 4  # the exit code where both sides do not count the same
LINES = 500  # events that are taken at a time
SHOWN = 20  # lines that are named


def register(app: typer.Typer) -> None:
    """Add the groups."""
    add_group(
        app,
        "import",
        "Bring over what was kept elsewhere.",
        {"mlflow": import_mlflow, "dvc": import_dvc, "openlineage": import_openlineage},
    )
    add_group(
        app,
        "export",
        "Write what is here for other programs and for others.",
        {"mlflow": export_mlflow, "dvc": export_dvc, "model": export_model, "openlineage": export_openlineage},
    )


def import_mlflow(
    uri: Annotated[
        str,
        typer.Argument(metavar="URI", help="A database (sqlite:///..., postgresql://...), a folder mlruns, or http://..."),
    ],
    artifacts: Annotated[
        str | None,
        typer.Option(metavar="ROOT", help="Where its artifact root lies: a folder, s3://...", show_default=False),
    ] = None,
    token: Annotated[
        str,
        typer.Option(envvar="MLFLOW_TRACKING_TOKEN", help="For a server that asks who you are.", show_default=False),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be brought.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Bring a whole store of MLflow's over: experiments, runs, curves, files, models, versions, aliases.

    A database and a folder are read as they lie, and never written; MLflow need not be installed. What is here already is
    left alone, so an import that was stopped goes on when it is started again, and a second one brings only what has
    changed there. In the end both sides are counted; exit code 4 where they differ.
    """
    from modelwright.exchange import Bringing, open_source

    source = open_source(uri, artifacts=artifacts, token=token)
    try:
        with workspace(where) as rooms, _bars() as told:
            bringing = Bringing(source, rooms.intake, rooms.model_intake, rooms.traces, told=told, dry_run=dry_run)
            outcome = bringing.run(target=rooms.address)
    finally:
        source.close()
    _tell(outcome, as_json=as_json)


def import_dvc(
    project: Annotated[Path, typer.Argument(metavar="PATH", help="The folder with .dvc in it.")],
    under: Annotated[str, typer.Option(metavar="NAME", help="A path that the names of the datasets begin with.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be brought.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Bring a project of DVC over: each state of each path that .dvc files and dvc.lock name becomes a version of files.

    Versions follow the commits of git, with subject, author and time as they say; without git it is what lies there. The
    cache is read as it lies, and never written; DVC need not be installed. What is not in the cache (dvc fetch
    --all-commits brings it) is named. What is here already is left alone, so an import that was stopped goes on when it is
    started again. In the end both sides are counted; exit code 4 where they differ.
    """
    from modelwright.exchange.bringing_dvc import BringingDvc
    from modelwright.exchange.dvc import Project

    read = Project(project)
    with workspace(where) as rooms, _bars() as told:
        bringing = BringingDvc(read, rooms.datasets, under=under, dry_run=dry_run, told=told)
        outcome = bringing.run(target=rooms.address)
    _tell(outcome, as_json=as_json)


def import_openlineage(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Events, one to a line; - reads standard input.")],
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Take OpenLineage events that another program wrote into a file: what its clients' file transport leaves.

    They become part of lineage as if they had been sent to the server, byte for byte. What is here already is left alone.
    Lines that are no events are named, with what is wrong, and the others are taken; exit code 4 where there are any.
    """
    from itertools import islice

    from modelwright.core.errors import NotFound

    if file != "-" and not Path(file).is_file():
        raise NotFound(f"There is no file {file}.", mend="Name one with an event to a line, or - for standard input.")
    taken = again = done = 0
    wrong: list[dict[str, Any]] = []
    with workspace(where) as rooms, _lines(file) as lines:
        numbered = ((number, line.strip()) for number, line in enumerate(lines, 1))
        events = ((number, line) for number, line in numbered if line)
        while some := list(islice(events, LINES)):
            answer = rooms.openlineage.take_each([line for _, line in some])
            wrong += [{"line": some[each.index][0], "why": each.reason} for each in answer.failed]
            again += answer.repeated
            done += len(some)
        taken = done - again - len(wrong)
    if as_json:
        print_json({"taken": taken, "here": again, "wrong": wrong})
    else:
        table(["what", "taken", "here already", "wrong"], [["events", taken, again, len(wrong)]])
        section(["line", "what is wrong"], [[each["line"], each["why"]] for each in wrong[:SHOWN]])
        if len(wrong) > SHOWN:
            say(f"{len(wrong) - SHOWN:,} more: --json has them all.")
    if wrong:
        raise typer.Exit(DIFFERS)


@contextmanager
def _lines(file: str) -> Iterator[Iterator[bytes]]:
    if file == "-":
        yield iter(sys.stdin.buffer)
        return
    with Path(file).open("rb") as opened:
        yield iter(opened)


def export_mlflow(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A folder, or http://...")],
    token: Annotated[
        str,
        typer.Option(envvar="MLFLOW_TRACKING_TOKEN", help="For a server that asks who you are.", show_default=False),
    ] = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Write experiments, runs, files and models into an MLflow store.

    A folder, new or of an earlier export, gets a database mlflow.db and the artifacts beside it, all under the same ids;
    MLflow itself makes the tables, so it must be installed. A running server of MLflow 3 gives ids of its own: the tags
    modelwright.* say those here. What is there already is left alone, so an export that was stopped goes on when it is
    started again. In the end both sides are counted; exit code 4 where they differ.
    """
    from modelwright.exchange import Exporting, WorkspaceSource, open_target

    with workspace(where) as rooms, _bars() as told:
        source = WorkspaceSource(
            experiments=rooms.experiments,
            intake=rooms.intake,
            artifacts=rooms.artifacts,
            models=rooms.models,
            registry=rooms.registry,
        )
        writing = open_target(target, token=token)
        try:
            outcome = Exporting(source, writing, told=told).run()
        finally:
            writing.close()
    _tell(outcome, as_json=as_json, verb="written", sides=("here", "there"))


def export_dvc(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder, or one of an earlier export.")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Datasets; by default all.", show_default=False)
    ] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Write datasets as a project of DVC: a commit of git for each version, with its time, author and description.

    Tables become folders of Parquet files; `dvc checkout` brings the files of any commit, which has the tag NAME@VERSION.
    What you may not read in clear is masked. DVC need not be installed, git must be. What is there already is left alone,
    so an export that was stopped goes on when it is started again. In the end both sides are counted; exit code 4 where
    they differ.
    """
    from modelwright.core.refs import Kind
    from modelwright.exchange.exporting_dvc import ExportingDvc

    with workspace(where) as rooms, _bars() as told:
        wanted = [named(name, Kind.DATASET) for name in names or []]
        outcome = ExportingDvc(rooms.datasets, folder, names=wanted, told=told).run(source=rooms.address)
    _tell(outcome, as_json=as_json, verb="written", sides=("here", "there"))


def export_model(
    ref: RefArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or an empty folder.")],
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Write the files of a model version into a folder, as they were registered; and its signature beside.

    Where the version is signed, FOLDER.sig has the bundle: anybody verifies the two with the public key of whoever signed,
    without a workspace, by mw verify-model FOLDER --signature FOLDER.sig, or by OpenSSF's model-signing.
    """
    from modelwright.core.refs import Kind

    with workspace(where) as rooms:
        version = rooms.models.fetch(parse_ref(ref, Kind.MODEL), folder)
    seal, bundle = version.seal, folder.absolute().with_name(f"{folder.absolute().name}.sig")
    if seal is not None:
        bundle.write_text(seal.bundle, encoding="utf-8")
    if as_json:
        written = {path: folder / path for path in version.record.files}
        print_json({"version": version, "files": written, "signature": bundle if seal is not None else None})
        return
    count = len(version.record.files)
    say(f"{version.ref}: {count} file{'s' if count > 1 else ''} in {folder}.")
    if seal is not None:
        say(f"Its signature: {bundle}. To verify: mw verify-model {folder} --signature {bundle} --key PUBLIC.pem")


def export_openlineage(
    target: Annotated[str, typer.Argument(metavar="FILE", help="A file of JSON lines; - for the standard output.")],
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Write the whole ledger as OpenLineage events, one to a line, in the order in which things happened.

    Runs from START to their end, steps of pipelines, versions of datasets, feature views and models, deployments. To
    have a receiver told of them as they happen, name it in [openlineage] of modelwright.toml.
    """
    from modelwright.core.wire import encode

    count = 0
    with workspace(where) as rooms:
        if target == "-":
            for event in rooms.openlineage.export():
                typer.echo(encode(event))
            return
        path = Path(target)
        partial = path.with_name(f".{path.name}.part")
        try:
            with partial.open("wb") as file:
                for event in rooms.openlineage.export():
                    file.write(encode(event) + b"\n")
                    count += 1
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    if as_json:
        print_json({"events": count, "file": str(path)})
    else:
        say(f"{count} events in {target}.")


def _tell(outcome: Outcome, *, as_json: bool, verb: str = "brought", sides: tuple[str, str] = ("there", "here")) -> None:
    check = [
        {"what": each.what, **{side: getattr(each, side) for side in sides}, "verdict": each.verdict}
        for each in outcome.check
    ]
    if as_json:
        print_json({**{name: getattr(outcome, name) for name in outcome.__struct_fields__}, "check": check})
    else:
        verb = f"would be {verb}" if outcome.dry_run else verb
        rows = [[what, added, outcome.same.get(what, 0)] for what, added in outcome.added.items()]
        table(["what", verb, f"{sides[1]} already"], rows, right=(verb, f"{sides[1]} already"))
        shown = [list(line.values()) for line in check if any(line[side] for side in sides)]
        section(["what", *sides, "verdict"], shown, right=sides)
        say("")
        for note in outcome.notes:
            say(note)
    if not outcome.agrees:
        raise typer.Exit(DIFFERS)


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each part, on a terminal; yields what is called with the part, how much is done, and how much there is."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich import progress as rich

    from modelwright.cli.output import console

    class Bar(rich.BarColumn):
        """Nothing, where it is not known how much there is: then the count alone moves."""

        def render(self, task: rich.Task) -> Any:
            return super().render(task) if task.total else ""

    columns = [
        rich.TextColumn("{task.description}"),
        Bar(),
        rich.TextColumn("{task.fields[count]}", justify="right"),
        rich.TimeElapsedColumn(),
    ]
    with rich.Progress(*columns, console=console(error=True), transient=True) as bars:
        tasks: dict[str, rich.TaskID] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total or None, count="")
            total = max(total, done) if total else 0
            count = f"{done:,}/{total:,}" if total else f"{done:,}"
            bars.update(tasks[what], total=total or None, completed=done, count=count)

        yield told
