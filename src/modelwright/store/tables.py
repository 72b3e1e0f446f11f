"""The tables of the record. Times are RFC 3339 text in UTC (they sort as text, alike in both databases)."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Compared byte by byte on both databases, so that everything that begins with `models.` is one range of the index.
_BYTEWISE = sa.String(100).with_variant(sa.String(100, collation="C"), "postgresql")
_REF = sa.String(300).with_variant(sa.String(300, collation="C"), "postgresql")

# On SQLite the sequence number is then the key of the row itself, and needs no index beside it.
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

ledger_head = sa.Table(
    "ledger_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("log_id", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("frontier", sa.LargeBinary, nullable=False),
    sa.Column("last_ts", sa.String(27), nullable=False),
)

ledger_events = sa.Table(
    "ledger_events",
    metadata,
    sa.Column("seq", _SEQUENCE, primary_key=True, autoincrement=False),
    sa.Column("ts", sa.String(27), nullable=False),  # in order of `seq`, so a moment is found without an index
    sa.Column("action", _BYTEWISE, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("leaf", sa.LargeBinary(32), nullable=False),
    sa.Index("ix_ledger_events_action", "action", "seq"),
    sa.Index("ix_ledger_events_actor", "actor", "seq"),
)

ledger_details = sa.Table(  # what was too large to stand in an event, by the SHA-256 that the event holds instead
    "ledger_details",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

ledger_nodes = sa.Table(  # hashes of complete ranges of 2^level leaves, so that a proof need not read the whole log
    "ledger_nodes",
    metadata,
    sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
)

ledger_checkpoints = sa.Table(
    "ledger_checkpoints",
    metadata,
    sa.Column("size", _SEQUENCE, primary_key=True, autoincrement=False),
    sa.Column("root", sa.LargeBinary(32), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("at", sa.String(27), nullable=False),
)

# Which events name a ref: an index of their bodies, in one tree (on SQLite without rows beside it), since every change pays
# for each. The versions of a thing lie together: `model:m@` begins the range of them (see `queries.naming`).
ledger_refs = sa.Table(
    "ledger_refs",
    metadata,
    sa.Column("ref", _REF, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("role", sa.String(8), primary_key=True),  # subject, in, out
    sqlite_with_rowid=False,
)

catalog_things = sa.Table(
    "catalog_things",
    metadata,
    sa.Column("kind", sa.String(20), primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("versions", sa.Integer, nullable=False),
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("latest_at", sa.String(27), nullable=False),
    sa.Column("changed_at", sa.String(27), nullable=False),
    sa.Column("gone_at", sa.String(27)),  # deleted as a whole; the count goes on, so that no number is given twice
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    sa.Index("ix_catalog_things_kind_latest_at", "kind", "latest_at", "name"),
)

catalog_versions = sa.Table(
    "catalog_versions",
    metadata,
    sa.Column("kind", sa.String(20), primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("record", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("successor", sa.String(300)),
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("changed_at", sa.String(27), nullable=False),  # its standing; the version itself never changes
    sa.Index("ix_catalog_versions_digest", "kind", "name", "digest"),
    sa.Index("ix_catalog_versions_kind_created_at", "kind", "created_at"),
)

catalog_tags = sa.Table(
    "catalog_tags",
    metadata,
    sa.Column("ref", sa.String(300), primary_key=True),
    sa.Column("key", sa.String(250), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Index("ix_catalog_tags_key", "key"),
)

catalog_aliases = sa.Table(
    "catalog_aliases",
    metadata,
    sa.Column("kind", sa.String(20), primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("alias", sa.String(255), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("holder", sa.String(300)),  # what set it because it serves that version, and alone moves it; else NULL
)

catalog_alias_moves = sa.Table(
    "catalog_alias_moves",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("alias", sa.String(255), nullable=False),
    sa.Column("version", sa.Integer),
    sa.Column("at", sa.String(27), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Index("ix_catalog_alias_moves_name", "kind", "name", "alias", "at"),
    sa.Index("ix_catalog_alias_moves_alias", "alias", "kind", "name", "id"),
)

catalog_dependencies = sa.Table(
    "catalog_dependencies",
    metadata,
    sa.Column("dependant", sa.String(300), primary_key=True),
    sa.Column("needs", sa.String(300), primary_key=True),
    sa.Column("thing", sa.String(300), nullable=False),  # `needs` without its selector
    sa.Index("ix_catalog_dependencies_needs", "needs"),
    sa.Index("ix_catalog_dependencies_thing", "thing"),
)

evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("kind", sa.String(60), nullable=False),
    sa.Column("subject", sa.String(300), nullable=False),
    sa.Column("thing", sa.String(300), nullable=False),  # the subject without its selector
    sa.Column("subject_digest", sa.String(64), nullable=False),
    sa.Column("verdict", sa.String(8), nullable=False),
    sa.Column("figures", sa.Text, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("report", sa.String(64)),
    sa.Column("producer", sa.String(200), nullable=False),
    sa.Column("inputs", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(27), nullable=False),
    sa.Column("expires_at", sa.String(27)),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Index("ix_evidence_subject", "subject", "kind", "seq"),
    sa.Index("ix_evidence_thing", "thing", "kind", "seq"),
    sa.Index("ix_evidence_created_at", "created_at"),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("holder", sa.String(200), nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("until", sa.String(27), nullable=False),
)

retention_holds = sa.Table(  # legal holds, which whatever deletes asks for
    "retention_holds",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("on_sort", sa.String(20), nullable=False),  # datasets, features, reads, ..., or * for all of them
    sa.Column("path", sa.String(200), nullable=False),
    sa.Column("version", sa.Integer),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("placed_by", sa.String(200), nullable=False),
    sa.Column("placed_at", sa.String(27), nullable=False),
    sa.Column("lifted_by", sa.String(200)),
    sa.Column("lifted_at", sa.String(27)),
    sa.Column("lifted_because", sa.Text),
)
