"""Running one step in a process of its own: it can be ended when its time is up, and takes nothing down with it.

Parent and child exchange a folder: the request, the answer, and the objects that either of them holds. The child needs no
workspace to run a step, and opens one only if the step asks for it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Invalid, ModelwrightError, error_for
from modelwright.core.refs import Ref
from modelwright.core.wire import decode, encode
from modelwright.experiments import Run
from modelwright.pipelines import artifacts
from modelwright.pipelines.context import Logged
from modelwright.pipelines.graph import Step

TAIL = 2000  # characters of a child's complaint that are shown


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the child is to do."""

    root: Path
    file: Path
    name: str  # of the step in that file
    arguments: dict[str, Any]  # trees
    run: Run
    execution: Ref
    step: str
    attempt: int
    seed: int
    opener: tuple[str, str] | None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: a tree and what was logged, or an error."""

    tree: Any = None
    logged: list[Logged] = []
    code: str = ""
    error: str = ""
    mend: str = ""
    trace: str = ""


class ProcessFailed(ModelwrightError):
    """A step in a process of its own raised an error, was killed, or took too long."""

    code = "process-failed"


def run_in_process(request: Request, step: Step[..., Any], blobs: Blobs) -> Answer:
    """Run a step in a child; its objects are in `blobs` when this returns. Raises `ProcessFailed`."""
    if "<locals>" in step.function.__qualname__:
        raise Invalid(
            f"Step {step.name} is defined inside a function, so another process cannot find it.",
            mend="Define it at the top of its file.",
        )
    with tempfile.TemporaryDirectory(prefix="modelwright-step-") as name:
        folder = Path(name)
        exchange = open_exchange(folder)
        move(artifacts.objects_in(request.arguments), blobs, exchange, folder)
        (folder / "request.json").write_bytes(encode(request))
        answer = _wait(folder, step)
        if answer.error:
            raise _error_of(answer)
        kept = [each.artifact.digest for each in answer.logged if each.artifact is not None]
        move([*artifacts.objects_in(answer.tree), *kept], exchange, blobs, folder)
        return answer


def open_exchange(folder: Path) -> Blobs:
    """The objects that parent and child share."""
    from modelwright.store.objects import Objects

    return Objects.open(folder / "objects")


def move(digests: Sequence[str], source: Blobs, target: Blobs, folder: Path) -> None:
    """Copy objects."""
    for digest in dict.fromkeys(digests):
        if not target.exists(digest):
            target.put(source.fetch(digest, folder / "moving"))


def _wait(folder: Path, step: Step[..., Any]) -> Answer:
    command = [sys.executable, "-m", "modelwright.pipelines.child", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=step.timeout, check=False, text=True)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise ProcessFailed(
            f"Step {step.name} was not done after {step.timeout:g} s and was ended.",
            mend=f"Give it more time: @step(timeout={2 * (step.timeout or 0):g}).",
        ) from None
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    answer = folder / "answer.json"
    if not answer.exists():
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        raise ProcessFailed(f"The process of step {step.name} ended with {how}.\n{done.stderr[-TAIL:]}".rstrip())
    return decode(answer.read_bytes(), Answer)


def _error_of(answer: Answer) -> Exception:
    error: Exception
    if answer.code:
        error = error_for(answer.code, answer.error, mend=answer.mend, details={})
    else:
        error = ProcessFailed(answer.error)
    error.add_note(answer.trace)
    return error
