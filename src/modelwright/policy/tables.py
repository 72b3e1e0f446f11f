"""The tables of access. Secrets are kept as digests only; versions of policies live in the catalog."""

from __future__ import annotations

import sqlalchemy as sa

from modelwright.store.tables import metadata

principals = sa.Table(
    "policy_principals",
    metadata,
    sa.Column("id", sa.String(200), primary_key=True),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("display", sa.String(200), nullable=False),
    sa.Column("owner", sa.String(200)),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("password", sa.String(200)),
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Index("ix_policy_principals_owner", "owner"),
)

grants = sa.Table(
    "policy_grants",
    metadata,
    sa.Column("principal", sa.String(200), primary_key=True),
    sa.Column("role", sa.String(60), primary_key=True),
    sa.Column("scope", sa.String(300), primary_key=True),
    sa.Column("deny", sa.Boolean, primary_key=True),
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
)

roles = sa.Table(
    "policy_roles",
    metadata,
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("verbs", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
)

credentials = sa.Table(
    "policy_credentials",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("owner", sa.String(200), nullable=False, index=True),
    sa.Column("label", sa.String(200), nullable=False),
    sa.Column("secret", sa.String(64), nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("expires_at", sa.String(27)),
    sa.Column("last_used_at", sa.String(27)),
    sa.Column("revoked_at", sa.String(27)),
)

attempts = sa.Table(
    "policy_attempts",
    metadata,
    sa.Column("who", sa.String(200), primary_key=True),
    sa.Column("ip", sa.String(64), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", sa.String(27), nullable=False),
    sa.Column("locked_until", sa.String(27)),
)

epoch = sa.Table(
    "policy_epoch",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
)
