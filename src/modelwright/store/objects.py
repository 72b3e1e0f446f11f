"""Content-addressed objects, through obstore: in a folder, or in S3 and whatever speaks it.

An object lies under `<first two characters>/<digest>`, so the name says what the content must be. A folder is written by
this module itself, because an acknowledged object has to survive a power cut: content is flushed to the disk before
the rename that makes it visible, and the directory after it. S3 promises as much for every finished upload. A folder is
also read directly, at several times the speed of a store's stream.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from modelwright.core.blobs import How
from modelwright.core.errors import Corrupt, Invalid, NotFound, Unavailable
from modelwright.core.folders import Seen
from modelwright.core.hashing import CHUNK, digest_bytes, digest_file
from modelwright.store import adopting
from modelwright.store.buckets import S3Settings, bucket, no_bucket, unreachable
from modelwright.store.direct import LEAST, write_past_cache

if TYPE_CHECKING:
    from blake3 import blake3
    from obstore.store import ObjectStore

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_INCOMING: Final = ".incoming"  # a folder's unfinished writes; a crash may leave some, none is ever visible
_SPOOLED: Final = "modelwright-incoming-"  # of what goes to a bucket, among the temporary files
_PART: Final = 8 * CHUNK  # bytes of one part of a multipart upload
_MAX_PARTS: Final = 9_000  # S3 ends at 10,000
RENEW_AFTER: Final = 3600.0  # seconds; less than the collector's shortest grace in a bucket
_STRETCH: Final = 32 * CHUNK  # bytes of a folder's object that are sent to the disk before the rest comes
_PARALLEL: Final = 4  # parts in memory at once
_ASKED: Final = 16  # questions to a bucket at once
_LISTED: Final = 1000  # objects that one request to a bucket may name
T = TypeVar("T")


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """An object as it lies in the store."""

    digest: str
    size: int
    at: float  # seconds since 1970, by the clock of the disk or the bucket: when it was last stored


class Objects:
    """`core.blobs.Blobs` on a folder or a bucket; safe to share between threads and processes."""

    def __init__(self, store: ObjectStore, *, location: str, folder: Path | None) -> None:
        self.location = location
        self._store = store
        self._folder = folder
        self._flushed: set[str] = set()  # the folders whose entry this process knows to be on disk

    @property
    def in_folder(self) -> bool:
        """Whether they lie in a folder, and not in a bucket."""
        return self._folder is not None

    @classmethod
    def open(cls, location: str | Path, s3: S3Settings | None = None) -> Objects:
        """The objects at a path, a `file:///` address or `s3://bucket/prefix`; a missing folder is made (mode 0700)."""
        text = str(location)
        scheme = urlsplit(text).scheme if "://" in text else "file"
        if scheme == "s3":
            return cls(bucket(text, s3 or S3Settings()), location=text, folder=None)
        if scheme != "file":
            raise Invalid(f"Objects cannot lie at {text!r}.", mend="Give a folder, file:///folder or s3://bucket/prefix.")
        from obstore.store import LocalStore

        folder = Path(unquote(urlsplit(text).path) if "://" in text else text).absolute()
        with _trouble(text):
            _make_folder(folder / _INCOMING)
        return cls(LocalStore(folder), location=str(folder), folder=folder)

    def put(self, data: bytes | memoryview | Path | Iterable[bytes]) -> str:
        """Store bytes, a file or a stream and return the digest; see `Blobs.put`. Storing it again changes nothing."""
        with _trouble(self.location):
            if isinstance(data, bytes | bytearray | memoryview):
                return self._put_known(digest_bytes(data), len(data), data)
            if isinstance(data, Path):
                return self._put_file(data)
            return self._put_stream(data)

    def incoming(self) -> Incoming:
        """An object to be written piece by piece as it comes; see `Incoming`."""
        return Incoming(self, self._folder)

    def read(self, digest: str) -> bytes:
        """The whole content, verified."""
        return b"".join(self.stream(digest))

    def stream(self, digest: str) -> Iterator[bytes]:
        """The content in pieces of about a megabyte; `Corrupt` at the end if the whole is not what its digest says."""
        return self._verified(digest, self._pieces(_key(digest)))

    def part(self, digest: str, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` up to `end`, in pieces of about a megabyte. Only the whole can be verified, no part."""
        key = _key(digest)
        with _trouble(self.location):
            try:
                yield from self._pieces(key, start, end)
            except FileNotFoundError as error:
                if no_bucket(error):
                    raise
                raise self._not_found(digest) from None

    def fetch(self, digest: str, path: Path) -> Path:
        """Write the content to a file, which appears under its name only once it is verified."""
        partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
        try:
            with _trouble(str(path)), partial.open("xb") as file:
                file.writelines(self.stream(digest))
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return path

    def exists(self, digest: str) -> bool:
        """Whether an object of that digest is here (its content is verified when it is read)."""
        return self._size(digest) is not None

    def size(self, digest: str) -> int:
        """Its bytes, or `NotFound`."""
        size = self._size(digest)
        if size is None:
            raise self._not_found(digest)
        return size

    def list(self) -> Iterator[str]:
        """Every digest, in no order. What is not named by a digest is passed over."""
        import obstore

        with _trouble(self.location):
            for batch in obstore.list(self._store, chunk_size=1000):
                for found in batch:
                    folder, _, name = found["path"].rpartition("/")
                    if _DIGEST.fullmatch(name) and folder == name[:2]:
                        yield name

    def entries(self) -> Iterator[Stored]:
        """Every object with its size and the time when it was last stored, in no order."""
        import obstore

        if self._folder is not None:
            yield from filter(None, map(self.stored, self.list()))
            return
        with _trouble(self.location):
            for batch in obstore.list(self._store, chunk_size=1000):
                for found in batch:
                    folder, _, name = found["path"].rpartition("/")
                    if _DIGEST.fullmatch(name) and folder == name[:2]:
                        yield Stored(digest=name, size=found["size"], at=found["last_modified"].timestamp())

    def stored(self, digest: str) -> Stored | None:
        """One object as it lies here, or None."""
        import obstore

        with _trouble(self.location):
            try:
                if self._folder is not None:
                    there = (self._folder / _key(digest)).stat()
                    return Stored(digest=digest, size=there.st_size, at=adopting.stored_at(there))
                found = obstore.head(self._store, _key(digest))
            except FileNotFoundError:
                return None
        return Stored(digest=digest, size=found["size"], at=found["last_modified"].timestamp())

    def delete(self, digest: str) -> None:
        """Remove an object, for the collector of what nothing refers to; removing what is not here is no error."""
        import obstore

        with _trouble(self.location), suppress(FileNotFoundError):
            obstore.delete(self._store, _key(digest))

    def stored_each(self, digests: Sequence[str]) -> Sequence[Stored | None]:
        """`stored` of many; a bucket is asked for several at a time."""
        return self._each(self.stored, digests)

    def delete_each(self, digests: Sequence[str]) -> None:
        """`delete` of many; a bucket is asked for a thousand in one request."""
        if self._folder is not None:
            self._each(self.delete, digests)
            return
        import obstore

        with _trouble(self.location), suppress(FileNotFoundError):
            for start in range(0, len(digests), _LISTED):
                obstore.delete(self._store, [_key(digest) for digest in digests[start : start + _LISTED]])

    def _each(self, what: Callable[[str], T], digests: Sequence[str]) -> Sequence[T]:
        if self._folder is not None:
            return [what(digest) for digest in digests]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_ASKED, "objects") as pool:
            return [*pool.map(what, digests)]

    def renew(self, digest: str) -> None:
        """Make an object as young as one that is stored now, if it is here, so that the collector leaves it for a while."""
        with _trouble(self.location):
            if self._size(digest) is not None and not self._renew(digest):
                content = self.read(digest)  # in a bucket, what is old is only renewed by storing it again
                self._upload(digest, len(content), content)

    def verify(self, digest: str) -> None:
        """Read it through; `Corrupt` or `NotFound` says what is wrong."""
        for _ in self.stream(digest):
            pass

    # Files of others

    def refusal(self, path: Path) -> str:
        """See `Adopting.refusal`."""
        return "the objects lie in a bucket" if self._folder is None else adopting.refusal(path, self._folder)

    def adopt(self, path: Path, digest: str, seen: Seen) -> How | None:
        """See `Adopting.adopt`. An object that was taken over before gives way: its file may have been written to since."""
        if self._folder is None:
            return None
        if self.adopted(digest) is None and self._has(digest, seen.size):
            return "there"
        partial = self._folder / _INCOMING / secrets.token_hex(16)
        with _trouble(self.location):
            try:
                how = adopting.take(path, partial, seen)
                if how is not None:
                    self._keep(partial, digest, seen.size)
            finally:
                partial.unlink(missing_ok=True)  # it stays where both names were the same file already
        return how

    def adopted(self, digest: str) -> Path | None:
        """See `Adopting.adopted`."""
        if self._folder is None:
            return None
        path = self._folder / _key(digest)
        try:
            return path if adopting.is_adopted(path.stat()) else None
        except FileNotFoundError:
            return None

    def unfinished(self, before: float) -> Sequence[Path]:
        """What was begun here, never finished and not touched since a moment: whoever wrote it was killed.

        Of a bucket, what was to go there and lies among the temporary files of this machine.
        """
        if self._folder is None:
            return adopting.left(Path(tempfile.gettempdir()), before, _SPOOLED)
        with _trouble(self.location):
            return adopting.left(self._folder / _INCOMING, before)

    def tidy(self, before: float) -> int:
        """Remove what is `unfinished`; how many files it was."""
        found = self.unfinished(before)
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    # Writing

    def _has(self, digest: str, size: int) -> bool:
        """Whether it is here already and will stay: another writer may have been seen before its directory was flushed."""
        if self._size(digest) != size:
            return False
        if not self._renew(digest):
            return False
        self._settle(digest)
        return True

    def _renew(self, digest: str) -> bool:
        """Make an object as young as one that was stored just now, so that the collector leaves it to whoever stores it.

        False where that takes storing it again: in a bucket, once it is old enough for the collector to look at.
        """
        if self._folder is not None:
            try:
                adopting.renew(self._folder / _key(digest))
            except FileNotFoundError:  # collected this very moment
                return False
            return True
        import obstore

        try:
            changed = obstore.head(self._store, _key(digest))["last_modified"]
        except FileNotFoundError:
            return False
        return time.time() - changed.timestamp() < RENEW_AFTER

    def _put_file(self, file: Path) -> str:
        """Store a file of somebody's, who may write to it meanwhile: what arrives is what was hashed, or nothing does."""
        digest = digest_file(file)
        if self._has(digest, file.stat().st_size):
            return digest
        with file.open("rb") as opened:
            pieces = iter(lambda: opened.read(CHUNK), b"")
            if self._folder is not None:
                self._write(pieces, expected=digest)
            else:
                self._upload(digest, file.stat().st_size, _only(pieces, digest))
        return digest

    def _put_known(self, digest: str, size: int, data: bytes | bytearray | memoryview | Path) -> str:
        if self._has(digest, size):
            return digest
        if isinstance(data, Path) or self._folder is None:
            self._upload(digest, size, data)
        else:
            with Incoming(self, self._folder, digest) as incoming:  # not hashed once more
                incoming.write(data)
                incoming.keep()
        return digest

    def _put_stream(self, pieces: Iterable[bytes]) -> str:
        with self.incoming() as incoming:
            for piece in pieces:
                incoming.write(piece)
            return incoming.keep()

    def _write(self, pieces: Iterator[bytes | bytearray | memoryview], expected: str) -> None:
        """Write into the folder what is known to have that digest."""
        with self.incoming() as incoming:
            for piece in pieces:
                incoming.write(piece)
            if incoming.digest != expected:
                raise _changed()
            incoming.keep()

    def _keep(self, partial: Path, digest: str, size: int) -> None:
        """Give what was written, and has that digest, its place; it is flushed to the disk already if this is a folder."""
        if self._folder is None:
            self._put_known(digest, size, partial)
            return
        target = self._folder / _key(digest)
        target.parent.mkdir(mode=0o700, exist_ok=True)  # `_settle` flushes its entry
        partial.replace(target)
        self._settle(digest)

    def _settle(self, digest: str) -> None:
        if self._folder is None:
            return
        parent = (self._folder / _key(digest)).parent
        _flush_folder(parent)
        if parent.name not in self._flushed:  # its own entry, once: no such folder is ever removed
            _flush_folder(self._folder)
            self._flushed.add(parent.name)

    def _upload(self, digest: str, size: int, data: bytes | bytearray | memoryview | Path | Iterator[bytes]) -> None:
        import obstore

        part = max(_PART, -(-size // _MAX_PARTS))
        with _trouble(self.location):
            obstore.put(self._store, _key(digest), data, chunk_size=part, max_concurrency=_PARALLEL)

    # Reading

    def _size(self, digest: str) -> int | None:
        key = _key(digest)
        with _trouble(self.location):
            try:
                if self._folder is not None:
                    return (self._folder / key).stat().st_size
                import obstore

                return int(obstore.head(self._store, key)["size"])
            except FileNotFoundError:
                return None

    def _pieces(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        if self._folder is not None:
            with (self._folder / key).open("rb", buffering=0) as file:
                file.seek(start)
                left = -1 if end is None else end - start
                while piece := file.read(CHUNK if left < 0 else min(CHUNK, left)):
                    left -= len(piece) if left > 0 else 0
                    yield piece
            return
        import obstore

        if end is not None:
            for begin in range(start, end, _PART):
                yield bytes(obstore.get_range(self._store, key, start=begin, end=min(begin + _PART, end)))
            return
        for part in obstore.get(self._store, key).stream(min_chunk_size=CHUNK):
            yield bytes(part)

    def _verified(self, digest: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        hasher = _hasher()
        with _trouble(self.location):
            try:
                for piece in pieces:
                    hasher.update(piece)
                    yield piece
            except FileNotFoundError as error:
                if no_bucket(error):
                    raise
                raise self._not_found(digest) from None
        if hasher.hexdigest() != digest:
            linked = self.adopted(digest) is not None
            raise Corrupt(
                f"The object {digest} in {self.location} has another content: its digest is {hasher.hexdigest()}."
                + (" It is a link to a file (mw data add --link), which somebody has written to." if linked else ""),
                mend=("Add the right file again with --link, or copy" if linked else "Copy")
                + f" objects/{_key(digest)} of a backup to {self.location}/{_key(digest)}. More of that: mw doctor.",
                details={"digest": digest, "found": hasher.hexdigest()},
            )

    def _not_found(self, digest: str) -> NotFound:
        return NotFound(
            f"There is no object {digest} in {self.location}.",
            mend=f"Where a version needs it, copy objects/{_key(digest)} of a backup there. More of that: mw doctor.",
            details={"digest": digest},
        )


class Incoming:
    """An object on its way in. Its name is known at its end, so it is written beside the others and then moved to them.

        with objects.incoming() as incoming:
            incoming.write(piece)
            digest = incoming.keep()

    What is not kept is gone when the block ends. Memory use does not grow with size. Not for use by two threads at once,
    but one after the other may call it.
    """

    def __init__(self, objects: Objects, folder: Path | None, known: str | None = None) -> None:
        """`known` is the digest of what will be written, where that was computed before."""
        self._known = known
        self._objects = objects
        self._flush = folder is not None  # a bucket's spool is only read once more
        name = secrets.token_hex(16)
        self._partial = Path(tempfile.gettempdir(), f"{_SPOOLED}{name}") if folder is None else folder / _INCOMING / name
        self._hasher = _hasher()
        self.size = 0
        self._past = 0  # bytes that went past the system's cache, as all of them do until some do not
        self._sent = 0  # bytes that the system was asked to write down
        with _trouble(objects.location):
            self._file: int | None = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Add some bytes. Many at once that lie in whole pages of memory go to the disk without a copy."""
        assert self._file is not None, "written to after its end"
        if self._known is None:
            self._hasher.update(piece)
        rest = memoryview(piece)
        with _trouble(self._objects.location):
            if self._flush and self._past == self.size and isinstance(piece, memoryview) and len(piece) >= LEAST:
                written = write_past_cache(self._file, piece)
                self._past, self._sent, rest = self._past + written, self._sent + written, rest[written:]
            while len(rest):
                rest = rest[os.write(self._file, rest) :]
        self.size += len(piece)
        if self._flush and self.size - self._sent >= _STRETCH:
            self._send_on()

    def _send_on(self) -> None:
        """Have the system begin to write what it holds while more comes, so that the flush at the end waits for less."""
        if hasattr(os, "posix_fadvise") and self._file is not None:
            os.posix_fadvise(self._file, self._sent, self.size - self._sent, os.POSIX_FADV_DONTNEED)
        self._sent = self.size

    @property
    def digest(self) -> str:
        """The digest of what was written so far."""
        return self._known or self._hasher.hexdigest()

    def keep(self) -> str:
        """Keep it under its digest, which is returned once the content would survive a power cut."""
        assert self._file is not None, "kept twice"
        digest = self.digest
        with _trouble(self._objects.location):
            if not self._objects._has(digest, self.size):
                if self._flush:
                    os.fdatasync(self._file) if hasattr(os, "fdatasync") else os.fsync(self._file)
                self._shut()
                self._objects._keep(self._partial, digest, self.size)
        return digest

    def close(self) -> None:
        """Let go of what was not kept."""
        self._shut()
        self._partial.unlink(missing_ok=True)

    def _shut(self) -> None:
        if self._file is not None:
            descriptor, self._file = self._file, None
            os.close(descriptor)


def _only(pieces: Iterator[bytes], digest: str) -> Iterator[bytes]:
    """Hand pieces on; `Corrupt` in the end if they have another digest, and an upload that is not through yet is none."""
    hasher = _hasher()
    for piece in pieces:
        hasher.update(piece)
        yield piece
    if hasher.hexdigest() != digest:
        raise _changed()


def _changed() -> Corrupt:
    return Corrupt("The file changed while it was being stored.", mend="Store it again when nothing writes to it.")


def _hasher() -> blake3:
    from blake3 import blake3

    return blake3()


def _key(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise Invalid(f"{digest[:80]!r} is not a digest: 64 lower-case hexadecimal characters.")
    return f"{digest[:2]}/{digest}"


def open_store(location: str, s3: S3Settings) -> ObjectStore:
    """A folder or `s3://bucket/prefix` for documents that have names of their own; a missing folder is made."""
    if location.startswith("s3://"):
        return bucket(location, s3)
    from obstore.store import LocalStore

    folder = Path(unquote(urlsplit(location).path) if location.startswith("file://") else location).absolute()
    with _trouble(location):
        _make_folder(folder)
    return LocalStore(folder)


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, each for the owner only, and flush the entry of each."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        _flush_folder(each.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _trouble(location: str) -> Iterator[None]:
    """Say what a failing disk or server means to the caller. A missing file is left to whoever knows its digest."""
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError as error:
        if no_bucket(error):
            raise unreachable(f"The objects at {location}", error) from error
        raise
    except BaseError as error:
        raise unreachable(f"The objects at {location}", error) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        mend = "Free some space on that disk." if full else "Check the folder's owner and permissions."
        raise Unavailable(f"The objects at {location} cannot be used: {error.strerror or error}.", mend=mend) from error
