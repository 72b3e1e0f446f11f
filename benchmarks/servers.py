"""Servers as processes of their own: ours, and MLflow's, which is the peer of everything that a tracking server does.

MLflow's is measured in two modes, since its usual one, several workers, waits 40 ms with each answer on a kept connection,
and with one worker it does not. Both use SQLite and keep artifacts in a folder behind the server's proxy, as ours does.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from benchmarks.cases import Skip
from benchmarks.wire import Address, Connection, request

STARTS_WITHIN = 300.0  # seconds: on a busy machine the supervisor of several workers kills some for being slow
HEALTH = request("GET", "/health")
KIBIBYTE = 1024
MIBIBYTE = 2**20
PAUSE = 0.02  # seconds between two looks
SETTLED = 0.3  # seconds that a server is given when it may go on, to do what was due meanwhile


class Server:
    """A running server: where it listens, and what it takes."""

    def __init__(self, process: subprocess.Popen[bytes], address: Address) -> None:
        self.process = process
        self.address = address
        self._halted = False

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://{self.address.host}:{self.address.port}"

    def connection(self) -> Connection:
        """A new connection to it."""
        self.go_on()
        return Connection(self.address)

    def halt(self) -> None:
        """Let none of its processes run, so that they take nothing from the server that is measured."""
        if not self._halted:
            self._signal(signal.SIGSTOP, _family(self.process.pid))  # whoever watches over others first: it would miss them
            self._halted = True

    def go_on(self) -> None:
        """Let it run again, and do what was due meanwhile."""
        if self._halted:
            self._signal(signal.SIGCONT, reversed(list(_family(self.process.pid))))
            self._halted = False
            time.sleep(SETTLED)

    @staticmethod
    def _signal(sent: signal.Signals, processes: Iterable[int]) -> None:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, sent)

    def memory(self) -> float:
        """MiB held by its processes together, what they share counted once (proportional set size)."""
        return sum(_held(each) for each in _family(self.process.pid)) / MIBIBYTE

    def stop(self, *, within: float = 30) -> None:
        """End it, what it started, and wait: so many seconds for it to end by itself."""
        self.go_on()
        family = list(_family(self.process.pid))
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(within)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self._signal(signal.SIGKILL, family)
        self.process.wait(30)


class Peak:
    """The most memory that a server held while the block ran, in MiB."""

    def __init__(self, server: Server) -> None:
        self.before = server.memory()
        self.most = self.before
        self._server, self._done = server, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(PAUSE):
            self.most = max(self.most, self._server.memory())


def need_mlflow() -> None:
    """Skip where the peer is not installed."""
    if importlib.util.find_spec("mlflow") is None:
        raise Skip("MLflow is not installed, and there is nothing to compare with")


@contextmanager
def mlflow(folder: Path, *, workers: int | None = None) -> Iterator[Server]:
    """MLflow's own server in a folder; `workers` None is as it is shipped."""
    folder.mkdir(parents=True, exist_ok=True)
    server = start_mlflow(folder, workers=workers)
    try:
        yield server
    finally:
        server.stop()


def start_mlflow(folder: Path, *, workers: int | None = None) -> Server:
    """The same, to be stopped by the caller."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    if workers is not None:
        command += ["--workers", str(workers)]
    return start_server(command, folder, Address("127.0.0.1", port))


@contextmanager
def ours(project: Path) -> Iterator[Server]:
    """Our server in a folder, as `mw up` starts it: everything on disk before it is answered."""
    server = start_ours(project)
    try:
        yield server
    finally:
        server.stop()


def start_ours(project: Path) -> Server:
    """The same, to be stopped by the caller."""
    project.mkdir(parents=True, exist_ok=True)
    (project / "modelwright.toml").touch()
    port = free_port()
    return start_server(
        [sys.executable, "-m", "modelwright.cli", "up", "--port", str(port), "--quiet"], project, Address("127.0.0.1", port)
    )


def start_server(command: Sequence[str], folder: Path, address: Address) -> Server:
    surroundings = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    surroundings |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "PYTHONUNBUFFERED": "1"}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=surroundings, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    server = Server(process, address)
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        with suppress(OSError, EOFError, RuntimeError), server.connection() as connection:
            connection.ask(HEALTH)
            return server
        if process.poll() is not None or time.monotonic() > deadline:
            server.stop()
            said = (folder / "server.log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(command)} did not start:\n{said}")
        time.sleep(PAUSE)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _family(process: int) -> Iterator[int]:
    yield process
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


def _held(process: int) -> int:
    """Bytes: proportional where the system says it, else resident."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * KIBIBYTE
    with suppress(OSError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
