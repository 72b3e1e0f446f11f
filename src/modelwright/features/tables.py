"""The tables of features: the journal of pushes, which dataset versions it was folded into, and the last training sets."""

from __future__ import annotations

import sqlalchemy as sa

from modelwright.store.tables import metadata

pushes = sa.Table(
    "features_pushes",
    metadata,
    sa.Column("dataset", sa.String(200), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(200), nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("data", sa.LargeBinary),  # an Arrow stream; None once it was folded: the id is kept, to know it again
    sa.Column("pushed_at", sa.String(27), nullable=False),
    sa.UniqueConstraint("dataset", "id"),
)

folds = sa.Table(
    "features_folds",
    metadata,
    sa.Column("dataset", sa.String(200), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("onto", sa.Integer, nullable=False),  # the version that the pushes were added to
    sa.Column("number", sa.BigInteger, nullable=False),  # the last push that is in it
)

joins = sa.Table(
    "features_joins",
    metadata,
    sa.Column("view", sa.String(220), primary_key=True),  # pinned
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("at", sa.String(27), nullable=False),
)
