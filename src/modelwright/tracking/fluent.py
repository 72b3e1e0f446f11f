"""`mw.start_run()` and what logs to the run that is active here."""

from __future__ import annotations

import atexit
import itertools
import os
import socket
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.core import reading
from modelwright.core.clock import SystemClock
from modelwright.core.errors import Conflict, Invalid
from modelwright.core.ids import new_id
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import capturing
from modelwright.experiments.entries import Resumed, Started
from modelwright.experiments.names import name_for
from modelwright.experiments.records import Capture, RunStatus, outcome
from modelwright.experiments.values import check_title, whole
from modelwright.tracking.active import active_run, enter, leave, needed
from modelwright.tracking.courier import Courier, courier_for
from modelwright.tracking.journal import Journal, Opening
from modelwright.tracking.place import Place, place_of
from modelwright.tracking.run import LOG, TrackedRun, refs
from modelwright.tracking.settings import Mode
from modelwright.tracking.spool import Waiting

if TYPE_CHECKING:
    from modelwright.workspace import Workspace

REPRODUCES = "reproduces"  # the tag of a run that does another again, with the id of that
DEFAULT = "default"  # the experiment of runs that name none

_running: weakref.WeakSet[TrackedRun] = weakref.WeakSet()
_started = itertools.count()  # runs of this process


def start_run(
    experiment: str = "",
    *,
    name: str = "",
    run: Ref | str | None = None,
    nested: bool = False,
    parent: TrackedRun | Ref | str | None = None,
    inputs: Sequence[Ref | str] = (),
    tags: Mapping[str, Any] = {},
    seeds: Mapping[str, int] = {},
    workspace: Workspace | Path | str | None = None,
    mode: Mode | None = None,
    capture: bool = True,
    system_metrics: bool | None = None,
    folder: Path | None = None,
    reason: str = "",
) -> TrackedRun:
    """Start a run, and make it the active one of this thread; used in a `with`, it ends by itself.

        with mw.start_run("delay", inputs=["dataset:flights@7"]):
            mw.log_params({"depth": 6})
            mw.log_metric("auc", 0.71, step=3)

    `experiment` is a name or a title; without one it is that of the run around it, or `default`.

    It waits for nobody: the run has its id at once, and the workspace learns of it in the background, or later. `run` goes
    on with one that is there, by its id. A run inside another says `nested=True`; a run that is a part of one elsewhere
    names its `parent`. A process that was forked off from a run may go on with it in its own name. `workspace` is what
    `mw.connect` takes, or gave; by default `MODELWRIGHT_WORKSPACE`, else the project around the working directory. `folder`
    is where the code lies whose commit and uncommitted changes are captured.
    `mode` and `system_metrics` are as in the settings (`[tracking]`) where they are not given.
    """
    place, name, reason = place_of(workspace, mode), whole(name), whole(reason)
    above = active_run()
    known = None if run is None else _id_of(run)
    if above is not None and not nested and not (above.id == known and above.inherited):
        raise Conflict(
            f"{above.ref} is active here already.",
            mend="End it first (mw.end_run()), or say nested=True for a run within it.",
        )
    above_id = _id_of(parent) if parent is not None else above.id if above is not None and nested else ""
    if known is None:
        experiment = experiment or (above.experiment if above is not None else "") or DEFAULT
    if experiment:  # a run that is there has its own, and its workspace knows which
        check_title(experiment)
    position = next(_started) if known is None else 0
    again = known is None and bool(place.again.run) and place.again.position == position
    made = _made(place, experiment, name, known or (place.again.run if again else None), parent=above_id)
    made.resumed = known is not None
    if made._journal is not None:
        journal = made._journal
        if known is None:
            made_capture = Capture()
            if capture:
                try:
                    where = Waiting(journal.folder)
                    made_capture = capturing.capture(where, folder or Path.cwd(), seeds=seeds, position=position)
                except OSError as error:
                    LOG.warning("%s: code and packages are not captured: %s", made.ref, error)
            journal.append(Started, name=made.name, capture=made_capture, parent=above_id, reason=reason)
        else:
            journal.append(Resumed, reason=reason)
        made.begin(_courier(place))
        _running.add(made)
        if place.settings.system_metrics if system_metrics is None else system_metrics:
            from modelwright.tracking.sampling import Sampler

            made.sampler = Sampler(made, place.settings.system_every)
    enter(made)
    if tags:
        made.set_tags(tags)
    if again:
        made.set_tag(REPRODUCES, place.again.reproduces)
    before = [] if _interactive() or known is not None else reading.seen(place.address)
    for ref in [*refs(inputs), *before]:
        made.log_input(ref)
    reading.listen(_noticed)
    return made


def end_run(status: RunStatus | str = RunStatus.FINISHED, *, error: str = "") -> None:
    """End the active run, if there is one; the one around it is active again."""
    run = active_run()
    if run is not None:
        leave(run)
        run.end(status, error=error)


def log_param(name: str, value: Any) -> None:
    """Log one parameter to the active run; it keeps its first value."""
    needed().log_param(name, value)


def log_params(params: Mapping[str, Any]) -> None:
    """Log parameters to the active run; each keeps its first value."""
    needed().log_params(params)


def log_metric(name: str, value: float, *, step: int | None = None) -> None:
    """Log a figure to the active run; without a step, one after the metric's last."""
    needed().log_metric(name, value, step=step)


def log_metrics(metrics: Mapping[str, float], *, step: int | None = None) -> None:
    """Log several figures to the active run."""
    needed().log_metrics(metrics, step=step)


def log_figure(figure: Any, name: str) -> None:
    """Keep a chart of Altair, Matplotlib or Plotly with the active run."""
    needed().log_figure(figure, name)


def log_table(table: Any, name: str) -> None:
    """Keep a table with the active run, as Parquet."""
    needed().log_table(table, name)


def log_artifact(path: Path | str, name: str = "") -> None:
    """Keep a file with the active run, under its own name or another."""
    needed().log_artifact(path, name)


def log_artifacts(folder: Path | str, under: str = "") -> None:
    """Keep every file below a folder with the active run."""
    needed().log_artifacts(folder, under)


def log_text(text: str, name: str) -> None:
    """Keep text with the active run."""
    needed().log_text(text, name)


def log_dict(values: Any, name: str) -> None:
    """Keep a dict or list with the active run, as JSON."""
    needed().log_dict(values, name)


def set_tag(key: str, value: Any) -> None:
    """Set a tag of the active run."""
    needed().set_tag(key, value)


def set_tags(tags: Mapping[str, Any]) -> None:
    """Set tags of the active run."""
    needed().set_tags(tags)


def log_input(ref: Ref | str) -> None:
    """Say that the active run reads something."""
    needed().log_input(ref)


def log_output(ref: Ref | str) -> None:
    """Say that the active run has made something."""
    needed().log_output(ref)


def _made(place: Place, experiment: str, name: str, given: str | None, *, parent: str) -> TrackedRun:
    now = SystemClock().now()
    identity = given or new_id(now)
    name = name or name_for(identity)
    journal = None
    if place.mode != "disabled":
        opening = Opening(
            run=identity,
            experiment=experiment,
            writer=new_id(now),
            address=place.address,
            began=now,
            name=name,
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        journal = Journal(place.pending[0] / identity, opening)
        if journal.failure:
            told = "%s: nothing can be written to %s, so what is logged is lost until it can; training goes on. %s"
            LOG.warning(told, Ref(Kind.RUN, identity), journal.folder, journal.failure)
    made = TrackedRun(id=identity, experiment=experiment, name=name, journal=journal, parent=parent)
    made.patience = place.settings.patience
    return made


def _courier(place: Place) -> Courier:
    if place.mode == "offline":
        return courier_for("offline", "", None, place.pending)
    opened = place.opened
    if opened is not None:
        return courier_for(f"workspace {id(opened)}", place.address, lambda: opened, place.pending)
    return courier_for(place.address, place.address, _opener(place.address), place.pending)


def _opener(address: str) -> Callable[[], Workspace]:
    def open_it() -> Workspace:
        from modelwright.client import connect

        return connect(address)

    return open_it


def _id_of(run: TrackedRun | Ref | str) -> str:
    if isinstance(run, TrackedRun):
        return run.id
    text = run if isinstance(run, str) else str(run)
    ref = Ref.parse(text) if ":" in text else Ref(Kind.RUN, text)
    if ref.kind is not Kind.RUN:
        raise Invalid(f"{ref} is not a run.", mend="A run is named run:<id>; see mw list run.")
    return ref.name


def _noticed(ref: Ref, address: str) -> None:
    run = active_run()
    if run is not None and run.status is RunStatus.RUNNING and address in ("", run.address):
        run.log_input(ref)


def _interactive() -> bool:
    """Whether somebody types: then what was read before a run began may have been for something else."""
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules


def _end_all() -> None:
    """At the end of the process: runs that were not ended are ended as the process is."""
    status, told = outcome(getattr(sys, "last_value", None))
    for run in list(_running):
        run.end(status, error=told)


atexit.register(_end_all)
