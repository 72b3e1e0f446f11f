"""Where online rows lie: a SQLite file beside the workspace's database, PostgreSQL, or Redis."""

from __future__ import annotations

from pathlib import Path

from modelwright.core.errors import Invalid
from modelwright.features.ports import OnlineStore


def open_store(address: str, file: Path) -> OnlineStore:
    """The store at an address such as `redis://...` or `postgresql://...`; empty: in `file`. Nothing connects yet."""
    scheme = address.partition(":")[0].partition("+")[0]
    if not address:
        from modelwright.features.backends.sqlite import SqliteStore

        return SqliteStore(file)
    if scheme in ("redis", "rediss", "unix"):
        from modelwright.features.backends.redis import RedisStore

        return RedisStore(address)
    if scheme in ("postgresql", "postgres"):
        from modelwright.features.backends.postgresql import PostgresStore

        return PostgresStore(address)
    raise Invalid(
        f"[features] online = {address!r} names no online store that is known.",
        mend="Write redis://host:6379/0 or postgresql://user@host/database, or leave it out for a file.",
    )
