"""A command's half: have it carried out by the process that is kept warm, if there is one and it may."""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import TYPE_CHECKING, Final

from modelwright.cli.warm.speech import (
    ASK,
    FILES,
    GO,
    NUMBER,
    RUN,
    STOP,
    SWITCH,
    TAKEN,
    TOLD,
    Request,
    folder,
    likeness,
    name,
    private,
)

if TYPE_CHECKING:
    from socket import socket

# They stay, start others, or run what people wrote, for long: how they start does not matter, and where they run does.
_THEMSELVES: Final = {"up", "demo", "run", "reproduce", "warm"}
_PATIENCE: Final = 2.0  # seconds that the process may take to say whether it does it


def carried_out(arguments: list[str]) -> int | None:
    """The exit code of a command that the warm process carried out; None where it did not, and nothing was done.

    A command that was ended by a signal ends this process by the same one.
    """
    if not arguments or arguments[0] in _THEMSELVES or arguments[0].startswith("-"):
        return None
    if os.environ.get(SWITCH, "").lower() in ("off", "0", "no", "false"):
        return None
    line = _connected()
    if line is None:
        return None
    with line:
        try:
            process = _handed(line)
        except (OSError, ValueError):
            return None
        return None if process is None else _awaited(line, process)


def said(wish: str) -> str | None:
    """What the warm process says to ASK (a line of JSON on how it is), or to STOP when it has ended. None of none."""
    assert wish in (ASK, STOP)
    line = _connected()
    if line is None:
        return None
    with line:
        try:
            line.sendall(Request(wish, "").message())
            line.settimeout(None if wish == STOP else _PATIENCE)
            answer = b"".join(iter(lambda: line.recv(65536), b""))
        except OSError:
            return None
    return os.fsdecode(answer[1:]) if answer[:1] == TOLD else None


def _connected() -> socket | None:
    """A line to the warm process; None if there is none, or somebody else listens there."""
    place = folder()
    path = f"{place}/{name()}"
    if not sys.platform.startswith("linux") or not os.path.exists(path) or not private(place):  # noqa: PTH110
        return None
    import socket

    line = socket.socket(socket.AF_UNIX)
    try:
        line.settimeout(_PATIENCE)
        line.connect(path)
        peer = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 3 * NUMBER.size)
        if NUMBER.unpack_from(peer, NUMBER.size)[0] == os.getuid():
            return line
    except OSError:  # left behind by one that was killed, or too long a name
        pass
    line.close()
    return None


def _handed(line: socket) -> int | None:
    """Hand the command over; the number of the process that does it, None where it was declined."""
    import socket

    mask = os.umask(0o077)
    os.umask(mask)
    environment = tuple(f"{key}={value}" for key, value in os.environ.items())
    message = Request(RUN, likeness(), mask, sys.path[0] if sys.path else "", tuple(sys.argv), environment).message()
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        sent = socket.send_fds(line, [message], [0, 1, 2, here])
    finally:
        os.close(here)
    assert FILES == 4
    line.sendall(message[sent:])
    answer = _read(line, 1 + NUMBER.size)
    return NUMBER.unpack_from(answer, 1)[0] if answer[:1] == TAKEN and len(answer) == 1 + NUMBER.size else None


def _read(line: socket, size: int) -> bytes:
    """So many bytes, or fewer where there are no more."""
    got = b""
    while len(got) < size and (more := line.recv(size - len(got))):
        got += more
    return got


def _awaited(line: socket, process: int) -> int:
    """Wait for the process that carries the command out, and hand on to it what the terminal, or anybody, signals."""
    import signal

    def hand_on(number: int, _: FrameType | None) -> None:
        try:
            os.killpg(process, signal.SIGSTOP if number == signal.SIGTSTP else number)
            if number == signal.SIGTSTP:
                os.kill(os.getpid(), signal.SIGSTOP)
                os.killpg(process, signal.SIGCONT)
        except ProcessLookupError:
            pass

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, hand_on)
    line.settimeout(None)
    try:
        line.sendall(GO)
        answer = _read(line, NUMBER.size)
    except OSError:
        answer = b""
    if len(answer) < NUMBER.size:
        hand_on(signal.SIGHUP, None)
        sys.stderr.write(
            "Error (unavailable): The process that keeps the program warm was killed, and with it this command.\n"
            "Look at what it was to change, it may have come so far; `mw warm` starts another.\n"
        )
        return 8
    code = os.waitstatus_to_exitcode(NUMBER.unpack(answer)[0])
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code
