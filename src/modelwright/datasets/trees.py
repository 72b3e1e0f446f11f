"""Folders on this machine: what lies in them, what was known of it, and how they stand to a version.

An index beside the workspace remembers size, modification time and inode of every file with its digest; a file that still
has them is not read again. A time that was too fresh to be told from that of a later change is not believed.
"""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.hashing import digest_bytes
from modelwright.datasets.chunks import Packer, digest_of
from modelwright.datasets.cutting import LEAST, borders, pieces
from modelwright.datasets.manifest import Entry, check_path

LEFT_OUT: Final = frozenset({".git", ".modelwright"})
FRESH: Final = 50_000_000  # nanoseconds within which a file system may give two changes the same time
COARSE: Final = 2_500_000_000  # the same where times are whole seconds
Told = Callable[[float], None]


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was found."""

    size: int
    modified: int  # nanoseconds since 1970
    inode: int
    executable: bool

    @classmethod
    def of(cls, found: os.stat_result) -> Seen:
        """From what the system says of a file."""
        return cls(found.st_size, found.st_mtime_ns, found.st_ino, bool(found.st_mode & stat.S_IXUSR))


class Remembered(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was found, and what was in it; `sure` if a change would show."""

    seen: Seen
    digest: bytes
    sure: bool


class Index(msgspec.Struct, kw_only=True):
    """What is known of a folder: of which version it is, its files by path, and what versions put there."""

    folder: str
    ref: str = ""  # the version that was added from it, or checked out into it, last
    files: dict[str, Remembered] = {}
    put: dict[str, bytes] = {}  # digests of what was added or checked out: it can be had again

    def digest(self, path: str, seen: Seen) -> bytes | None:
        """The digest of a file, if it is known without reading."""
        known = self.files.get(path)
        return known.digest if known is not None and known.sure and known.seen == seen else None


class Indexes:
    """The indexes of folders, each in a file; without a folder for them nothing is remembered."""

    def __init__(self, place: Path | None) -> None:
        self.place = place

    def load(self, folder: Path) -> Index:
        """What is known of a folder. An index that cannot be read is none."""
        empty = Index(folder=str(folder))
        path = self._path(folder)
        if path is None:
            return empty
        try:
            found = msgspec.msgpack.decode(path.read_bytes(), type=Index)
        except (OSError, msgspec.MsgspecError):
            return empty
        return found if found.folder == str(folder) else empty

    def save(self, index: Index) -> None:
        """Remember it, whole or not at all."""
        path = self._path(Path(index.folder))
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = path.with_suffix(f".{secrets.token_hex(6)}")
        try:
            partial.write_bytes(msgspec.msgpack.encode(index))
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _path(self, folder: Path) -> Path | None:
        return None if self.place is None else self.place / f"{digest_bytes(str(folder).encode())}.index"


def scan(folder: Path) -> dict[str, Seen]:
    """The files below a folder (or the one file that it is), by path; `.git` and `.modelwright` are passed over.

    `Invalid` names a symbolic link, a device or a name that no version can hold; `NotFound` where nothing is.
    """
    try:
        if folder.is_file() and not folder.is_symlink():
            return {check_path(folder.name): Seen.of(folder.stat())}
        return dict(_scan(str(folder), ""))
    except FileNotFoundError as error:
        raise NotFound(f"There is no {error.filename}.") from None
    except NotADirectoryError:
        raise Invalid(f"{folder} is neither a folder nor a file.") from None


def _scan(folder: str, prefix: str) -> Iterator[tuple[str, Seen]]:
    with os.scandir(folder) as found:
        for each in found:
            if each.name in LEFT_OUT:
                continue
            if each.is_symlink():
                raise Invalid(
                    f"{each.path} is a symbolic link; what it leads to may be anywhere.",
                    mend="Put the file itself there, or take the link away.",
                )
            if each.is_dir(follow_symlinks=False):
                yield from _scan(each.path, f"{prefix}{each.name}/")
            elif each.is_file(follow_symlinks=False):
                yield check_path(prefix + each.name), Seen.of(each.stat(follow_symlinks=False))
            else:
                raise Invalid(f"{each.path} is neither a file nor a folder.", mend="Take it away.")


def store(
    root: Path,
    packer: Packer,
    index: Index,
    before: Mapping[bytes, Entry],
    *,
    verify: bool = False,
    told: Told = lambda done: None,
) -> list[Entry]:
    """Store the files of a folder and give the entries; the index is brought up to date, but not saved.

    A file that is as the index says, and whose content `before` knows by its digest, is not read, unless `verify` is set.
    """
    found = scan(root)
    if not found:
        raise Invalid(f"{root} holds no files.")
    ready: dict[str, Entry] = {}
    ahead: dict[str, list[bytes]] = {}
    remembered: dict[str, Remembered] = {}
    done, single = 0, root.is_file()
    for path, seen in sorted(found.items()):
        digest = None if verify else index.digest(path, seen)
        entry = None if digest is None else before.get(digest)
        if entry is not None and all(packer.has(chunk.digest) for chunk in entry.chunks):
            chunks = [packer.where(chunk.digest) for chunk in entry.chunks]
            ready[path] = Entry(path, seen.size, entry.digest, seen.executable, chunks)
            remembered[path] = index.files[path]
        else:
            file = root if single else root / path
            looked = time.time_ns()
            digests = [packer.add(piece) for piece in content(file, seen.size)]
            _unchanged(file, seen)
            ahead[path] = digests
            remembered[path] = Remembered(seen, digest_of(digests), _sure(seen, looked))
        done += seen.size
        told(done)
    packer.flush()
    for path, digests in ahead.items():
        chunks = [packer.where(digest) for digest in digests]
        ready[path] = Entry(path, found[path].size, digest_of(digests), found[path].executable, chunks)
    index.files = remembered
    index.put = {path: entry.digest for path, entry in ready.items()}
    return list(ready.values())


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a folder stands to a version: by path."""

    ref: str
    folder: str
    added: list[str] = []
    removed: list[str] = []
    changed: list[str] = []
    same: int = 0
    read: int = 0  # files that had to be read to tell

    @property
    def clean(self) -> bool:
        """Whether there is no difference."""
        return not (self.added or self.removed or self.changed)


def stand(
    root: Path,
    entries: Mapping[str, Entry],
    index: Index,
    *,
    ref: str,
    verify: bool = False,
    told: Told = lambda done: None,
) -> Standing:
    """Compare a folder with the entries of a version; the index learns what was read, but is not saved."""
    found = scan(root)
    changed, read, done = [], 0, 0
    for path, seen in found.items():
        done += 1
        told(done)
        entry = entries.get(path)
        if entry is None:
            continue
        if seen.size != entry.size or seen.executable != entry.executable:
            changed.append(path)
            continue
        digest = None if verify else index.digest(path, seen)
        if digest is None:
            read += 1
            digest = learn(root, path, seen, index)
        if digest != entry.digest:
            changed.append(path)
    added, removed = sorted(found.keys() - entries.keys()), sorted(entries.keys() - found.keys())
    return Standing(
        ref=ref,
        folder=str(root),
        added=added,
        removed=removed,
        changed=sorted(changed),
        same=len(found) - len(added) - len(changed),
        read=read,
    )


def learn(root: Path, path: str, seen: Seen, index: Index) -> bytes:
    """Read a file for its digest, and remember it."""
    from blake3 import blake3

    file = root if root.is_file() else root / path
    looked = time.time_ns()
    digest = digest_of([blake3(piece).digest() for piece in content(file, seen.size)])
    _unchanged(file, seen)
    index.files[path] = Remembered(seen, digest, _sure(seen, looked))
    return digest


def content(file: Path, size: int) -> Iterator[bytes]:
    """A file as the chunks that it is stored in."""
    if size == 0:
        return
    if size <= LEAST:
        yield file.read_bytes()
        return
    yield from pieces(file, borders(file))


def _unchanged(file: Path, seen: Seen) -> None:
    if Seen.of(file.stat()) != seen:
        raise Conflict(f"{file} changed while it was read.", mend="Try again when nothing writes to it.")


def _sure(seen: Seen, looked: int) -> bool:
    coarse = seen.modified % 1_000_000_000 == 0
    return looked - seen.modified > (COARSE if coarse else FRESH)
