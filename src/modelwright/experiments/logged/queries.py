"""Reading logged models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.experiments.logged.records import LoggedModel, LoggedStatus, Measurement
from modelwright.experiments.logged.tables import logged, logged_metrics, logged_params, logged_tags
from modelwright.experiments.places import location, of_model
from modelwright.experiments.queries import lifecycle
from modelwright.experiments.tables import experiments, from_column, from_micros
from modelwright.store import Transaction

_l, _e = logged.c, experiments.c


def row(tx: Transaction, ref: Ref) -> Any:
    """The row of one logged model, discarded or not, with what is needed of its experiment; or `NotFound`."""
    if ref.kind is not Kind.LOGGED_MODEL:
        raise Invalid(f"{ref} is not a logged model.", mend="A logged model is named logged-model:m-<id>.")
    found = tx.execute(rows().where(_l.id == ref.name)).first()
    if found is None:
        raise NotFound(f"There is no logged model {ref.name!r}.", mend="See its run: mw show run:<id>")
    return found


def rows() -> Any:
    """The query for rows of logged models with what is needed of their experiment."""
    of = (
        _e.name.label("experiment_name"),
        _e.artifact_location.label("location"),
        _e.deleted.label("experiment_deleted"),
    )
    return sa.select(logged, *of).join(experiments, _e.id == _l.experiment)


def models_of(tx: Transaction, found: Sequence[Any]) -> list[LoggedModel]:
    """Rows of logged models, with what belongs to them, as records."""
    keys = [each.key for each in found]
    params = _texts(tx, logged_params, keys)
    tags = _texts(tx, logged_tags, keys)
    metrics: dict[int, list[Measurement]] = {key: [] for key in keys}
    m = logged_metrics.c
    ordered = sa.select(logged_metrics).where(m.model.in_(keys)).order_by(m.model, m.name, m.time, m.step, m.run)
    for each in tx.execute(ordered) if keys else ():
        metrics[each.model].append(_measurement(each))
    return [
        LoggedModel(
            id=each.id,
            experiment=each.experiment_name,
            experiment_id=each.experiment,
            name=each.name,
            model_type=each.model_type,
            status=LoggedStatus(each.status),
            status_message=each.status_message,
            run=each.run,
            created_at=from_micros(each.created),
            created_by=each.created_by,
            updated_at=from_micros(each.updated),
            lifecycle=lifecycle(each),
            artifact_location=f"{location(each.experiment, each.location)}/{of_model(each.id)}",
            params=params[each.key],
            tags=tags[each.key],
            metrics=metrics[each.key],
        )
        for each in found
    ]


def _measurement(each: Any) -> Measurement:
    return Measurement(
        name=each.name,
        value=from_column(each.value),
        step=each.step,
        time=from_micros(each.time),
        run=each.run,
        dataset=each.dataset,
        dataset_digest=each.dataset_digest,
    )


def _texts(tx: Transaction, table: sa.Table, keys: Sequence[int]) -> Mapping[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {key: {} for key in keys}
    query = sa.select(table).where(table.c.model.in_(keys)).order_by(table.c.model, table.c.name)
    for each in tx.execute(query) if keys else ():
        found[each.model][each.name] = each.value
    return found
