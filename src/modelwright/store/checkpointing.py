"""SQLite's write-ahead log is brought into the database beside the writers, not within one of their commits.

SQLite does so by itself in whichever commit makes the log a thousand pages long, and that one waits for two flushes and
all those pages. A thread does it here, from a thousand pages on, while others go on writing ("PASSIVE", which waits for
nobody: https://www.sqlite.org/wal.html#ckpt). Only what was written meanwhile is left, and SQLite's own way, from four
thousand pages on, finds little to do before the log begins anew. A process that writes now and then has no such thread.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import closing
from typing import Final

import sqlalchemy as sa

from modelwright.store.driver import execute

logger = logging.getLogger("modelwright.store")

PAGES: Final = 1000  # of the log, after which they are brought into the database
MOST: Final = 4000  # after which SQLite does so by itself in a commit
FIRST: Final = 50  # commits before the first time, when it is not known how many pages one has
BETWEEN: Final = (8, 1000)  # commits from one time to the next, at least and at most

PATIENCE: Final = 1000  # milliseconds; writers wait as long for whoever reads from the log


def emptied(path: str) -> bool:
    """Bring the whole log into the database and cut it to nothing, with what it holds of rows that were deleted since.

    False if somebody reads from it for longer than a second, or writes: then it is as it was.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=PATIENCE / 1000)) as connection:
            for pragma in ("synchronous=FULL", "secure_delete=ON"):
                connection.execute(f"PRAGMA {pragma}")
            (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        logger.warning("The write-ahead log of %s could not be emptied: %s", path, error)
        return False
    return not busy


class Checkpoints:
    """Of one database; `committed` is called by the one who writes, everything else by anybody."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._commits = 0  # since the last time
        self._due = FIRST
        self._length = 0  # of the log, in pages, the last time
        self._wake = threading.Event()
        self._ends = False
        self._thread: threading.Thread | None = None

    def opened(self, connection: sa.Connection) -> None:
        """Have a connection that writes leave it to the thread, if there is one."""
        if self._thread is not None:
            execute(connection, f"PRAGMA wal_autocheckpoint={MOST}")

    def committed(self, connection: sa.Connection) -> None:
        """Count a commit, and wake the thread when it is time."""
        self._commits += 1
        if self._commits < self._due:
            return
        if self._thread is None and not self._began(connection):
            return
        self._wake.set()

    def _began(self, connection: sa.Connection) -> bool:
        """Start the thread; where there can be no more of them, SQLite goes on by itself. The commit is done either way."""
        thread = threading.Thread(target=self._work, name="modelwright-checkpoints", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._commits = 0
            return False
        self._thread = thread
        self.opened(connection)
        return True

    def end(self) -> None:
        """Stop the thread, and return when it has let go of the database."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._ends = True
            self._wake.set()
            thread.join()
            self._ends = False
            self._wake.clear()

    def _work(self) -> None:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            while True:
                self._wake.wait()
                self._wake.clear()
                if self._ends:
                    return
                commits, self._commits = self._commits, 0
                try:
                    _, length, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                except sqlite3.Error as error:
                    logger.warning("The write-ahead log of %s is left to its writers: %s", self._path, error)
                    continue
                self._due = self._next(commits, length)

    def _next(self, commits: int, length: int) -> int:
        """After how many commits there are enough pages again, by how many those had that were counted."""
        pages = length - self._length if length > self._length else length  # it may have begun anew
        self._length = length
        least, most = BETWEEN
        return min(max(PAGES * commits // max(pages, 1), least), most)
