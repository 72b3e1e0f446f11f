"""The tables of retention: classes, and what went."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import parse_time
from modelwright.core.refs import Ref
from modelwright.core.wire import decode
from modelwright.governance.retention.records import Covers, Deletion, Finished, Marked, RetentionClass
from modelwright.store.tables import metadata

classes = sa.Table(
    "retention_classes",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("keep", sa.String(20), nullable=False),
    sa.Column("covers", sa.Text, nullable=False),
    sa.Column("about", sa.Text, nullable=False),
    sa.Column("newest", sa.Boolean, nullable=False),
    sa.Column("author", sa.String(200), nullable=False),
    sa.Column("at", sa.String(27), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)

deletions = sa.Table(
    "retention_deletions",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("class_name", sa.String(200), nullable=False),
    sa.Column("covers", sa.String(20), nullable=False),
    sa.Column("ref", sa.String(300), nullable=False),
    sa.Column("part", sa.String(60), nullable=False),
    sa.Column("unit", sa.String(20), nullable=False),
    sa.Column("marked", sa.Text, nullable=False),  # what is to go: a Marked
    sa.Column("begun_at", sa.String(27), nullable=False),
    sa.Column("begun_seq", sa.BigInteger, nullable=False),
    sa.Column("finished_at", sa.String(27)),
    sa.Column("proof_seq", sa.BigInteger),
    sa.Column("finished", sa.Text),  # what came of it: a Finished
    sa.Index("ix_retention_deletions_finished_at", "finished_at"),
    sa.Index("ix_retention_deletions_ref", "ref"),
)


def to_class(row: Any) -> RetentionClass:
    """A stored class as a record."""
    return RetentionClass(
        name=row.name,
        keep=row.keep,
        covers=msgspec.json.decode(row.covers, type=list[str]),
        about=msgspec.json.decode(row.about, type=list[str]),
        newest=bool(row.newest),
        by=row.author,
        at=parse_time(row.at),
        reason=row.reason,
    )


def to_marked(row: Any) -> Marked:
    """What is to go."""
    return decode(row.marked, Marked)


def to_finished(row: Any) -> Finished:
    """What came of it, so far."""
    return decode(row.finished, Finished) if row.finished else Finished()


def to_deletion(row: Any) -> Deletion:
    """A stored deletion as a record."""
    marked, finished = to_marked(row), to_finished(row)
    return Deletion(
        id=row.id,
        retention=row.class_name,
        covers=Covers(row.covers),
        ref=Ref.parse(row.ref),
        part=row.part,
        count=marked.count,
        unit=row.unit,
        begun_at=parse_time(row.begun_at),
        begun_seq=row.begun_seq,
        finished_at=parse_time(row.finished_at) if row.finished_at else None,
        proof_seq=row.proof_seq,
        gone=len(finished.gone),
        size=finished.size,
        left=finished.left,
        unreached=marked.unreached,
    )
