"""`doctor`, `audit`, `backup`, `gc`, `restore`: whether the record is whole, and how it stays so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwright.cli.explain import add_commands, add_group, carries_out
from modelwright.cli.options import AsJson, Reason, Where, Yes, confirm, workspace
from modelwright.cli.output import COLOURS, aside, counted, event_row, facts, print_json, say, section, table, when
from modelwright.cli.progress import Telling, Told, folder_size, growing, progress
from modelwright.core.config import HOME, PROJECT_FILE, RESTORING
from modelwright.core.errors import Conflict, Corrupt, Invalid, ModelwrightError, NotFound
from modelwright.core.sizes import size
from modelwright.core.wire import to_plain
from modelwright.store.records import EventFilter

if TYPE_CHECKING:
    from modelwright.datasets.depot import Depot
    from modelwright.datasets.packs import SparsePacks
    from modelwright.experiments.artifacts import LeftUpload
    from modelwright.store import Record
    from modelwright.store.backup import Taken
    from modelwright.store.doctor import Check
    from modelwright.store.objects import Objects
    from modelwright.store.storage import Unreachable
    from modelwright.workspace import Workspace

PREDICTIONS = "predictions"
PROJECT = "project"  # what a backup calls the folder that holds modelwright.toml
NOT_WELL = 1  # the exit code of a doctor who found something broken


def register(app: typer.Typer) -> None:
    """Add the commands and the group `audit`."""
    add_commands(app, {"doctor": doctor, "backup": backup, "gc": gc, "restore": restore})
    add_group(
        app,
        "audit",
        "The ledger: read, verify, export and sign it.",
        {
            "events": events,
            "verify": verify,
            "export": export,
            "checkpoint": checkpoint,
            "proof": proof,
            "rotate-key": rotate_key,
        },
    )


def doctor(where: Where = None, as_json: AsJson = False) -> None:
    """Check that everything is as it should be, and say how to mend what is not; exit code 1 where something is broken.

    Of a folder: database, tables, ledger, keys, objects, disk, leases. Of a server: that it answers, knows who asks, is of
    this version, turns its operator, and that its ledger can be read.
    """
    with workspace(where) as rooms:
        found = _examine(rooms)
    if as_json:
        print_json(found)
    else:
        rows = [[check.name, check.verdict.value, f"{check.what}\n{check.mend}".strip()] for check in found]
        table(["what", "stands", "because"], rows)
    if any(check.verdict.value == "fail" for check in found):
        raise typer.Exit(NOT_WELL)


@carries_out("record.events")
def events(
    actor: Annotated[str | None, typer.Option(help="Only what this principal did.", show_default=False)] = None,
    action: Annotated[
        str | None, typer.Option(help="Only such: models.version.promoted, or models.", show_default=False)
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="From that moment on.", show_default=False)] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before that moment.", show_default=False)] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many at most, 1 to 1000.")] = 50,
    after: Annotated[str | None, typer.Option(help="Go on after the page before.", show_default=False)] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    from modelwright.cli.options import parse_moment

    narrowed = EventFilter(
        since=parse_moment(since), until=parse_moment(until), actor=actor, action=action, limit=limit, after=after
    )
    with workspace(where) as rooms:
        page = rooms.record.events(narrowed)
    if as_json:
        print_json(page)
        return
    table(["event", "when", "who", "what"], [event_row(event) for event in page.items], right=("event",))
    if page.next:
        aside(f"There are more: --after {page.next}")


def verify(
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", metavar="FILE", help="A checkpoint kept elsewhere."),
    ] = None,
    keys: Annotated[
        list[str] | None, typer.Option("--key", metavar="KEY", help="A verifier key that you trust; may be repeated.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Also fail where the end is not signed.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Read the whole ledger and recompute it here; every edit, gap, reordering or fork is named.

    Exit code 7 where something is wrong. Checkpoints that were kept elsewhere find a missing end, or a history that was
    rewritten as a whole.
    """
    outside = [_file(path) for path in checkpoints or []]
    with workspace(where) as rooms, progress("reading events, twice", 2 * rooms.record.head().size) as told:
        report = _told_record(rooms, told).verify(outside=outside, pinned=keys or [], strict=strict)
    found = [finding._asdict() for finding in report.findings]
    if as_json:
        print_json({"size": report.size, "root": report.root.hex(), "checkpoints": report.checkpoints, "findings": found})
    else:
        facts("The ledger", {"events": report.size, "root": report.root.hex(), "checkpoints": report.checkpoints})
        rows = [[f.kind, f"{f.seq}" if f.last <= f.seq else f"{f.seq} to {f.last}", f.detail] for f in report.findings]
        section(["what", "events", "what was seen"], rows)
        if not found:
            say("It is whole: every event gives the root, and every checkpoint fits.", style=COLOURS["pass"])
    if found:
        raise typer.Exit(Corrupt.exit_code)


def export(
    file: Annotated[Path, typer.Argument(help="The zip file to write.")],
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Write the ledger as a zip that anybody can verify with the verify.py in it, and nothing else."""
    if file.exists():
        raise Conflict(f"{file} is there already.", mend="Name a new file.")
    with workspace(where) as rooms:
        head = rooms.record.head()
        with progress("writing events", head.size) as told:
            written = _told_record(rooms, told).export(file)
    if as_json:
        print_json({"file": str(written), "size": head.size, "root": head.root})
    else:
        say(f"{written}: {head.size} events, {size(written.stat().st_size)}.")
        aside(f"To verify it: unzip {written} verify.py && python verify.py {written}")


@carries_out("record.checkpoint")
def checkpoint(
    out: Annotated[
        Path | None, typer.Option(help="Also write it to this file, to keep elsewhere.", show_default=False)
    ] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        sealed = rooms.record.checkpoint()
    if out is not None:
        out.write_text(sealed.note, encoding="utf-8")
    if as_json:
        print_json(sealed)
    else:
        say(f"{sealed.size} events are sealed, at {when(sealed.at)}:")
        typer.echo(sealed.note, nl=False)


@carries_out("record.proof")
def proof(
    event: Annotated[int, typer.Argument(help="The event's number.")], where: Where = None, as_json: AsJson = False
) -> None:
    with workspace(where) as rooms:
        found = rooms.record.proof(event)
    if as_json:
        print_json(found)
        return
    facts(f"event {found.seq} of {found.size}", {"root": found.root, "sealed": "yes" if found.checkpoint else "not yet"})
    typer.echo(found.event)
    for step in found.path:
        say(f"  {step}", style="dim")


@carries_out("record.rotate_key")
def rotate_key(
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why: it goes on the record.")],
    yes: Yes = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    confirm("Checkpoints are signed with another key from now on.", yes=yes)
    with workspace(where) as rooms:
        sealed = rooms.record.rotate_key(reason)
    if as_json:
        print_json(sealed)
    else:
        say(f"A new key signs from event {sealed.size} on.")


def backup(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    since: Annotated[
        Path | None,
        typer.Option(metavar="BACKUP", help="Link to the objects that this earlier backup has.", show_default=False),
    ] = None,
    leave: Annotated[
        bool, typer.Option("--leave-objects", help="Leave objects in their bucket, and only list them.")
    ] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Copy database, objects, keys, logged predictions and settings into one folder, while in use, and verify the copy.

    With --since only objects that are new are copied; what both have is one file on the disk. With --leave-objects a bucket
    has to keep what it holds (its own versions, a copy in another region): a restore says which are not there any more.

    The online feature store is left out: it is computed anew by mw features materialise.
    """
    import shutil
    import tempfile

    from modelwright.store import backup as backups

    with workspace(where) as rooms, tempfile.TemporaryDirectory(prefix="modelwright-") as settings:
        home = rooms.home
        if home is None:
            raise Invalid("A backup is made where the workspace is.", mend="Run it there, with --workspace FOLDER.")
        if (home.project / PROJECT_FILE).is_file():
            shutil.copy2(home.project / PROJECT_FILE, settings)
        with growing("copying", folder_size(home.folder), folder):
            manifest = backups.save(
                home.database,
                home.objects,
                home.folder / "keys",
                folder,
                made_at=rooms.workspace.status().now,
                further={PREDICTIONS: home.folder / PREDICTIONS, PROJECT: Path(settings)},
                since=since,
                leave=leave,
                telling=lambda taken: _tell_taken(taken, home.objects, since),
            )
    if as_json:
        print_json(manifest)
        return
    say(f"{folder}: {manifest.size} events, {manifest.objects} objects, {size(folder_size(folder))}, verified.")
    if left := manifest.left:
        aside(f"The objects stay in {left.location}, {size(left.size)}: without them this brings nothing back. The bucket")
        aside("must keep what is deleted there, as mw gc does, for as long as this backup is to be of use.")


def _tell_taken(taken: Taken, objects: Objects, since: Path | None) -> None:
    """What is to be copied, before it is, where that is not only a matter of one disk."""
    if since is not None:
        aside(f"{since} has {taken.linked:,} objects; {taken.count:,} more are copied, {size(taken.size)}.")
    elif not objects.in_folder:
        aside(f"{taken.count:,} objects are copied from {objects.location}, {size(taken.size)}.")
        aside("The next backup need not do that again: --since this one.")


def gc(
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would go, and why.")] = False,
    older_than: Annotated[
        float, typer.Option("--older-than", metavar="HOURS", help="Only what was stored longer ago.")
    ] = 24.0,
    depot: Annotated[
        str, typer.Option("--depot", metavar="PLACE", help="In a place that versions were pushed to: a folder, or s3://...")
    ] = "",
    reason: Reason = "",
    yes: Yes = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Drop objects that nothing refers to; --plan only shows them.

    An object stays while a digest in the database leads to it, be it through another object, and while it is younger than
    --older-than: whoever stored it may be about to refer to it. It is safe while others work, as long as nobody takes
    longer than that between storing and referring. Uploads in parts of which nothing was heard for two days are forgotten,
    and files that a killed process had begun to store go after a day. Packs of chunks of which versions need less than
    half are put anew first: the old ones go in a later run, once they are older than that again. In a depot goes what no
    version there needs, as of pushes that were killed.
    """
    from modelwright.datasets.packs import Repacked

    grace = older_than * 3600
    with workspace(where) as rooms:
        if depot:
            if "://" not in depot and not Path(depot).is_dir():
                raise NotFound(f"There is no folder {depot}.", mend="Name the place that mw data push was given.")
            _gc_depot(rooms.datasets.depot(depot), grace, plan=plan, yes=yes, as_json=as_json)
            return
        with progress("looking at what is held"):
            found, sparse = rooms.storage.unreachable(grace=grace), rooms.packs.sparse(grace=grace)
            uploads = rooms.artifacts.left()
        if plan:
            _tell_plan(found, sparse, uploads, as_json)
            return
        if uploads:
            _tell_uploads(uploads)
            confirm(f"{_uploads(len(uploads), 'is', 'are')} forgotten.", yes=yes)
            rooms.artifacts.forget_left(reason=reason)
            found = rooms.storage.unreachable(grace=grace)
        if found.count:
            confirm(f"{found.count} objects ({size(found.size)}) go for good.", yes=yes)
        with progress("putting packs anew"):
            anew = rooms.packs.repack(grace=grace, reason=reason) if sparse.packs else Repacked()
        with progress("letting go"):
            gone = rooms.storage.collect(grace=grace, reason=reason)
    if as_json:
        print_json({**to_plain(gone), "repacked": to_plain(anew), "uploads": to_plain(uploads)})
    else:
        if anew.packs:
            said = f"{_packs(anew.packs)} put anew: {size(anew.written)}, needed by versions."
            say(f"{said} The old ones, {size(anew.freed)}, go once they are older than {older_than:g} hours.")
        spared = f" {gone.spared} are needed by now and stayed." if gone.spared else ""
        say(f"{gone.count} objects went, {size(gone.size)}.{spared}")
        if gone.unfinished:
            say(f"{_unfinished(gone.unfinished)} went, too.")


def _gc_depot(depot: Depot, grace: float, *, plan: bool, yes: bool, as_json: bool) -> None:
    if not depot.names():
        raise NotFound(
            f"No version was ever pushed to {depot.address}.", mend="Name the place that mw data push was given."
        )
    with progress("looking at what is held"):
        found = depot.unreachable(grace=grace)
    if plan:
        _tell_plan(found, None, [], as_json)
        return
    if found.count:
        confirm(f"{counted(found.count, 'object')} ({size(found.size)}) of {depot.address} go for good.", yes=yes)
    with progress("letting go"):
        gone = depot.collect(grace=grace)
    if as_json:
        print_json(gone)
        return
    say(f"{counted(gone.count, 'object')} went, {size(gone.size)}.")
    if gone.unfinished:
        say(f"{_unfinished(gone.unfinished)} went, too.")


def _packs(count: int) -> str:
    return "1 pack" if count == 1 else f"{count:,} packs"


def _uploads(count: int, one: str, many: str) -> str:
    return f"1 upload that was left {one}" if count == 1 else f"{count:,} uploads that were left {many}"


def _unfinished(count: int) -> str:
    """Files that a killed process was writing."""
    return "1 file that a killed process had begun" if count == 1 else f"{count:,} files that killed processes had begun"


def _tell_uploads(uploads: Sequence[LeftUpload]) -> None:
    rows = [[each.name, each.ref, when(each.heard_at), each.parts, size(each.size)] for each in uploads]
    table(["upload", "of", "last heard", "parts", "size"], rows, right=("parts", "size"))


def _tell_plan(found: Unreachable, sparse: SparsePacks | None, uploads: Sequence[LeftUpload], as_json: bool) -> None:
    """`sparse` is None of a depot, where nothing is put anew."""
    if as_json:
        more = {} if sparse is None else {"sparse": to_plain(sparse), "uploads": to_plain(uploads)}
        print_json({**to_plain(found), **more})
        return
    if uploads:
        _tell_uploads(uploads)
        say(f"{_uploads(len(uploads), 'would', 'would')} be forgotten, after two days of silence; then the parts can go.")
    if found.unfinished:
        say(f"{_unfinished(found.unfinished)} would go: {size(found.unfinished_size)}.")
    if found.objects:
        table(
            ["object", "size", "stored"],
            [[each.digest, size(each.size), when(datetime.fromtimestamp(each.at, UTC))] for each in found.objects],
        )
        say(f"{counted(found.count, 'object')} would go, {size(found.size)}: {found.why}.")
    elif not (uploads or found.unfinished):
        say("Nothing would go.")
    if sparse is not None and sparse.packs:
        rows = [[each.digest, size(each.size), size(each.live), each.versions] for each in sparse.packs]
        table(["pack", "size", "needed", "by versions"], rows)
        say(f"{_packs(len(rows))} to put anew: {size(sparse.live)} written, {size(sparse.dead)} free after a later run.")
    aside(f"{found.kept} objects are kept; {found.young} more are too young to tell.")


def restore(
    folder: Annotated[Path, typer.Argument(metavar="BACKUP", help="The folder of the backup.")],
    project: Annotated[Path, typer.Argument(metavar="PROJECT", help="A new folder, or a project without a record.")],
    as_json: AsJson = False,
) -> None:
    """Bring a backup back, verified before and after. Nothing is overwritten: the project must have no record yet.

    A restore that was broken off goes on when it is given again. Settings come from the project's own modelwright.toml, or
    else from the backup.
    """
    import shutil

    from modelwright.core.config import load
    from modelwright.core.principals import operating_system_user
    from modelwright.store import backup as backups
    from modelwright.workspace import Home, Settings, open_workspace

    backups.read(folder)
    kept, own = folder / "further" / PROJECT / PROJECT_FILE, project / PROJECT_FILE
    settings = load(own if own.is_file() else kept, Settings) if own.is_file() or kept.is_file() else Settings()
    mark = project.absolute() / HOME / RESTORING
    begun = mark.read_text(encoding="utf-8") if mark.is_file() else ""
    unfinished = begun == str(folder.resolve())
    if begun and not unfinished:
        raise Conflict(f"{project} is half filled from {begun}.", mend=f"Give that again, or remove {mark.parent} first.")
    if not unfinished and (project / HOME).is_dir() and any(path.is_file() for path in (project / HOME).rglob("*")):
        raise Conflict(f"{project} has a record already.", mend="Restore into a new folder.")
    home = Home(project.absolute() / HOME, project.absolute(), settings, operating_system_user())
    shared = not home.objects.in_folder and not unfinished and any(True for _ in home.objects.list())
    try:
        if not unfinished:
            backups.check_place(folder, home.database)
        mark.write_text(str(folder.resolve()), encoding="utf-8")
        with growing("restoring", folder_size(folder), home.folder):
            manifest = backups.restore(
                folder,
                home.database,
                home.objects,
                home.folder / "keys",
                further={PREDICTIONS: home.folder / PREDICTIONS},
                unfinished=unfinished,
            )
        mark.unlink()
    finally:
        home.close()
    if kept.is_file() and not own.is_file():
        shutil.copy2(kept, own)
    open_workspace(project).close()
    if as_json:
        print_json(manifest)
    else:
        say(f"{project}: {manifest.size} events, {manifest.objects} objects; the ledger's root is the one that was saved.")
    if manifest.left is not None:
        aside(f"Its objects are those in {home.objects.location}. The workspace that was backed up must not go on")
        aside("with them: each lets go of what only the other needs.")
    elif shared:
        aside(f"There were objects at {home.objects.location} before. If another workspace goes on with them, restore")
        aside("again, with a place of its own as objects under [workspace]: each lets go of what only the other needs.")


def _examine(rooms: Workspace) -> list[Check]:
    from modelwright.store.doctor import Subject, examine

    if rooms.home is None:
        return _examine_server(rooms)
    home = rooms.home
    subject = Subject(
        database=home.database,
        objects=home.objects,
        folder=home.folder,
        ledger=rooms.ledger,
        now=rooms.workspace.status().now,
    )
    return [*examine(subject), *_live(rooms), *_in_place(rooms), *_silent(rooms), *_online(rooms), *_lineage(rooms)]


def _silent(rooms: Workspace) -> list[Check]:
    """Whether runs are said to run of which nothing was heard for long."""
    from modelwright.cli.kinds.base import time_of
    from modelwright.core.paging import Filter, every
    from modelwright.store.doctor import Check
    from modelwright.store.records import Verdict

    now = time_of(rooms)
    silent = [run for run in every(rooms.experiments.list, Filter(state="running")) if run.silent(now) is not None]
    if not silent:
        return []
    told = "1 run is" if len(silent) == 1 else f"{len(silent):,} runs are"
    last = max(run.heard_at for run in silent)
    what = f"{told} said to run, and nothing was heard of {'it' if len(silent) == 1 else 'them'} since {when(last)}."
    mend = "What was left on their machines: mw sync, there. What is over: mw end --silent 1d"
    return [Check(name="silent runs", verdict=Verdict.WARN, what=what, mend=mend)]


def _live(rooms: Workspace) -> list[Check]:
    """Whether what is live could be loaded again: every file of it is read, and its signature verified."""
    from modelwright.core.paging import Filter, every
    from modelwright.store.doctor import Check
    from modelwright.store.records import Verdict

    placed = [p for each in every(rooms.deployments.list, Filter(state="active")) for p in each.placements]
    models = dict.fromkeys(p.stable.model for p in placed)
    broken = []
    for model in models:
        try:
            rooms.models.check_stored(model)
        except ModelwrightError as error:
            where = ", ".join(p.endpoint for p in placed if p.stable.model == model)
            what = f"{model}, which is live as {where}, cannot be loaded again. {error.message}"
            broken.append(Check(name="live models", verdict=Verdict.FAIL, what=what, mend=error.mend))
    if broken:
        return broken
    count = len(models)
    what = f"{count} {'version that is live is' if count == 1 else 'versions that are live are'} as registered and signed."
    return [Check(name="live models", verdict=Verdict.PASS, what=what)] if models else []


def _in_place(rooms: Workspace) -> list[Check]:
    """Whether the tables of lakes that datasets are now lie where they did, file by file."""
    from modelwright.core.paging import every
    from modelwright.store.doctor import Check
    from modelwright.store.records import Verdict

    count, broken = 0, []
    for version in every(rooms.datasets.list):
        if version.lake is None or version.tombstone is not None:
            continue
        count += 1
        try:
            rooms.datasets.arrow(version.ref)
        except ModelwrightError as error:
            what = f"{version.ref} cannot be read where it lies. {error.message}"
            broken.append(Check(name="tables in place", verdict=Verdict.FAIL, what=what, mend=error.mend))
    if broken or not count:
        return broken
    told = "1 table of a lake lies" if count == 1 else f"{count:,} tables of lakes lie"
    return [Check(name="tables in place", verdict=Verdict.PASS, what=f"{told} where and as registered.")]


def _online(rooms: Workspace) -> list[Check]:
    """Whether what was put online is there."""
    from modelwright.store.doctor import Check
    from modelwright.store.records import Verdict

    try:
        lost, standing = rooms.pushes.lost(), rooms.features.standing()
    except ModelwrightError as error:
        return [Check(name="features", verdict=Verdict.FAIL, what=error.message, mend=error.mend)]
    if lost:
        names = ", ".join(str(each.view) for each in lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
        what = f"{names} stood online and {'is' if len(lost) == 1 else 'are'} not in the online store any more."
        return [Check(name="features", verdict=Verdict.FAIL, what=what, mend="Put back: mw features materialise --lost")]
    what = f"{len(standing)} {'view stands' if len(standing) == 1 else 'views stand'} online, as the record says."
    return [Check(name="features", verdict=Verdict.PASS, what=what)] if standing else []


def _lineage(rooms: Workspace) -> list[Check]:
    """Whether the receiver of lineage, where one is named, has been told."""
    from modelwright.store.doctor import Check
    from modelwright.store.records import Verdict

    found = rooms.openlineage.delivery()
    if found is None:
        return []
    what = f"{found.url} was told of {found.told:,} of {found.events:,} events."
    if not found.failures:
        return [Check(name="lineage", verdict=Verdict.PASS, what=what)]
    tries = "1 attempt" if found.failures == 1 else f"{found.failures:,} attempts"
    what = f"{what} {tries} in a row failed: {found.error}"
    mend = f"See that it answers. Nothing is lost: a running server tries again at {when(found.due)}, and goes on there."
    return [Check(name="lineage", verdict=Verdict.WARN, what=what, mend=mend)]


def _examine_server(rooms: Workspace) -> list[Check]:
    """What can be told of a server from outside: each question is asked, and what goes wrong is its answer."""
    from modelwright import __version__
    from modelwright.store import Verdict
    from modelwright.store.doctor import Check

    found = []

    def ask(name: str, question: Callable[[], tuple[Verdict, str, str]]) -> None:
        try:
            verdict, what, mend = question()
        except ModelwrightError as error:
            verdict, what, mend = Verdict.FAIL, error.message, error.mend
        found.append(Check(name=name, verdict=verdict, what=what, mend=mend))

    def version() -> tuple[Verdict, str, str]:
        theirs = rooms.workspace.status().version
        if theirs == __version__:
            return Verdict.PASS, f"It answers, and is of this version ({theirs}).", ""
        return Verdict.WARN, f"It is {theirs}, this command is {__version__}.", "Install the same version here."

    def caller() -> tuple[Verdict, str, str]:
        who = rooms.principal
        return Verdict.PASS, f"It knows you as {who.id} ({who.auth}).", ""

    def operator() -> tuple[Verdict, str, str]:
        turned = rooms.workspace.status().turned_at
        if turned is None:
            return Verdict.WARN, "Its operator has not turned yet.", "Look at its log."
        return Verdict.PASS, f"Its operator turned at {when(turned)}.", ""

    def ledger() -> tuple[Verdict, str, str]:
        head = rooms.record.head()
        sealed = f"{head.sealed.size} of them sealed" if head.sealed else "none of them sealed"
        return Verdict.PASS, f"{head.size} events, {sealed}.", "" if head.sealed else "Seal them: mw audit checkpoint"

    def serving() -> tuple[Verdict, str, str]:
        lost = rooms.deployments.unserved()
        if not lost:
            return Verdict.PASS, "No model keeps a deployment from answering.", ""
        said = "\n".join(f"{each.endpoint} does not answer: {each.model} cannot be loaded. {each.why}" for each in lost)
        return Verdict.FAIL, said, f"Until then, to the version before: mw rollback {lost[0].deployment.name}"

    questions = {"server": version, "signed in": caller, "operator": operator, "serving": serving, "ledger": ledger}
    for name, question in questions.items():
        ask(name, question)
    return found


def _told_record(rooms: Workspace, told: Told) -> Record:
    """The record over a caller that counts the events that were read."""
    from modelwright.store import Record

    read = 0

    def count(operation: str, result: Any) -> None:
        nonlocal read
        if operation == "record/export_events":
            read += len(result.events)
            told(read)

    return Record(Telling(rooms.caller, count), ledger=rooms.ledger)


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.") from None
