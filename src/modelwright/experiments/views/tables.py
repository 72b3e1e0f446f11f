"""The table of saved views."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from modelwright.core.clock import parse_time
from modelwright.experiments.views.records import Page, View
from modelwright.store.tables import metadata

views = sa.Table(
    "experiments_views",
    metadata,
    sa.Column("experiment", sa.String(200), primary_key=True),
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("page", sa.String(12), nullable=False),
    sa.Column("query", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
)


def view_of(row: Any) -> View:
    """A row as a record."""
    return View(
        experiment=row.experiment,
        name=row.name,
        page=Page(row.page),
        query=row.query,
        created_at=parse_time(row.created_at),
        created_by=row.created_by,
    )
