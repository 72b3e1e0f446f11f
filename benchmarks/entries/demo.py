"""The whole story on generated data, as `make demo` tells it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.cases import SECONDS, Bar, Case, Setting, Skip, benchmark


@benchmark("demo", what="a model's whole life, told by `mw demo` on generated data")
def demo(setting: Setting) -> Iterator[Case]:
    """Once: it is long, and what it promises is two minutes on two cores."""
    if setting.quick:
        raise Skip("the demo has no quick form")

    def tell(_: object) -> None:
        command = [sys.executable, "-m", "modelwright.cli", "demo"]  # in the folder that it is called from
        environment = os.environ | {"PYTHONPYCACHEPREFIX": str(setting.folder / "bytecode")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        told = subprocess.run(command, env=environment, cwd=setting.folder, capture_output=True, text=True)
        if told.returncode:
            raise RuntimeError(f"mw demo failed:\n{told.stdout[-2000:]}\n{told.stderr[-2000:]}")

    yield Case(label="mw demo", unit=SECONDS, run=tell, runs=1, warmups=0, bar=Bar(120))
