"""The tables of governance: what people declared."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from modelwright.core.clock import parse_time
from modelwright.core.refs import Ref
from modelwright.governance.records import Statement
from modelwright.store.tables import metadata

statements = sa.Table(
    "governance_statements",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("about", sa.String(300), nullable=False),
    sa.Column("field", sa.String(60), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("author", sa.String(200), nullable=False),
    sa.Column("at", sa.String(27), nullable=False),
    sa.Index("ix_governance_statements_about", "about", "field", "seq"),
)


def to_statement(row: Any) -> Statement:
    """A stored statement as a record."""
    return Statement(
        about=Ref.parse(row.about),
        field=row.field,
        text=row.text,
        author=row.author,
        at=parse_time(row.at),
        seq=row.seq,
    )
