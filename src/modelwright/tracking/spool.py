"""Where runs lie that were not delivered whole, and their files: one folder for each run, for its owner alone.

    .modelwright/pending/<run>/<writer>.log     what a process has said
                               <writer>.sent    how far that was delivered
                               files/           copies of what was logged as artifacts
                               objects/         the uncommitted changes and the list of packages, by digest

A file is copied before `log_artifact` returns; where the file system can share blocks (Btrfs, XFS, bcachefs), the copy is a
reflink and takes no time. It is never a hard link: a checkpoint that is written anew in place would change with it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from modelwright.core.config import HOME, find_project
from modelwright.core.errors import NotFound
from modelwright.core.hashing import digest_bytes, digest_file
from modelwright.tracking.journal import BEGINNING, ENDING

PENDING = "pending"
_CLONE = 0x40049409  # FICLONE of Linux: let a file share the blocks of another


def pending_folder(start: Path) -> Path:
    """Where runs that begin in a folder wait: in its project, or else in the user's own `.modelwright`."""
    project = find_project(start)
    return (project if project is not None else Path.home()) / HOME / PENDING


def pending_folders(start: Path) -> list[Path]:
    """Everywhere that runs may wait which began here."""
    return list(dict.fromkeys([pending_folder(start), Path.home() / HOME / PENDING]))


def logs(folder: Path) -> Iterator[Path]:
    """The logs of all runs that wait in a folder, the oldest first; a child's only where its parent's is gone."""
    for path in sorted(folder.glob(f"*/*{ENDING}")):
        parent, _, child = path.stem.partition(".")
        if not child or not path.with_name(parent + ENDING).exists():
            yield path


def add_file(folder: Path, name: str, source: Path) -> None:
    """Copy a file into a run's folder."""
    target = _room(folder) / name
    try:
        with source.open("rb") as read, target.open("xb") as written:
            if not _cloned(written.fileno(), read.fileno()):
                shutil.copyfileobj(read, written, 1 << 20)
    except OSError:
        target.unlink(missing_ok=True)  # half of it is of no use, and takes room
        raise


def add_bytes(folder: Path, name: str, content: bytes) -> None:
    """Keep bytes in a run's folder."""
    target = _room(folder) / name
    try:
        target.write_bytes(content)
    except OSError:
        target.unlink(missing_ok=True)
        raise


def file(folder: Path, name: str) -> Path:
    """The path of such a file."""
    return folder / "files" / name


def remove(folder: Path) -> None:
    """Remove the folder of a run that was delivered, unless another process of it has something left."""
    if not any(each.suffix in (ENDING, BEGINNING) for each in folder.glob("*")):
        shutil.rmtree(folder, ignore_errors=True)


def _room(folder: Path) -> Path:
    (folder / "files").mkdir(exist_ok=True, parents=True)
    return folder / "files"


def _cloned(target: int, source: int) -> bool:
    import fcntl

    try:
        fcntl.ioctl(target, _CLONE, source)
    except OSError:
        return False
    return True


class Waiting:
    """Objects that wait in a run's folder: what `capture` puts its findings in. See `Blobs`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "objects"

    def put(self, data: bytes | memoryview | Path | Iterable[bytes]) -> str:
        """Keep bytes until they are delivered; returns their digest."""
        data = bytes(data) if isinstance(data, memoryview) else data
        content = data if isinstance(data, bytes) else data.read_bytes() if isinstance(data, Path) else b"".join(data)
        digest = digest_bytes(content)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self._folder / digest).write_bytes(content)
        return digest

    def exists(self, digest: str) -> bool:
        """Whether it waits here."""
        return (self._folder / digest).is_file()

    def path(self, digest: str) -> Path:
        """Where it waits; `NotFound` where it does not, or is not what it was."""
        path = self._folder / digest
        if not path.is_file() or digest_file(path) != digest:
            raise NotFound(f"The object {digest} does not wait in {self._folder}.")
        return path

    def read(self, digest: str) -> bytes:
        """The bytes."""
        return self.path(digest).read_bytes()

    def stream(self, digest: str) -> Iterator[bytes]:
        """The bytes."""
        yield self.read(digest)

    def part(self, digest: str, start: int, end: int) -> Iterator[bytes]:
        """Some of the bytes."""
        yield self.read(digest)[start:end]

    def fetch(self, digest: str, path: Path) -> Path:
        """A copy in a file."""
        return Path(shutil.copyfile(self.path(digest), path))

    def size(self, digest: str) -> int:
        """Bytes."""
        return self.path(digest).stat().st_size
