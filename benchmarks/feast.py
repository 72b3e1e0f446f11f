"""Feast as a peer: a process in an environment of its own, since it wants other versions of what we want too.

python -m venv .feast && .feast/bin/pip install 'feast[duckdb,redis]'
FEAST_PYTHON=.feast/bin/python python -m benchmarks point-in-time features-online
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.cases import Measured, Skip
from benchmarks.servers import PAUSE, Server, free_port, start_server
from benchmarks.wire import Address

SIDE = Path(__file__).with_name("feast_side.py")
TTL = "30d"
TTL_SECONDS = 30 * 86_400


class Feast:
    """A feature store of Feast's in a folder, which does what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "feast.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [need_feast(), "-I", str(SIDE), str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ask(self, do: str, **what: Any) -> dict[str, Any]:
        """One thing done; see `feast_side`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"Feast did not {do}:\n{self._log.read_text(errors='replace')[-2000:]}")
        told: dict[str, Any] = json.loads(line)
        return told

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(30)


@contextmanager
def feast(folder: Path, *, engine: str, views: Mapping[str, Any], online: str = "") -> Iterator[Feast]:
    """Feast with an offline engine (dask or duckdb), an online store (SQLite, or Redis at an address), and views."""
    running = Feast(folder)
    try:
        running.ask("define", engine=engine, online=online, views=views)
        yield running
    finally:
        running.stop()


def need_feast() -> str:
    """The Python that has Feast; skip where there is none."""
    found = os.environ.get("FEAST_PYTHON") or shutil.which("feast")
    if not found:
        raise Skip("Feast is not here: FEAST_PYTHON names the Python of an environment that has it, with duckdb and redis")
    path = Path(found).absolute()
    return str(path if path.name.startswith("python") else path.with_name("python"))


@contextmanager
def feast_server(folder: Path) -> Iterator[Server]:
    """Feast's feature server over the store in a folder, as it comes."""
    port = free_port()
    command = [need_feast(), "-I", "-m", "feast.cli.cli", "-c", str(folder), "serve", "-h", "127.0.0.1", "-p", str(port)]
    server = start_server([*command, "--no-access-log"], folder, Address("127.0.0.1", port))
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def redis(folder: Path) -> Iterator[int]:
    """A Redis of our own that writes nothing to disk; its port."""
    if shutil.which("redis-server") is None:
        raise Skip("there is no redis-server on the path")
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with (folder / "redis.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        time.sleep(PAUSE * 25)
        yield port
    finally:
        process.kill()
        process.wait(30)


class Sides:
    """The figures of both sides of a case by turns: on the clock, and of the processors from the same runs."""

    def __init__(self, run: Callable[[], dict[str, Any]]) -> None:
        self._run = run
        self._processors: list[float] = []

    def wall(self, _: object) -> Measured:
        """Do it, and tell the seconds on the clock."""
        found = self._run()
        self._processors.append(found["cpu"])
        return Measured(found["wall"])

    def cpu(self, _: object) -> Measured:
        """The seconds that the processors worked in one of those runs."""
        return Measured(self._processors.pop())


def ours(work: Callable[[], object]) -> Callable[[], dict[str, float]]:
    """What runs in this process, timed as Feast's side times itself."""

    def run() -> dict[str, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}

    return run
