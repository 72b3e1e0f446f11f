"""Files of others as objects without a copy: their blocks are shared where the file system can do that, else it is a link.

A hard link is the same file under two names. So it is made read-only, and that is what such an object is told by. Its time
of modification is its owner's, and stays; how old it is as an object, its last change of links or mode says.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from modelwright.core.blobs import How
from modelwright.core.errors import Conflict
from modelwright.core.folders import Seen

_CLONE: Final = 0x40049409  # FICLONE
_WRITABLE: Final = 0o222
_CANNOT: Final = frozenset({errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP, errno.EACCES, errno.EROFS})


def refusal(path: Path, folder: Path) -> str:
    """Why a file cannot be taken over into a folder; empty where nothing is in the way of trying."""
    if os.name != "posix":
        return "this system has no links that it could be told by"
    found = path.stat()
    if found.st_dev != folder.stat().st_dev:
        return "it lies on another file system than the objects"
    if found.st_uid != os.geteuid():
        return "it belongs to somebody else, who could write to it at any time"
    return ""


def take(path: Path, partial: Path, seen: Seen) -> How | None:
    """Bring a file, as it was `seen` when its digest was computed, to a place beside the objects, read-only and flushed.

    `Conflict` where it is not as it was seen any more; None where the file system takes no link to it.
    """
    how: How = "cloned"
    if not _clone(path, partial):
        how = "linked"
        try:
            os.link(path, partial, follow_symlinks=False)
        except OSError as error:
            if error.errno in _CANNOT:
                return None
            raise
    found = partial.lstat()
    if Seen.of(path.lstat()) != seen or (how == "linked" and Seen.of(found) != seen) or not stat.S_ISREG(found.st_mode):
        raise Conflict(f"{path} changed while it was read.", mend="Try again when nothing writes to it.")
    partial.chmod(stat.S_IMODE(found.st_mode) & ~_WRITABLE | stat.S_IRUSR)
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # whoever wrote it may not have
    finally:
        os.close(descriptor)
    return how


def is_adopted(found: os.stat_result) -> bool:
    """Whether an object is a file that was taken over, or has another name beside that of the object."""
    return found.st_nlink > 1 or not found.st_mode & stat.S_IWUSR


def stored_at(found: os.stat_result) -> float:
    """When an object was last stored, in seconds since 1970."""
    return max(found.st_mtime, found.st_ctime) if is_adopted(found) else found.st_mtime


def renew(path: Path) -> None:
    """Make an object as young as one that is stored now; the time of a file that was taken over stays its owner's."""
    found = path.stat()
    if is_adopted(found):
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    else:
        os.utime(path)


def left(folder: Path, before: float, prefix: str = "") -> list[Path]:
    """What somebody of this account began in a folder, by names that begin so, and has not touched since a moment."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):
            there = path.lstat()
            own = not hasattr(os, "geteuid") or there.st_uid == os.geteuid()
            old = max(there.st_mtime, there.st_ctime) < before
            if path.name.startswith(prefix) and own and old and stat.S_ISREG(there.st_mode):
                found.append(path)
    return found


def _clone(path: Path, partial: Path) -> bool:
    """Make a copy that shares the blocks, where the file system can."""
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    mode = 0o700 if path.stat().st_mode & stat.S_IXUSR else 0o600
    source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        target = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        try:
            fcntl.ioctl(target, _CLONE, source)
        except OSError:
            partial.unlink()
            return False
        finally:
            os.close(target)
    finally:
        os.close(source)
    return True
