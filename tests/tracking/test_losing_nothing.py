"""Training never waits and never dies for the tracker: a process killed, a server away, a disk full; then `mw sync`."""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import modelwright as mw
from modelwright.cli.entry import run as run_command
from modelwright.client import connect
from modelwright.core.clock import SystemClock
from modelwright.core.errors import Conflict, Invalid, NotFound, Unavailable
from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import RunStatus
from modelwright.experiments.entries import Params
from modelwright.testing import serving
from modelwright.tracking import spool, syncing
from modelwright.tracking.journal import Journal, Lock, Opening, read, read_opening
from modelwright.tracking.syncing import State
from modelwright.workspace import Workspace
from tests.waiting import LONG, eventually, kept_port

NONE = {"capture": False, "system_metrics": False}
Told = Callable[[], list[str]]


def sync(to: str | None = None, **options: bool) -> list[syncing.Pending]:
    return syncing.sync(spool.pending_folders(Path.cwd()), connect, to=to, **options)


@pytest.fixture
def port() -> Iterator[int]:
    """Where no server listens but the test's own."""
    with kept_port() as found:
        yield found


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_all_that_a_killed_process_has_logged_is_delivered(mode: str, script, here: Workspace) -> None:
    process = script(
        """
        run = mw.start_run("delay", capture=False)
        print(run.id, flush=True)
        mw.log_param("depth", 6)
        mw.log_text("hello", "log.txt")
        for i in range(100_000):
            mw.log_metric("loss", i)
            print(i, flush=True)
        """,
        MODELWRIGHT_MODE=mode,
    )
    ref, last = Ref(Kind.RUN, process.stdout.readline().strip()), 0
    for line in process.stdout:
        last = int(line)
        if last >= 3000:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    last = max([last, *(int(line) for line in process.stdout if line.endswith("\n"))])
    (done,) = sync()
    assert (done.state, done.refused) == (State.DELIVERED, [])
    curve = here.experiments.curve(ref, "loss")
    assert curve.total - 1 in (last, last + 1)  # what was printed had been logged; one more may have been
    assert curve.values == [float(i) for i in range(curve.total)]
    run = here.experiments.show(ref)
    assert run.status is RunStatus.KILLED and run.params == {"depth": 6} and "without a word" in run.error
    assert here.experiments.blobs.read(run.artifacts[0].digest) == b"hello"
    assert sync() == [] and list(Path(".modelwright/pending").iterdir()) == []


def test_a_server_that_goes_away_in_the_middle_and_returns_misses_nothing(here: Workspace, told: Told, port: int) -> None:
    with serving(here, port=port) as url:
        run = mw.start_run("delay", workspace=url, **NONE)
        mw.log_metric("loss", 0)
        assert run.flush(LONG)
    for i in range(1, 200):
        mw.log_metric("loss", i)
    mw.log_text("meanwhile", "log.txt")
    assert not run.flush() and "does not answer" in told()[-1]
    with serving(here, port=port):
        mw.log_metric("loss", 200)
        eventually(run.flush, "A delivery")
        mw.end_run()
    assert here.experiments.curve(run.ref, "loss").values == [float(i) for i in range(201)]
    assert here.experiments.show(run.ref).status is RunStatus.FINISHED
    assert [text for text in told() if "answers again" in text]


def test_a_run_whose_server_never_answers_ends_without_an_error_and_is_delivered_later(
    here: Workspace, told: Told, port: int
) -> None:
    with mw.start_run("delay", workspace=f"http://127.0.0.1:{port}", **NONE) as run:
        mw.log_metric("loss", 0.5)
        run.patience, before = 10 * LONG, time.monotonic()
    assert time.monotonic() - before < LONG  # nobody is waited for who is not there
    assert len([text for text in told() if "mw sync" in text]) == 1
    (waiting,) = [each for _, each in syncing.pending(spool.pending_folders(Path.cwd()))]
    assert waiting.run == run.ref
    with serving(here, port=port):
        assert run.flush(LONG)
    assert here.experiments.show(run.ref).metrics["loss"].figure == 0.5


def test_the_same_log_sent_twice_is_applied_once(here: Workspace) -> None:
    with mw.start_run("delay", mode="offline", **NONE) as run:
        mw.log_metrics({"loss": 0.5})
        mw.log_text("hello", "log.txt")
        mw.log_metrics({"loss": 0.25})
    folder = Path(".modelwright/pending") / run.id
    shutil.copytree(folder, "kept")
    (first,) = sync()
    shutil.copytree("kept", folder)
    (second,) = sync()
    assert (first.state, second.state, first.refused, second.refused) == ("delivered", "delivered", [], [])
    found = here.experiments.show(run.ref)
    assert here.experiments.curve(run.ref, "loss").values == [0.5, 0.25] and found.status is RunStatus.FINISHED
    started = [each.action for each in here.record.history(run.ref).items]
    assert started.count("experiments.run.started") == started.count("experiments.run.finished") == 1


def test_a_delivery_whose_answer_was_lost_is_sent_again_and_applied_once(here: Workspace) -> None:
    with mw.start_run("delay", mode="offline", **NONE) as run:
        mw.log_metrics({"loss": 0.5})
    (log,) = (Path(".modelwright/pending") / run.id).glob("*.log")
    shutil.copytree(log.parent, "kept")
    sync()
    again = shutil.copytree("kept", log.parent) / log.name
    whole = again.read_bytes()
    again.write_bytes(whole[: whole.index(b"\n", whole.index(b"started")) + 1])  # as far as a first portion might go
    sync()
    assert here.experiments.curve(run.ref, "loss").total == 1
    assert here.experiments.show(run.ref).status is RunStatus.FINISHED


def test_torn_and_damaged_lines_cost_no_more_than_themselves(here: Workspace) -> None:
    with mw.start_run("delay", mode="offline", **NONE) as run:
        for i in range(5):
            mw.log_metrics({"loss": float(i)})
    (log,) = (Path(".modelwright/pending") / run.id).glob("*.log")
    lines = log.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"loss"', b'"lost"')  # its checksum does not fit any more
    log.write_bytes(b"".join(lines) + b'12345678 {"what": "figu')  # and a process was killed in the middle of a write
    assert [found.line is None for found in read(log)].count(True) == 1
    (done,) = sync()
    assert [each.code for each in done.refused] == ["corrupt"]
    assert here.experiments.curve(run.ref, "loss").values == [0.0, 2.0, 3.0, 4.0]


def test_a_full_disk_stops_the_log_and_not_the_training(script, here: Workspace) -> None:
    process = script(
        """
        import resource
        run = mw.start_run("delay", capture=False, mode="offline")
        mw.log_metric("loss", 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))  # as if the disk were full
        for i in range(1, 500):
            mw.log_metric("loss", i)
        mw.log_text("x" * 10_000, "log.txt")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        mw.log_metric("after", 1)
        mw.end_run()
        print(run.id)
        """
    )
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == 0, err
    sync()
    run = here.experiments.show(Ref(Kind.RUN, out.strip()))
    assert run.status is RunStatus.FINISHED and 0 < run.metrics["loss"].step < 499
    assert run.metrics["after"].figure == 1
    assert "are lost" in err and "log.txt is not kept" in err


def test_a_run_that_begins_on_a_full_disk_goes_on_and_is_kept_from_when_there_is_room(script, here: Workspace) -> None:
    process = script(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))  # as if the disk were full
        run = mw.start_run("delay", name="begun", mode="offline")
        mw.log_metric("loss", 0)
        mw.log_text("x", "log.txt")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        mw.log_metric("after", 1)
        mw.end_run()
        print(run.id)
        """
    )
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == 0, err
    assert "training goes on" in err and "not captured" in err and "2 entries could not be written" in err
    sync()
    run = here.experiments.show(Ref(Kind.RUN, out.strip()))
    assert (run.name, run.status, set(run.metrics)) == ("begun", RunStatus.FINISHED, {"after"})
    assert list(Path(".modelwright/pending").iterdir()) == []


def test_a_process_that_was_forked_off_on_a_full_disk_costs_no_more_than_its_own_words(script, here: Workspace) -> None:
    process = script(
        """
        import os, resource
        run = mw.start_run("delay", capture=False, mode="offline")
        mw.log_metric("loss", 0)
        if os.fork() == 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            mw.log_metric("child", 0)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            mw.log_metric("child", 1)
            os._exit(0)
        os.wait()
        mw.end_run()
        print(run.id)
        """
    )
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == 0, err
    torn = next(Path(".modelwright/pending").glob("*/*-*.log"))
    torn.with_stem(torn.stem + "0").write_bytes(b"0000")  # another one, stopped in its first line
    (delivered,) = sync()
    assert (delivered.state, delivered.delivered) == (State.DELIVERED, 4), delivered  # the start, two figures, the end
    run = here.experiments.show(Ref(Kind.RUN, out.strip()))
    assert run.status is RunStatus.FINISHED and run.metrics["child"].figure == 1
    assert list(Path(".modelwright/pending").iterdir()) == []


def test_a_process_that_ends_without_ending_its_run_ends_it_as_it_ended_itself(script, here: Workspace) -> None:
    calm = script("print(mw.start_run('delay', capture=False).id)")
    wild = script("print(mw.start_run('delay', capture=False).id, flush=True)\nraise ValueError('no rows')")
    for process, status, error in ((calm, "finished", ""), (wild, "failed", "ValueError: no rows")):
        out, _ = process.communicate(timeout=LONG)
        run = here.experiments.show(Ref(Kind.RUN, out.strip()))
        assert (run.status, run.error) == (status, error)


def test_disabled_nothing_is_written_and_nothing_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELWRIGHT_MODE", "disabled")
    before = set(tmp_path.rglob("*"))
    with mw.start_run("delay", inputs=["dataset:flights"], tags={"a": "b"}) as run:
        mw.log_params({"depth": 6})
        mw.log_metric("loss", 0.5)
        mw.log_text("x", "y.txt")
        mw.log_artifact(__file__)
        assert not run.flush()
    assert set(tmp_path.rglob("*")) == before and run.status is RunStatus.FINISHED


def test_offline_nothing_is_sent_and_no_workspace_need_be_known(
    tmp_path: Path, here: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("MODELWRIGHT_MODE", "offline")
    with mw.start_run("delay", **NONE) as run:
        mw.log_metric("loss", 0.5)
    with pytest.raises(NotFound):
        here.experiments.show(run.ref)
    (nowhere,) = sync()
    assert nowhere.state is State.FAILED and "where" in nowhere.error
    (done,) = sync(to=here.address)
    assert done.state is State.DELIVERED and here.experiments.show(run.ref).metrics["loss"].figure == 0.5


def test_a_mode_that_is_none_is_refused_with_those_that_are(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELWRIGHT_MODE", "of-line")
    with pytest.raises(Invalid, match="online, offline, disabled"):
        mw.start_run("delay")


def test_a_run_that_is_running_is_left_to_its_own_process(here: Workspace) -> None:
    with mw.start_run("delay", **NONE) as run:
        mw.log_metric("loss", 0.5)
        (found,) = sync()
        assert found.state is State.RUNNING
        with pytest.raises(NotFound):
            syncing.discard(spool.pending_folders(Path.cwd()), run.ref)
    assert here.experiments.show(run.ref).status is RunStatus.FINISHED


def test_a_run_goes_to_the_workspace_it_was_meant_for_unless_it_is_said(here: Workspace) -> None:
    with mw.start_run("delay", workspace="http://127.0.0.1:9", mode="offline", **NONE) as run:
        mw.log_metric("loss", 0.5)
    assert [each.state for each in sync(to=here.address)] == [State.ELSEWHERE]
    (away,) = sync()
    assert (away.state, away.code) == (State.FAILED, Unavailable.code)
    assert [each.state for each in sync(to=here.address, any_address=True)] == [State.DELIVERED]
    assert here.experiments.show(run.ref).metrics["loss"].figure == 0.5


def test_the_command_delivers_lists_and_throws_away(here: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    runs = []
    for _ in range(2):
        with mw.start_run("delay", mode="offline", **NONE) as run:
            mw.log_metric("loss", 0.5)
        runs.append(run)
    assert run_command(["sync", "--list"]) == 0
    listed = capsys.readouterr().out
    assert all(each.id in listed for each in runs), listed
    run_command(["runs"])
    assert "2 runs have left something on this machine that has not arrived: mw sync" in capsys.readouterr().err
    assert run_command(["sync", "--discard", str(runs[1].ref), "--yes"]) == 0
    assert run_command(["sync", "--json"]) == 0
    assert '"state": "delivered"' in capsys.readouterr().out
    assert here.experiments.show(runs[0].ref).status is RunStatus.FINISHED
    with pytest.raises(NotFound):
        here.experiments.show(runs[1].ref)
    with mw.start_run("delay", workspace="http://127.0.0.1:9", mode="offline", **NONE):
        pass
    assert run_command(["sync"]) == Unavailable.exit_code
    assert "keep waiting" in capsys.readouterr().err


def test_refused_entries_make_the_command_say_so(here: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    with mw.start_run("delay", **NONE) as run:
        mw.log_param("depth", 6)
    with mw.start_run("delay", run=run.ref, mode="offline", **NONE):
        mw.log_param("depth", 7)
    assert run_command(["sync"]) == Conflict.exit_code
    assert "cannot become 7" in capsys.readouterr().out


def test_a_log_is_found_once_its_lock_is_held_and_it_begins_as_one(tmp_path: Path) -> None:
    """Others look for logs of the dead meanwhile: who took the lock of one that was being begun made it unreadable."""
    found: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for path in spool.logs(tmp_path):
                with contextlib.suppress(FileNotFoundError):
                    with Lock(path) as lock:
                        found.extend(["the lock of a writer was taken"] * lock.taken)
                    read_opening(path)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for number in range(500):
            opening = Opening(run=f"r{number}", experiment="e", writer="w", address="", began=SystemClock().now())
            journal = Journal(tmp_path / f"r{number}", opening)
            assert not journal.failure
            journal.path.unlink()
            journal.close()
    finally:
        over.set()
        looking.join()
    assert found == []


def test_a_log_that_was_ended_is_not_written_over(tmp_path: Path) -> None:
    opening = Opening(run="r", experiment="e", writer="w", address="", began=SystemClock().now())
    journal = Journal(tmp_path, opening)
    assert journal.append(Params, values={"a": 1})
    journal.close()
    before = journal.path.read_bytes()
    assert not journal.append(Params, values={"a": 2}) and journal.path.read_bytes() == before


def test_several_who_deliver_at_once_do_not_stumble_over_each_other(here: Workspace) -> None:
    for _ in range(40):
        with mw.start_run("delay", mode="offline", **NONE):
            mw.log_metric("loss", 1.0)
    begin = threading.Barrier(4)

    def deliver(_: int) -> list[syncing.Pending]:
        begin.wait()
        return sync(here.address, any_address=True)

    with ThreadPoolExecutor(4) as pool:
        found = [each for told in pool.map(deliver, range(4)) for each in told]
    assert sum(each.state is State.DELIVERED for each in found) == 40
    assert {each.state for each in found} <= {State.DELIVERED, State.RUNNING}
    assert len(here.experiments.list(Filter(state="finished")).items) == 40


def test_a_log_of_somebody_else_that_cannot_be_delivered_does_not_keep_ones_own(script, here: Workspace) -> None:
    process = script(
        """
        from datetime import datetime, UTC
        from pathlib import Path
        from modelwright.tracking.journal import Journal, Opening
        from modelwright.experiments.entries import Params
        from modelwright.tracking import spool
        deep = []
        for _ in range(2000):
            deep = [deep]
        folder = spool.pending_folder(Path.cwd()) / "0"
        opening = Opening(run="0", experiment="e", writer="w", address=str(Path.cwd()), began=datetime.now(UTC))
        journal = Journal(folder, opening)
        import json, sys, zlib, os
        sys.setrecursionlimit(10_000)
        body = b'{"what":"params","seq":1,"values":{"a":' + b"[" * 2000 + b"]" * 2000 + b"}}"
        os.write(journal._fd, b"%08x %b\\n" % (zlib.crc32(body), body))
        """,
    )
    assert process.wait() == 0, process.stderr.read()
    for _ in range(2):  # the first looks at what was left once its own has arrived
        with mw.start_run("delay", **NONE) as run:
            mw.log_metric("loss", 1.0)
        assert here.experiments.show(run.ref).status is RunStatus.FINISHED
