"""What the machine does while a run runs: metrics under `system/`, from a thread, until the run ends.

From `/proc`, or where there is none from psutil, if that is installed; of GPUs what `nvidia-smi` tells, where there is one.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelwright.tracking.run import TrackedRun

MIB = 1 << 20
PATIENCE = 5  # seconds for nvidia-smi


class Sampler:
    """Samples for one run, every so many seconds."""

    def __init__(self, run: TrackedRun, every: float) -> None:
        self._run, self._every = run, every
        self._stop = threading.Event()
        self._machine = Machine()
        self._thread = threading.Thread(target=self._work, name=f"system metrics {run.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more samples."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(PATIENCE)

    def _work(self) -> None:
        while not self._stop.wait(self._every):
            try:
                found = self._machine.sample()
                if found and not self._stop.is_set():
                    self._run.log_metrics({f"system/{name}": value for name, value in found.items()})
            except Exception:  # noqa: BLE001 - it is a courtesy; the run goes on without it
                return


class Machine:
    """The machine and this process, measured from one sample to the next."""

    def __init__(self) -> None:
        self._before = _times()
        self._own = _own_time()
        self._nvidia = shutil.which("nvidia-smi")

    def sample(self) -> dict[str, float]:
        """Percentages since the sample before; memory as it is now."""
        return {**self._processor(), **_memory(), **self._accelerators()}

    def _processor(self) -> Mapping[str, float]:
        now, own = _times(), _own_time()
        found: dict[str, float] = {}
        if now and self._before and now[1] > self._before[1]:
            passed = now[1] - self._before[1]
            found["cpu_percent"] = 100 * (1 - (now[0] - self._before[0]) / passed)
        seconds = own[1] - self._own[1]
        if seconds > 0:
            found["process_cpu_percent"] = 100 * (own[0] - self._own[0]) / seconds
        self._before, self._own = now, own
        return found

    def _accelerators(self) -> Mapping[str, float]:
        if self._nvidia is None:
            return {}
        query = "--query-gpu=index,utilization.gpu,memory.used,power.draw"
        command = [self._nvidia, query, "--format=csv,noheader,nounits"]
        try:
            done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)  # noqa: S603
        except (OSError, subprocess.SubprocessError):
            self._nvidia = None
            return {}
        return gpu_figures(done.stdout.decode(errors="replace"))


def gpu_figures(listing: str) -> dict[str, float]:
    """What `nvidia-smi` printed, as metrics; what it does not know of a card is left out."""
    found = {}
    for line in listing.splitlines():
        index, *figures = [each.strip() for each in line.split(",")]
        for name, text in zip(("utilization_percent", "memory_mib", "power_watts"), figures, strict=False):
            try:
                found[f"gpu_{index}_{name}"] = float(text)
            except ValueError:
                continue
    return found


def _psutil() -> Any | None:
    try:
        return importlib.import_module("psutil")
    except ImportError:
        return None


def _times() -> tuple[float, float] | None:
    """Seconds that all processors were idle, and that passed on all of them."""
    stat = Path("/proc/stat")
    if stat.exists():
        parts = [int(each) for each in stat.read_text().partition("\n")[0].split()[1:9]]
        return float(parts[3] + parts[4]), float(sum(parts))
    found = _psutil()
    if found is None:
        return None
    times = found.cpu_times()
    return float(times.idle), float(sum(times))


def _own_time() -> tuple[float, float]:
    used = os.times()
    return used.user + used.system, time.monotonic()


def _memory() -> dict[str, float]:
    info, own = Path("/proc/meminfo"), Path("/proc/self/statm")
    if info.exists() and own.exists():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines())
        total, free = (int(lines[key].split()[0]) / 1024 for key in ("MemTotal", "MemAvailable"))
        resident = int(own.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB
        return {"memory_mib": total - free, "memory_percent": 100 * (1 - free / total), "process_memory_mib": resident}
    found = _psutil()
    if found is None:
        return {}
    whole = found.virtual_memory()
    resident = found.Process().memory_info().rss / MIB
    return {
        "memory_mib": (whole.total - whole.available) / MIB,
        "memory_percent": float(whole.percent),
        "process_memory_mib": resident,
    }
