"""What a running step can reach: its run, its seed, the workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from modelwright.core.errors import Invalid
from modelwright.core.refs import Ref
from modelwright.experiments import ActiveRun, Artifact, Experiments, Point


class Logged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that a step logged."""

    params: dict[str, Any] = {}
    points: list[Point] = []
    artifact: Artifact | None = None
    output: Ref | None = None


class Context:
    """Given to a step that has a parameter annotated `Context`, and by `Context.current()` inside any step.

    What a step logs belongs to its result: where the result is taken from the cache, the figures are too.
    """

    def __init__(
        self, *, run: ActiveRun, execution: Ref, step: str, attempt: int, seed: int, open_workspace: Callable[[], Any]
    ) -> None:
        self.run = run
        self.execution = execution
        self.step = step
        self.attempt = attempt
        self.seed = seed
        self.logged: list[Logged] = []
        self._open = open_workspace

    @staticmethod
    def current() -> Context:
        """The context of the step that is running; `Invalid` outside of one."""
        context = _current.get()
        if context is None:
            raise Invalid("No step of a pipeline is running here.", mend="Run it with `mw run`, or pipelines.run(...).")
        return context

    @property
    def workspace(self) -> Any:
        """The workspace that the pipeline runs in."""
        return self._open()

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters of the run."""
        self.logged.append(Logged(params=self.run.log_params(params)))

    def log_metric(self, name: str, value: float, *, step: int | None = None) -> None:
        """Log one figure of the run."""
        self.log_metrics({name: value}, step=step)

    def log_metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        """Log several figures of one step of the run."""
        self.logged.append(Logged(points=self.run.log_metrics(values, step=step)))

    def log_artifact(self, content: bytes | str | Path, name: str = "", *, media_type: str = "") -> Artifact:
        """Keep bytes or a file as an artifact of the run."""
        artifact = self.run.log_artifact(content, name, media_type=media_type)
        self.logged.append(Logged(artifact=artifact))
        return artifact

    def log_figure(self, figure: Any, name: str) -> Artifact:
        """Keep a chart as an artifact of the run."""
        artifact = self.run.log_figure(figure, name)
        self.logged.append(Logged(artifact=artifact))
        return artifact

    def log_output(self, ref: Ref | str) -> None:
        """Say that the step made something; refs that it returns are known without."""
        ref = ref if isinstance(ref, Ref) else Ref.parse(ref)
        self.run.log_output(ref)
        self.logged.append(Logged(output=ref))

    @contextmanager
    def entered(self) -> Iterator[Context]:
        """Make this the current context."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)


def log_again(experiments: Experiments, run: Ref, logged: Sequence[Logged], *, at: datetime | None = None) -> None:
    """Log to a run, as one batch, what a step has logged; with `at`, as of that moment, so that twice is once."""
    points = [point for entry in logged for point in entry.points]
    experiments.log(
        run,
        params={name: value for entry in logged for name, value in entry.params.items()},
        points=points if at is None else [msgspec.structs.replace(point, time=at) for point in points],
        artifacts=[entry.artifact for entry in logged if entry.artifact is not None],
    )


_current: ContextVar[Context | None] = ContextVar("modelwright_step", default=None)
