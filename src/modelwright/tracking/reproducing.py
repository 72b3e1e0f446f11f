"""`mw reproduce run:...`: the code, the packages and the data of a past run, run again, and the outcome on the record."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO

from msgspec.structs import replace

from modelwright.core.clock import SystemClock
from modelwright.core.errors import Corrupt, Invalid, NotFound, Refused
from modelwright.core.ids import new_id
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import decode, encode
from modelwright.experiments import Run
from modelwright.experiments.reproduction.records import KIND, LOOSE, Remade, Report, Reproduction, ended, figures
from modelwright.tracking import environments, worktrees
from modelwright.workspace import Workspace

MASKED = "***"
PATHS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")  # of the environment it is called from


class Step(StrEnum):
    """What is being done, in this order."""

    LOOK = "looking at the run and its inputs"
    CODE = "checking out the code"
    ENVIRONMENT = "building the environment"
    RUN = "running it again"
    COMPARE = "comparing"


Told = Callable[[Step], None]


def reproduce(
    workspace: Workspace,
    ref: Ref | str,
    *,
    command: Sequence[str] = (),
    use_current: bool = False,
    tolerance: float = LOOSE,
    folder: Path | None = None,
    output: IO[str] | None = None,
    told: Told = lambda step: None,
    reason: str = "",
) -> Reproduction:
    """Run a past run again as it was, compare, and put the verdict on the record: of the run, and models made from it.

    The captured commit is checked out in a temporary worktree of the repository around `folder` (by default the working
    directory), with the uncommitted changes; a virtual environment gets the packages that were installed, unless
    `use_current`; the command runs there, and datasets that it reads without a version are those that the run read. The
    new run names the original by its tag `reproduces`. It registers no model: what it would register is held against the
    version that the run made. Metrics are the same within `tolerance`, relative to the larger.
    `command` stands in for the captured one; `output` gets what it prints. `Refused` where it makes no run.
    """
    told(Step.LOOK)
    original = workspace.experiments.show(ref if isinstance(ref, Ref) else Ref.parse(ref))
    capture = original.capture
    if not capture.commit:
        raise Refused(
            f"{original.ref} ran outside a Git repository: its code is not known.",
            mend="Commit the code, and start runs from within the repository.",
        )
    words = list(command) or _command(original)
    if not ended(original):
        raise Invalid(f"{original.ref} is running still.", mend="Wait until it has ended.")
    for each in original.inputs:
        if each.version is not None:
            _readable(workspace, original, each)  # before any work is done
    top = worktrees.repository(folder or Path.cwd(), capture.commit)
    again = Ref(Kind.RUN, new_id(SystemClock().now()))
    with tempfile.TemporaryDirectory(prefix="modelwright-reproduce-") as scratch, ExitStack() as stack:
        told(Step.CODE)
        patch = None if capture.diff is None else Path(scratch) / "patch"
        if patch is not None and capture.diff is not None:
            with _captured(original, "uncommitted changes"):
                workspace.experiments.blobs.fetch(capture.diff, patch)
        code = stack.enter_context(worktrees.checked_out(top, capture.commit, patch, Path(scratch) / "code"))
        told(Step.ENVIRONMENT)
        python, different = _environment(workspace, original, Path(scratch) / "environment", use_current=use_current)
        told(Step.RUN)
        variables = _variables(workspace, original, again, use_current=use_current)
        variables["MODELWRIGHT_REMADE"] = str(Path(scratch) / "remade")
        if Path(workspace.address).is_relative_to(top):  # what the script calls its project is a checkout of it
            variables["MODELWRIGHT_STAND_IN"] = str(code / Path(workspace.address).relative_to(top))
        status = _run(_moved(words, top, code, python), code / capture.folder, variables, output)
        models = _remade(Path(scratch) / "remade")
        told(Step.COMPARE)
    try:
        made = workspace.experiments.show(again)
    except NotFound:
        raise Refused(
            f"The command ended with {status} and made no run: {' '.join(words)}",
            mend="Only what mw.start_run begins can be found again. See what it printed.",
        ) from None
    notes = [f"{name} was not captured" for name in capture.left_out]
    if status:
        notes.append(f"the command ended with {status}")
    if made.capture.python != capture.python:
        notes.append(f"Python was {capture.python} and is {made.capture.python}")
    report = Report(
        original=original.ref,
        again=made.ref,
        tolerance=tolerance,
        code=capture.commit,
        environment=different,
        notes=notes,
        models=models,
    )
    return attest(workspace, report, reason=reason)


def _remade(told: Path) -> list[Remade]:
    """Which models the script has made again, each once, as it was made last."""
    lines = told.read_bytes().splitlines() if told.is_file() else []
    return list({each.ref: each for each in (decode(line, Remade) for line in lines)}.values())


def attest(workspace: Workspace, report: Report, *, reason: str = "") -> Reproduction:
    """Put the outcome on the record: about the original run, and about each model version that came from it."""
    stored = workspace.experiments.blobs.put(encode(report))
    found = workspace.reproductions.attest(report.original, report=stored, reason=reason)
    evidence = list(found.evidence)
    for model in workspace.record.dependants(report.original):
        if model.kind is Kind.MODEL and model.version is not None:
            piece = workspace.record.attach(
                model,
                KIND,
                found.verdict,
                figures=figures(report, found.rows),
                summary=found.summary,
                report=stored,
                inputs=[report.original, report.again],
            )
            evidence.append(piece.id)
    return replace(found, evidence=evidence)


def _readable(workspace: Workspace, run: Run, version: Ref) -> None:
    """Raise unless a version that a run read is still there."""
    try:
        if version.kind is Kind.DATASET:
            workspace.datasets.show(version).there  # noqa: B018 - `Gone` where only its tombstone is left
        else:
            workspace.record.show(version)
    except NotFound as error:
        raise type(error)(
            f"{run.ref} cannot be done again without {version}, which it read. {error.message}",
            mend=error.mend or "Where there is a backup from before that: mw restore, into a new folder.",
        ) from None


@contextmanager
def _captured(run: Run, what: str) -> Iterator[None]:
    """Say what of a run is meant where an object that was captured with it is damaged or gone."""
    mend = "Bring the object back from a backup: mw restore, into a new folder."
    try:
        yield
    except NotFound as error:
        raise NotFound(f"The {what} of {run.ref}, captured with it, are lost: {error.message}", mend=mend) from None
    except Corrupt as error:
        raise Corrupt(f"The {what} of {run.ref}, captured with it, are damaged: {error.message}", mend=mend) from None


def _command(run: Run) -> list[str]:
    words = run.capture.command
    if len(words) < 2 or any("ipykernel" in word or word.endswith("jupyter") for word in words):
        raise Refused(
            f"{run.ref} was not started by a command that could be given again.",
            mend="Give the command: mw reproduce RUN -- python train.py",
        )
    if any(MASKED in word for word in words):
        raise Refused(
            f"The command of {run.ref} holds a secret, which was masked: {' '.join(words)}",
            mend="Give it whole: mw reproduce RUN -- python train.py --token ...",
        )
    return list(words)


def _environment(
    workspace: Workspace, original: Run, folder: Path, *, use_current: bool
) -> tuple[str, dict[str, list[str]]]:
    """The interpreter, and the packages whose versions are others than they were."""
    capture = original.capture
    listing = ""
    if capture.packages is not None:
        with _captured(original, "list of packages"):
            listing = workspace.experiments.blobs.read(capture.packages).decode()
    packages = environments.parse(listing)
    if use_current:
        return sys.executable, environments.differences(packages, environments.current())
    if not packages:
        raise Refused("The packages of the run were not captured.", mend="Say --use-current to run with what is here.")
    return str(environments.build(folder, packages, capture.python)), environments.own_difference(packages)


def _moved(words: Sequence[str], top: Path, code: Path, python: str) -> list[str]:
    """The command with the interpreter of the environment, and paths into the repository as paths into the worktree."""
    first = python if Path(words[0]).name.startswith("python") else words[0]
    rest = [str(code) + word[len(str(top)) :] if word.startswith(f"{top}{os.sep}") else word for word in words[1:]]
    return [first, *rest]


def _variables(workspace: Workspace, original: Run, again: Ref, *, use_current: bool) -> dict[str, str]:
    around = {key: value for key, value in os.environ.items() if use_current or key not in PATHS}
    pins = [str(each) for each in original.inputs if each.version is not None]
    return around | {
        "MODELWRIGHT_WORKSPACE": workspace.address,
        "MODELWRIGHT_MODE": "online",
        "MODELWRIGHT_RUN": again.name,
        "MODELWRIGHT_POSITION": str(original.capture.position),
        "MODELWRIGHT_REPRODUCES": original.id,
        "MODELWRIGHT_PINS": " ".join(pins),
    }


def _run(command: Sequence[str], folder: Path, variables: Mapping[str, str], output: IO[str] | None) -> int:
    if not folder.is_dir():
        raise NotFound(f"The commit has no folder {folder.name}, in which the run began.")
    with _printed(output) as stream:
        try:
            done = subprocess.run(  # noqa: S603 - it is what the run was
                command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, check=False
            )
        except OSError as error:
            raise Refused(
                f"{command[0]} cannot be run: {error}.", mend="Give the command: mw reproduce RUN -- ..."
            ) from None
    return done.returncode


@contextmanager
def _printed(output: IO[str] | None) -> Iterator[IO[str] | int]:
    if output is None:
        yield subprocess.DEVNULL
        return
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as file:
        try:
            yield file
        finally:
            file.seek(0)
            output.write(file.read())
