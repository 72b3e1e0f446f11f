"""The statements that read many runs: in the driver's own words, a handful for a page however long it is."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from modelwright.experiments import queries
from modelwright.experiments.places import location
from modelwright.experiments.records import ModelRole, ModelUse
from modelwright.experiments.search.details import Detail, Head
from modelwright.experiments.tables import names
from modelwright.store import Database, Transaction
from modelwright.store.driver import execute

HEAD = "r.key, r.id, r.experiment, r.name, r.status, r.started, r.ended, r.deleted, r.user_id"
_AT_ONCE = 5000  # runs whose numbers stand in one statement

_texts: weakref.WeakKeyDictionary[Database, dict[int, str]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def one(tx: Transaction, identity: str) -> Detail | None:
    """The run with that id, discarded or not, with its values."""
    row = rows(tx, f"SELECT {HEAD} FROM experiments_runs r WHERE r.id = ?", [identity])
    return details(tx, [Head(*row[0])])[0] if row else None


def details(tx: Transaction, heads: Sequence[Head]) -> list[Detail]:
    """Runs with their values, in the same order."""
    found = {head.key: Detail(head) for head in heads}
    keys = list(found)
    for start in range(0, len(keys), _AT_ONCE):
        _fill(tx, found, ",".join(map(str, keys[start : start + _AT_ONCE])))
    return [found[head.key] for head in heads]


def _fill(tx: Transaction, found: dict[int, Detail], among: str) -> None:
    values = {
        table: rows(tx, f"SELECT run, name, {columns} FROM experiments_{table} WHERE run IN ({among})")
        for table, columns in (("params", "head, tail"), ("tags", "head, tail"), ("metrics", "value, step, time"))
    }
    text = texts(tx, {row[1] for each in values.values() for row in each})
    for run, name, head, tail in values["params"]:
        found[run].params.append((text[name], head if tail is None else head + tail))
    for run, name, head, tail in values["tags"]:
        found[run].tags.append((text[name], head if tail is None else head + tail))
    for run, name, value, step, time in values["metrics"]:
        found[run].metrics.append((text[name], value, step, time))
    read = rows(tx, f"SELECT DISTINCT run FROM experiments_datasets_read WHERE run IN ({among})")
    for run, dataset in queries.datasets_of(tx, [row[0] for row in read]) if read else []:
        found[run].datasets.append(dataset)
    used = f"SELECT run, role, model, step FROM experiments_models_used WHERE run IN ({among}) ORDER BY step, model"
    for run, role, model, step in rows(tx, used):
        found[run].models.append(ModelUse(model=model, role=ModelRole(role), step=step))


def locations(tx: Transaction, experiments: Iterable[int]) -> dict[int, str]:
    """Where the artifacts of experiments lie, by their numbers."""
    among = ",".join(str(int(number)) for number in experiments) or "NULL"
    found = rows(tx, f"SELECT id, artifact_location FROM experiments_experiments WHERE id IN ({among})")
    return {number: location(number, given) for number, given in found}


def texts(tx: Transaction, numbers: set[int]) -> dict[int, str]:
    """The names that numbers stand for. One that a committed transaction gave never means another, so it is remembered."""
    with _lock:
        known = _texts.setdefault(tx.database, {})
    missing = [number for number in numbers if number not in known]
    if not missing:
        return known
    read: dict[int, str] = {}
    for start in range(0, len(missing), 500):
        query = sa.select(names.c.id, names.c.name).where(names.c.id.in_(missing[start : start + 500]))
        read |= {row.id: row.name for row in tx.execute(query)}
    if tx.writes:
        return known | read
    known.update(read)
    return known


def rows(tx: Transaction, text: str, parameters: Sequence[Any] = ()) -> list[Any]:
    """Run a statement whose parameters are question marks; all its rows."""
    if tx.connection.dialect.name != "sqlite":
        text = text.replace("%", "%%").replace("?", "%s")
    found: list[Any] = execute(tx.connection, text, parameters).fetchall()
    return found
