"""The work on a folder, begun by a process beside before the command that wants it has read the rest of the program.

Half of a command's start is SQLAlchemy, which only the record needs; on a second core the folder is looked at
meanwhile, and what is new in it is read and stored. The process guesses by what is remembered of the folder which version
will be the newest, or is to be checked out. What it then did counts only when the command, which asks for the right, names
the same one; objects that nobody refers to in the end are the collector's. It writes into the folder, and remembers, when
it is told to.

Where it fails, or is gone, the command does the work itself, and tells what is wrong.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from modelwright.core import config
from modelwright.core.blobs import Blobs
from modelwright.core.folders import Indexes, real
from modelwright.datasets.folderwork import Added, Here, Listing, Share, Told

if TYPE_CHECKING:
    from modelwright.datasets.checkout import CheckedOut

_EVERY: Final = 0.05  # seconds between two words of how far it has come
_MANY: Final = 50_000  # bytes of an index: below, what it remembers is found as quickly by the command itself
_HEAD: Final = 4  # bytes that say how long a message is


class _Add(msgspec.Struct, frozen=True, tag=True):
    newest: Listing | None
    verify: bool
    link: bool


class _Remember(msgspec.Struct, frozen=True, tag=True):
    version: Listing


class _Checkout(msgspec.Struct, frozen=True, tag=True):
    version: Listing
    patterns: list[str]
    share: Share
    force: bool


class _Told(msgspec.Struct, frozen=True, tag=True):
    done: float


class _Done(msgspec.Struct, frozen=True, tag=True):
    """An answer, as MessagePack: of what it is, whoever asked knows."""

    answer: bytes


class _Failed(msgspec.Struct, frozen=True, tag=True):
    pass


_Wish = _Add | _Remember | _Checkout
_Word = _Told | _Done | _Failed
T = TypeVar("T")


class Beside:
    """`FolderWork` by the process beside; what that cannot do is done here."""

    def __init__(self, process: int, ask: IO[bytes], hear: IO[bytes], root: Path, home: Path) -> None:
        self.root, self.home = root, home
        self._process = process
        self._ask = ask
        self._hear = hear
        self._here: Here | None = None
        self._alone: Callable[[], Here] | None = None

    def joined(self, alone: Callable[[], Here]) -> Beside:
        """The same, with what makes the work that is done in this process."""
        self._alone = alone
        return self

    def add(self, newest: Listing | None, *, verify: bool, link: bool, told: Told) -> Added:
        """See `FolderWork`."""
        found = self._wish(_Add(newest, verify, link), Added, told)
        return found or self._mine().add(newest, verify=verify, link=link, told=told)

    def remember(self, version: Listing) -> None:
        """See `FolderWork`."""
        if self._here is not None:
            self._here.remember(version)
        else:
            self._wish(_Remember(version), bool, lambda done: None)  # else it is all read again when it is added again
        self.leave()

    def checkout(self, version: Listing, patterns: Sequence[str], *, share: Share, force: bool, told: Told) -> CheckedOut:
        """See `FolderWork`."""
        from modelwright.datasets.checkout import CheckedOut

        done = self._wish(_Checkout(version, list(patterns), share, force), CheckedOut, told)
        done = done or self._mine().checkout(version, patterns, share=share, force=force, told=told)
        self.leave()
        return done

    def leave(self) -> None:
        """Part with the process, which ends when it hears no more."""
        for file in (self._ask, self._hear):
            with suppress(OSError):
                file.close()
        with suppress(ChildProcessError):
            os.waitpid(self._process, 0)

    def _mine(self) -> Here:
        if self._here is None:
            assert self._alone is not None, "used before it was joined"
            self.leave()
            self._here = self._alone()
        return self._here

    def _wish(self, wish: _Wish, wanted: type[T], told: Told) -> T | None:
        """Have something done; None if it was not."""
        if self._here is not None:
            return None
        try:
            _send(self._ask, wish)
            while (word := _received(self._hear, _Word)) is not None:
                if isinstance(word, _Told):
                    told(word.done)
                else:
                    return msgspec.msgpack.decode(word.answer, type=wanted) if isinstance(word, _Done) else None
        except (OSError, ValueError, msgspec.MsgspecError):
            pass
        return None


_begun: Beside | None = None


def begin(folder: Path, *, ref: str | None, verify: bool = False) -> None:
    """Begin the work on a folder or file to be added to the project around, or to become `ref`, if that is quicker.

    Only for a process that has one thread, and nothing open.
    """
    global _begun
    if not sys.platform.startswith("linux") or len(os.sched_getaffinity(0)) < 2 or not _idle():
        return
    project, root = config.find_project(Path.cwd()), real(folder)
    if project is None or (ref is None and not root.exists()):
        return
    home = project.absolute() / config.HOME
    with suppress(FileNotFoundError):  # where nothing is remembered, there is much to do, or little to lose
        if Indexes(config.datasets_cache(home) / "trees").size(root) < _MANY:
            return
    asked, ask = os.pipe()
    hear, heard = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(ask)
        os.close(hear)
        code = 1
        try:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):  # whoever waits for the command's output does not wait for this process
                os.dup2(nowhere, stream)
            _work(os.fdopen(asked, "rb"), os.fdopen(heard, "wb", buffering=0), root, home, ref, verify=verify)
            code = 0
        finally:
            os._exit(code)
    os.close(asked)
    os.close(heard)
    _begun = Beside(process, os.fdopen(ask, "wb", buffering=0), os.fdopen(hear, "rb"), root, home)


def _idle() -> bool:
    """Whether there is a core that others leave alone: else two processes take as long as one, and a little more."""
    return os.getloadavg()[0] < len(os.sched_getaffinity(0))


def taken(blobs: Blobs, root: Path, indexes: Indexes, place: Path | None) -> Beside | None:
    """The work that was begun, if it is that on this folder, for the workspace with these objects and indexes."""
    global _begun
    begun, _begun = _begun, None
    if begun is None:
        return None
    cache = config.datasets_cache(begun.home)
    here = getattr(blobs, "location", "") == str(begun.home / "objects")
    if begun.root != root or not here or indexes.place != cache / "trees" or place != cache:
        begun.leave()
        return None
    return begun.joined(lambda: Here(blobs, root, indexes, place))


def _work(asked: IO[bytes], heard: IO[bytes], root: Path, home: Path, ref: str | None, *, verify: bool) -> None:
    """What the process beside does, until nobody asks any more."""
    from modelwright.store.objects import Objects

    if not config.keeps_own_objects(home.parent):
        return
    cache = config.datasets_cache(home)
    work = Here(Objects.open(home / "objects"), root, Indexes(cache / "trees"), cache)
    tell = _Telling(heard)
    guess, ready = _guess(work, ref), None
    if ref is None and (guess is not None or not work.index.ref):
        with suppress(Exception):  # whoever asks is told so, or does it without mistake
            ready = work.add(guess, verify=verify, link=False, told=tell)
    elif ref is not None and root.is_dir():
        with suppress(Exception):
            work.expect(guess)
    while (wish := _received(asked, _Wish)) is not None:
        try:
            if isinstance(wish, _Add):
                if ready is None or (wish.newest, wish.verify, wish.link) != (guess, verify, False):
                    ready = work.add(wish.newest, verify=wish.verify, link=wish.link, told=tell)
                answer: Any = ready
            elif isinstance(wish, _Checkout):
                answer = work.checkout(wish.version, wish.patterns, share=wish.share, force=wish.force, told=tell)
            else:
                work.remember(wish.version)
                answer = True
        except Exception:  # noqa: BLE001 - the command does it again, and says what is wrong
            _send(heard, _Failed())
            return
        _send(heard, _Done(msgspec.msgpack.encode(answer)))


def _guess(work: Here, ref: str | None) -> Listing | None:
    """The version that will be the newest, or that a ref means."""
    name = work.index.ref if ref is None else ref
    manifest = work.index.manifests.get(name)
    return None if manifest is None else Listing(name, manifest)


class _Telling:
    """Says now and then how far the work has come."""

    def __init__(self, heard: IO[bytes]) -> None:
        self._heard = heard
        self._next = 0.0

    def __call__(self, done: float) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _EVERY
            _send(self._heard, _Told(done))


def _send(file: IO[bytes], message: _Wish | _Word) -> None:
    data = msgspec.msgpack.encode(message)
    rest = memoryview(len(data).to_bytes(_HEAD, "little") + data)
    while len(rest):
        rest = rest[file.write(rest) :]


def _received(file: IO[bytes], wanted: Any) -> Any:
    """The next message; None where there are no more."""
    head = file.read(_HEAD)
    if len(head) < _HEAD:
        return None
    data = file.read(int.from_bytes(head, "little"))
    return msgspec.msgpack.decode(data, type=wanted)
