"""Killed at any moment, an execution goes on where it was; two workers share one without doing anything twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from modelwright.core.principals import operating_system_user
from modelwright.pipelines import Pipelines
from modelwright.pipelines.records import ExecutionState, StepState
from tests.waiting import LONG, eventually

STEPS = 6

PIPELINE = """
    import json, os, time
    from pathlib import Path
    from modelwright import pipeline, step

    TRACE = Path(__file__).with_name("trace.jsonl")

    def note(what, name):
        with TRACE.open("a") as file:
            file.write(json.dumps({"what": what, "step": name, "pid": os.getpid()}) + "\\n")

    @step
    def work(number: int, before: list) -> list:
        note("begin", number)
        time.sleep(0.08)
        note("end", number)
        return [*before, number]

    @pipeline
    def train():
        result = []
        for number in range(6):
            result = work(number, result)
        return result
"""

WORKER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from modelwright.core.clock import SystemClock
from modelwright.core.principals import operating_system_user
from modelwright.experiments import Experiments
from modelwright.pipelines import Pipelines, load_pipelines
from modelwright.store import Database, Embedded
from modelwright.store.objects import Objects

class Yes:
    allow, visible, rules = True, True, ("test",)

class Everything:
    def decide(self, *_): return Yes()
    def readable(self, *_): return None
    def denied(self, *_): raise AssertionError

home, project = Path(sys.argv[1]), Path(sys.argv[2])
database = Database(f"sqlite:///{home / 'workspace.db'}", SystemClock())
caller = Embedded(database, Objects.open(home / "objects"), Everything(), operating_system_user())
pipelines = Pipelines(caller, experiments=Experiments(caller))
print("ready", flush=True)
result = pipelines.run(load_pipelines(project / "pipeline.py")["train"], root=project)
print(result.outputs, flush=True)
"""


def worker(tmp_path: Path, project: Any) -> subprocess.Popen[str]:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    command = [sys.executable, str(script), str(tmp_path), str(project.root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def trace(project: Any) -> list[dict[str, Any]]:
    file = project.root / "trace.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_nothing_done_twice(tmp_path: Path, project: Any, pipelines: Pipelines) -> None:
    project.write("pipeline.py", PIPELINE)
    chance = random.Random(20130701)
    kills = 0
    for attempt in range(40):
        process = worker(tmp_path, project)
        assert process.stdout is not None
        process.stdout.readline()
        done_before = _done(pipelines)
        seen = len(trace(project))
        try:
            # Ever later: on a busy machine, too, one of them comes to an end.
            _, errors = process.communicate(timeout=chance.uniform(0.02, 0.6) * (1 + attempt / 4))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
        else:
            assert process.returncode == 0, errors
        begun = {line["step"] for line in trace(project)[seen:] if line["what"] == "begin"}
        assert not begun & done_before, "a step that was handed in has run again"
        executions = pipelines.list_executions().items
        if executions and executions[0].ended_at:
            break
    assert kills >= 1 and len(executions) == 1
    assert executions[0].state is ExecutionState.SUCCEEDED and executions[0].result == list(range(STEPS))
    for step in pipelines.show(executions[0].ref).steps:
        assert [attempt.outcome for attempt in step.attempts].count("done") == 1


def _done(pipelines: Pipelines) -> set[int]:
    found = pipelines.list_executions().items
    if not found:
        return set()
    steps = pipelines.show(found[0].ref).steps
    return {number for number, step in enumerate(steps) if step.state is StepState.DONE}


@pytest.mark.slow
def test_two_workers_share_an_execution_and_each_step_runs_once(tmp_path: Path, project: Any, pipelines: Pipelines) -> None:
    project.write("pipeline.py", PIPELINE)
    processes = [worker(tmp_path, project), worker(tmp_path, project)]
    answers = [process.communicate(timeout=LONG) for process in processes]
    for process, (out, errors) in zip(processes, answers, strict=True):
        assert process.returncode == 0, errors
        assert out.splitlines()[-1] == str(list(range(STEPS)))
    runs = Counter(line["step"] for line in trace(project) if line["what"] == "begin")
    for execution in pipelines.list_executions().items:
        assert execution.state is ExecutionState.SUCCEEDED
    assert set(runs.values()) == {1}


def test_an_interruption_from_the_keyboard_cancels(tmp_path: Path, project: Any, pipelines: Pipelines) -> None:
    project.write("pipeline.py", PIPELINE.replace("time.sleep(0.08)", "time.sleep(600)"))
    process = worker(tmp_path, project)
    eventually(lambda: trace(project), "A step")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LONG)
    assert pipelines.list_executions().items[0].state is ExecutionState.CANCELLED
    assert operating_system_user().id == pipelines.list_executions().items[0].created_by
