"""Files that checkouts share: one for each content, read-only, in a folder beside the workspace.

A checkout gets a copy of one that shares its blocks where the file system can do that, else a hard link to it. How each
was found when it was written is remembered: one that somebody wrote to since, through any link, is not handed out again.
A file that the store took over (`linking`) is shared from there; how it was found when it was read through is remembered.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Corrupt
from modelwright.core.folders import Seen
from modelwright.datasets.linking import Own, damaged, is_content, own_file
from modelwright.datasets.manifest import Entry
from modelwright.datasets.objects import Writer

LINKED: Final = 1 << 20  # bytes; a shorter file is as quickly written as linked for the first time
_CLONE: Final = 0x40049409  # FICLONE
_REMEMBERED: Final = "seen"
_STORED: Final = "="  # after the name of a content: its file is the store's


class Links:
    """The folder, for one checkout. Contents lie in 256 folders by their digest, each with a file of what is remembered."""

    def __init__(self, place: Path, blobs: Blobs, *, small: bool) -> None:
        """`small`: files below `LINKED` are linked too."""
        self._place = str(place)
        self._blobs = blobs
        self._owned: dict[str, Own] = {}  # by name: contents that are shared from the store
        self._least = 1 if small else LINKED
        self._known: dict[str, dict[str, Seen]] = {}  # by folder: names, and how they were found
        self._changed: set[str] = set()
        self._writer = Writer()
        self._clones = True  # until the file system says that it cannot
        self._works = True  # until it says that it cannot link either

    def takes(self, entry: Entry) -> bool:
        """Whether a file is one that is linked."""
        return self._works and entry.size >= self._least

    def holds(self, entry: Entry) -> bool:
        """Whether its content lies here, as it was written; `Corrupt` if the store's own file is another than it was."""
        name = _name(entry)
        if (own := own_file(self._blobs, entry)) is not None:
            return self._sound(entry, name, own)
        seen = self._of(name[:2]).get(name)
        if seen is None:
            return False
        try:
            return Seen.of(os.stat(f"{self._place}/{name[:2]}/{name}")) == seen  # noqa: PTH116 - one of many
        except OSError:
            return False

    def _sound(self, entry: Entry, name: str, own: Own) -> bool:
        known, stored = self._of(name[:2]), f"{name}{_STORED}"
        if known.get(stored) != own.seen:
            if not is_content(entry, Path(own.path)):
                wrong = Corrupt("It has another content.", details={"digest": entry.chunks[0].pack.hex()})
                raise damaged(self._blobs, [entry], wrong)
            os.makedirs(f"{self._place}/{name[:2]}", exist_ok=True)  # noqa: PTH103
            known[stored] = own.seen
            self._changed.add(name[:2])
        self._owned[name] = own
        return True

    def fill(self, entry: Entry, pieces: Iterable[bytes]) -> None:
        """Put its content here."""
        name = _name(entry)
        folder = name[:2]
        known = self._of(folder)
        if folder not in self._changed:
            os.makedirs(f"{self._place}/{folder}", exist_ok=True)  # noqa: PTH103
            self._changed.add(folder)
        known[name] = self._writer.write(f"{self._place}/{folder}/{name}", pieces, 0o555 if entry.executable else 0o444)

    def give(self, entry: Entry, target: str) -> tuple[str, Seen] | None:
        """Bring it to its place: what was done, and how it is found there. None if that cannot be done.

        `IsADirectoryError` if a folder is in its place.
        """
        name = _name(entry)
        own = self._owned.get(name)
        source = own.path if own is not None else f"{self._place}/{name[:2]}/{name}"
        if self._clones:
            seen = self._clone(source, target, 0o755 if entry.executable else 0o644)
            if seen is not None:
                return "cloned", seen
            self._clones = False
        try:
            try:
                os.link(source, target)
            except FileExistsError:
                self._replace(source, target)
        except IsADirectoryError:
            raise
        except OSError as error:  # gone this moment, as many links as a file can have; or another disk, one without links
            self._works = error.errno in (errno.ENOENT, errno.EMLINK)
            return None
        return "linked", own.seen if own is not None else self._known[name[:2]][name]

    def save(self) -> None:
        """Remember what was put here. What is not, after a crash, is written anew."""
        for folder in self._changed:
            partial = f"{self._place}/{folder}/.{os.urandom(6).hex()}"
            try:
                with open(partial, "xb") as file:  # noqa: PTH123
                    file.write(msgspec.msgpack.encode(self._known[folder]))
                os.replace(partial, f"{self._place}/{folder}/{_REMEMBERED}")  # noqa: PTH105
            except OSError:
                with suppress(FileNotFoundError):
                    os.unlink(partial)  # noqa: PTH108
        self._changed.clear()

    def _of(self, folder: str) -> dict[str, Seen]:
        """What is remembered of the contents in a folder. What cannot be read is nothing."""
        known = self._known.get(folder)
        if known is None:
            try:
                with open(f"{self._place}/{folder}/{_REMEMBERED}", "rb", buffering=0) as file:  # noqa: PTH123
                    known = msgspec.msgpack.decode(file.read(), type=dict[str, Seen])
            except (OSError, msgspec.MsgspecError):
                known = {}
            self._known[folder] = known
        return known

    def _replace(self, source: str, target: str) -> None:
        partial = self._partial(target)
        os.link(source, partial)
        try:
            os.replace(partial, target)  # noqa: PTH105
        finally:
            with suppress(FileNotFoundError):  # it stays where both were the same file
                os.unlink(partial)  # noqa: PTH108

    def _clone(self, source: str, target: str, mode: int) -> Seen | None:
        """A copy that shares the blocks of the source; None where the file system has none."""
        try:
            import fcntl
        except ImportError:  # Windows
            return None
        partial = Path(self._partial(target))
        try:
            with open(source, "rb") as read, partial.open("xb") as write:  # noqa: PTH123
                try:
                    fcntl.ioctl(write.fileno(), _CLONE, read.fileno())
                except OSError:
                    return None
                moment = os.fstat(read.fileno()).st_mtime_ns
                os.utime(partial, ns=(moment, moment))
            partial.chmod(mode)
            partial.replace(target)
            return Seen.of(Path(target).stat())
        finally:
            partial.unlink(missing_ok=True)

    def _partial(self, target: str) -> str:
        return f"{target[: target.rindex(os.sep) + 1]}.{os.urandom(8).hex()}.part"


def _name(entry: Entry) -> str:
    return f"{entry.digest.hex()}x" if entry.executable else entry.digest.hex()
