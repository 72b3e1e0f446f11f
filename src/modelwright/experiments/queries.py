"""Reading runs: one, many, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import isoformat, parse_time
from modelwright.core.errors import Invalid, NotFound
from modelwright.core.paging import MAX_LIMIT, Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.experiments.comparing import compared
from modelwright.experiments.records import Comparison, Experiment, Metric, Run
from modelwright.experiments.tables import artifact_of, artifacts, experiments, metric_of, metrics, params, run_of, runs
from modelwright.store import Transaction, catalog
from modelwright.store.tables import catalog_tags

_r, _e = runs.c, experiments.c


def row(tx: Transaction, ref: Ref) -> Any:
    """The row of one run, or `NotFound`."""
    if ref.kind is not Kind.RUN:
        raise Invalid(f"{ref} is not a run.", mend="A run is named run:<id>; see mw list run.")
    found = tx.execute(sa.select(runs).where(_r.id == ref.name)).first()
    if found is None:
        raise NotFound(f"There is no run {ref.name!r}.", mend="See what there is: mw list run")
    return found


def run(tx: Transaction, ref: Ref) -> Run:
    """One run."""
    return _complete(tx, [row(tx, ref)])[0]


def metric_ids(tx: Transaction, ref: Ref) -> dict[str, int]:
    """The metrics of a run: name to row id, in order of name."""
    m = metrics.c
    found = tx.execute(sa.select(m.name, m.id).where(m.run == ref.name).order_by(m.name))
    return {each.name: each.id for each in found}


def list_runs(tx: Transaction, where: Filter, experiment: str | None) -> Page[Run]:
    """The runs that the caller may see, newest first."""
    query = sa.select(runs).where(_visible(tx, _r.experiment))
    if experiment is not None:
        query = query.where(_r.experiment == experiment)
    if where.under is not None:
        query = query.where(_under(_r.experiment, where.under))
    if where.text:
        word = where.text.lower()
        query = query.where(
            sa.or_(
                sa.func.lower(_r.name).contains(word, autoescape=True),
                sa.func.lower(_r.id).contains(word, autoescape=True),
                sa.func.lower(_r.experiment).contains(word, autoescape=True),
            )
        )
    if where.state:
        query = query.where(_r.status == where.state)
    if where.since:
        query = query.where(_r.started_at >= isoformat(where.since))
    if where.until:
        query = query.where(_r.started_at < isoformat(where.until))
    for key, value in where.tags.items():
        g = catalog_tags.c
        query = query.where(sa.exists().where(g.ref == "run:" + _r.id, g.key == key, g.value == value))
    if where.after:
        at, _, identity = where.after.partition(" ")
        query = query.where(sa.or_(_r.started_at < at, sa.and_(_r.started_at == at, _r.id < identity)))
    found = tx.execute(query.order_by(_r.started_at.desc(), _r.id.desc()).limit(_limit(where) + 1)).all()
    shown, more = found[: where.limit], len(found) > where.limit
    return Page(items=_complete(tx, shown), next=f"{shown[-1].started_at} {shown[-1].id}" if more else None)


def experiment(tx: Transaction, ref: Ref) -> Experiment:
    """One experiment."""
    return _experiment(tx.execute(_counted().where(_e.name == ref.name)).one())


def list_experiments(tx: Transaction, where: Filter) -> Page[Experiment]:
    """The experiments that the caller may see, by name."""
    query = _counted().where(_visible(tx, _e.name))
    if where.under is not None:
        query = query.where(_under(_e.name, where.under))
    if where.text:
        query = query.where(sa.func.lower(_e.name + " " + _e.description).contains(where.text.lower(), autoescape=True))
    if where.after:
        query = query.where(_e.name > where.after)
    found = tx.execute(query.order_by(_e.name).limit(_limit(where) + 1)).all()
    shown = found[: where.limit]
    return Page(items=[_experiment(each) for each in shown], next=shown[-1].name if len(found) > len(shown) else None)


def compare(tx: Transaction, refs: Sequence[Ref]) -> Comparison:
    """Runs side by side; one that the caller may not see is not found."""
    may = tx.readable(Kind.RUN)
    rows = [row(tx, ref) for ref in refs]
    for each in rows:
        if may is not None and not any(_within(each.experiment, scope) for scope in may):
            raise NotFound(f"There is no run {each.id!r}.")
    return compared(_complete(tx, rows))


def _complete(tx: Transaction, rows: Sequence[Any]) -> list[Run]:
    if not rows:
        return []
    ids = {each.id for each in rows}
    tags = catalog.tags_of(tx, [Ref(Kind.RUN, identity) for identity in ids])
    params_of: dict[str, dict[str, Any]] = {identity: {} for identity in ids}
    for each in tx.execute(sa.select(params).where(params.c.run.in_(ids)).order_by(params.c.name)):
        params_of[each.run][each.name] = msgspec.json.decode(each.value)
    metrics_of: dict[str, dict[str, Metric]] = {identity: {} for identity in ids}
    for each in tx.execute(sa.select(metrics).where(metrics.c.run.in_(ids)).order_by(metrics.c.name)):
        metrics_of[each.run][each.name] = metric_of(each)
    artifacts_of: dict[str, list[Any]] = {identity: [] for identity in ids}
    for each in tx.execute(sa.select(artifacts).where(artifacts.c.run.in_(ids)).order_by(artifacts.c.name)):
        artifacts_of[each.run].append(artifact_of(each))
    return [
        run_of(
            each,
            params=params_of[each.id],
            metrics=metrics_of[each.id],
            artifacts=artifacts_of[each.id],
            tags=tags[f"run:{each.id}"],
        )
        for each in rows
    ]


def _counted() -> Any:
    return (
        sa.select(experiments, sa.func.count(_r.id).label("runs"), sa.func.max(_r.started_at).label("last_run_at"))
        .join_from(experiments, runs, _r.experiment == _e.name, isouter=True)
        .group_by(*experiments.c)
    )


def _experiment(found: Any) -> Experiment:
    return Experiment(
        name=found.name,
        description=found.description,
        created_at=parse_time(found.created_at),
        created_by=found.created_by,
        runs=found.runs,
        last_run_at=parse_time(found.last_run_at) if found.last_run_at else None,
    )


def _visible(tx: Transaction, column: Any) -> Any:
    may = tx.readable(Kind.RUN)
    return sa.true() if may is None else sa.or_(sa.false(), *(_under(column, scope) for scope in may))


def _under(column: Any, path: str) -> Any:
    if path in ("", "*"):
        return sa.true()
    return sa.or_(column == path, column.startswith(path.rstrip("/") + "/", autoescape=True))


def _within(name: str, path: str) -> bool:
    return path in ("", "*", name) or name.startswith(path.rstrip("/") + "/")


def _limit(where: Filter) -> int:
    if not 1 <= where.limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT} items, not {where.limit}.")
    return where.limit
