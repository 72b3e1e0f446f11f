"""What a command and the process that is kept warm say to each other, and where they meet.

A request is one message on a Unix socket: a length of four bytes, then fields that end with a NUL each, which no argument
and no variable can hold. With it come standard input, output, error stream and the working directory, as open files. An
answer is one byte, and what follows it is said at the constants.

Imported by every command before anything else is: it imports what is there already.
"""

from __future__ import annotations

import binascii
import os
import struct
import sys
from typing import Final, NamedTuple

SWITCH: Final = "MODELWRIGHT_WARM"
LENGTH: Final = struct.Struct("!I")
NUMBER: Final = struct.Struct("!i")
FILES: Final = 4  # standard input, output, error stream, and the working directory
LARGEST: Final = 8 << 20  # bytes of a request: Linux takes arguments and environment of at most six

RUN, ASK, STOP = "run", "ask", "stop"

TAKEN: Final = (
    b"y"  # then the number of the process that waits for GO; and when it has ended its status, as `waitpid` has it
)
DECLINED: Final = b"n"  # then why, as text: the command does it itself
TOLD: Final = b"t"  # then a line of JSON; to STOP it ends when the process does
GO: Final = b"g"  # who has heard TAKEN says it: before, nothing is done, and who waits no more may do it itself

# What decides how Python starts, and is fixed once it has.
_START: Final = ("PYTHON", "LC_", "LANG", "ARROW_", "OMP_", "OPENBLAS_", "MKL_", "MALLOC_", "LD_")


class Request(NamedTuple):
    """What is asked: of RUN with everything that the command would have found around it."""

    wish: str
    likeness: str
    umask: int = 0
    path: str = ""  # the first folder that modules are looked for in
    arguments: tuple[str, ...] = ()  # as sys.argv
    environment: tuple[str, ...] = ()  # NAME=value

    def message(self) -> bytes:
        """The request as it is sent."""
        fields = [self.wish, self.likeness, str(self.umask), self.path, str(len(self.arguments))]
        body = b"".join([os.fsencode(each) + b"\0" for each in (*fields, *self.arguments, *self.environment)])
        return LENGTH.pack(len(body)) + body


def understood(body: bytes) -> Request:
    """The request that a message holds, without its length. ValueError where it is none."""
    *fields, end = [os.fsdecode(each) for each in body.split(b"\0")]
    wish, likeness, umask, path, count, *rest = fields
    if end or wish not in (RUN, ASK, STOP) or not 0 <= int(count) <= len(rest):
        raise ValueError("not a request")
    at = int(count)
    return Request(wish, likeness, int(umask), path, tuple(rest[:at]), tuple(rest[at:]))


def folder() -> str:
    """Where the sockets of this user's warm processes lie: where nobody else looks, and no reboot leaves them."""
    base = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return f"{base}/modelwright/warm"


def name() -> str:
    """What the process of this installation is called: another Python, or another copy of the program, has its own."""
    return f"{binascii.crc32(f'{sys.prefix}:{os.path.dirname(__file__)}'.encode('utf-8', 'surrogateescape')):08x}"  # noqa: PTH120


def private(place: str) -> bool:
    """Whether a folder is this user's own, and nobody else's business."""
    try:
        found = os.lstat(place)
    except OSError:
        return False
    return found.st_uid == os.getuid() and found.st_mode & 0o170077 == 0o040000


def likeness() -> str:
    """What a process takes over from the one that started it and cannot change, or cannot change back.

    A command is carried out by the warm process only where both are alike in all of it: user, groups, limits, priority,
    cores, namespaces (containers), and what Python reads when it starts.
    """
    import resource

    limits = [resource.getrlimit(getattr(resource, each)) for each in sorted(dir(resource)) if each.startswith("RLIMIT_")]
    started = sorted(f"{key}={value}" for key, value in os.environ.items() if key.startswith(_START))
    spaces = [os.readlink(f"/proc/self/ns/{each}") for each in ("mnt", "net", "pid", "user")]  # noqa: PTH115
    who = (os.getresuid(), os.getresgid(), sorted(os.getgroups()))
    return repr(
        (sys.flags, who, limits, os.getpriority(os.PRIO_PROCESS, 0), sorted(os.sched_getaffinity(0)), spaces, started)
    )
