"""The data path of logged models: functions on an open transaction that write without an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from modelwright.core.errors import Conflict, Invalid
from modelwright.experiments.logged.records import Measurement
from modelwright.experiments.logged.tables import logged, logged_metrics, logged_params, logged_tags
from modelwright.experiments.tables import to_column, to_micros
from modelwright.store import Transaction

MAX_KEY = 250  # characters of the name of a parameter, a tag or a metric
MAX_VALUE = 100_000  # characters of a tag's value
MAX_PARAM = 6000  # characters of a parameter's value


def add_params(tx: Transaction, model: int, new: Mapping[str, str]) -> None:
    """Add parameters; one that is there with another value is a `Conflict`."""
    p = logged_params.c
    held = {each.name: each.value for each in tx.execute(sa.select(p.name, p.value).where(p.model == model))}
    for name, value in new.items():
        check_key(name)
        if held.get(name, value) != value:
            raise Conflict(
                f"Parameter {name!r} of the model is {held[name][:200]!r} and cannot become {value[:200]!r}.",
                mend="Log another model.",
            )
        if len(value) > MAX_PARAM:
            raise Invalid(f"Parameter {name!r} has {len(value)} characters, of {MAX_PARAM} at most.")
    fresh = [{"model": model, "name": name, "value": value} for name, value in new.items() if name not in held]
    if fresh:
        tx.execute(logged_params.insert(), fresh)


def set_tags(tx: Transaction, model: int, new: Mapping[str, str | None]) -> None:
    """Set tags; None takes one away."""
    t = logged_tags.c
    for name, value in new.items():
        check_key(name)
        if value is None:
            tx.execute(logged_tags.delete().where(t.model == model, t.name == name))
            continue
        if len(value) > MAX_VALUE:
            raise Invalid(f"The tag {name!r} has {len(value)} characters, of {MAX_VALUE} at most.")
        insert = tx.insert(logged_tags).values(model=model, name=name, value=value)
        tx.execute(insert.on_conflict_do_update(index_elements=[t.model, t.name], set_={"value": insert.excluded.value}))


def add_metrics(tx: Transaction, model: int, new: Sequence[Measurement]) -> None:
    """Add figures. One of the same name, time, step and run is the same figure, and the value that came last holds."""
    m = logged_metrics.c
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in new:
        check_key(each.name)
        key = (each.name, to_micros(each.time), each.step, each.run)
        described = {"value": to_column(float(each.value)), "dataset": each.dataset, "dataset_digest": each.dataset_digest}
        rows[key] = dict(zip(("name", "time", "step", "run"), key, strict=True)) | {"model": model} | described
    if not rows:
        return
    insert = tx.insert(logged_metrics)
    values = {name: insert.excluded[name] for name in ("value", "dataset", "dataset_digest")}
    same = [m.model, m.name, m.time, m.step, m.run]
    tx.execute(insert.on_conflict_do_update(index_elements=same, set_=values), list(rows.values()))


def measure(tx: Transaction, by_model: Mapping[str, Sequence[Measurement]], experiment: int) -> None:
    """Add the figures that came with a run and name a model; a model that is not of the experiment is passed over."""
    for identity, figures in by_model.items():
        same = (logged.c.id == identity, logged.c.experiment == experiment)
        key = tx.execute(sa.select(logged.c.key).where(*same)).scalar()
        if key is not None:
            add_metrics(tx, key, figures)


def check_key(name: str) -> None:
    """Raise unless a text can name a parameter, a tag or a metric."""
    if not name or len(name) > MAX_KEY:
        raise Invalid(f"The name of a parameter, metric or tag has 1 to {MAX_KEY} characters, not {len(name)}.")
