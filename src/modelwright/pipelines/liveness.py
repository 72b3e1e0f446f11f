"""Naming a worker, so that another on the same machine can tell whether it is still there."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path


def worker_name() -> str:
    """`host:boot:process:start:nonce`: no other process, on this or another machine, ever has the same."""
    return ":".join([socket.gethostname(), _boot(), str(os.getpid()), _started(os.getpid()), secrets.token_hex(4)])


def is_gone(worker: str) -> bool:
    """Whether a worker is known to be dead. False where that cannot be told from here: the lease decides then."""
    host, boot, process, started, _ = worker.split(":") if worker.count(":") == 4 else ("", "", "", "", "")
    if host != socket.gethostname() or not process.isdigit():
        return False
    if boot != _boot():
        return True  # the machine has been started anew since
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return bool(started) and _started(int(process)) != started


def _boot() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def _started(process: int) -> str:
    """When a process started, in ticks since the machine did; empty where the system does not say."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state[0] == "Z" else state[19]
