"""DuckDB in memory, opened once for a process: another instance costs forty times what a session of an open one does."""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
from pathlib import Path
from typing import Any

import duckdb


class Instance:
    """One DuckDB that all sessions of this process share."""

    def __init__(self, *, locked: bool) -> None:
        self._locked = locked
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


def opened(spill: Path | None = None) -> Any:
    """An instance of the caller's own, in UTC; what does not fit into memory goes to a folder of its own in `spill`."""
    folder = (
        spill or Path(tempfile.gettempdir())
    ) / f"modelwright-duckdb-{secrets.token_hex(8)}"  # DuckDB makes and deletes it
    config = {"autoinstall_known_extensions": False, "temp_directory": str(folder)}
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection


_locked, _reading = Instance(locked=True), Instance(locked=False)


def locked() -> Any:
    """A session that reaches no file, no network and no setting, over the Arrow tables registered with it.

    It may run what somebody else wrote, once that is known to be one SELECT: sessions share an instance, and other
    statements could leave something in it.
    """
    return _locked.session()


def reading() -> Any:
    """A session that reads files, for SQL of our own."""
    return _reading.session()
