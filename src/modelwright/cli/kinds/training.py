"""Experiments, runs, pipelines and executions at the command line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from modelwright.cli.kinds.base import Changes, Face, changes, standing, time_of, titled
from modelwright.cli.output import aside, facts, number, say, section, span, when
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.core.sizes import size

if TYPE_CHECKING:
    from modelwright.experiments.logged.records import LoggedModel
    from modelwright.experiments.records import Comparison, DatasetRead, Experiment, Run
    from modelwright.pipelines.records import Execution, PipelineVersion
    from modelwright.workspace import Workspace

TAG = 200  # characters of a tag that are shown
FIGURES = 50  # of a logged model that are shown
SHOWN_ERROR = 4000  # characters of an error's end, where a traceback says what happened


class ExperimentFace(Face):
    """Named series of runs."""

    kind = Kind.EXPERIMENT
    columns = ("experiment", "runs", "last run", "made", "by", "about")
    right = ("runs",)

    def show(self, rooms: Workspace, ref: Ref) -> Experiment:
        return rooms.experiments.experiment(ref.whole)

    def tell(self, rooms: Workspace, found: Experiment) -> None:
        made = f"{when(found.created_at)} by {found.created_by}"
        facts(
            str(found.ref),
            {
                "title": found.title if found.title != found.name else None,
                "about": found.description,
                "state": found.lifecycle.value if found.lifecycle != "active" else None,
                "runs": found.runs,
                "made": made,
                "tags": [f"{key}={value}" for key, value in found.tags.items()],
            },
        )
        face, page = self.within(rooms, found.ref, Filter(limit=10))
        section(face.columns, [face.row(run) for run in page.items], right=face.right)

    def list(self, rooms: Workspace, where: Filter) -> Page[Experiment]:
        return rooms.experiments.list_experiments(where)

    def within(self, rooms: Workspace, ref: Ref, where: Filter) -> tuple[Face, Page[Run]]:
        return RunFace(time_of(rooms)), rooms.experiments.list(where, experiment=ref.name)

    def tag(self, rooms: Workspace, ref: Ref, tags: dict[str, str | None], reason: str) -> dict[str, str]:
        return rooms.experiments.tag_experiment(ref, tags).tags

    def row(self, item: Experiment) -> Sequence[Any]:
        about = ": ".join(each for each in (item.title if item.title != item.name else "", item.description) if each)
        return [item.name, item.runs, when(item.last_run_at), when(item.created_at), item.created_by, about]


def _read(dataset: DatasetRead) -> str:
    """What a run read that no version of ours is: its name, what for, its digest and where from."""
    context = dataset.tags.get("mlflow.data.context")
    said = [context, f"digest {dataset.digest}", dataset.source_type and f"from {dataset.source_type}"]
    return f"{dataset.name} ({', '.join(each for each in said if each)})"


def status_of(run: Run, now: datetime) -> str:
    """The status of a run; of one that is said to run, also for how long nothing was heard of it, where that is long."""
    silent = run.silent(now)
    return run.status.value if silent is None else f"{run.status.value}, silent {span(silent.total_seconds())}"


def _heard(run: Run, now: datetime) -> str | None:
    if run.ended_at is not None:
        return None
    mend = "" if run.silent(now) is None else f"; if it is over: mw end {run.ref}"
    return f"{when(run.heard_at)}{mend}"


class RunFace(Face):
    """Runs of experiments."""

    kind = Kind.RUN
    columns = ("run", "name", "experiment", "status", "began", "figures")

    def __init__(self, now: datetime | None = None) -> None:
        self._now = now  # the time of the workspace, once something was listed

    def show(self, rooms: Workspace, ref: Ref) -> Run:
        return rooms.experiments.show(ref)

    def tell(self, rooms: Workspace, found: Run) -> None:
        code, machine = found.capture, found.capture.hardware
        facts(
            str(found.ref),
            {
                "name": found.name,
                "experiment": titled(found.experiment, found.experiment_title),
                "part of": f"run:{found.parent}" if found.parent else None,
                "status": found.status.value if found.lifecycle == "active" else f"{found.status.value}, deleted",
                "began": f"{when(found.started_at)} by {found.created_by}",
                "took": span(found.seconds),
                "last heard": _heard(found, time_of(rooms)),
                "inputs": "\n".join(map(str, found.inputs)),
                "read besides": "\n".join(map(_read, found.datasets)),
                "outputs": "\n".join(map(str, found.outputs)),
                "models": "\n".join(f"logged-model:{each.model} ({each.role.value})" for each in found.models),
                "code": f"{code.commit[:12]} on {code.branch}{', with uncommitted changes' if code.dirty else ''}"
                if code.commit
                else None,
                "seeds": [f"{name}={value}" for name, value in code.seeds.items()],
                "machine": f"{machine.processor}, {machine.cores} cores, {size(machine.memory)}" if machine else None,
                "tags": [f"{key}={value}"[:TAG] for key, value in found.tags.items()],
                "error": found.error,
            },
        )
        if found.params:
            section(["parameter", "value"], [[name, value] for name, value in found.params.items()])
        if found.metrics:
            rows = [[m.name, number(m.figure), number(m.low), number(m.high), m.step] for m in found.metrics.values()]
            section(["metric", "last", "lowest", "highest", "step"], rows, right=("last", "lowest", "highest", "step"))
        if found.artifacts:
            section(["artifact", "size"], [[a.name, size(a.size)] for a in found.artifacts], right=("size",))

    def list(self, rooms: Workspace, where: Filter) -> Page[Run]:
        self._now = time_of(rooms)
        return rooms.experiments.list(where)

    def row(self, item: Run) -> Sequence[Any]:
        shown = [f"{m.name} {number(m.figure)}" for m in list(item.metrics.values())[:3]]
        experiment = item.experiment_title or item.experiment
        return [
            item.id,
            item.name,
            experiment,
            status_of(item, self._now or item.heard_at),
            when(item.started_at),
            "\n".join(shown),
        ]

    def diff(self, rooms: Workspace, before: Ref, after: Ref) -> Comparison:
        return rooms.experiments.compare([before, after])

    def tell_diff(self, found: Comparison) -> None:
        from modelwright.experiments.names import labels

        names = [f"run {name}" for name in labels(found.runs)]
        say(" → ".join(str(run.ref) for run in found.runs), style="bold")
        for what, compared in (("parameter", found.params), ("metric", found.metrics)):
            differing = [each for each in compared if not each.same]
            if differing:
                section([what, *names], [[each.name, *map(number, each.values)] for each in differing])
            same = len(compared) - len(differing)
            if same:
                say(f"  The same: {', '.join(each.name for each in compared if each.same)}", style="dim")

    def tag(self, rooms: Workspace, ref: Ref, tags: dict[str, str | None], reason: str) -> dict[str, str]:
        return rooms.experiments.tag(ref, tags).tags


class LoggedModelFace(Face):
    """Models as runs logged them."""

    kind = Kind.LOGGED_MODEL
    columns = ("model", "name", "experiment", "status", "logged", "by")

    def show(self, rooms: Workspace, ref: Ref) -> LoggedModel:
        return rooms.logged_models.show(ref)

    def tell(self, rooms: Workspace, found: LoggedModel) -> None:
        facts(
            str(found.ref),
            {
                "name": found.name,
                "type": found.model_type,
                "experiment": titled(found.experiment, found.experiment_title),
                "run": f"run:{found.run}" if found.run else None,
                "status": found.status.value if found.lifecycle == "active" else f"{found.status.value}, deleted",
                "said": found.status_message,
                "logged": f"{when(found.created_at)} by {found.created_by}",
                "files": found.artifact_location,
                "tags": [f"{key}={value}"[:TAG] for key, value in found.tags.items()],
            },
        )
        if found.params:
            section(["parameter", "value"], [[name, value] for name, value in found.params.items()])
        latest = found.latest[:FIGURES]
        if latest:
            rows = [[each.name, number(float(each.value)), each.step, each.dataset] for each in latest]
            section(["metric", "value", "step", "dataset"], rows, right=("value", "step"))
        if len(latest) < len(found.metrics):
            aside(f"These are the newest of {len(found.metrics):,} figures; --json has all.")
        files = rooms.artifacts.all(found.ref)
        if files:
            section(["file", "size"], [[each.name, size(each.size)] for each in files], right=("size",))

    def list(self, rooms: Workspace, where: Filter) -> Page[LoggedModel]:
        return rooms.logged_models.list(where)

    def tag(self, rooms: Workspace, ref: Ref, tags: dict[str, str | None], reason: str) -> dict[str, str]:
        return rooms.logged_models.tag(ref, tags).tags

    def row(self, item: LoggedModel) -> Sequence[Any]:
        experiment = item.experiment_title or item.experiment
        return [item.id, item.name, experiment, item.status.value, when(item.created_at), item.created_by]


class PipelineFace(Face):
    """Versions of pipelines."""

    kind = Kind.PIPELINE
    columns = ("pipeline", "steps", "source", "made", "by")
    right = ("steps",)

    def show(self, rooms: Workspace, ref: Ref) -> PipelineVersion:
        return rooms.pipelines.version(ref)

    def tell(self, rooms: Workspace, found: PipelineVersion) -> None:
        spec = found.spec
        facts(
            str(found.ref),
            {
                "about": spec.description,
                "source": spec.source,
                "parameters": [f"{name}={value}" for name, value in spec.parameters.items()],
                **standing(found),
            },
        )
        rows = [[step.key, ", ".join(step.needs), spec.code.get(step.step, "")[:12]] for step in spec.steps]
        section(["step", "after", "code"], rows)
        face, page = self.within(rooms, found.ref, Filter(limit=5))
        if page.items:
            section(face.columns, [face.row(each) for each in page.items], right=face.right)

    def list(self, rooms: Workspace, where: Filter) -> Page[PipelineVersion]:
        return rooms.pipelines.list(where)

    def within(self, rooms: Workspace, ref: Ref, where: Filter) -> tuple[Face, Page[Execution]]:
        return ExecutionFace(), rooms.pipelines.list_executions(where, pipeline=ref.name)

    def row(self, item: PipelineVersion) -> Sequence[Any]:
        ref = str(item.ref).removeprefix("pipeline:")
        return [ref, len(item.spec.steps), item.spec.source, when(item.created_at), item.created_by]

    def diff(self, rooms: Workspace, before: Ref, after: Ref) -> Changes:
        one, two = rooms.pipelines.version(before), rooms.pipelines.version(after)
        return changes(one.ref, two.ref, one.spec, two.spec)


class ExecutionFace(Face):
    """Executions of pipelines."""

    kind = Kind.EXECUTION
    columns = ("execution", "pipeline", "state", "began", "took", "by")
    right = ("took",)

    def show(self, rooms: Workspace, ref: Ref) -> Execution:
        return rooms.pipelines.show(ref)

    def tell(self, rooms: Workspace, found: Execution) -> None:
        facts(
            str(found.ref),
            {
                "pipeline": found.pipeline,
                "state": found.state.value,
                "began": f"{when(found.created_at)} by {found.created_by}",
                "ended": when(found.ended_at),
                "figures": f"mw show {found.run}",
                "why": found.reason,
                "set off by": f"event {found.cause}" if found.cause is not None else None,
                "parameters": "\n".join(f"{name} = {value}" for name, value in found.params.items()),
                "made": "\n".join(map(str, found.outputs)),
                "error": found.error[-SHOWN_ERROR:],
            },
        )
        rows = [[s.key, s.state.value, span(s.seconds), len(s.attempts) or "", "; ".join(s.why)] for s in found.steps]
        section(["step", "state", "took", "tries", "why"], rows, right=("took", "tries"))
        for step in found.steps:
            if step.error:
                say(f"{step.key}:", style="red")
                say(step.error[-SHOWN_ERROR:])

    def list(self, rooms: Workspace, where: Filter) -> Page[Execution]:
        return rooms.pipelines.list_executions(where)

    def row(self, item: Execution) -> Sequence[Any]:
        took = None if item.ended_at is None else (item.ended_at - item.created_at).total_seconds()
        pipeline = str(item.pipeline).removeprefix("pipeline:")
        return [item.id, pipeline, item.state.value, when(item.created_at), span(took), item.created_by]
