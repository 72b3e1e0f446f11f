"""The tables of evaluation sets."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import parse_time
from modelwright.store.tables import metadata
from modelwright.traces.evalsets.records import EvaluationSet, Example, ExampleGiven

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(length: int | None = None) -> Any:
    """Text that is ordered and compared byte by byte, alike on both databases."""
    plain = sa.Text() if length is None else sa.String(length)
    exact = sa.Text(collation="C") if length is None else sa.String(length, collation="C")
    return plain.with_variant(exact, "postgresql")


evalsets = sa.Table(
    "evalsets_sets",
    metadata,
    sa.Column("key", _KEY, primary_key=True),
    sa.Column("id", _text(64), nullable=False, unique=True),
    sa.Column("title", _text(500), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("fields", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("created_by", _text(200), nullable=False),
    sa.Column("updated_at", sa.String(27), nullable=False),
    sa.Column("updated_by", _text(200), nullable=False),
    sa.Index("ix_evalsets_sets_title", "title"),
)

tags = sa.Table(
    "evalsets_tags",
    metadata,
    sa.Column("evalset", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", _text(250), primary_key=True),
    sa.Column("value", _text(), nullable=False),
)

homes = sa.Table(
    "evalsets_homes",
    metadata,
    sa.Column("evalset", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("experiment", sa.Integer, primary_key=True, autoincrement=False),
    sa.Index("ix_evalsets_homes_experiment", "experiment"),
)

examples = sa.Table(
    "evalsets_examples",
    metadata,
    sa.Column("key", _KEY, primary_key=True),
    sa.Column("evalset", sa.BigInteger, nullable=False),
    sa.Column("id", _text(64), nullable=False),
    sa.Column("inputs", sa.String(64), nullable=False),  # digest
    sa.Column("digest", sa.String(64), nullable=False),  # of all of it
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),  # milliseconds since 1970
    sa.Column("updated", sa.BigInteger, nullable=False),
    sa.Column("created_by", _text(200), nullable=False),
    sa.Column("updated_by", _text(200), nullable=False),
    sa.UniqueConstraint("evalset", "inputs"),
    sa.UniqueConstraint("evalset", "id"),
)


def set_of(row: Any, *, tags: dict[str, str], experiments: list[int], count: int) -> EvaluationSet:
    """A row of `evalsets` with what belongs to it as a record."""
    return EvaluationSet(
        id=row.id,
        title=row.title,
        digest=row.digest,
        fields=msgspec.json.decode(row.fields, type=dict[str, Any]),
        examples=count,
        tags=tags,
        experiments=experiments,
        created_at=parse_time(row.created_at),
        created_by=row.created_by,
        updated_at=parse_time(row.updated_at),
        updated_by=row.updated_by,
    )


def example_of(row: Any) -> Example:
    """A row of `examples` as a record."""
    given = msgspec.json.decode(row.content, type=ExampleGiven)
    return Example(
        id=row.id,
        inputs=given.inputs,
        outputs=given.outputs,
        expectations=given.expectations,
        tags=given.tags or {},
        source=given.source,
        created=row.created,
        updated=row.updated,
        created_by=row.created_by,
        updated_by=row.updated_by,
    )
