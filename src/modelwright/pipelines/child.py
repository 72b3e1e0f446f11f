"""`python -m modelwright.pipelines.child FOLDER`: run the step that the request in the folder names."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import Any

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Conflict, ModelwrightError
from modelwright.core.wire import decode, encode
from modelwright.experiments import ActiveRun, Run
from modelwright.pipelines import artifacts
from modelwright.pipelines.calling import call
from modelwright.pipelines.context import Context
from modelwright.pipelines.graph import Step
from modelwright.pipelines.loading import load_module, project_on_path
from modelwright.pipelines.processes import Answer, Request, open_exchange


def main(folder: Path) -> None:
    """Read the request, run the step, leave the answer."""
    request = decode((folder / "request.json").read_bytes(), Request)
    try:
        answer = _run(request, open_exchange(folder))
    except ModelwrightError as error:
        answer = Answer(code=error.code, error=error.message, mend=error.mend, trace=traceback.format_exc())
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent raises it
        answer = Answer(error=f"{type(error).__name__}: {error}", trace=traceback.format_exc())
    partial = folder / "answer.part"
    partial.write_bytes(encode(answer))
    partial.rename(folder / "answer.json")


def _run(request: Request, exchange: Blobs) -> Answer:
    module = load_module(request.file, root=request.root)
    step: Any = module
    for name in request.name.split("."):
        step = getattr(step, name, None)
    if not isinstance(step, Step):
        raise Conflict(f"{request.file.name} has no step {request.name!r} any more.", mend="Run the pipeline again.")
    context = Context(
        run=_Elsewhere(request.run, exchange),
        execution=request.execution,
        step=request.step,
        attempt=request.attempt,
        seed=request.seed,
        open_workspace=lambda: _open(request),
    )
    with project_on_path(request.root):
        arguments = {name: artifacts.load(tree, exchange) for name, tree in request.arguments.items()}
        value = call(step, arguments, context)
        tree = artifacts.store(value, exchange, step=f"The result of step {step.name}")
    context.run.close()
    return Answer(tree=tree, logged=context.logged)


def _open(request: Request) -> Any:
    if request.opener is None:
        raise Conflict("This pipeline runs without a workspace that its steps could use.")
    function, address = request.opener
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)(address)


class _Elsewhere(ActiveRun):
    """A run whose figures the parent logs, once the step has come to its end."""

    def __init__(self, run: Run, blobs: Blobs) -> None:
        super().__init__(run, log=lambda *_, **__: None, finish=lambda *_, **__: run, blobs=blobs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
