"""The worker: carries an execution out, at the caller's side, by nothing but operations.

It may die at any moment. All it knows is in the journal, so the next worker goes on from there: a step that was handed in
is never run again, and one that was not is granted anew once the dead worker's lease has run out, or at once where both run
on one machine.
"""

from __future__ import annotations

import contextvars
import inspect
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

import msgspec

from modelwright.core.errors import Conflict, Invalid, Unavailable
from modelwright.core.hashing import digest_value
from modelwright.core.refs import Ref
from modelwright.core.wire import decode, encode, to_plain
from modelwright.experiments import ActiveRun
from modelwright.pipelines import artifacts
from modelwright.pipelines.calling import call
from modelwright.pipelines.context import Context, Logged, log_again
from modelwright.pipelines.errors import LeaseLost, StepFailed
from modelwright.pipelines.fingerprint import Sources, Unreadable
from modelwright.pipelines.graph import Graph, Node, Pipeline, Promise, promises_in, replace_in
from modelwright.pipelines.liveness import is_gone, worker_name
from modelwright.pipelines.loading import loaded_digests, project_on_path
from modelwright.pipelines.records import (
    Claim,
    ClaimState,
    Component,
    ComponentKind,
    Execution,
    ExecutionState,
    Pin,
    PipelineSpec,
    PlannedStep,
    StepRecord,
    StepState,
    key_of,
)

if TYPE_CHECKING:
    from modelwright.pipelines.service import Pipelines

P = ParamSpec("P")
R = TypeVar("R")

POLL = 0.25  # seconds between two looks at a step that another worker holds
SHORT = 80  # characters of a value that is shown where it changed


class Progress(Protocol):
    """Told of what a worker does: `what` is started, done, cached, failed, retried or waiting; positions count from 1."""

    def __call__(self, what: str, step: StepRecord, position: int, total: int) -> None: ...


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to run."""

    reason: str = ""
    cause: int | None = None
    force: tuple[str, ...] = ()
    processes: bool = False
    patience: float = 300.0  # seconds that a worker waits for a workspace which does not answer
    seed: int = 0


class ExecutionResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run. `outputs` is what the pipeline returned, as values; `made` the refs among its results."""

    execution: Execution
    outputs: Any
    made: list[Ref]
    resumed: bool

    @property
    def steps(self) -> list[StepRecord]:
        """Each step with its state and why it ran or did not."""
        return self.execution.steps

    @property
    def run(self) -> Ref:
        """The experiment's run with its figures."""
        return self.execution.run


class Worker:
    """Runs one pipeline once."""

    def __init__(
        self,
        service: Pipelines,
        pipeline: Pipeline[..., Any],
        root: Path,
        options: Options,
        progress: Progress | None,
    ) -> None:
        self.service = service
        self.blobs = service.blobs
        self.pipeline = pipeline
        self.root = root.resolve()
        self.options = options
        self.progress = progress or (lambda what, step, position, total: None)
        self.name = worker_name()
        self.sources = Sources(self.root, loaded=loaded_digests())
        self._code: dict[str, tuple[list[Component], str]] = {}
        self._trees: dict[str, artifacts.Tree] = {}
        self._pins: dict[Ref, Pin] = {}

    def run(self, params: Mapping[str, Any]) -> ExecutionResult:
        """Run to the end, or raise `StepFailed`."""
        with project_on_path(self.root):
            return self._run(params)

    def _run(self, params: Mapping[str, Any]) -> ExecutionResult:
        bound = self.pipeline.bind(params)
        self._pin(list(_refs_in(bound)))
        bound = replace_in(bound, self._pinned)
        graph = self.pipeline.graph(**bound)
        self._pin([ref for node in graph.nodes for ref in _refs_in(node.arguments)])
        execution = self._start(graph, bound)
        if execution.ended_at is None:
            execution = self._carry_out(execution, graph)
        if execution.state is not ExecutionState.SUCCEEDED:
            raise Conflict(
                f"{execution.ref}, which event {execution.cause} has set off, is {execution.state}: {execution.error}",
                mend="Run the pipeline without that cause.",
            )
        return ExecutionResult(
            execution=execution,
            outputs=artifacts.load(execution.result, self.blobs),
            made=execution.outputs,
            resumed=execution.resumed,
        )

    def _start(self, graph: Graph, bound: Mapping[str, Any]) -> Execution:
        from modelwright.experiments.capturing import capture

        spec = PipelineSpec(
            steps=[PlannedStep(key=node.key, step=node.step.name, needs=node.needs) for node in graph.nodes],
            code={node.step.name: key_of(self._code_of(node)[0]) for node in graph.nodes},
            description=self.pipeline.description,
            parameters={
                name: to_plain(parameter.default)
                for name, parameter in self.pipeline.signature.parameters.items()
                if isinstance(parameter.default, bool | int | float | str | None)
            },
            source=f"{self.sources.label(self.pipeline.file.resolve())}:{self.pipeline.function.__name__}",
        )
        version = self.service.register(graph.name, spec)
        return self.service.start(
            graph.name,
            digest=version.digest,
            params={name: _plain(name, value) for name, value in bound.items()},
            inputs=list(dict.fromkeys(pin.ref for pin in self._pins.values())),
            experiment=self.pipeline.experiment if self.pipeline.experiment != graph.name else "",
            capture=capture(self.blobs, self.root, seeds={"base": self.options.seed}),
            reason=self.options.reason,
            cause=self.options.cause,
        )

    def _carry_out(self, execution: Execution, graph: Graph) -> Execution:
        run = self.service.experiments.follow(execution.run)
        try:
            for position, node in enumerate(graph.nodes, start=1):
                record = self._give(execution, node, run, position, len(graph.nodes))
                self._trees[node.key] = record.outputs
        except StepFailed as failure:
            run.close()
            self.service.finish(execution.ref, error=failure.message)
            raise
        except KeyboardInterrupt:
            run.close()
            self.service.cancel(execution.ref, reason="Interrupted from the keyboard.")
            raise
        finally:
            run.close()
        result = artifacts.store(replace_in(graph.result, self._stored), self.blobs, step=graph.name)
        made = list(dict.fromkeys(ref for tree in self._trees.values() for ref in artifacts.refs_in(tree)))
        made += [ref for ref in run.outputs if ref not in made]
        ended = self._insist(self.service.finish, execution.ref, result=result, outputs=made)
        return msgspec.structs.replace(ended, resumed=execution.resumed)

    # One step

    def _give(self, execution: Execution, node: Node, run: ActiveRun, position: int, total: int) -> StepRecord:
        """Get the result of a step: from the journal, from the cache, from another worker, or by running it."""
        components, unreadable = self._components(node)
        force = "*" in self.options.force or node.step.name in self.options.force or node.key in self.options.force
        tries, dead = 0, ""
        while True:
            claim = self._insist(
                self.service.claim,
                execution.ref,
                node.key,
                components,
                worker=self.name,
                cache=node.step.cache and not unreadable,
                force=force,
                presumed_dead=dead,
            )
            if claim.state is ClaimState.GIVEN:
                self._log_again(execution.ref, claim.step, run)
                self.progress("cached" if claim.step.state is StepState.CACHED else "done", claim.step, position, total)
                return claim.step
            if claim.state is ClaimState.HELD:
                self.progress("waiting", claim.step, position, total)
                dead = claim.step.holder if is_gone(claim.step.holder) else ""
                if not dead:
                    time.sleep(POLL)
                continue
            if claim.state is ClaimState.SPENT:
                raise _failure(node, Unavailable("too many workers have died over it"))
            tries += 1
            self.progress("started", claim.step, position, total)
            try:
                done = self._attempt(execution, node, run, claim)
            except LeaseLost:
                continue  # another worker has it now: see what becomes of it
            except Exception as error:
                again = tries <= node.step.retries
                failed = self._fail(execution, node, claim, error, again=again)
                self.progress("retried" if again else "failed", failed, position, total)
                if not again:
                    raise _failure(node, error) from error
            except BaseException:
                self._fail(execution, node, claim, "interrupted", again=True)
                raise
            else:
                self.progress("done", done, position, total)
                return done

    def _log_again(self, execution: Ref, step: StepRecord, run: ActiveRun) -> None:
        """A reused step brings its figures along; one that an earlier worker ran has logged its own."""
        logged = decode(self.blobs.read(step.logged), list[Logged]) if step.logged else []
        for entry in logged:
            if entry.output is not None:
                run.log_output(entry.output)
        if step.state is StepState.CACHED and logged:
            try:
                log_again(self.service.experiments, run.ref, logged, at=run.started_at)
            except Conflict:
                if self.service.show(execution).ended_at is None:
                    raise  # otherwise a worker beside this one has logged them, and come to the end

    def _attempt(self, execution: Execution, node: Node, run: ActiveRun, claim: Claim) -> StepRecord:
        context = Context(
            run=run,
            execution=execution.ref,
            step=node.key,
            attempt=len(claim.step.attempts),
            seed=self._seed(node),
            open_workspace=self._workspace,
        )
        with self._heartbeat(execution.ref, node.key, claim):
            arguments = self._arguments(node)
            if self.options.processes or node.step.timeout is not None:
                tree = self._in_process(node, arguments, context)
            else:
                values = {name: artifacts.load(each, self.blobs) for name, each in arguments.items()}
                tree = self._keep(node, call(node.step, values, context))
        logged = self._insist(self.blobs.put, encode(context.logged)) if context.logged else None
        self._insist(run.flush)
        return self._insist(self.service.complete, execution.ref, node.key, fence=claim.fence, outputs=tree, logged=logged)

    def _in_process(self, node: Node, arguments: dict[str, artifacts.Tree], context: Context) -> artifacts.Tree:
        from modelwright.pipelines.processes import Request, run_in_process

        function = inspect.unwrap(node.step.function)
        request = Request(
            root=self.root,
            file=Path(inspect.getsourcefile(function) or "").resolve(),
            name=function.__qualname__,
            arguments=arguments,
            run=msgspec.structs.replace(self.service.experiments.show(context.run.ref), started_at=context.run.now()),
            execution=context.execution,
            step=node.key,
            attempt=context.attempt,
            seed=context.seed,
            opener=self.service.opener,
        )
        answer = run_in_process(request, node.step, self.blobs)
        if answer.logged:
            log_again(self.service.experiments, context.run.ref, answer.logged)
        for entry in answer.logged:
            if entry.output is not None:
                context.run.log_output(entry.output)
        context.logged += answer.logged
        return self._keep(node, artifacts.Stored(answer.tree))

    def _keep(self, node: Node, value: Any) -> artifacts.Tree:
        """The result of a step as a tree; moving refs in it are pinned first."""
        self._pin(list(_refs_in(value)))
        return artifacts.store(replace_in(value, self._pinned), self.blobs, step=f"The result of step {node.key}")

    def _fail(self, execution: Execution, node: Node, claim: Claim, error: Exception | str, *, again: bool) -> StepRecord:
        text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        try:
            return self.service.fail(execution.ref, node.key, fence=claim.fence, error=text[:2000], again=again)
        except (Conflict, Unavailable):
            return claim.step  # the step has been handed on, or nobody hears us: the lease says the same a little later

    @contextmanager
    def _heartbeat(self, ref: Ref, step: str, claim: Claim) -> Iterator[None]:
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(claim.lease / 3):
                try:
                    self.service.heartbeat(ref, step, fence=claim.fence)
                except Conflict:
                    return  # `complete` meets the same and says so
                except Unavailable:
                    continue

        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(beat,), name=f"lease {step}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    # What a step rests on

    def _code_of(self, node: Node) -> tuple[list[Component], str]:
        name = node.step.name
        if name not in self._code:
            try:
                self._code[name] = self.sources.components(node.step.function, node.step.files), ""
            except Unreadable as reason:
                self._code[name] = [], str(reason)
        return self._code[name]

    def _components(self, node: Node) -> tuple[list[Component], str]:
        """The components of a step's key, and, where its code cannot be read, why nothing can be reused."""
        code, unreadable = self._code_of(node)
        found = [*code, *(self._argument(name, value) for name, value in node.arguments.items())]
        seed = str(self.options.seed)
        found.append(Component(kind=ComponentKind.SEED, name="seed", digest=seed, shown=seed))
        return found, unreadable

    def _argument(self, name: str, value: Any) -> Component:
        made = any(True for _ in promises_in(value)) or any(True for _ in _refs_in(value))
        tree = artifacts.store(replace_in(value, self._stored), self.blobs, step=f"The argument {name}")
        kind = ComponentKind.INPUT if made else ComponentKind.PARAMETER
        shown = msgspec.json.encode(tree).decode()
        if isinstance(value, Ref):
            shown = str(self._pinned(value))
            return Component(kind=kind, name=name, digest=self._pins[self._pinned(value)].digest, shown=shown)
        digest = artifacts.digest_of(tree)
        return Component(kind=kind, name=name, digest=digest, shown=shown if len(shown) <= SHORT else "")

    def _arguments(self, node: Node) -> dict[str, artifacts.Tree]:
        return {
            name: artifacts.store(replace_in(value, self._stored), self.blobs, step=f"The argument {name}")
            for name, value in node.arguments.items()
        }

    def _stored(self, value: Promise | Ref) -> Any:
        """A promise or ref inside an argument, as what is known of it by now."""
        if isinstance(value, Ref):
            return self._pinned(value)
        return artifacts.Stored(artifacts.part(self._trees[value.node.key], value.path, self.blobs))

    # Refs

    def _pin(self, refs: list[Ref]) -> None:
        unknown = [ref for ref in dict.fromkeys(refs) if ref not in self._pins]
        if unknown:
            for ref, pin in zip(unknown, self.service.pin(unknown), strict=True):
                self._pins[ref] = self._pins[pin.ref] = pin

    def _pinned(self, value: Any) -> Any:
        return self._pins[value].ref if isinstance(value, Ref) and value in self._pins else value

    def _insist(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call, and again while the workspace does not answer: hours of work are not thrown away for a server's restart.

        Every operation that is called so may be called twice. The last `Unavailable` goes up when patience is at its end.
        """
        deadline, pause = time.monotonic() + self.options.patience, POLL
        while True:
            try:
                return call(*args, **kwargs)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 10.0)

    def _workspace(self) -> Any:
        if self.service.workspace is None:
            raise Conflict("This pipeline runs without a workspace that its steps could use.")
        return self.service.workspace()

    def _seed(self, node: Node) -> int:
        return int(digest_value([self.options.seed, node.key])[:8], 16)


def _refs_in(value: Any) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _refs_in(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _refs_in(each)


def _plain(name: str, value: Any) -> Any:
    try:
        return to_plain(value)
    except TypeError:
        raise Invalid(
            f"The parameter {name} is a {type(value).__qualname__}.",
            mend="Parameters of a pipeline are plain values and refs; make tables and models in a step.",
        ) from None


def _failure(node: Node, error: Exception) -> StepFailed:
    mend = "Mend it"
    if isinstance(error, ModuleNotFoundError) and error.name:
        mend = f"Install what {error.name.partition('.')[0]!r} comes with into the environment of this program"
    return StepFailed(
        f"Step {node.key} failed: {type(error).__name__}: {error}",
        mend=f"{mend} and run the pipeline again: the steps before it are not run again.",
        details={"step": node.key},
    )
