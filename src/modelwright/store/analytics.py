"""DuckDB in memory, opened once for a process: another instance costs forty times what a session of an open one does."""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb


class Instance:
    """One DuckDB that all sessions of this process share."""

    def __init__(self, *, locked: bool, define: Callable[[Any], None] = lambda connection: None) -> None:
        """`define` gives the instance functions: all of its sessions have them, and no other instance."""
        self._locked, self._define = locked, define
        self._lock = threading.Lock()
        self._connection: Any = None
        self._process = 0

    def session(self) -> Any:
        """A connection in UTC whose temporary views and tables nobody else sees; they go when it is closed."""
        with self._lock:
            if self._connection is None or self._process != os.getpid():
                self._open()
            try:
                return self._begun()
            except duckdb.Error:  # after an internal error an instance refuses everything
                self._open()
                return self._begun()

    def _begun(self) -> Any:
        session = self._connection.cursor()
        session.execute("SELECT 1").fetchall()
        return session

    def _open(self) -> None:
        self._connection, self._process = opened(), os.getpid()
        self._connection.execute("SET GLOBAL enable_external_file_cache = false")  # a session's files are read once
        if self._locked:
            self._connection.execute("SET enable_external_access = false")
            self._connection.execute("SET lock_configuration = true")
        self._define(self._connection)


def opened(spill: Path | None = None) -> Any:
    """An instance of the caller's own, in UTC; what does not fit into memory goes to a folder of its own in `spill`."""
    folder = (
        spill or Path(tempfile.gettempdir())
    ) / f"modelwright-duckdb-{secrets.token_hex(8)}"  # DuckDB makes and deletes it
    config = {"autoinstall_known_extensions": False, "temp_directory": str(folder)}
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")  # which it shows in notebooks, and in whatever has no script
    return connection


_locked, _reading = Instance(locked=True), Instance(locked=False)


class Session:
    """A session that runs one statement at a time: SQL of somebody else's inside one of ours cannot bring a second along.

    Sessions share an instance, and a table or a macro that a statement leaves in it would be everybody's.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def register(self, name: str, table: Any) -> None:
        """Have a name stand for an Arrow table."""
        self._connection.register(name, table)

    def unregister(self, name: str) -> None:
        """Let a registered table go."""
        self._connection.unregister(name)

    def execute(self, text: str, parameters: Any = None) -> Any:
        """Run a statement; `duckdb.Error` where it is none, or more than one."""
        return self._connection.execute(self._single(text), parameters)

    def sql(self, text: str, params: Any = None) -> Any:
        """The rows of a SELECT, computed when they are fetched; errors as those of `execute`."""
        return self._connection.sql(self._single(text), params=params)

    def close(self) -> None:
        """Forget what was registered and made."""
        self._connection.close()

    def _single(self, text: str) -> str:
        found = self._connection.extract_statements(text)
        if len(found) != 1:
            raise duckdb.ParserException(f"This is {len(found)} statements where one is expected.")
        return text


def locked(instance: Instance = _locked) -> Session:
    """A session that reaches no file, no network and no setting, over the Arrow tables registered with it."""
    return Session(instance.session())


def reading() -> Any:
    """A session that reads files, for SQL of our own."""
    return _reading.session()
