"""The write-ahead log of a run: what its process says is on file before the call returns, and is sent later.

What survives. An entry is handed to the operating system by one `write` before the call that logged it returns, so
all that was logged survives the end of the process, `kill -9` included. The call does not force it to the disk (that
would cost the training a thousand times the time). While entries wait for a workspace that is away, a thread does so
about once a second, so a power failure can take the last second or two of them. Entries that were delivered are as
safe as the workspace is.

A file is one writer (one process of one run): a line of who it is, and a line for each entry, `crc32 JSON`. The writer
holds a lock on it as long as it lives; who can take the lock knows that it is dead. A process that was forked off
writes a file of its own, which its parent delivers.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import weakref
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec

from modelwright.core.errors import Corrupt, ModelwrightError
from modelwright.core.wire import decoder, encode
from modelwright.experiments.entries import Ended, Entry, Figures, Kept, Linked, Params, Resumed, Started, Tags

ENDING = ".log"
BEGINNING = ".new"  # of a log whose first line is being written


class Opening(msgspec.Struct, frozen=True, kw_only=True, tag_field="what", tag="opening"):
    """The first line: whose entries follow, and where they go."""

    run: str
    experiment: str
    writer: str
    address: str  # what `connect` takes; empty where nobody has said yet
    began: datetime  # by this machine's clock
    name: str = ""
    owner: bool = True  # whether the run is over when this writer is dead
    host: str = ""
    pid: int = 0
    seq: int = 0


class Spooled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="what", tag="spooled"):
    """A file of the run whose bytes lie beside the log; it becomes `Kept` once they are stored as an object."""

    seq: int
    elapsed: float = 0.0
    file: str
    name: str
    media_type: str


Line: TypeAlias = Opening | Spooled | Started | Resumed | Figures | Params | Tags | Kept | Linked | Ended

_DECODER = decoder(Line)


class Found(NamedTuple):
    """One line that was read: where it ends, and what it says (None: it is damaged)."""

    end: int
    line: Any


class Journal:
    """The log of this process for one run. Safe to use from several threads; take `lock` for more than one step."""

    def __init__(self, folder: Path, opening: Opening) -> None:
        self.folder, self.opening = folder, opening
        self.path = folder / f"{opening.writer}{ENDING}"
        self.lock = threading.RLock()
        self.lost = 0  # entries that could not be written, because the disk was full for example
        self.seq = 0
        self._since = time.monotonic()
        self._pid = os.getpid()
        self._fd: int | None = None
        self._torn = False
        self._owed: bytes | None = None  # the entry that begins the run, which nothing is without
        self.failure = ""  # why it could not be begun
        try:
            self._open()
        except OSError as error:
            self.failure = str(error)
        _open_journals.add(self)

    @property
    def is_own(self) -> bool:
        """Whether this process opened it, and was not forked off from the one that did."""
        return self._pid == os.getpid()

    def append(self, kind: type[Any], **fields: Any) -> bool:
        """Write one entry; False where that was impossible. Nothing is raised: training goes on without its tracker.

        The entry that begins the run is written before the next one, where it could not be at once.
        """
        with self.lock:
            body = encode(kind(seq=self.seq + 1, elapsed=time.monotonic() - self._since, **fields))
            try:
                if self._fd is None:
                    self._open()
                if self._owed is not None:
                    self._write(self._owed)
                    self._owed = None
                self._write(body)
            except OSError:
                if kind in (Started, Resumed):
                    self._owed = body
                    self.seq += 1
                else:
                    self.lost += 1
                return False
            self.seq += 1
            return True

    @property
    def age(self) -> float:
        """Seconds since it was opened."""
        return time.monotonic() - self._since

    def sync(self) -> None:
        """Force what was written to the disk."""
        fd = self._fd
        if fd is not None:
            os.fdatasync(fd)

    def close(self) -> None:
        """Give the file and its lock back."""
        with self.lock:
            _open_journals.discard(self)
            if self._fd is not None:
                fcntl.flock(self._fd, fcntl.LOCK_UN)  # closing alone waits for a thread that is forcing it to the disk
                os.close(self._fd)
            self._fd = None

    def _open(self) -> None:
        path = self.path
        if not self.is_own:
            path = self.folder / f"{self.opening.writer}.{os.getpid()}-{time.monotonic_ns():x}{ENDING}"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists():  # this writer has ended, and what it said is not to be written over
            raise FileExistsError(f"{path} is there already")
        beside = path.with_suffix(BEGINNING)  # a log is found by others once it is locked and begins as one
        self._fd = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        opening = self.opening
        if not self.is_own:
            from modelwright.core.clock import SystemClock
            from modelwright.core.ids import new_id

            opening = msgspec.structs.replace(opening, writer=new_id(SystemClock().now()), owner=False, pid=os.getpid())
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._write(encode(opening))
            beside.replace(path)
        except OSError:  # what does not begin with this cannot be read: begin again with the next entry
            os.close(self._fd)
            self._fd, self._torn = None, False
            beside.unlink(missing_ok=True)
            raise

    def _write(self, body: bytes) -> None:
        line = b"%08x %b\n" % (zlib.crc32(body), body)
        if self._torn:
            line = b"\n" + line
        assert self._fd is not None
        written = os.write(self._fd, line)
        self._torn = written < len(line)
        if self._torn:
            raise OSError("the line was not written whole")

    def _forked(self) -> None:
        """In a child: the parent's file is the parent's, and so are its locks."""
        self.lock = threading.RLock()
        self.seq, self._torn, self._owed = 0, False, None
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None


def read(path: Path, offset: int = 0, *, most: int = 1 << 20) -> Iterator[Found]:
    """The lines from a position on, of about so many bytes; the last line only if it is whole."""
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(most)
        if b"\n" not in data:
            data += file.readline()
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        if end > start:
            yield Found(offset + end + 1, _line(data[start:end]))
        start = end + 1


def read_opening(path: Path) -> Opening:
    """The first line; `Corrupt` where it is none."""
    first = next(read(path, most=1 << 16), None)
    if first is None or not isinstance(first.line, Opening):
        raise Corrupt(f"{path} does not begin as the log of a run.", mend="Delete it; nothing in it can be used.")
    return first.line


def append_to_dead(path: Path, entry: Entry) -> None:
    """Add to the log of a process that is gone; the caller holds its lock."""
    body = encode(entry)
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        torn = size > 0 and file.read(1) != b"\n"
        file.seek(0, os.SEEK_END)
        file.write(b"%b%08x %b\n" % (b"\n" if torn else b"", zlib.crc32(body), body))


class Lock:
    """The lock on the log of a process that is gone; `taken` is False while it lives, or another delivers for it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.taken = True
        except OSError:
            self.taken = False

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _line(data: bytes) -> Line | None:
    checksum, _, body = data.partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(body):
            return None
        found: Line = _DECODER.decode(body)
    except (ValueError, msgspec.MsgspecError, ModelwrightError):
        return None
    return found


_open_journals: weakref.WeakSet[Journal] = weakref.WeakSet()


def _after_fork() -> None:
    for journal in list(_open_journals):
        journal._forked()


os.register_at_fork(after_in_child=_after_fork)
