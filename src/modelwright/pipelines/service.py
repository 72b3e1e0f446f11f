"""The service of the room: versions of pipelines, their executions, and the journal that workers write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from modelwright.core.clock import Clock, SystemClock, isoformat
from modelwright.core.errors import Conflict
from modelwright.core.operations import Caller, Resource, Room, operation
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert, encode_text
from modelwright.experiments import Capture, Experiments, RunStatus
from modelwright.pipelines import journal, queries
from modelwright.pipelines.records import (
    FINAL,
    GIVEN,
    Claim,
    ClaimState,
    Component,
    Execution,
    ExecutionState,
    Pin,
    PipelineSpec,
    PipelineVersion,
    StepRecord,
    StepState,
    key_of,
)
from modelwright.pipelines.tables import executions
from modelwright.store import Transaction, Version, catalog

if TYPE_CHECKING:
    from modelwright.pipelines.graph import Pipeline
    from modelwright.pipelines.worker import ExecutionResult, Progress


class PipelineSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[pipelines]`."""

    lease: float = 30.0  # seconds a worker may be silent before its step is handed to another
    losses: int = 20  # workers that may die over one step before it counts as failed
    experiment: str = ""  # the experiment of all executions; empty: one of the pipeline's own name


class Pipelines(Room):
    """Pipelines, what they made, and why each step ran or did not.

    The right to an execution is asked on its pipeline.
    """

    room: ClassVar[str] = "pipelines"
    kind: ClassVar[Kind] = Kind.PIPELINE

    def __init__(
        self,
        caller: Caller,
        *,
        experiments: Experiments,
        settings: PipelineSettings = PipelineSettings(),
        lease_clock: Clock | None = None,
        workspace: Callable[[], Any] | None = None,
        opener: tuple[str, str] | None = None,
    ) -> None:
        """`workspace` gives steps the workspace they run in; `opener` says how a process of its own opens it again:
        a function as `module:name`, and the address that it takes."""
        super().__init__(caller)
        self.experiments = experiments
        self.settings = settings
        self.workspace = workspace
        self.opener = opener
        self._lease_clock = lease_clock or SystemClock()

    def resource_of(self, tx: Any, ref: Ref) -> Resource:
        """The pipeline stands for its executions."""
        if ref.kind is Kind.EXECUTION:
            return Resource(Kind.PIPELINE, journal.execution_row(tx, ref).pipeline)
        return super().resource_of(tx, ref)

    # Versions

    @operation("write", event="pipelines.version.registered")
    def register(self, tx: Transaction, name: str, spec: PipelineSpec) -> PipelineVersion:
        """Add a version of a pipeline; the same code and graph as the latest is that version again."""
        before = catalog.latest(tx, Ref(Kind.PIPELINE, name))
        version = catalog.add(tx, Kind.PIPELINE, name, digest=spec.digest, record=spec, description=spec.description)
        if before is not None and before.ref == version.ref:
            tx.unchanged()
        else:
            tx.note(resource=version.ref, outputs=[version.ref], after={"digest": version.digest})
        return _version_of(version)

    @operation("read")
    def version(self, tx: Transaction, ref: Ref) -> PipelineVersion:
        """Show a version of a pipeline: its steps and the code they rest on."""
        return _version_of(catalog.get(tx, ref))

    # Executions

    @operation("train", event="pipelines.execution.started")
    def start(
        self,
        tx: Transaction,
        name: str,
        *,
        digest: str,
        params: Mapping[str, Any] = {},
        inputs: Sequence[Ref] = (),
        experiment: str = "",
        capture: Capture = Capture(),
        reason: str = "",
        cause: int | None = None,
    ) -> Execution:
        """Start an execution of the version with this digest, or go on with one that was never finished.

        One of the same version and parameters that has not ended is returned as it is (`resumed`). So is the one that the
        same `cause` (a ledger event) has started, ended or not: one event, one execution. Executions with these parameters
        of an older version, which no worker is at, are abandoned: their pipeline is not what it was.
        """
        version = catalog.get(tx, Ref(Kind.PIPELINE, name, f"b3:{digest}"))
        text = encode_text(dict(sorted(params.items())))
        there = self._unfinished(tx, version.ref, text, cause)
        if there is not None:
            tx.unchanged()
            journal.touch(tx, Ref(Kind.EXECUTION, there.id), self._lease_clock.now())
            return journal.execution_of(tx, there, resumed=True)
        ref = Ref(Kind.EXECUTION, tx.new_id())
        spec = convert(version.record, PipelineSpec)
        run = self.experiments.start(
            experiment or self.settings.experiment or name,
            tags={"pipeline": str(version.ref), "execution": str(ref)},
            inputs=[*inputs, version.ref],
            capture=capture,
            reason=reason,
        )
        tx.execute(
            executions.insert().values(
                id=ref.name,
                pipeline=name,
                version=version.ref.version,
                state=ExecutionState.RUNNING,
                params=text,
                run=run.id,
                reason=reason,
                cause=cause,
                source=spec.source,
                inputs=encode_text(list(inputs)),
                outputs="[]",
                error="",
                created_at=tx.stamp,
                created_by=tx.principal.id,
                touched_at=isoformat(self._lease_clock.now()),
            )
        )
        self.experiments.log(run.ref, params=params)
        journal.plan(tx, ref, spec.steps)
        catalog.depend(tx, ref, [run.ref])
        tx.note(
            resource=ref, inputs=[*inputs, version.ref], outputs=[ref, run.ref], after={"run": str(run.ref), "cause": cause}
        )
        return journal.execution_of(tx, journal.execution_row(tx, ref))

    def _unfinished(self, tx: Transaction, version: Ref, params: str, cause: int | None) -> Any | None:
        started = journal.started_by(tx, version.name, cause)
        if started is not None and (started.state in FINAL or started.version == version.version):
            return started
        for row in journal.unfinished(tx, version.name):
            if row.params != params or (cause != row.cause and cause is not None and row.cause is not None):
                continue
            if row.version == version.version:
                return row
            if row == started or not journal.alive(row, self._lease_clock.now(), self.settings.lease):
                self._abandon(tx, row, f"{version} is another version of the pipeline.")
        return None

    def _abandon(self, tx: Transaction, row: Any, why: str) -> None:
        """Give an execution up; what caused it may cause another."""
        tx.record("pipelines.execution.abandoned", Ref(Kind.EXECUTION, row.id), reason=why)
        tx.execute(executions.update().where(executions.c.id == row.id).values(cause=None))
        self._end(tx, row, ExecutionState.ABANDONED, error=why)

    @operation("train", data=True)
    def claim(
        self,
        tx: Transaction,
        ref: Ref,
        step: str,
        components: Sequence[Component],
        *,
        worker: str,
        cache: bool = True,
        force: bool = False,
        presumed_dead: str = "",
    ) -> Claim:
        """Ask for a step: it is granted under a fence, or its result is there already, or another worker holds it.

        A lease that has run out is no hindrance, nor is the worker named by `presumed_dead`, which the caller has seen to
        be gone. `force` runs a step whose result could be reused.
        """
        row, key = journal.step_row(tx, ref, step), key_of(components)
        if row.state in GIVEN and row.cache_key == key:
            return self._claim(tx, ref, step, ClaimState.GIVEN)
        execution, now = journal.open_execution(tx, ref), self._lease_clock.now()
        journal.ready(tx, ref, row)
        journal.touch(tx, ref, now)
        again: list[str] = []
        if row.state == StepState.RUNNING:
            if row.until > isoformat(now) and row.holder not in (worker, presumed_dead):
                return self._claim(tx, ref, step, ClaimState.HELD)
            journal.end_attempt(tx, ref, step, row.fence, "lost")
            again = [f"the worker that was at it ({row.holder}) is gone"]
            if journal.losses(tx, ref, step) >= self.settings.losses:
                journal.write(tx, ref, step, state=StepState.FAILED, error=again[0], ended_at=tx.stamp, until=None)
                return self._claim(tx, ref, step, ClaimState.SPENT)
        described = {"cache_key": key, "components": encode_text(list(components))}
        kept = journal.reusable(tx, self.blobs, execution.pipeline, key) if cache and not force else None
        if kept is not None:
            origin = kept.cached_from or kept.execution
            same = f"nothing that it rests on has changed since execution:{origin}"
            journal.write(
                tx,
                ref,
                step,
                state=StepState.CACHED,
                why=encode_text([same]),
                outputs=kept.outputs,
                logged=kept.logged,
                cached_from=origin,
                started_at=tx.stamp,
                ended_at=tx.stamp,
                holder="",
                until=None,
                **described,
            )
            return self._claim(tx, ref, step, ClaimState.GIVEN)
        why = ["it was forced"] if force else [] if cache else ["it is declared to run each time (cache=False)"]
        why = again or why or journal.why_it_runs(tx, execution.pipeline, step, components)
        until = now + timedelta(seconds=self.settings.lease)
        fence = journal.grant(tx, ref, row, worker, until, why=encode_text(why), **described)
        return self._claim(tx, ref, step, ClaimState.GRANTED, fence)

    def _claim(self, tx: Transaction, ref: Ref, step: str, state: ClaimState, fence: int = 0) -> Claim:
        record = journal.steps_of(tx, ref, step)[0]
        return Claim(state=state, step=record, fence=fence, lease=self.settings.lease)

    @operation("train", data=True)
    def heartbeat(self, tx: Transaction, ref: Ref, step: str, *, fence: int) -> None:
        """Renew the lease on a step; `LeaseLost` where it is not one's own any more."""
        journal.held(tx, ref, step, fence)
        now = self._lease_clock.now()
        journal.touch(tx, ref, now)
        journal.write(tx, ref, step, until=isoformat(now + timedelta(seconds=self.settings.lease)))

    @operation("train", data=True)
    def complete(
        self, tx: Transaction, ref: Ref, step: str, *, fence: int, outputs: Any, logged: str | None = None
    ) -> StepRecord:
        """Hand in the result of a step; `LeaseLost` where the step was handed on in the meantime."""
        journal.held(tx, ref, step, fence)
        journal.touch(tx, ref, self._lease_clock.now())
        journal.end_attempt(tx, ref, step, fence, "done")
        done = {"state": StepState.DONE, "ended_at": tx.stamp, "holder": "", "until": None}
        journal.write(tx, ref, step, outputs=encode_text(outputs), logged=logged, **done)
        return journal.steps_of(tx, ref, step)[0]

    @operation("train", data=True)
    def fail(self, tx: Transaction, ref: Ref, step: str, *, fence: int, error: str, again: bool = False) -> StepRecord:
        """Hand in that a try has failed; with `again`, the step may be claimed anew at once."""
        journal.held(tx, ref, step, fence)
        journal.touch(tx, ref, self._lease_clock.now())
        journal.end_attempt(tx, ref, step, fence, "failed", error)
        state = StepState.PENDING if again else StepState.FAILED
        journal.write(tx, ref, step, state=state, ended_at=tx.stamp, holder="", until=None, error=error)
        return journal.steps_of(tx, ref, step)[0]

    @operation("train", event="pipelines.execution.finished")
    def finish(
        self,
        tx: Transaction,
        ref: Ref,
        *,
        result: Any = None,
        outputs: Sequence[Ref] = (),
        error: str = "",
    ) -> Execution:
        """End an execution, and its run: as succeeded, or with an `error` as failed. `outputs` is what it made."""
        row = journal.execution_row(tx, ref)
        if row.state == (ExecutionState.FAILED if error else ExecutionState.SUCCEEDED):
            tx.unchanged()
            return journal.execution_of(tx, row)
        row = journal.open_execution(tx, ref)
        waiting = [each.key for each in journal.steps_of(tx, ref) if each.state not in GIVEN]
        if waiting and not error:
            raise Conflict(f"{ref} has not succeeded: {', '.join(waiting)} gave no result.")
        state = ExecutionState.FAILED if error else ExecutionState.SUCCEEDED
        self._end(tx, row, state, result=result, outputs=outputs, error=error)
        tx.note(
            resource=ref,
            inputs=[ref],
            outputs=list(outputs),
            after={"state": state, "error": error[:500]},
            action="pipelines.execution.failed" if error else None,
        )
        return journal.execution_of(tx, journal.execution_row(tx, ref))

    @operation("train", event="pipelines.execution.cancelled")
    def cancel(self, tx: Transaction, ref: Ref, *, reason: str = "") -> Execution:
        """End an execution for good. A worker at it learns so with its next heartbeat, and its result is refused."""
        self._end(tx, journal.open_execution(tx, ref), ExecutionState.CANCELLED, error=reason)
        tx.note(resource=ref, after={"state": ExecutionState.CANCELLED})
        return journal.execution_of(tx, journal.execution_row(tx, ref))

    def _end(
        self,
        tx: Transaction,
        row: Any,
        state: ExecutionState,
        *,
        result: Any = None,
        outputs: Sequence[Ref] = (),
        error: str = "",
    ) -> None:
        ended = {
            "state": state,
            "ended_at": tx.stamp,
            "error": error,
            "outputs": encode_text(list(outputs)),
            "result": None if result is None else encode_text(result),
        }
        tx.execute(executions.update().where(executions.c.id == row.id).values(**ended))
        statuses = {ExecutionState.SUCCEEDED: RunStatus.FINISHED, ExecutionState.FAILED: RunStatus.FAILED}
        run = Ref(Kind.RUN, row.run)
        if self.experiments.show(run).status is RunStatus.RUNNING:
            self.experiments.finish(run, status=statuses.get(state, RunStatus.KILLED), outputs=outputs, error=error)

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> Execution:
        """Show an execution with the journal of its steps: what ran, what was reused, and why."""
        return journal.execution_of(tx, journal.execution_row(tx, ref))

    @operation("read", on="")
    def list(self, tx: Transaction, where: Filter = Filter()) -> Page[PipelineVersion]:
        """List pipelines by their latest version."""
        page = catalog.list_things(tx, Kind.PIPELINE, where)
        return Page(items=[_version_of(each) for each in page.items], next=page.next)

    @operation("read", on="")
    def list_executions(self, tx: Transaction, where: Filter = Filter(), *, pipeline: str | None = None) -> Page[Execution]:
        """List executions without their steps, newest first. `where.under` is a path of pipelines."""
        return queries.list_executions(tx, where, pipeline)

    @operation("read", on="")
    def list_stalled(self, tx: Transaction) -> Sequence[Execution]:
        """List executions that have not ended and that no worker is at: the operator has them gone on with."""
        return queries.list_stalled(tx, self._lease_clock.now() - timedelta(seconds=self.settings.lease))

    @operation("read", on="")
    def pin(self, tx: Transaction, refs: Sequence[Ref]) -> Sequence[Pin]:
        """The exact versions that refs stand for now, with their digests; what has no versions is its own digest."""
        return [queries.pin(tx, ref) for ref in refs]

    # At the caller's side

    def run(
        self,
        pipeline: Pipeline[..., Any],
        params: Mapping[str, Any] | None = None,
        *,
        reason: str = "",
        cause: int | None = None,
        root: Path | None = None,
        force: Sequence[str] = (),
        processes: bool = False,
        patience: float = 300.0,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> ExecutionResult:
        """Run a pipeline here, reusing what has not changed and going on with what was not finished.

        `root` is the project's folder (by default that of the pipeline's file): modules under it belong to the steps' code.
        `force` names steps to run whatever the cache holds (`"*"` for all). With `processes` every step runs in a process
        of its own. `patience` is how many seconds to wait for a workspace that does not answer. `progress` is told of
        every step as it starts and ends. Raises `StepFailed` when a step gives up.
        """
        from modelwright.pipelines.worker import Options, Worker

        options = Options(reason=reason, cause=cause, force=tuple(force), processes=processes, seed=seed, patience=patience)
        return Worker(self, pipeline, root or pipeline.file.parent, options, progress).run(dict(params or {}))


def _version_of(version: Version) -> PipelineVersion:
    return PipelineVersion(
        ref=version.ref,
        digest=version.digest,
        spec=convert(version.record, PipelineSpec),
        created_at=version.created_at,
        created_by=version.created_by,
        tags=version.tags,
    )
