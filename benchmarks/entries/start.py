"""Starting: what everybody waits for first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

from benchmarks.cases import MILLISECONDS, Bar, Case, Setting, benchmark

LIST = ["-m", "modelwright.cli", "list", "model"]


@benchmark("start", what="the command and the import, as processes with compiled bytecode, as pip leaves it")
def start(setting: Setting) -> Iterator[Case]:
    """Bytecode is cached in the scratch folder by the warm-up, whatever the surroundings say of writing it."""
    from modelwright.workspace import Settings, open_workspace

    project = setting.folder / "project"
    open_workspace(project, settings=Settings()).close()
    (project / "modelwright.toml").write_text("")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(setting.folder / "bytecode")
    environment["XDG_RUNTIME_DIR"] = str(setting.folder)  # nobody is kept warm but by the last case

    def process(*arguments: str) -> Callable[[object], object]:
        def run(_: object) -> None:
            done = subprocess.run(
                [sys.executable, *arguments], env=environment, cwd=project, capture_output=True, text=True
            )
            if done.returncode:
                raise RuntimeError(f"{arguments} ended with {done.returncode}:\n{done.stderr}")

        return run

    bare = process("-c", "pass")

    def case(label: str, arguments: list[str], bar: Bar | None = None) -> Case:
        return Case(
            label=label,
            unit=MILLISECONDS,
            run=process(*arguments),
            peer=bare,
            against="python -c pass",
            runs=15,
            warmups=2,
            bar=bar,
        )

    yield case("mw --help", ["-m", "modelwright.cli", "--help"], Bar(150))
    yield case("import modelwright", ["-c", "import modelwright"], Bar(50))
    yield Case(
        label="connect() to a folder",
        unit=MILLISECONDS,
        run=process("-c", "import modelwright; modelwright.connect()"),
        peer=process("-c", "import sqlalchemy"),
        against="import sqlalchemy",
        runs=15,
        warmups=2,
    )
    yield case("mw list model", LIST)
    process("-m", "modelwright.cli", "warm", "--idle", "2")(None)
    yield case("mw list model, mw warm", LIST)
    process("-m", "modelwright.cli", "warm", "--stop")(None)
