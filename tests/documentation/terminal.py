"""A terminal for who types many commands: `mw` and `python` come from one interpreter that has imported everything.

Each command is a process of its own, a fork of that interpreter, with its own folder, environment, standard streams and
exit code. So it does what it would do anywhere, without the seconds in which an interpreter imports scikit-learn.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

COMMAND = """\
#!{python} -IS
import os, socket, sys
wire = socket.socket(socket.AF_UNIX)
wire.connect({address!r})
said = repr((os.path.basename(sys.argv[0]), sys.argv[1:], os.getcwd(), dict(os.environ)))
socket.send_fds(wire, [said.encode()], [0, 1, 2])
wire.shutdown(socket.SHUT_WR)
sys.exit(int(wire.makefile().read() or 70))
"""
IMPORTED = ("duckdb", "obstore.store", "pandas", "rich.markup", "sklearn.ensemble")
APART = tuple(
    f"modelwright.{each}."
    for each in (
        "cli.__main__",
        "datasets.lakes",
        "demo",
        "evaluation.charts",
        "monitoring.charts",
        "server",
        "store.migrations",
    )
)  # not for a command


class Terminal:
    """The interpreter, and in `folder` the two commands that it lends itself to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        address = str(folder / "wire")
        for name in ("mw", "python"):
            command = folder / name
            command.write_text(COMMAND.format(python=sys.executable, address=address))
            command.chmod(0o755)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
        self.process = subprocess.Popen([sys.executable, __file__, address], env=environment)
        deadline = time.monotonic() + 300
        while not Path(address).exists():
            assert self.process.poll() is None and time.monotonic() < deadline, "the terminal did not open"
            time.sleep(0.02)

    def close(self) -> None:
        """End the interpreter; commands that still run are left alone."""
        self.process.kill()
        self.process.wait()


def lend(address: str) -> None:
    """Import what commands import, then turn into each command that is asked for."""
    import importlib
    import pkgutil

    import modelwright
    from modelwright.core.skops import skops_io

    ours = [each.name for each in pkgutil.walk_packages(modelwright.__path__, "modelwright.")]
    for name in (*IMPORTED, *(each for each in ours if not f"{each}.".startswith(APART))):
        importlib.import_module(name)
    skops_io()
    gc.collect()
    gc.freeze()  # no command looks through what all of them begin with, which would copy it, too
    signal.signal(signal.SIGCHLD, _reap)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.part")
    listener.listen()
    Path(f"{address}.part").rename(address)
    while True:
        wire, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            os._exit(_become(wire))
        wire.close()


def _reap(*_: Any) -> None:
    """Let those go that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become(wire: socket.socket) -> int:
    """Be a command until it ends; its exit code, which whoever typed it is told."""
    import ast

    said, streams, _, _ = socket.recv_fds(wire, 2**20, 3)
    while part := wire.recv(2**20):
        said += part
    name, arguments, folder, environment = ast.literal_eval(said.decode())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    code = _run(name, arguments)
    threading._shutdown()  # type: ignore[attr-defined]  # what an interpreter does at its end, but for taking itself apart
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    wire.sendall(str(code).encode())
    return code


def _run(name: str, arguments: list[str]) -> int:
    try:
        if name == "mw":
            from modelwright.cli.entry import typed

            sys.argv, sys.path[:1] = [name, *arguments], []
            return typed(arguments)
        sys.argv = ["-c"]
        sys.path[0] = ""
        scope: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(arguments[1], "<string>", "exec"), scope)
        scope.clear()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    lend(sys.argv[1])
