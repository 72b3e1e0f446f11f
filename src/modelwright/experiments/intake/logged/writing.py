"""Writing logged models that come from elsewhere: functions on an open transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from modelwright.experiments.intake.records import ForeignFigure, ForeignLoggedModel, LoggedTally
from modelwright.experiments.logged import LoggedModel, Measurement
from modelwright.experiments.logged import queries as logged_of
from modelwright.experiments.logged import writing as logged_writing
from modelwright.experiments.logged.tables import files, logged
from modelwright.experiments.places import of_model
from modelwright.experiments.queries import visible
from modelwright.experiments.tables import experiments, from_micros, to_micros
from modelwright.store import Transaction

MILLI = 1000  # microseconds


def rows_of(tx: Transaction, ids: Sequence[str]) -> dict[str, Any]:
    """The rows of those logged models that are here, by id."""
    return {row.id: row for row in tx.execute(logged_of.rows().where(logged.c.id.in_(ids)))}


def every(tx: Transaction, *, after: str, limit: int) -> list[LoggedModel]:
    """Logged models that the caller may read, by id."""
    query = logged_of.rows().where(visible(tx, experiments.c.name), logged.c.id > after)
    return logged_of.models_of(tx, tx.execute(query.order_by(logged.c.id).limit(limit)).all())


def differs(new: ForeignLoggedModel, here: LoggedModel) -> bool:
    """Whether a logged model that is here lacks anything of what it is there."""
    theirs = (new.name, new.status, new.status_message, new.model_type, new.run, new.deleted)
    ours = (here.name, here.status, here.status_message, here.model_type, here.run, here.lifecycle == "deleted")
    return (
        theirs != ours
        or not new.params.items() <= here.params.items()
        or not new.tags.items() <= here.tags.items()
        or not {_key(each) for each in new.figures} <= {_key_here(each) for each in here.metrics}
    )


def bring(tx: Transaction, new: ForeignLoggedModel, experiment: int, here: Any) -> None:
    """Add a logged model, or make one that is here what it is there."""
    values = {
        "name": new.name,
        "model_type": new.model_type,
        "status": new.status,
        "status_message": new.status_message,
        "run": new.run,
        "created": new.created * MILLI,
        "updated": new.updated * MILLI,
        "deleted": (new.updated or new.created or 1) * MILLI if new.deleted else None,
    }
    if here is None:
        fixed = {"id": new.id, "experiment": experiment, "created_by": tx.principal.id}
        key = tx.execute(logged.insert().values(**fixed, **values).returning(logged.c.key)).scalar_one()
    else:
        key = here.key
        tx.execute(logged.update().where(logged.c.key == key).values(**values))
    logged_writing.add_params(tx, key, new.params)
    logged_writing.set_tags(tx, key, new.tags)
    logged_writing.add_metrics(tx, key, [_measurement(each) for each in new.figures])


def files_of(tx: Transaction, rows: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """The files of logged models: by model, the size of each by name."""
    found: dict[str, dict[str, int]] = {}
    for identity, row in rows.items():
        root = of_model(identity) + "/"
        below = sa.and_(files.c.path >= root, files.c.path < root[:-1] + "0")  # 0 is what follows the slash
        query = sa.select(files.c.path, files.c.size).where(files.c.experiment == row.experiment, below)
        found[identity] = {each.path[len(root) :]: each.size for each in tx.execute(query)}
    return found


def tally(tx: Transaction, ids: Sequence[str]) -> LoggedTally:
    """Count what some logged models have here."""
    rows = rows_of(tx, ids)
    found = logged_of.models_of(tx, list(rows.values()))
    return LoggedTally(
        logged_models=len(found),
        logged_params=sum(len(each.params) for each in found),
        logged_tags=sum(len(each.tags) for each in found),
        logged_figures=sum(len(each.metrics) for each in found),
        logged_files=sum(map(len, files_of(tx, rows).values())),
    )


def _measurement(figure: ForeignFigure) -> Measurement:
    return Measurement(
        name=figure.metric,
        value=figure.value,
        step=figure.step,
        time=from_micros(figure.time * MILLI),
        run=figure.run,
        dataset=figure.dataset,
        dataset_digest=figure.dataset_digest,
    )


def _key(figure: ForeignFigure) -> tuple[Any, ...]:
    return (figure.metric, repr(float(figure.value)), figure.time, figure.step, figure.run)


def _key_here(figure: Measurement) -> tuple[Any, ...]:
    return (figure.name, repr(float(figure.value)), to_micros(figure.time) // MILLI, figure.step, figure.run)
