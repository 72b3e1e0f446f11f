"""Where a run goes: which workspace, in which mode, and where it waits meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from modelwright.core.config import HOME, PROJECT_FILE, find_project, load
from modelwright.core.errors import Invalid, NotFound
from modelwright.tracking import spool
from modelwright.tracking.settings import Mode, TrackingSettings
from modelwright.workspace import Settings, Surroundings, Workspace, surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence


class Place(NamedTuple):
    """Where a run goes."""

    address: str  # what `connect` takes; empty where nobody has said yet
    opened: Workspace | None  # given by the caller
    mode: Mode
    settings: TrackingSettings
    again: Surroundings  # whether another run is done again here
    pending: list[Path]  # where runs wait: the first for this one, all to look for what was left


def place_of(workspace: Workspace | Path | str | None, mode: Mode | None) -> Place:
    """Find it, from what the caller, the environment and the project say, in this order."""
    around = surroundings()
    given = workspace if isinstance(workspace, Workspace) else around.meant(workspace)
    project = _project(given)
    settings = TrackingSettings() if project is None else _settings(project)
    chosen = _mode(mode or around.mode or settings.mode)
    pending = [_pending(project), *spool.pending_folders(Path.cwd())]
    if isinstance(given, Workspace):
        address, opened = given.address, given
    else:
        address, opened = str(given) if _is_url(given) else str(project or ""), None
    if not address and chosen == "online":
        raise NotFound(
            "There is no project here, and no workspace is named.",
            mend="Go to a project, name one (MODELWRIGHT_WORKSPACE), or say MODELWRIGHT_MODE=offline.",
        )
    return Place(address, opened, chosen, settings, around, list(dict.fromkeys(pending)))


def _project(given: Workspace | Path | str | None) -> Path | None:
    if isinstance(given, Workspace):
        return given.home.project if given.home is not None else find_project(Path.cwd())
    if given is None or _is_url(given):
        return find_project(Path.cwd())
    folder = Path(given).resolve()
    if not (folder / PROJECT_FILE).is_file():
        raise NotFound(f"There is no project in {folder}.", mend="Make one with `mw init FOLDER`.")
    return folder


def _settings(project: Path) -> TrackingSettings:
    file = project / PROJECT_FILE
    return load(file, Settings).section("tracking", TrackingSettings) if file.is_file() else TrackingSettings()


def _pending(project: Path | None) -> Path:
    return spool.pending_folder(Path.cwd()) if project is None else project / HOME / spool.PENDING


def _mode(text: str) -> Mode:
    known: Sequence[Any] = get_args(Mode)
    for mode in known:
        if text == mode:
            found: Mode = mode
            return found
    raise Invalid(f"MODELWRIGHT_MODE is {text!r}.", mend=f"It is one of {', '.join(known)}.")


def _is_url(given: object) -> bool:
    return isinstance(given, str) and given.startswith(("http://", "https://"))
