"""What comes in for one run from elsewhere, in MLflow's manner: a run that has ended takes figures, one discarded does not.

Functions on an open transaction, made to be submitted (`Database.submit`): several commit together, each computes little.
They look at what they are given by id, and leave the events that `start`, `finish` and `resume` leave. Rights are asked
before, on the experiment's name: a function is told that name, and where it is not the run's (any more) raises `Moved`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from modelwright.core.errors import Conflict, NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import encode_text
from modelwright.experiments import queries, writing
from modelwright.experiments.logged import Measurement
from modelwright.experiments.logged.writing import measure
from modelwright.experiments.metrics.writing import add_rows, settle
from modelwright.experiments.names import name_for
from modelwright.experiments.places import location
from modelwright.experiments.records import ENDED, NAME_TAG, DatasetRead, ModelUse, RunStatus
from modelwright.store import Transaction

T = TypeVar("T")
HISTORY_TAG = "mlflow.log-model.history"
_ENDS = {RunStatus.FAILED: "experiments.run.failed", RunStatus.KILLED: "experiments.run.killed"}


class RunMissing(NotFound):
    """There is no run with that id."""


class RunDeleted(Conflict):
    """The run is discarded and takes nothing."""


class TagMissing(NotFound):
    """The run has no tag of that key."""


class ExperimentMissing(NotFound):
    """There is no experiment with that number."""


class ExperimentDeleted(Conflict):
    """The experiment is discarded and takes nothing."""


class Moved(Conflict):
    """The run is not, or no longer, of the experiment that the right was asked on."""


def find(tx: Transaction, identity: str, experiment: str | None, *, active: bool = True) -> writing.Target:
    """The run to write to. `experiment` is the name that the right was asked on; None where none had to be."""
    found = writing.target(tx, identity)
    if found is None:
        raise RunMissing(f"There is no run {identity!r}.", mend="See what there is: mw list run")
    if experiment is not None and found.experiment_name != experiment:
        raise Moved(f"The run {identity!r} is not of the experiment {experiment!r}.", mend="Try again.")
    if active and found.deleted is not None:
        raise RunDeleted(f"run:{identity} is deleted.", mend="Restore it first: experiments.restore.")
    return found


def log(
    tx: Transaction,
    identity: str,
    experiment: str | None,
    *,
    points: Sequence[tuple[str, int, int, float]] = (),
    params: Mapping[str, str] = {},
    tags: Mapping[str, str] = {},
    measured: Mapping[str, Sequence[Measurement]] = {},
) -> writing.Target:
    """Add points (metric, step, microseconds since 1970, value), parameters and tags: all or nothing.

    `measured` are those of the points that speak of a logged model, by its id: they are its figures as well.
    """
    run = find(tx, identity, experiment)
    if params:
        writing.add_params(tx, run.key, params)
    if points:
        ids = writing.name_ids(tx, list(dict.fromkeys([point[0] for point in points])), make=True)
        add_rows(tx, run.key, [(ids[name], step, time, value) for name, step, time, value in points])
    if measured:
        measure(tx, measured, run.experiment)
    if tags:
        writing.set_tags(tx, run.key, tags)
    return run


def drop_tag(tx: Transaction, identity: str, experiment: str | None, key: str) -> None:
    """Take a tag away; `TagMissing` where the run has none of that key."""
    run = find(tx, identity, experiment)
    if not writing.drop_tag(tx, run.key, key):
        raise TagMissing(f"The run {identity!r} has no tag {key!r}.")


def note(
    tx: Transaction,
    identity: str,
    experiment: str | None,
    *,
    read: Sequence[DatasetRead] = (),
    used: Sequence[ModelUse] = (),
) -> None:
    """Say what a run read, and which logged models it took in or made."""
    run = find(tx, identity, experiment)
    writing.add_datasets(tx, run.key, run.experiment, read)
    writing.add_models(tx, run.key, used)


def note_model(tx: Transaction, identity: str, experiment: str | None, model: Mapping[str, Any]) -> None:
    """Add what an old flavour says of a model that it logged to the tag that holds them all."""
    run = find(tx, identity, experiment)
    held = queries.tag(tx, run.key, HISTORY_TAG)
    try:
        before = msgspec.json.decode(held or "[]", type=list[Any])
    except msgspec.MsgspecError:
        before = []  # somebody set the tag by hand
    writing.set_tags(tx, run.key, {HISTORY_TAG: encode_text([*before, model])})


class Begun(NamedTuple):
    """A run that was started."""

    id: str
    name: str
    started: int  # microseconds since 1970
    location: str  # of the experiment's artifacts


def start(
    tx: Transaction,
    number: int,
    experiment: str | None,
    *,
    name: str,
    user: str,
    started: int | None,
    tags: Mapping[str, str],
    identity: str = "",
) -> Begun:
    """Start a run of the experiment with that number."""
    of = writing.place_for(tx, number)
    if of is None:
        raise ExperimentMissing(f"There is no experiment with the number {number}.", mend="See: mw list experiment")
    if experiment is not None and of.name != experiment:
        raise Moved(f"The experiment {number} is not called {experiment!r}.", mend="Try again.")
    if of.deleted is not None:
        raise ExperimentDeleted(f"The experiment {of.title!r} is deleted.", mend="Restore it first: experiments.restore.")
    identity = identity or tx.new_id()
    name = name or tags.get(NAME_TAG) or name_for(identity)
    begun = writing.now(tx) if started is None else started
    run = writing.add_run(tx, of.id, identity, name=name, user=user, started=begun)
    writing.set_tags(tx, run, {key: value for key, value in tags.items() if key != NAME_TAG})
    ref = Ref(Kind.RUN, identity)
    tx.record("experiments.run.started", ref, outputs=[ref], after={"experiment": of.name})
    return Begun(identity, name, begun, location(of.id, of.artifact_location))


def update(
    tx: Transaction,
    identity: str,
    experiment: str | None,
    *,
    status: RunStatus | None = None,
    ended: int | None = None,
    name: str | None = None,
) -> tuple[Any, str]:
    """Change what is given, and nothing else. An end or a new beginning is an event.

    Returns the run's row as it is then, and where the experiment's artifacts lie.
    """
    run = find(tx, identity, experiment)
    changed: dict[str, Any] = {}
    if name is not None:
        changed["name"] = name
    if ended is not None:
        changed["ended"] = ended
    ref, before = Ref(Kind.RUN, identity), RunStatus(run.status)
    if status is not None and status is not before:
        changed["status"] = status.value
        if status in ENDED:
            settle(tx, run.key)
            sealed = queries.run(tx, ref)
            tx.record(
                _ENDS.get(status, "experiments.run.finished"),
                ref,
                inputs=[ref],
                outputs=sealed.outputs,
                before={"status": before},
                after={"status": status, "digest": sealed.digest},
            )
        else:
            changed.setdefault("ended", None)
            if before in ENDED:
                tx.record("experiments.run.resumed", ref, before={"status": before}, after={"status": status})
    if changed:
        writing.change_run(tx, run.key, **changed)
    of = queries.experiment_numbered(tx, run.experiment)
    return queries.run_identified(tx, identity), location(run.experiment, "" if of is None else of.artifact_location)


def fitting(work: Callable[[Transaction], T]) -> Callable[[Transaction], T]:
    """The same work; what a database cannot hold is `Invalid`, as it is in every operation."""
    from modelwright.store.embedded import UNFIT, unfit

    def done(tx: Transaction) -> T:
        try:
            return work(tx)
        except UNFIT as error:
            raise unfit() from error

    return done


def experiment_of(tx: Transaction, what: str | int) -> str | None:
    """The name of the experiment with that number, or of the run with that id."""
    if isinstance(what, int):
        row = queries.experiment_numbered(tx, what)
        return None if row is None else str(row.name)
    found = writing.target(tx, what)
    return None if found is None else found.experiment_name
