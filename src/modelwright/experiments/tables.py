"""The tables of runs. A metric's value is NULL where it is NaN, since SQLite has no NaN."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import parse_time
from modelwright.core.refs import Ref
from modelwright.core.wire import decode
from modelwright.experiments.records import Artifact, Capture, Metric, Number, Run, RunStatus, number
from modelwright.store.tables import metadata

experiments = sa.Table(
    "experiments_experiments",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
)

runs = sa.Table(
    "experiments_runs",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("experiment", sa.String(200), sa.ForeignKey("experiments_experiments.name"), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("status", sa.String(12), nullable=False),
    sa.Column("started_at", sa.String(27), nullable=False),
    sa.Column("ended_at", sa.String(27)),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("inputs", sa.Text, nullable=False),
    sa.Column("outputs", sa.Text, nullable=False),
    sa.Column("capture", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Index("ix_experiments_runs_experiment_started_at", "experiment", "started_at", "id"),
    sa.Index("ix_experiments_runs_started_at", "started_at", "id"),
)

params = sa.Table(
    "experiments_params",
    metadata,
    sa.Column("run", sa.String(26), sa.ForeignKey("experiments_runs.id"), primary_key=True),
    sa.Column("name", sa.String(250), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

metrics = sa.Table(
    "experiments_metrics",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run", sa.String(26), sa.ForeignKey("experiments_runs.id"), nullable=False),
    sa.Column("name", sa.String(250), nullable=False),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("low", sa.Double),
    sa.Column("high", sa.Double),
    sa.UniqueConstraint("run", "name"),
)

points = sa.Table(
    "experiments_points",
    metadata,
    sa.Column("metric", sa.Integer, sa.ForeignKey("experiments_metrics.id"), primary_key=True, autoincrement=False),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("time", sa.BigInteger, primary_key=True, autoincrement=False),  # microseconds since 1970
    sa.Column("value", sa.Double),
    sqlite_with_rowid=False,
)

artifacts = sa.Table(
    "experiments_artifacts",
    metadata,
    sa.Column("run", sa.String(26), sa.ForeignKey("experiments_runs.id"), primary_key=True),
    sa.Column("name", sa.String(500), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("media_type", sa.String(100), nullable=False),
)

writers = sa.Table(
    "experiments_writers",
    metadata,
    sa.Column("run", sa.String(26), sa.ForeignKey("experiments_runs.id"), primary_key=True),
    sa.Column("writer", sa.String(26), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),  # of the last entry that was delivered
    sa.Column("began", sa.BigInteger, nullable=False),  # microseconds since 1970
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The moment so many microseconds after 1970."""
    return _EPOCH + micros * _MICROSECOND


def to_column(value: float) -> float | None:
    """A figure as it is stored."""
    return None if math.isnan(value) else value


def from_column(value: float | None) -> Number:
    """A stored figure as it travels."""
    return "NaN" if value is None else number(value)


def metric_of(row: Any) -> Metric:
    """A row of `metrics` as a record."""
    return Metric(
        name=row.name,
        value=from_column(row.value),
        step=row.step,
        time=from_micros(row.time),
        low=None if row.low is None else number(row.low),
        high=None if row.high is None else number(row.high),
    )


def artifact_of(row: Any) -> Artifact:
    """A row of `artifacts` as a record."""
    return Artifact(name=row.name, digest=row.digest, size=row.size, media_type=row.media_type)


def run_of(
    row: Any,
    *,
    params: dict[str, Any],
    metrics: dict[str, Metric],
    artifacts: Sequence[Artifact],
    tags: dict[str, str],
) -> Run:
    """A row of `runs` with what belongs to it as a record."""
    return Run(
        id=row.id,
        experiment=row.experiment,
        name=row.name,
        status=RunStatus(row.status),
        started_at=parse_time(row.started_at),
        ended_at=parse_time(row.ended_at) if row.ended_at else None,
        created_by=row.created_by,
        inputs=[Ref.parse(text) for text in msgspec.json.decode(row.inputs)],
        outputs=[Ref.parse(text) for text in msgspec.json.decode(row.outputs)],
        params=params,
        metrics=metrics,
        tags=tags,
        artifacts=list(artifacts),
        capture=decode(row.capture, Capture),
        error=row.error,
    )
