"""The tables of pipelines: executions, the journal of their steps, triggers and what they set off."""

from __future__ import annotations

import sqlalchemy as sa

from modelwright.store.tables import metadata

executions = sa.Table(
    "pipelines_executions",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("pipeline", sa.String(200), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("params", sa.Text, nullable=False),
    sa.Column("run", sa.String(26), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("cause", sa.BigInteger),
    sa.Column("source", sa.String(300), nullable=False),
    sa.Column("inputs", sa.Text, nullable=False),
    sa.Column("outputs", sa.Text, nullable=False),
    sa.Column("result", sa.Text),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("ended_at", sa.String(27)),
    sa.Column("touched_at", sa.String(27), nullable=False),  # by the clock of leases: the last sign of a worker
    sa.Index("ix_pipelines_executions_pipeline", "pipeline", "created_at"),
    sa.Index("ix_pipelines_executions_state", "state"),
    sa.UniqueConstraint("pipeline", "cause"),
)

steps = sa.Table(
    "pipelines_steps",
    metadata,
    sa.Column("execution", sa.String(26), sa.ForeignKey("pipelines_executions.id"), primary_key=True),
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("step", sa.String(200), nullable=False),
    sa.Column("needs", sa.Text, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("cache_key", sa.String(64), nullable=False),
    sa.Column("components", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("outputs", sa.Text),
    sa.Column("logged", sa.String(64)),
    sa.Column("cached_from", sa.String(26)),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.String(200), nullable=False),
    sa.Column("until", sa.String(27)),
    sa.Column("started_at", sa.String(27)),
    sa.Column("ended_at", sa.String(27)),
    sa.Column("error", sa.Text, nullable=False),
    sa.Index("ix_pipelines_steps_cache_key", "cache_key"),
    sa.Index("ix_pipelines_steps_key", "key", "state"),
)

attempts = sa.Table(
    "pipelines_attempts",
    metadata,
    sa.Column("execution", sa.String(26), primary_key=True),
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("fence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("holder", sa.String(200), nullable=False),
    sa.Column("started_at", sa.String(27), nullable=False),
    sa.Column("ended_at", sa.String(27)),
    sa.Column("outcome", sa.String(12), nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["execution", "key"], ["pipelines_steps.execution", "pipelines_steps.key"]),
)

triggers = sa.Table(
    "pipelines_triggers",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("pipeline", sa.String(200), nullable=False),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("seen", sa.BigInteger, nullable=False),  # ledger events below this number are dealt with
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
)

firings = sa.Table(
    "pipelines_firings",
    metadata,
    sa.Column("trigger", sa.String(200), primary_key=True),
    sa.Column("cause", sa.String(60), primary_key=True),  # event:<seq> or at:<time>: one of each sets off one execution
    sa.Column("seq", sa.BigInteger, nullable=False),  # the ledger event of the firing itself
    sa.Column("pipeline", sa.String(200), nullable=False),
    sa.Column("fired_at", sa.String(27), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
