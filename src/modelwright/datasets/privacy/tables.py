"""The tables of privacy: decisions about columns, what they may be used for, and the objects that are not for everybody."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import parse_time
from modelwright.datasets.classes import ColumnClass, Status
from modelwright.datasets.privacy.records import Permit
from modelwright.store.tables import metadata

decisions = sa.Table(
    "privacy_decisions",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("dataset", sa.String(200), nullable=False),
    sa.Column("column_name", sa.Text, nullable=False),
    sa.Column("tag", sa.String(60), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("mask", sa.String(60), nullable=False),
    sa.Column("author", sa.String(200), nullable=False),
    sa.Column("at", sa.String(27), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index("ix_privacy_decisions_dataset", "dataset", "seq"),
)

permits = sa.Table(
    "privacy_permits",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("dataset", sa.String(200), nullable=False),
    sa.Column("column_name", sa.Text, nullable=False),
    sa.Column("purposes", sa.Text, nullable=False),
    sa.Column("basis", sa.String(60), nullable=False),
    sa.Column("consent", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("author", sa.String(200), nullable=False),
    sa.Column("at", sa.String(27), nullable=False),
    sa.Index("ix_privacy_permits_dataset", "dataset", "seq"),
)

protected = sa.Table(
    "privacy_protected",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("dataset", sa.String(200), primary_key=True),
    sa.Column("family", sa.String(20), primary_key=True),
    sa.Index("ix_privacy_protected_dataset", "dataset"),
)


def to_decision(row: Any) -> ColumnClass:
    """A stored decision as a record."""
    return ColumnClass(
        column=row.column_name,
        tag=row.tag,
        status=Status(row.status),
        mask=row.mask,
        by=row.author,
        at=parse_time(row.at),
        reason=row.reason,
    )


def to_permit(row: Any) -> Permit:
    """A stored permit as a record."""
    return Permit(
        column=row.column_name,
        purposes=msgspec.json.decode(row.purposes, type=list[str]),
        basis=row.basis,
        consent=row.consent,
        subject=row.subject,
        by=row.author,
        at=parse_time(row.at),
    )
