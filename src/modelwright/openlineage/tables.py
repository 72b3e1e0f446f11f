"""The tables of OpenLineage: events of others as they came, whom they speak of, and how far receivers have been told."""

from __future__ import annotations

import sqlalchemy as sa

from modelwright.store.tables import metadata

received = sa.Table(
    "openlineage_received",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),  # of the bytes: the same event twice is one
    sa.Column("at", sa.String(27), nullable=False),
    sa.Column("event_time", sa.String(60), nullable=False),  # as its producer wrote it
    sa.Column("body", sa.LargeBinary, nullable=False),
)

parties = sa.Table(
    "openlineage_parties",
    metadata,
    sa.Column("ref", sa.String(300), primary_key=True),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("namespace", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("seen_at", sa.String(27), nullable=False),
    sa.Index("ix_openlineage_parties_seen", "kind", "seen_at", "ref"),
)

mentions = sa.Table(  # which events speak of a party
    "openlineage_mentions",
    metadata,
    sa.Column("ref", sa.String(300), primary_key=True),
    sa.Column("digest", sa.String(64), primary_key=True),
)

targets = sa.Table(  # times by the machine's clock, since receivers live by it
    "openlineage_targets",
    metadata,
    sa.Column("url", sa.String(500), primary_key=True),
    sa.Column("seen", sa.BigInteger, nullable=False),  # the first event of the ledger that it was not told of yet
    sa.Column("failures", sa.Integer, nullable=False),  # attempts in a row
    sa.Column("due_at", sa.String(27), nullable=False),
    sa.Column("error", sa.Text, nullable=False),
)
