"""Commands that a warm process carries out: the same as without it in all that can be seen, and never done twice."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelwright.cli.warm import asking, speech
from tests.waiting import LONG, eventually

MW = [sys.executable, "-m", "modelwright.cli"]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="commands are kept warm on Linux only")
Warm = Callable[..., subprocess.CompletedProcess[str]]


class Kept:
    """A warm process of a test's own, which its commands find by their environment."""

    def __init__(self, place: Path, extra: Path) -> None:
        self.place = place / "modelwright" / "warm"
        self.extra = extra
        self.environment = {key: value for key, value in os.environ.items() if key != speech.SWITCH}
        self.environment |= {"XDG_RUNTIME_DIR": str(place), "PYTHONPATH": self._path(extra)}

    def _path(self, extra: Path) -> str:
        return os.pathsep.join([each for each in (os.environ.get("PYTHONPATH", ""), str(extra)) if each])

    def mw(self, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        environment = self.environment | options.pop("env", {})
        return subprocess.run(
            [*MW, *map(str, arguments)], capture_output=True, text=True, timeout=120, env=environment, **options
        )

    def begin(self, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        """Begin a command."""
        piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen([*MW, *map(str, arguments)], text=True, env=self.environment, **piped)

    def state(self) -> dict[str, Any]:
        """What `mw warm --status --json` says, without a process that asks: some tests ask dozens of times."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("XDG_RUNTIME_DIR", self.environment["XDG_RUNTIME_DIR"])
            told = asking.said(speech.ASK)
        return {"running": False} if told is None else {"running": True, **json.loads(told)}

    @property
    def carried_out(self) -> int:
        """How many commands it has carried out; a busy one may be too late to say so the first time."""
        told: dict[str, Any] = {}
        eventually(lambda: told.update(self.state()) or "carried_out" in told, "A word of the warm process")
        return int(told["carried_out"])

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until its state is such."""
        eventually(lambda: holds(self.state()), "That state of the warm process")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="mw", dir="/tmp"))  # a socket's name is short
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def one(place: Path) -> Iterator[Kept]:
    extra = place / "extra"
    extra.mkdir()
    kept = Kept(place, extra)
    began = kept.mw("warm")
    assert began.returncode == 0 and "start warm from now on" in began.stdout, began.stderr
    yield kept
    kept.mw("warm", "--stop")


@pytest.fixture
def kept(one: Kept) -> Kept:
    if not one.state()["running"]:  # a test may have ended it
        one.mw("warm")
    return one


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_command_is_the_same_with_and_without(kept: Kept, project: Path) -> None:
    before = kept.carried_out
    for arguments in (
        ["list", "model"],
        ["show", "model:late@1", "--json"],
        ["show", "model:nothing"],
        ["gate", "model:late@1"],
        ["promot"],
        ["list"],
        ["data", "add"],
    ):
        warm = kept.mw(*arguments, cwd=project)
        cold = kept.mw(*arguments, cwd=project, env={speech.SWITCH: "off"})
        assert (warm.returncode, warm.stdout, warm.stderr) == (cold.returncode, cold.stdout, cold.stderr)
    assert kept.carried_out == before + 7
    assert json.loads(kept.mw("warm", "--status", "--json").stdout).keys() == kept.state().keys()


def test_folder_variables_mask_and_input_are_those_of_the_command(kept: Kept, project: Path, tmp_path: Path) -> None:
    before = kept.carried_out
    named = kept.mw("list", "model", "--json", cwd=tmp_path, env={"MODELWRIGHT_WORKSPACE": str(project)})
    assert named.returncode == 0 and json.loads(named.stdout)
    rows = "id,km\n1,2\n"
    given = kept.mw("data", "add", "given", "-", cwd=project, input=rows)
    written = kept.mw("export", "model", "model:late@1", "out", cwd=project, preexec_fn=lambda: os.umask(0o027))
    assert written.returncode == 0, written.stderr
    assert (project / "out").stat().st_mode & 0o777 == 0o750
    cold = kept.mw("data", "add", "given", "-", cwd=project, input=rows, env={speech.SWITCH: "off"})
    assert (given.returncode, given.stderr) == (cold.returncode, cold.stderr)
    assert kept.carried_out == before + 3


def test_a_terminal_is_asked_and_answers(kept: Kept, project: Path) -> None:
    before = kept.carried_out
    ours, theirs = pty.openpty()
    asked = kept.begin("user", "disable", "nobody", "-m", "left", cwd=project, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    while b"[y/N]" not in seen:
        assert select.select([ours], [], [], LONG)[0], seen
        seen += os.read(ours, 4096)
    os.write(ours, b"n\n")
    assert asked.wait(LONG) == 130
    os.close(ours)
    assert kept.carried_out == before + 1


def test_ctrl_c_stops_a_command_and_a_signal_ends_it(kept: Kept, deaf: str) -> None:
    stopped = kept.begin("list", "model", "-w", deaf)
    kept.until(lambda state: state["running"] == 1)
    stopped.send_signal(signal.SIGINT)
    _, told = stopped.communicate(timeout=LONG)
    assert stopped.returncode == 130 and told == "Stopped.\n"
    ended = kept.begin("list", "model", "-w", deaf)
    kept.until(lambda state: state["running"] == 1)
    ended.send_signal(signal.SIGTERM)
    assert ended.wait(LONG) == -signal.SIGTERM
    kept.until(lambda state: state["running"] == 0)


def catches(process: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    (caught,) = re.findall(r"^SigCgt:\s+(\w+)$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)


def test_a_command_is_stopped_and_goes_on(kept: Kept, deaf: str) -> None:
    began = kept.begin("list", "model", "-w", deaf)
    kept.until(lambda state: state["running"] == 1)
    eventually(lambda: catches(began.pid, signal.SIGTSTP), "A command that hands signals on")  # else nobody may stop for it
    began.send_signal(signal.SIGTSTP)
    os.waitid(os.P_PID, began.pid, os.WSTOPPED | os.WNOWAIT)
    began.send_signal(signal.SIGCONT)
    os.waitid(os.P_PID, began.pid, os.WCONTINUED | os.WNOWAIT)
    began.send_signal(signal.SIGINT)
    assert began.wait(LONG) == 130


def test_what_a_killed_command_had_begun_ends_with_it(kept: Kept, deaf: str) -> None:
    killed = kept.begin("list", "model", "-w", deaf)
    kept.until(lambda state: state["running"] == 1)
    killed.kill()
    killed.wait(LONG)
    kept.until(lambda state: state["running"] == 0)


def test_a_warm_process_that_is_killed_is_told_and_another_begins(kept: Kept, deaf: str) -> None:
    waiting = kept.begin("list", "model", "-w", deaf)
    kept.until(lambda state: state["running"] == 1)
    process = kept.state()["process"]
    os.kill(process, signal.SIGKILL)
    _, told = waiting.communicate(timeout=LONG)
    assert waiting.returncode == 8 and "was killed" in told
    assert kept.mw("list", "model").returncode != 8  # by itself, since nobody listens at what was left
    assert kept.mw("warm").returncode == 0 and kept.state()["process"] != process


def test_there_is_one_and_it_ends_when_it_is_told_after_what_it_has_begun(kept: Kept, deaf: str) -> None:
    process = kept.state()["process"]
    again = kept.mw("warm")
    assert again.returncode == 0 and f"Process {process}" in again.stdout and "from now on" not in again.stdout
    waiting = kept.begin("list", "model", "-w", deaf)
    kept.until(lambda state: state["running"] == 1)
    ending = kept.begin("warm", "--stop")
    kept.until(lambda state: not state["running"])  # nobody is let in any more
    assert ending.poll() is None and waiting.poll() is None
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(LONG) == 130
    told, _ = ending.communicate(timeout=LONG)
    assert "It has ended." in told
    assert "There is none." in kept.mw("warm", "--stop").stdout
    assert "There is none." in kept.mw("warm", "--status").stdout


def test_in_other_circumstances_a_command_does_it_itself(kept: Kept, project: Path) -> None:
    before = kept.carried_out
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def fewer() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft // 2, hard))

    def alone() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    for options in (
        {"preexec_fn": fewer},
        *([{"preexec_fn": alone}] if len(os.sched_getaffinity(0)) > 1 else []),
        {"env": {"PYTHONUTF8": "1"}},
        {"env": {speech.SWITCH: "off"}},
    ):
        assert kept.mw("list", "model", cwd=project, **options).returncode == 0
    assert kept.carried_out == before
    assert kept.mw("list", "model", cwd=project).returncode == 0
    assert kept.carried_out == before + 1


def test_another_version_of_a_package_ends_it(kept: Kept, project: Path) -> None:
    (kept.extra / f"installed{time.time_ns()}.py").touch()
    assert kept.mw("list", "model", cwd=project).returncode == 0
    kept.until(lambda state: not state["running"])


def test_nobody_else_is_believed(kept: Kept, project: Path) -> None:
    before = kept.carried_out
    kept.place.chmod(0o755)
    try:
        assert kept.mw("list", "model", cwd=project).returncode == 0
        refused = kept.mw("warm")
        assert refused.returncode == 8 and "chmod 700" in refused.stderr
    finally:
        kept.place.chmod(0o700)
    assert kept.carried_out == before


def test_who_does_not_say_go_has_nothing_done(kept: Kept, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", kept.environment["XDG_RUNTIME_DIR"])
    path = f"{speech.folder()}/{speech.name()}"
    like = subprocess.run(
        [sys.executable, "-c", "from modelwright.cli.warm.speech import likeness; print(likeness())"],
        env=kept.environment | {"ARROW_DEFAULT_MEMORY_POOL": "system"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    arguments = ("mw", "tag", "model:late@1", "touched=yes", "-w", str(project))
    message = speech.Request(speech.RUN, like, 0, "", arguments, tuple(f"{k}={v}" for k, v in kept.environment.items()))
    for go in (b"", speech.GO):
        with socket.socket(socket.AF_UNIX) as line, Path(os.devnull).open("r+") as null:
            line.connect(path)
            folder = os.open(project, os.O_RDONLY)
            socket.send_fds(line, [message.message()], [null.fileno()] * 3 + [folder])
            os.close(folder)
            answer = line.recv(5)
            assert answer[:1] == speech.TAKEN
            line.sendall(go)
            if go:
                assert line.recv(4) == speech.NUMBER.pack(0)
        kept.until(lambda state: state["running"] == 0)
        tags = json.loads(kept.mw("show", "model:late@1", "--json", cwd=project).stdout)
        assert ("touched" in json.dumps(tags)) is bool(go)


@pytest.mark.parametrize(
    "body", [b"", b"\0\0\0\4nope", b"\xff\xff\xff\xff", b"\0\0\0\1x", speech.Request("run", "")[0].encode()]
)
def test_what_is_no_request_does_no_harm(kept: Kept, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", kept.environment["XDG_RUNTIME_DIR"])
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(f"{speech.folder()}/{speech.name()}")
        line.sendall(body)
        line.shutdown(socket.SHUT_WR)
        assert line.recv(16) == b""
    assert kept.state()["running"] == 0
    assert asking.said(speech.ASK)


def test_it_ends_when_nobody_asks(place: Path) -> None:
    (place / "short" / "extra").mkdir(parents=True)
    kept = Kept(place / "short", place / "short" / "extra")
    assert kept.mw("warm", "--idle", "0.01").returncode == 0
    eventually(lambda: not [each for each in kept.place.iterdir() if each.is_socket()], "Its end")


def test_options_that_make_no_sense_are_refused(kept: Kept) -> None:
    assert kept.mw("warm", "--idle", "0").returncode == 2
    long = Path(kept.environment["XDG_RUNTIME_DIR"]) / ("long" * 40)
    refused = kept.mw("warm", env={"XDG_RUNTIME_DIR": str(long)})
    assert refused.returncode == 8 and "too long a name" in refused.stderr
