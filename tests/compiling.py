"""Test modules are compiled once: each worker collects all of them, and where none is compiled yet would compile all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from _pytest.assertion import rewrite  # pytest has no public way to this

HERE = Path(__file__).parent


def compile_share(config: pytest.Config) -> None:
    """Compile this worker's share of the modules, assertions rewritten, before it collects those that others compile."""
    worker, count = os.environ.get("PYTEST_XDIST_WORKER", ""), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    if sys.dont_write_bytecode or not worker:
        return
    for path in sorted(HERE.rglob("test_*.py"))[int(worker.removeprefix("gw")) :: count]:
        target = rewrite.get_cache_dir(path) / (path.stem + rewrite.PYC_TAIL)
        if target.exists() and target.stat().st_mtime >= path.stat().st_mtime:
            continue
        try:
            origin, code = rewrite._rewrite_test(path, config)
            target.parent.mkdir(exist_ok=True)
            rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, origin, target)
        except (AttributeError, TypeError):  # another pytest than the one this was written for: each worker does all of it
            return
