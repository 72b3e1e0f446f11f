"""The tables of runs. Rows point at each other by numbers: the ids and names that people see stand in one table each.

Times are microseconds since 1970. A figure is NULL where it is NaN, since SQLite has no NaN. A text that is searched and
may be long is cut in two: `head`, which an index can hold on both databases, and `tail`, NULL unless there is more.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.experiments.records import Artifact, Metric, Number, number
from modelwright.store.tables import metadata

HEAD = 100  # characters of a text that are in the index

# On SQLite a number of this type is the key of the row itself, and needs no index beside it.
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def text(length: int | None = None) -> Any:
    """Text that is ordered and compared byte by byte, alike on both databases."""
    plain = sa.Text() if length is None else sa.String(length)
    exact = sa.Text(collation="C") if length is None else sa.String(length, collation="C")
    return plain.with_variant(exact, "postgresql")


experiments = sa.Table(
    "experiments_experiments",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", text(200), nullable=False, unique=True),  # of its ref
    sa.Column("title", text(500), nullable=False, unique=True),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("artifact_location", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False),
    sa.Column("deleted", sa.BigInteger),  # since when; NULL while it is active
)

experiment_tags = sa.Table(
    "experiments_experiment_tags",
    metadata,
    sa.Column("experiment", sa.Integer, sa.ForeignKey("experiments_experiments.id"), primary_key=True),
    sa.Column("key", text(250), primary_key=True),
    sa.Column("value", text(), nullable=False),
    sa.Index("ix_experiments_experiment_tags_key", "key"),
)

names = sa.Table(  # of parameters, metrics and tags of runs
    "experiments_names",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", text(250), nullable=False, unique=True),
)

runs = sa.Table(
    "experiments_runs",
    metadata,
    sa.Column("key", KEY, primary_key=True),
    sa.Column("id", text(64), nullable=False, unique=True),
    sa.Column("experiment", sa.Integer, sa.ForeignKey("experiments_experiments.id"), nullable=False),
    sa.Column("name", text(), nullable=False),
    sa.Column("status", sa.String(12), nullable=False),
    sa.Column("started", sa.BigInteger, nullable=False),
    sa.Column("ended", sa.BigInteger),
    sa.Column("deleted", sa.BigInteger),  # since when; NULL while it is active
    sa.Column("user_id", text(250), nullable=False),  # as the caller gave it; `created_by` is who really asked
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("inputs", sa.Text, nullable=False),
    sa.Column("outputs", sa.Text, nullable=False),
    sa.Column("capture", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Index("ix_experiments_runs_experiment_started", "experiment", "started", "id", "deleted"),
    sa.Index("ix_experiments_runs_started", "started", "id"),
)

params = sa.Table(
    "experiments_params",
    metadata,
    sa.Column("run", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("head", text(HEAD), nullable=False),
    sa.Column("tail", sa.Text),
    sa.Column("json", sa.Text),  # the value as it was given, where it is not a text
    sa.Index("ix_experiments_params_name", "name", "head", "run"),
    sqlite_with_rowid=False,
)

tags = sa.Table(
    "experiments_tags",
    metadata,
    sa.Column("run", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("head", text(HEAD), nullable=False),
    sa.Column("tail", sa.Text),
    sa.Index("ix_experiments_tags_name", "name", "head", "run"),
    sqlite_with_rowid=False,
)

metrics = sa.Table(  # what is known of a metric at a glance; its points lie in `tails` and `blocks`
    "experiments_metrics",
    metadata,
    sa.Column("run", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Double),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("low", sa.Double),
    sa.Column("high", sa.Double),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Index("ix_experiments_metrics_name", "name", "value", "run"),
    sqlite_with_rowid=False,
)

tails = sa.Table(  # the newest points of a run, one row for each call that logged some
    "experiments_tails",
    metadata,
    sa.Column("run", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("points", sa.BigInteger, nullable=False),  # of this row and those before it
    sa.Column("data", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

blocks = sa.Table(  # older points, by metric, as compressed columns
    "experiments_blocks",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("run", sa.BigInteger, nullable=False),
    sa.Column("name", sa.Integer, nullable=False),
    sa.Column("points", sa.Integer, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Index("ix_experiments_blocks_run", "run", "name", "id", "points"),
)

artifacts = sa.Table(
    "experiments_artifacts",
    metadata,
    sa.Column("run", sa.BigInteger, sa.ForeignKey("experiments_runs.key"), primary_key=True),
    sa.Column("name", text(500), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("media_type", sa.String(100), nullable=False),
)

writers = sa.Table(
    "experiments_writers",
    metadata,
    sa.Column("run", sa.BigInteger, sa.ForeignKey("experiments_runs.key"), primary_key=True),
    sa.Column("writer", sa.String(26), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),  # of the last entry that was delivered
    sa.Column("began", sa.BigInteger, nullable=False),  # microseconds since 1970
)

datasets = sa.Table(  # as runs describe what they read; the versions that we hold are in `inputs` of a run
    "experiments_datasets",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("experiment", sa.Integer, sa.ForeignKey("experiments_experiments.id"), nullable=False),
    sa.Column("name", text(500), nullable=False),
    sa.Column("digest", text(64), nullable=False),
    sa.Column("source_type", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("schema", sa.Text, nullable=False),
    sa.Column("profile", sa.Text, nullable=False),
    sa.UniqueConstraint("experiment", "name", "digest"),
    sa.Index("ix_experiments_datasets_name", "name"),
    sa.Index("ix_experiments_datasets_digest", "digest"),
)

datasets_read = sa.Table(
    "experiments_datasets_read",
    metadata,
    sa.Column("run", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("dataset", sa.Integer, sa.ForeignKey("experiments_datasets.id"), primary_key=True, autoincrement=False),
    sa.Column("context", text(500)),  # the tag mlflow.data.context, which searches ask for
    sa.Column("tags", sa.Text, nullable=False),
    sa.Index("ix_experiments_datasets_read_dataset", "dataset", "run"),
    sa.Index("ix_experiments_datasets_read_context", "context", "run"),
)

models_used = sa.Table(
    "experiments_models_used",
    metadata,
    sa.Column("run", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("role", sa.String(8), primary_key=True),  # input, output
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Index("ix_experiments_models_used_model", "model", "role", "run"),
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=1024)  # what was sent together has one time
def from_micros(micros: int) -> datetime:
    """The moment so many microseconds after 1970."""
    return _EPOCH + micros * _MICROSECOND


def to_column(value: float) -> float | None:
    """A figure as it is stored."""
    return None if math.isnan(value) else value


def from_column(value: float | None) -> Number:
    """A stored figure as it travels."""
    return "NaN" if value is None else number(value)


def cut(text: str) -> tuple[str, str | None]:
    """A text as it is stored: its head, and its tail if it has one."""
    return text[:HEAD], text[HEAD:] or None


def joined(head: str, tail: str | None) -> str:
    """The text that was cut."""
    return head if tail is None else head + tail


def param_of(row: Any) -> Any:
    """The value of a row of `params` as it was given."""
    return joined(row.head, row.tail) if row.json is None else msgspec.json.decode(row.json)


def metric_of(
    name: str, value: float | None, step: int, time: int, low: float | None, high: float | None, count: int
) -> Metric:
    """The columns of a row of `metrics` as a record."""
    return Metric(
        name=name,
        value=from_column(value),
        step=step,
        time=from_micros(time),
        low=None if low is None else number(low),
        high=None if high is None else number(high),
        count=count,
    )


def artifact_of(row: Any) -> Artifact:
    """A row of `artifacts` as a record."""
    return Artifact(name=row.name, digest=row.digest, size=row.size, media_type=row.media_type)
