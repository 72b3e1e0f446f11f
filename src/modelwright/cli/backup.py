"""`backup` and `restore`: everything in one folder, verified, and back from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.explain import add_commands
from modelwright.cli.options import AsJson, Where, workspace
from modelwright.cli.output import aside, print_json, say
from modelwright.cli.progress import folder_size, growing
from modelwright.core.config import HOME, PROJECT_FILE, RESTORING
from modelwright.core.errors import Conflict, Invalid
from modelwright.core.sizes import size

if TYPE_CHECKING:
    from modelwright.store.backup import Taken
    from modelwright.store.objects import Objects


PREDICTIONS = "predictions"
PROJECT = "project"  # what a backup calls the folder that holds modelwright.toml


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_commands(app, {"backup": backup, "restore": restore})


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
