"""The process that is kept warm: everything that commands import is loaded, and each command is a fork of it.

It has one thread, no open file, no connection, and nothing of anybody's: what a command needs comes with the request,
and is gone with the fork. It listens where only its user can reach, and asks the system who it is that asks. It declines
what it could not do just as the command itself would. It ends when it has not been asked for a while, when the program on
the disk is not the one that it has loaded, and when it is told to.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import IO, Any, Final, NoReturn

from modelwright.cli.stopping import stopped
from modelwright.cli.warm.speech import (
    DECLINED,
    FILES,
    GO,
    LARGEST,
    LENGTH,
    NUMBER,
    RUN,
    STOP,
    TAKEN,
    TOLD,
    Request,
    folder,
    likeness,
    name,
    private,
    understood,
)

_PATIENCE: Final = 1.0  # seconds that a request may take to come whole; who asks meanwhile waits
_LATER: Final = (
    "modelwright.server",
    "modelwright.operator",
    "modelwright.testing",
)  # of commands that start by themselves
_HEAVY: Final = (  # what our own modules import where they use it
    "alembic.migration",
    "click.shell_completion",
    "duckdb",
    "getpass",
    "httpx",
    "obstore.store",
    "pyarrow.compute",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "rich.progress",
    "rich.table",
    "rich.tree",
    "sqlalchemy.dialects.sqlite",
    "sqlglot",
    "typer.core",
)
_ENDING: Final = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD}
_Found = dict[str, tuple[int, int]]
CarryOut = Callable[[], NoReturn]


def serve(idle: float, ready: IO[str], carry_out: CarryOut) -> None:
    """Load the program and carry out commands until nobody has asked for `idle` seconds.

    `carry_out` does what `sys.argv` says, and ends the process. To `ready` goes one line when it listens: `ready`, or why
    it cannot.
    """
    with contextlib.ExitStack() as held:
        try:
            path = _place()
            lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held.callback(os.close, lock)
            _locked(lock)
            load()
            _unlinked(path)  # of one that was killed
            listener = held.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(path)
            listener.listen(64)
        except OSError as error:
            ready.write(f"{error}\n")
            ready.close()
            return
        held.callback(_unlinked, path)
        ready.write("ready\n")
        ready.close()
        Keeper(listener, path, idle, lock, carry_out).stay()


def load() -> None:
    """Import what commands import, and keep the collector from looking at it ever again."""
    gc.disable()
    for module in (*_own(), *_HEAVY):
        with contextlib.suppress(ImportError):  # an extra that is not installed, which the command tells
            importlib.import_module(module)
    gc.collect()
    gc.freeze()
    gc.enable()


def _own() -> Iterator[str]:
    """Our own modules that a command may import."""
    import modelwright

    pending = [([*modelwright.__path__], "modelwright.")]
    while pending:
        path, prefix = pending.pop()
        for each in pkgutil.iter_modules(path, prefix):
            if each.name.startswith(_LATER) or each.name.rpartition(".")[2].startswith("__"):
                continue
            yield each.name
            if each.ispkg and (found := sys.modules.get(each.name)) is not None:
                pending.append(([*found.__path__], f"{each.name}."))


class Keeper:
    """Answers requests, one after the other, and waits for what it forked."""

    def __init__(self, listener: socket.socket, path: str, idle: float, lock: int, carry_out: CarryOut) -> None:
        self._carries_out = carry_out
        self._listener = listener
        self._path = path
        self._idle = idle
        self._alike = likeness()
        self._loaded = _files()
        self._began = time.time()
        self._carried_out = 0
        self._running: dict[int, socket.socket] = {}  # by process
        self._waiting: list[socket.socket] = []  # for the end
        self._ends = False
        self._hear, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._own = (lock, self._hear, self._wake, listener.fileno())  # what a command has no part in

    def stay(self) -> None:
        """Answer until it is time to end, and everything that was begun has ended."""
        signal.set_wakeup_fd(self._wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        asked = time.monotonic()
        while not self._ends:
            left = asked + self._idle - time.monotonic()
            listener = self._listener.fileno()
            ready, _, _ = select.select([self._hear, listener], [], [], None if self._running else max(left, 0))
            self._reap()
            if listener in ready and not self._ends:
                asked = time.monotonic()
                self._meet()
            elif not self._running and time.monotonic() - asked >= self._idle:
                self._end()
        _unlinked(self._path)
        self._listener.close()
        while self._running:
            select.select([self._hear], [], [])
            self._reap()

    def _end(self) -> None:
        self._ends = True

    def _reap(self) -> None:
        """Tell whoever waits how its command ended."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._hear, 4096)
        while self._running:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            if (line := self._running.pop(process, None)) is not None:
                with line, contextlib.suppress(OSError):
                    line.send(NUMBER.pack(status), socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)

    def _meet(self) -> None:
        """Take one request, and answer it."""
        try:
            line, _ = self._listener.accept()
        except OSError:  # whoever knocked is gone
            return
        files: list[int] = []
        try:
            line.settimeout(_PATIENCE)
            request = self._heard(line, files)
            if request is None:
                line.close()
            elif request.wish == RUN:
                self._run(line, request, files)
            else:
                line.sendall(TOLD + json.dumps(self._state()).encode())
                if request.wish == STOP:
                    self._waiting.append(line)
                    self._end()
                else:
                    line.close()
        except (OSError, ValueError):
            line.close()
        finally:
            for file in files:
                os.close(file)

    def _heard(self, line: socket.socket, files: list[int]) -> Request | None:
        """A request; None of somebody else's. The files that came with it are put into `files`."""
        peer = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 3 * NUMBER.size)
        if NUMBER.unpack_from(peer, NUMBER.size)[0] != os.getuid():
            return None
        got, came, _, _ = socket.recv_fds(line, 65536, FILES)
        files += came
        while got and (len(got) < LENGTH.size or len(got) < LENGTH.size + self._length(got)):
            more = line.recv(65536)
            if not more:
                return None
            got += more
        return understood(got[LENGTH.size :]) if got else None

    def _length(self, got: bytes) -> int:
        length = int(LENGTH.unpack_from(got)[0])
        if length > LARGEST:
            raise ValueError("too long a request")
        return length

    def _run(self, line: socket.socket, request: Request, files: list[int]) -> None:
        """Fork for a command, or decline it."""
        if _files() != self._loaded:
            line.sendall(DECLINED + b"another version of the program is installed")
            line.close()
            self._end()
            return
        if request.likeness != self._alike or len(files) != FILES:
            line.sendall(DECLINED + b"it was started in other circumstances")
            line.close()
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # until the child is no longer what this is
        try:
            process = os.fork()
            if process == 0:
                with contextlib.suppress(BaseException):  # nothing of it may come back into this loop
                    self._carry_out(line, request, files)
                os._exit(70)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        self._carried_out += 1
        self._running[process] = line
        with contextlib.suppress(ProcessLookupError, PermissionError):  # as the child does: whoever is first
            os.setpgid(process, process)
        line.sendall(TAKEN + NUMBER.pack(process))

    def _carry_out(self, line: socket.socket, request: Request, files: list[int]) -> NoReturn:
        """Become the command that was asked for."""
        import fcntl

        signal.set_wakeup_fd(-1)
        for number in _ENDING:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with contextlib.suppress(PermissionError):
            os.setpgid(0, 0)
        for each in (*self._running.values(), *self._waiting):
            each.close()
        for file in self._own:
            os.close(file)
        _become(request, files)
        line.setblocking(True)
        if line.recv(1) != GO:  # whoever asked does it itself, or is gone
            os._exit(0)
        # Who waits for the command and is gone hangs up, as a terminal does that is closed.
        fcntl.fcntl(line, fcntl.F_SETOWN, -os.getpid())
        fcntl.fcntl(line, fcntl.F_SETSIG, signal.SIGHUP)
        fcntl.fcntl(line, fcntl.F_SETFL, fcntl.fcntl(line, fcntl.F_GETFL) | os.O_ASYNC)
        gone = select.poll()
        gone.register(line, select.POLLRDHUP)
        if gone.poll(0):
            os._exit(0)
        line.close()
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)  # which lets Ctrl-C in that came meanwhile
            self._carries_out()
        except SystemExit as left:
            _flush()
            os._exit(left.code if isinstance(left.code, int) else 1)
        except KeyboardInterrupt:
            code = stopped()
            _flush()
            os._exit(code)
        except BaseException:  # noqa: BLE001 - it is told as Python tells it
            traceback.print_exc()
            _flush()
            os._exit(1)

    def _state(self) -> dict[str, float | int]:
        with open("/proc/self/statm") as file:  # noqa: PTH123
            pages = int(file.read().split()[1])
        return {
            "process": os.getpid(),
            "began": self._began,
            "idle": self._idle,
            "carried_out": self._carried_out,
            "running": len(self._running),
            "bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        }


def _become(request: Request, files: list[int]) -> None:
    """Take over files, folder, environment and arguments of the command that asked."""
    for number, file in enumerate(files[:3]):
        os.dup2(file, number, inheritable=True)
    os.fchdir(files[3])
    for file in files:
        os.close(file)
    os.umask(request.umask)
    os.environ.clear()
    for each in request.environment:
        key, _, value = each.partition("=")
        os.environ[key] = value
    time.tzset()
    sys.argv = list(request.arguments)
    sys.path.insert(0, request.path)
    sys.modules["__main__"].__file__ = request.arguments[0]  # for whoever asks whether a script runs, or somebody types
    sys.stdin = _stream(0, sys.stdin)
    sys.stdout = _stream(1, sys.stdout)
    sys.stderr = _stream(2, sys.stderr)
    if "numpy.random" in sys.modules:  # whose generator all would share
        sys.modules["numpy.random"].seed()


def _stream(number: int, like: Any) -> Any:
    """A standard stream as Python opens it: those written to line by line on a terminal, and where errors are told."""
    lines = number == 2 or (number == 1 and os.isatty(number))
    mode = "w" if number else "r"
    return open(number, mode, 1 if lines else -1, encoding=like.encoding, errors=like.errors, closefd=False)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def _place() -> str:
    """The path of the socket, in a folder that is made if there is none. OSError where that is not ours alone."""
    place = folder()
    os.makedirs(place, mode=0o700, exist_ok=True)  # noqa: PTH103
    if not private(place):
        raise OSError(f"{place} is open to others: it must be its user's alone (chmod 700)")
    path = f"{place}/{name()}"
    if len(os.fsencode(path)) > 107:
        raise OSError(f"{path} is too long a name for a socket; a shorter one comes of XDG_RUNTIME_DIR")
    return path


def _locked(lock: int) -> None:
    """Be the only one; another that is about to end is waited for."""
    import fcntl

    for _ in range(100):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.05)
    raise OSError("another one does not end; see: mw warm --stop")


def _unlinked(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108


def _files() -> _Found:
    """When what is loaded, and the folders that packages lie in, were last changed."""
    found: _Found = {}
    ours = [getattr(each, "__file__", None) for key, each in list(sys.modules.items()) if key.startswith("modelwright")]
    for path in (*ours, *sys.path):
        with contextlib.suppress(OSError, TypeError):
            state = os.stat(path)  # type: ignore[arg-type] # noqa: PTH116
            found[str(path)] = state.st_mtime_ns, state.st_size
    return found


def main(carry_out: CarryOut) -> None:
    """`python -c`, with how long to stay (seconds) and the file to say ready to."""
    serve(float(sys.argv[1]), os.fdopen(int(sys.argv[2]), "w"), carry_out)
    os._exit(0)
