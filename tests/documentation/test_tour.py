"""The tour and the README say what is so: every command and snippet in them runs, in order, in a fresh folder.

The tour's fifty commands come from a `Terminal`, which spares them the start of an interpreter each; the README's do not.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documentation.terminal import Terminal
from tests.waiting import LONG, eventually

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXIT = re.compile(r"\s+# exit (\d+)$")
PORT = 7878  # what the pages name


@pytest.mark.slow
@pytest.mark.xdist_group("port-7878")
def test_the_tour_runs_as_it_is_written(tmp_path: Path) -> None:
    if listens(PORT):
        pytest.skip(f"something listens on port {PORT} already, which the tour uses")
    terminal = Terminal(tmp_path / "bin")
    (tmp_path / "walk").mkdir()
    try:
        Walk(tmp_path / "walk", terminal.folder).read(ROOT / "docs" / "tour.md")
    finally:
        terminal.close()


def test_the_example_of_the_readme_runs_as_it_is_written(tmp_path: Path) -> None:
    Walk(tmp_path, Path(sys.executable).parent).read(ROOT / "README.md")


class Walk:
    """Somebody who types what a page says."""

    def __init__(self, folder: Path, scripts: Path) -> None:
        """`scripts` is where `mw` and `python` are. They are new here: nothing of theirs waits at home to be delivered."""
        self.folder = folder
        own = {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder), "NO_COLOR": "1"}
        self.environment = os.environ | own
        self.servers: list[subprocess.Popen[bytes]] = []

    def read(self, page: Path) -> None:
        """Do everything that the page says."""
        try:
            for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
                if language == "python":
                    self.run(["python", "-c", text])
                else:
                    for line in lines(text):
                        self.type(line)
        finally:
            for server in self.servers:
                server.terminate()
                server.wait(LONG)

    def type(self, line: str) -> None:
        """One line of a terminal. `mw up` goes into a terminal of its own; a comment may name the exit code."""
        wanted = EXIT.search(line)
        command = line.partition("   # ")[0].strip()
        if command.startswith("cd "):
            self.folder /= command.removeprefix("cd ")
        elif command == "mw up":
            own = Path(sys.executable).parent / "mw"  # which is signalled at the end: a process and no fork of another
            self.servers.append(subprocess.Popen([own, "up", "--quiet"], cwd=self.folder, env=self.environment))
            eventually(lambda: listens(PORT), f"A server on port {PORT}")
        else:
            self.run(["bash", "-c", command], int(wanted[1]) if wanted else 0)

    def run(self, command: list[str], code: int = 0) -> None:
        """Run something that ends by itself, and hold it to its exit code."""
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == code, f"{command[-1]}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert '"error"' not in done.stdout, f"{command[-1]}\n{done.stdout}"


def lines(text: str) -> Iterator[str]:
    """The commands of a block: one to a line, unless a backslash or an open quote carries it on."""
    command = ""
    for line in text.splitlines(keepends=True):
        command += line
        if command.count("'") % 2 == 0 and not command.endswith("\\\n"):
            if command.strip():
                yield command.strip()
            command = ""


def listens(port: int) -> bool:
    """Whether something does on this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
