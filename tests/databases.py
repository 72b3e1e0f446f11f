"""PostgreSQL databases for tests. To put one back to how it began takes a tenth of what it takes to make and drop one."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.util import LRUCache

# What a database begins with is kept in a schema beside it.
KEEP = """
DO $$ DECLARE t text; filled boolean; BEGIN
  CREATE SCHEMA kept;
  FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', t) INTO filled;
    IF filled THEN EXECUTE format('CREATE TABLE kept.%1$I AS TABLE public.%1$I', t); END IF;
  END LOOP;
  CREATE TABLE kept." sequences" AS SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public';
END $$
"""
ALONE = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
RESET = """
DO $$ DECLARE t text; filled boolean; s record; BEGIN
  SET LOCAL session_replication_role = replica;
  FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
      AND pg_relation_size(oid) > 0 LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', t) INTO filled;
    IF filled AND pg_relation_size(format('public.%I', t)::regclass) > 1000000 THEN
      EXECUTE format('TRUNCATE public.%I CASCADE', t);
    ELSIF filled THEN
      EXECUTE format('DELETE FROM public.%I', t);
    END IF;
  END LOOP;
  FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'kept' AND tablename <> ' sequences' LOOP
    EXECUTE format('INSERT INTO public.%1$I OVERRIDING SYSTEM VALUE SELECT * FROM kept.%1$I', t);
  END LOOP;
  FOR s IN SELECT now.sequencename, kept.last_value, now.start_value FROM pg_sequences now
      JOIN kept." sequences" kept USING (sequencename)
      WHERE now.schemaname = 'public' AND now.last_value IS DISTINCT FROM kept.last_value LOOP
    PERFORM setval(
      format('public.%I', s.sequencename)::regclass, coalesce(s.last_value, s.start_value), s.last_value IS NOT NULL);
  END LOOP;
END $$
"""
SHAPE = """
SELECT md5(string_agg(concat_ws(' ', relname, relkind, attname, atttypid, attnotnull), ',' ORDER BY relname, attnum))
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
"""


class Compiled(LRUCache[Any, Any]):
    """Statements that SQLAlchemy has put into words, for all engines of a dialect.

    An engine keeps its own, and each test has an engine of its own: it would put every statement into words anew, which
    takes up to a millisecond each, and is the same each time.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(self._alike(key), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(self._alike(key), value)

    def _alike(self, key: Any) -> Any:
        dialect, *rest = key
        return type(dialect), dialect.driver, dialect.paramstyle, getattr(dialect, "server_version_info", None), *rest


def share_compiled() -> None:
    """Have every engine of this process use the same compiled statements."""
    shared = Compiled(5000)
    sa.Engine._compiled_cache = property(lambda engine: shared, lambda engine, own: None)  # type: ignore[assignment]


def flushing(server: str, *, on: bool) -> None:
    """Whether a PostgreSQL server flushes what it writes.

    In tests it leaves that to the operating system, where nobody pulls the plug: to drop a database takes it two seconds
    otherwise.
    """
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"ALTER SYSTEM SET fsync = {'on' if on else 'off'}"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))
        while connection.execute(sa.text("SHOW fsync")).scalar_one() != ("on" if on else "off"):
            time.sleep(0.01)
    admin.dispose()


@contextmanager
def new_database(server: str, *, like: str = "template1") -> Iterator[str]:
    """A new PostgreSQL database, a copy of another one, until the block ends."""
    name = _create(server, like)
    try:
        yield _address(server, name)
    finally:
        _drop(server, name)


class Databases:
    """Databases that one test after the other has to itself, each of which finds what its model holds and nothing else."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._free: dict[str, list[str]] = {}
        self._shapes: dict[str, str] = {}
        self._open: dict[str, sa.Connection] = {}  # to each of them: a new one costs the server more than all it is asked

    @contextmanager
    def like(self, model: str) -> Iterator[str]:
        """A database like another one, which is given back when the block ends."""
        free = self._free.setdefault(model, [])
        name = free.pop() if free else self._another(model)
        if not self._put_back(name):  # a test has changed its tables
            self._drop(name)
            name = self._another(model)
        try:
            yield _address(self._server, name)
        finally:
            free.append(name)

    @contextmanager
    def model(self, of: str) -> Iterator[str]:
        """The name of a database that starts like another one and is to be filled, so that others can be like it."""
        name = _create(self._server, of)
        try:
            yield name
        finally:
            for each in self._free.pop(name, []):
                self._drop(each)
            self._drop(name)

    def _another(self, model: str) -> str:
        name = _create(self._server, model)
        self._keep(name)
        return name

    def _keep(self, name: str) -> None:
        connection = self._open[name] = _connect(_address(self._server, name))
        connection.execute(sa.text(KEEP))
        self._shapes[name] = connection.execute(sa.text(SHAPE)).scalar_one()

    def _put_back(self, name: str) -> bool:
        connection = self._open[name]
        connection.execute(sa.text(ALONE))
        if connection.execute(sa.text(SHAPE)).scalar_one() != self._shapes[name]:
            return False
        connection.execute(sa.text(RESET))
        return True

    def _drop(self, name: str) -> None:
        if name in self._open:
            self._open.pop(name).close()
        _drop(self._server, name)

    def close(self) -> None:
        """Give the connections back."""
        for each in self._open.values():
            each.close()


def _connect(url: str) -> sa.Connection:
    return sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool).connect()


def _create(server: str, like: str) -> str:
    name = f"test_{secrets.token_hex(6)}"
    with _connect(server) as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {like} STRATEGY file_copy"))
    return name


def _drop(server: str, name: str) -> None:
    with _connect(server) as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


def _address(server: str, name: str) -> str:
    return sa.make_url(server).set(database=name).render_as_string(hide_password=False)
