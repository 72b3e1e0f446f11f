"""The tables of scorers."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from modelwright.store.tables import metadata
from modelwright.traces.scorers.records import Scorer

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(length: int) -> Any:
    """Text that is ordered and compared byte by byte, alike on both databases."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


scorers = sa.Table(
    "scorers_scorers",
    metadata,
    sa.Column("key", _KEY, primary_key=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("experiment", sa.Integer, nullable=False),
    sa.Column("name", _text(250), nullable=False),
    sa.Column("versions", sa.Integer, nullable=False),  # how many were ever made
    sa.UniqueConstraint("experiment", "name"),
)

versions = sa.Table(
    "scorers_versions",
    metadata,
    sa.Column("scorer", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("serialized", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
)


def scorer_of(row: Any) -> Scorer:
    """A row of both tables as a record."""
    return Scorer(
        id=row.id,
        experiment_id=row.experiment,
        name=row.name,
        version=row.version,
        serialized=row.serialized,
        created=row.created,
        created_by=row.created_by,
    )
