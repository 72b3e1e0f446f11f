"""The tables of logged models, and of files that belong to no run. Times are microseconds since 1970."""

from __future__ import annotations

import sqlalchemy as sa

from modelwright.experiments.tables import KEY, text
from modelwright.store.tables import metadata

logged = sa.Table(
    "experiments_logged_models",
    metadata,
    sa.Column("key", KEY, primary_key=True),
    sa.Column("id", text(64), nullable=False, unique=True),
    sa.Column("experiment", sa.Integer, sa.ForeignKey("experiments_experiments.id"), nullable=False),
    sa.Column("name", text(500), nullable=False),
    sa.Column("model_type", text(500), nullable=False),
    sa.Column("status", sa.String(12), nullable=False),
    sa.Column("status_message", sa.Text, nullable=False),
    sa.Column("run", text(64), nullable=False),  # its id; empty where none made it
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False),
    sa.Column("deleted", sa.BigInteger),  # since when; NULL while it is active
    sa.Index("ix_experiments_logged_models_experiment", "experiment", "created", "id"),
    sa.Index("ix_experiments_logged_models_run", "run"),
)

logged_params = sa.Table(
    "experiments_logged_params",
    metadata,
    sa.Column("model", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", text(250), primary_key=True),
    sa.Column("value", text(), nullable=False),
)

logged_tags = sa.Table(
    "experiments_logged_tags",
    metadata,
    sa.Column("model", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", text(250), primary_key=True),
    sa.Column("value", text(), nullable=False),
)

logged_metrics = sa.Table(
    "experiments_logged_metrics",
    metadata,
    sa.Column("model", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", text(250), primary_key=True),
    sa.Column("time", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("run", text(64), primary_key=True),
    sa.Column("value", sa.Double),
    sa.Column("dataset", text(500), nullable=False),  # empty where it is not said
    sa.Column("dataset_digest", text(64), nullable=False),
    sa.Index("ix_experiments_logged_metrics_name", "name", "value", "model"),
)

files = sa.Table(  # of logged models, of traces, of whatever is kept below an experiment and is no artifact of a run
    "experiments_files",
    metadata,
    sa.Column("experiment", sa.Integer, sa.ForeignKey("experiments_experiments.id"), primary_key=True),
    sa.Column("path", text(600), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("media_type", sa.String(100), nullable=False),
)

uploads = sa.Table(
    "experiments_uploads",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("ref", sa.String(300), nullable=False),
    sa.Column("name", text(600), nullable=False),
    sa.Column("parts", sa.Integer, nullable=False),
    sa.Column("heard", sa.BigInteger, nullable=False),  # when it began, or its newest part came
)

upload_parts = sa.Table(
    "experiments_upload_parts",
    metadata,
    sa.Column("upload", sa.String(26), sa.ForeignKey("experiments_uploads.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
)
