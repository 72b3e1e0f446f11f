"""Folders on this machine: what lies in them, and what was known of it when they were looked at last.

An index remembers size, modification time and inode of every file with its digest; a file that still has them is not read
again. Where it holds a whole version, it can be said without the record how the folder stands to it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.hashing import digest_bytes

LEFT_OUT: Final = frozenset({".git", ".modelwright"})
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_. -]{0,62}")  # names that need no closer look
_ALL_PLAIN: Final = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9_. -]{0,62}[/\n])+")  # paths of such names, each with its end
_TOGETHER: Final = 500  # paths that are looked at at once
_LONGEST: Final = 255  # bytes of one name in a path
_ELSEWHERE: Final = re.compile(
    r"^$|^/|/$|//|(?:^|/)\.\.?(?:/|$)"  # nothing, from the root, empty names, `.` and `..`
    r"|^[A-Za-z]:|\\"  # a drive, and what separates names on Windows
    r"|[\x00-\x1f\x7f]|[\ud800-\udfff]"  # control characters, and bytes that were no UTF-8
)


def real(folder: Path | str) -> Path:
    """A folder's absolute path without links; `Invalid` for a link that leads to itself."""
    path = Path(os.path.realpath(folder))
    try:
        path.stat()
    except OSError as error:  # whatever else is wrong with it is told by whoever reads it
        if error.errno == errno.ELOOP:
            raise Invalid(f"{folder} is a link that leads to itself.", mend="Remove the link, or make it anew.") from None
    return path


class Seen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A file as it was found."""

    size: int
    modified: int  # nanoseconds since 1970
    inode: int
    executable: bool

    @classmethod
    def of(cls, found: os.stat_result) -> Seen:
        """From what the system says of a file."""
        return cls(found.st_size, found.st_mtime_ns, found.st_ino, bool(found.st_mode & stat.S_IXUSR))


class Remembered(msgspec.Struct, frozen=True, array_like=True, gc=False):
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
    whole: str = ""  # the version that `put` is all of
    executable: list[str] = []  # which files of that version are
    chosen: list[str] = []  # the paths and patterns that alone were checked out of it; none: all of it
    manifests: dict[str, str] = {}  # of versions that it was of lately: the digest of the list of their files

    def holds(self, ref: str, manifest: str) -> bool:
        """Whether `put` is all of a version whose files are listed there."""
        return self.whole == ref and self.manifests.get(ref) == manifest

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
        partial = path.with_suffix(f".{os.urandom(6).hex()}")
        try:
            partial.write_bytes(msgspec.msgpack.encode(index))
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def begin(self, folder: Path, ref: str, manifest: str) -> None:
        """Note that files of a version are about to be put into a folder, until `done`: whoever does may be killed."""
        if (path := self._path(folder)) is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with path.with_suffix(".begun").open("a", encoding="utf-8") as file:
                file.write(f"{ref} {manifest}\n")

    def begun(self, folder: Path) -> dict[str, str]:
        """The versions of which files were being put into a folder when somebody was killed, with their manifests."""
        path = self._path(folder)
        try:
            lines = [] if path is None else path.with_suffix(".begun").read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            lines = []
        return {ref: manifest for ref, _, manifest in (line.partition(" ") for line in lines) if manifest}

    def done(self, folder: Path) -> None:
        """The index says all by now that had begun."""
        if (path := self._path(folder)) is not None:
            path.with_suffix(".begun").unlink(missing_ok=True)

    def mark(self, folder: Path) -> object:
        """What is another thing whenever the index of a folder was saved in between; None where there is none."""
        path = self._path(folder)
        try:
            at = None if path is None else path.stat()
        except OSError:
            return None
        return at and (at.st_ino, at.st_mtime_ns, at.st_size)

    def size(self, folder: Path) -> int:
        """The bytes of what is remembered of a folder; `FileNotFoundError` where nothing is."""
        path = self._path(folder)
        if path is None:
            raise FileNotFoundError(folder)
        return path.stat().st_size

    def _path(self, folder: Path) -> Path | None:
        return None if self.place is None else self.place / f"{digest_bytes(str(folder).encode())}.index"


def scan(folder: Path) -> dict[str, Seen]:
    """The files below a folder (or the one file that it is), by path; `.git` and `.modelwright` are passed over.

    `Invalid` names a symbolic link, a device or a name that no version can hold; `NotFound` where nothing is.
    """
    try:
        if folder.is_file() and not folder.is_symlink():
            return {check_path(folder.name): Seen.of(folder.stat())}
        found: dict[str, Seen] = {}
        _scan(str(folder), "", found)
        return found
    except FileNotFoundError as error:
        raise NotFound(f"There is no {error.filename}.") from None
    except NotADirectoryError:
        raise Invalid(f"{folder} is neither a folder nor a file.") from None


def _scan(folder: str, prefix: str, found: dict[str, Seen]) -> None:
    with os.scandir(folder) as there:
        for each in there:
            name = each.name
            path = prefix + name
            at = each.stat(follow_symlinks=False)
            mode = at.st_mode
            if stat.S_ISREG(mode):
                if _PLAIN.fullmatch(name) is None:
                    if name in LEFT_OUT:
                        continue
                    check_path(path)
                found[path] = Seen(at.st_size, at.st_mtime_ns, at.st_ino, mode & stat.S_IXUSR != 0)
            elif name in LEFT_OUT:
                continue
            elif stat.S_ISDIR(mode):
                _scan(each.path, f"{path}/", found)
            elif stat.S_ISLNK(mode):
                raise Invalid(
                    f"{each.path} is a symbolic link; what it leads to may be anywhere.",
                    mend="Put the file itself there, or take the link away.",
                )
            else:
                raise Invalid(f"{each.path} is neither a file nor a folder.", mend="Take it away.")


class Changes(NamedTuple):
    """What differs in a folder from the version that it is of, as far as that can be told without reading a file."""

    unsure: list[str]  # files that are not, or may not be, what the version has under their paths
    gone: list[str]


def changes(index: Index, found: Mapping[str, Seen]) -> Changes:
    """What differs from all of the version in `index.whole`; paths in no order."""
    files, put, executable = index.files, index.put, set(index.executable)
    unsure: list[str] = []
    fresh = 0
    for path, seen in found.items():
        known, wanted = files.get(path), put.get(path)
        if (
            wanted is None
            or known is None
            or known.seen != seen
            or not known.sure
            or known.digest != wanted
            or seen.executable != (path in executable)
        ):
            unsure.append(path)
            fresh += wanted is None
    return Changes(unsure, list(put.keys() - found.keys()) if len(found) - fresh < len(put) else [])


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a folder stands to a version: by path."""

    ref: str
    folder: str
    added: list[str] = []
    removed: list[str] = []
    changed: list[str] = []
    same: int = 0
    read: int = 0  # files that had to be read to tell
    beyond: int = 0  # files of the version that were not asked for when it was checked out

    @property
    def clean(self) -> bool:
        """Whether there is no difference."""
        return not (self.added or self.removed or self.changed)

    @property
    def told(self) -> str:
        """The same in a sentence."""
        count = len(self.added) + len(self.removed) + len(self.changed)
        parts = f"{self.folder} is {self.ref}", f" as far as it was checked out ({self.beyond:,} files were not)"
        but = f", but for {count:,} file{'s' if count > 1 else ''}"
        return f"{parts[0]}{parts[1] if self.beyond else ''}{but if count else ''}."


def glance(index: Index, found: Mapping[str, Seen] | None = None) -> Standing | None:
    """How a folder stands to the version that it is of, from the index alone; None if that takes reading something.

    `found` is what lies there, where somebody has looked already.
    """
    if not index.ref or index.whole != index.ref:
        return None
    if found is None:
        found = scan(Path(index.folder))
    executable = set(index.executable)
    changed: list[str] = []
    files, put, shared = index.files, index.put, 0
    for path, seen in found.items():
        wanted = put.get(path)
        if wanted is None:
            continue
        shared += 1
        known = files.get(path)
        if known is None or not known.sure or known.seen != seen:
            return None
        if known.digest != wanted or seen.executable != (path in executable):
            changed.append(path)
    return Standing(
        ref=index.ref,
        folder=index.folder,
        added=sorted(found.keys() - put.keys()),
        removed=sorted(put.keys() - found.keys()) if shared < len(put) else [],
        changed=sorted(changed),
        same=shared - len(changed),
    )


def check_path(path: str) -> str:
    """A path that stays below its root on every system; `Invalid` for any other."""
    if _ELSEWHERE.search(path) or (len(path) > _LONGEST // 4 and _too_long(path)):
        raise Invalid(
            f"{path!r} is no name for a file of a dataset.",
            mend="Names are UTF-8, without control characters and backslashes, and lead nowhere but downwards.",
        )
    return path


def check_paths(paths: Sequence[str]) -> None:
    """`check_path` of many, most of which are plain."""
    for start in range(0, len(paths), _TOGETHER):
        some = paths[start : start + _TOGETHER]
        joined = "\n".join(some)
        if joined.count("\n") != len(some) - 1 or _ALL_PLAIN.fullmatch(f"{joined}\n") is None:
            for path in some:
                check_path(path)


def folders_of(paths: Iterable[str]) -> set[str]:
    """Every folder above a path, but for the root."""
    found: set[str] = set()
    for folder in {path.rpartition("/")[0] for path in paths}:
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def _too_long(path: str) -> bool:
    return any(len(name.encode()) > _LONGEST for name in path.split("/"))
