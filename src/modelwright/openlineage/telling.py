"""The ledger in OpenLineage's words: which events are told, and as what.

A version is a dataset event; what a version was made from, a static job; a run of an experiment, an execution with its
steps, a materialisation and a rollout are runs, from START to their end. Everything else is no lineage, and is not told.
What is said beside an event (parameters, figures, descriptions) is what stands when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from modelwright.core.clock import isoformat
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert
from modelwright.features.records import ViewRecord
from modelwright.openlineage import facets
from modelwright.openlineage.datasets import Known, all_named, described, named, written
from modelwright.openlineage.naming import derived_id, run_id
from modelwright.pipelines.records import Execution, StepRecord
from modelwright.store import Event

Told = dict[str, Any]


def told(event: Event, known: Known) -> list[Told]:
    """What OpenLineage hears of an event of the ledger; mostly nothing."""
    if event.outcome != "ok" or event.decision == "deny":
        return []
    teller = _TELLERS.get(event.action)
    if teller is None and event.action.startswith("deployments.rollout."):
        teller = _rollout
    return list(teller(event, known)) if teller is not None else []


# Versions


def _version_added(event: Event, known: Known) -> Iterator[Told]:
    ref = Ref.parse(event.resource)
    said = described(known, ref)
    if said is None:
        return
    said["facets"]["lifecycleStateChange"] = facets.lifecycle("CREATE")
    yield _event("DatasetEvent", event, dataset=said)
    sources = _refs(event.inputs)
    if not all_named(known, sources):
        return
    run = next((each for each in sources if each.kind is Kind.RUN), None)
    job = _run_job(run, known) if run is not None else None
    if run is not None and job is not None:
        yield _run_event(event, "OTHER", run_id(run.name), job, outputs=written(known, [ref]))
    else:
        yield _event(
            "JobEvent",
            event,
            job=_job(known, f"{ref.kind.value}/{ref.name}", "BATCH", "TASK"),
            inputs=all_named(known, sources),
            outputs=written(known, [ref]),
        )


def _view_registered(event: Event, known: Known) -> Iterator[Told]:
    ref = Ref.parse(event.resource)
    said, version = described(known, ref), known.version(ref)
    if said is None or version is None:
        return
    yield _event("DatasetEvent", event, dataset=said | {"facets": {
        **said["facets"], "lifecycleStateChange": facets.lifecycle("CREATE")}})  # fmt: skip
    record = convert(version.record, ViewRecord)
    job = _job(known, f"feature_view/{ref.name}", "BATCH", "VIEW")
    if record.view.select:
        job["facets"]["sql"] = facets.sql(record.view.select)
    yield _event("JobEvent", event, job=job, inputs=all_named(known, _refs(event.inputs)), outputs=[said])


def _gone(event: Event, known: Known) -> Iterator[Told]:
    said = named(known, Ref.parse(event.resource))
    if said is not None:
        said.setdefault("facets", {})["lifecycleStateChange"] = facets.lifecycle("DROP")
        yield _event("DatasetEvent", event, dataset=said)


# Runs


def _run_started(event: Event, known: Known) -> Iterator[Told]:
    ref = Ref.parse(event.resource)
    job = _job(known, f"experiment/{event.after.get('experiment', '')}", "BATCH", "TRAINING")
    yield _run_event(event, "START", run_id(ref.name), job, inputs=all_named(known, _refs(event.inputs)))


def _run_linked(event: Event, known: Known) -> Iterator[Told]:
    ref = Ref.parse(event.resource)
    job = _run_job(ref, known)
    if job is not None:
        read, made = all_named(known, _refs(event.inputs)), written(known, _refs(event.outputs))
        yield _run_event(event, "RUNNING", run_id(ref.name), job, inputs=read, outputs=made)


def _run_ended(kind: str) -> Callable[[Event, Known], Iterator[Told]]:
    def tell(event: Event, known: Known) -> Iterator[Told]:
        ref = Ref.parse(event.resource)
        job, run, more = _run_job(ref, known), known.run(ref), dict[str, Any]()
        if job is None or run is None:  # deleted since
            return
        if run.params:
            more["executionParameters"] = facets.parameters(run.params)
        if run.metrics:
            figures = [{"name": each.name, "value": each.value, "step": each.step} for each in run.metrics.values()]
            more["modelwright_metrics"] = facets.custom("MetricsRunFacet", metrics=figures)
        if run.error:
            more["errorMessage"] = facets.error(run.error)
        made = written(known, _refs(event.outputs))
        yield _run_event(event, kind, run_id(ref.name), job, run_facets=more, outputs=made)

    return tell


def _run_job(ref: Ref, known: Known) -> dict[str, Any] | None:
    run = known.run(ref)
    return None if run is None else _job(known, f"experiment/{run.experiment}", "BATCH", "TRAINING")


# Executions and their steps


def _execution_started(event: Event, known: Known) -> Iterator[Told]:
    ref, sources = Ref.parse(event.resource), _refs(event.inputs)
    pipeline = next((each for each in sources if each.kind is Kind.PIPELINE), None)
    if pipeline is not None:
        job = _job(known, pipeline.name, "BATCH", "DAG")
        yield _run_event(event, "START", run_id(ref.name), job, inputs=all_named(known, sources))


def _execution_ended(kind: str) -> Callable[[Event, Known], Iterator[Told]]:
    def tell(event: Event, known: Known) -> Iterator[Told]:
        execution = known.execution(Ref.parse(event.resource))
        if execution is None:
            return
        for step in execution.steps:
            yield from _step(event, execution, step, known)
        more = {"errorMessage": facets.error(execution.error)} if execution.error else {}
        yield _run_event(
            event,
            kind,
            run_id(execution.id),
            _job(known, execution.pipeline.name, "BATCH", "DAG"),
            run_facets=more,
            outputs=written(known, _refs(event.outputs)),
        )

    return tell


_STEPS = {"done": "COMPLETE", "cached": "COMPLETE", "failed": "FAIL"}


def _step(event: Event, execution: Execution, step: StepRecord, known: Known) -> Iterator[Told]:
    """A step is journalled and leaves no event of its own: it is told, from its beginning on, when its execution ends."""
    if step.started_at is None and step.state.value not in _STEPS:
        return
    identity, name = derived_id(execution.id, step.key), f"{execution.pipeline.name}.{step.key}"
    belongs = facets.parent(run_id(execution.id), known.namespace, execution.pipeline.name)
    began, ended = isoformat(step.started_at or event.ts), isoformat(step.ended_at or event.ts)
    job = _job(known, name, "BATCH", "TASK")
    yield _run_event(event, "START", identity, job, run_facets={"parent": belongs}) | {"eventTime": began}
    more = {"parent": belongs} | ({"errorMessage": facets.error(step.error)} if step.error else {})
    kind = _STEPS.get(step.state.value, "ABORT")
    yield _run_event(event, kind, identity, job, run_facets=more) | {"eventTime": ended}


# What becomes of versions


def _materialised(event: Event, known: Known) -> Iterator[Told]:
    ref = Ref.parse(event.resource)
    job, identity = (
        _job(known, f"feature_view/{ref.name}.materialise", "BATCH", "TASK"),
        derived_id(ref.name, str(event.seq)),
    )
    read, made = all_named(known, _refs(event.inputs)), all_named(known, [ref])
    yield _run_event(event, "START", identity, job, inputs=read)
    yield _run_event(event, "COMPLETE", identity, job, inputs=read, outputs=made)


def _live(event: Event, known: Known) -> Iterator[Told]:
    ref = Ref.parse(event.resource)
    job = _job(known, f"deployment/{ref.name}/{event.environment}", "SERVICE", "MODEL")
    read, made = all_named(known, _refs(event.inputs)), all_named(known, [ref])
    yield _event("JobEvent", event, job=job, inputs=read, outputs=made)


_ROLLOUTS = {"promoted": "COMPLETE", "rolled_back": "ABORT", "superseded": "ABORT"}


def _rollout(event: Event, known: Known) -> Iterator[Told]:
    """A rollout is a run of the service that it changes."""
    rollout = next((each for each in _refs(event.outputs) if each.kind is Kind.ROLLOUT), None)
    if rollout is None:
        return
    deployment = Ref.parse(event.resource)
    job = _job(known, f"deployment/{deployment.name}/{event.environment}", "SERVICE", "MODEL")
    candidate = Ref.parse(event.after["model"])
    read = all_named(known, [candidate])
    moved = facets.custom("RolloutRunFacet", before=event.before, after=event.after, reason=event.reason)
    if event.before.get("state") == "pending":
        yield _run_event(event, "START", run_id(rollout.name), job, inputs=read)
    kind = _ROLLOUTS.get(str(event.after.get("state")), "RUNNING")
    made = all_named(known, [deployment]) if kind == "COMPLETE" else []
    more = {"modelwright_rollout": moved}
    yield _run_event(event, kind, run_id(rollout.name), job, run_facets=more, inputs=read, outputs=made)


_TELLERS: dict[str, Callable[[Event, Known], Iterator[Told]]] = {
    "datasets.version.added": _version_added,
    "datasets.version.retired": _gone,
    "datasets.version.deleted": _gone,
    "features.view.registered": _view_registered,
    "features.view.retired": _gone,
    "features.view.materialised": _materialised,
    "models.version.registered": _version_added,
    "models.version.retired": _gone,
    "models.version.deleted": _gone,
    "experiments.run.started": _run_started,
    "experiments.run.linked": _run_linked,
    "experiments.run.finished": _run_ended("COMPLETE"),
    "experiments.run.failed": _run_ended("FAIL"),
    "experiments.run.killed": _run_ended("ABORT"),
    "pipelines.execution.started": _execution_started,
    "pipelines.execution.finished": _execution_ended("COMPLETE"),
    "pipelines.execution.failed": _execution_ended("FAIL"),
    "pipelines.execution.cancelled": _execution_ended("ABORT"),
    "pipelines.execution.abandoned": _execution_ended("ABORT"),
    "deployments.release.live": _live,
}


# The events themselves


def _event(kind: str, event: Event, **fields: Any) -> Told:
    return {
        "eventTime": isoformat(event.ts),
        "producer": facets.PRODUCER,
        "schemaURL": facets.SPEC + kind,
        **fields,
    }


def _run_event(
    event: Event,
    kind: str,
    identity: str,
    job: dict[str, Any],
    *,
    run_facets: dict[str, Any] | None = None,
    inputs: Iterable[Told] = (),
    outputs: Iterable[Told] = (),
) -> Told:
    run = {"runId": identity, "facets": {"processing_engine": facets.engine(), **(run_facets or {})}}
    return _event("RunEvent", event, eventType=kind, run=run, job=job, inputs=list(inputs), outputs=list(outputs))


def _job(known: Known, name: str, processing: str, kind: str) -> dict[str, Any]:
    return {
        "namespace": known.namespace,
        "name": name,
        "facets": {"jobType": facets.job_type(processing, kind)},
    }


def _refs(texts: Iterable[str]) -> list[Ref]:
    return [Ref.parse(text) for text in texts]
