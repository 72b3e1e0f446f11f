"""The service of the room: what can be done with runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from modelwright.core.clock import utc
from modelwright.core.errors import Conflict, InUse, Invalid, NotFound
from modelwright.core.ids import is_id
from modelwright.core.names import path_for
from modelwright.core.operations import operation
from modelwright.core.paging import MAX_LIMIT, Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import encode_text
from modelwright.experiments import queries, writing
from modelwright.experiments.curves import thin
from modelwright.experiments.delivering import Delivery
from modelwright.experiments.entries import Delivered, Entry
from modelwright.experiments.metrics.writing import add_points, settle
from modelwright.experiments.names import name_for
from modelwright.experiments.nesting import NestedRun, nested
from modelwright.experiments.points import by_step
from modelwright.experiments.records import (
    ENDED,
    NAME_TAG,
    Artifact,
    Capture,
    Comparison,
    Curve,
    DatasetRead,
    ModelUse,
    Point,
    Run,
    RunStatus,
    View,
    number,
)
from modelwright.experiments.search.queries import Scope, find
from modelwright.experiments.search.series.queries import numbers_of
from modelwright.experiments.series import Series
from modelwright.experiments.tables import from_micros, to_micros
from modelwright.experiments.tracking import ActiveRun
from modelwright.store import Transaction, catalog


class Experiments(Series):
    """Runs of experiments: their parameters, metrics and artifacts, and what it takes to repeat them.

    The right to a run is asked on its experiment: a role on `run:pricing` holds for every run of every experiment there.
    """

    @operation("write", event="experiments.run.started", on="experiment")
    def start(
        self,
        tx: Transaction,
        experiment: str,
        *,
        name: str = "",
        tags: Mapping[str, str] = {},
        inputs: Sequence[Ref] = (),
        capture: Capture = Capture(),
        id: str | None = None,
        user: str = "",
        started_at: datetime | None = None,
        reason: str = "",
    ) -> Run:
        """Start a run. `inputs` are pinned to the versions they stand for now, and cannot be deleted while it exists.

        `experiment` is a name or a title. An `id` (a ULID) made by the caller starts it once, however often it is asked
        for; `started_at` says that it began earlier, before it could be told, and `user` as whom it ran there.
        """
        if id is not None and not is_id(id):
            raise Invalid(f"{id!r} cannot be the id of a run.", mend="Make a ULID, or leave it to the workspace.")
        ref = Ref(Kind.RUN, id or tx.new_id())
        there = queries.run_identified(tx, ref.name)
        if there is not None:
            if there.experiment_name != path_for(experiment):
                raise Conflict(f"There is a run {ref.name} already, of another experiment.", mend="Make a new id.")
            tx.unchanged()
            return queries.run(tx, ref)
        self.create(experiment)
        of = queries.experiment_row(tx, Ref(Kind.EXPERIMENT, path_for(experiment)))
        if of.deleted is not None:
            raise Conflict(f"The experiment {of.title!r} is deleted.", mend="Restore it first: experiments.restore.")
        pinned = [catalog_pin(tx, each) for each in inputs]
        run = writing.add_run(
            tx,
            of.id,
            ref.name,
            name=name or tags.get(NAME_TAG) or name_for(ref.name),
            user=user,
            started=to_micros(min(tx.now, utc(started_at or tx.now))),
            inputs=encode_text(pinned),
            capture=encode_text(capture),
        )
        writing.set_tags(tx, run, {key: value for key, value in tags.items() if key != NAME_TAG})
        catalog.depend(tx, ref, pinned)
        after = {"experiment": of.name, "commit": capture.commit, "diff": capture.diff, "packages": capture.packages}
        tx.note(resource=ref, inputs=pinned, outputs=[ref], after=after)
        return queries.run(tx, ref)

    @operation("write", data=True)
    def log(
        self,
        tx: Transaction,
        ref: Ref,
        *,
        params: Mapping[str, Any] = {},
        points: Sequence[Point] = (),
        tags: Mapping[str, str] = {},
        artifacts: Sequence[Artifact] = (),
        datasets: Sequence[DatasetRead] = (),
        models: Sequence[ModelUse] = (),
    ) -> None:
        """Log a batch to a running run: all of it or nothing.

        Sending the same batch again changes nothing. A parameter keeps its first value (another is a `Conflict`); an
        artifact of the same name is replaced. Figures are data, so a batch leaves no event: `finish` seals what was logged.
        """
        row = queries.run_row(tx, ref)
        _check_active(ref, row)
        if row.status != RunStatus.RUNNING:
            raise Conflict(f"{ref} is {row.status} and takes no more figures.", mend="Call experiments.resume first.")
        writing.add_params(tx, row.key, params)
        add_points(tx, row.key, points)
        writing.add_artifacts(tx, row.key, artifacts)
        writing.set_tags(tx, row.key, tags)
        writing.add_datasets(tx, row.key, row.experiment, datasets)
        writing.add_models(tx, row.key, models)

    @operation("write", data=True, on="experiment")
    def deliver(
        self,
        tx: Transaction,
        experiment: str,
        ref: Ref,
        *,
        writer: str,
        entries: Sequence[Entry],
        age: timedelta = timedelta(),
    ) -> Delivered:
        """Apply what a process has written down of its run, each entry exactly once, however often it is sent.

        `writer` is the process, by an id of its own; its entries are numbered and come in order. `age` is how long ago it
        began, so that its clock need not be right. An entry that breaks a rule is told in the answer and holds nothing up;
        where the run itself cannot begin, that is raised and nothing is taken.
        """
        return Delivery(self, tx, experiment, ref, writer, age).apply(entries)

    @operation("write", event="experiments.run.linked")
    def link(self, tx: Transaction, ref: Ref, *, inputs: Sequence[Ref] = (), outputs: Sequence[Ref] = ()) -> Run:
        """Say what a running run has read, or what it has made: one of the two at a time. It becomes its lineage."""
        before = queries.run(tx, ref)
        if bool(inputs) == bool(outputs):
            raise Invalid("A run is linked either to inputs or to outputs.", mend="Call it once for each.")
        if before.status is not RunStatus.RUNNING:
            raise Conflict(f"{ref} is {before.status}.", mend="Call experiments.resume first.")
        held = before.inputs if inputs else before.outputs
        new = [each for each in dict.fromkeys(catalog_pin(tx, each) for each in inputs or outputs) if each not in held]
        if not new:
            tx.unchanged()
            return before
        column = {"inputs" if inputs else "outputs": encode_text([*held, *new])}
        writing.change_run(tx, queries.run_row(tx, ref).key, **column)
        if inputs:
            catalog.depend(tx, ref, new)
        tx.note(resource=ref, inputs=new if inputs else [ref], outputs=[ref] if inputs else new)
        return queries.run(tx, ref)

    @operation("write", event="experiments.run.finished")
    def finish(
        self,
        tx: Transaction,
        ref: Ref,
        *,
        status: RunStatus = RunStatus.FINISHED,
        outputs: Sequence[Ref] = (),
        error: str = "",
        ended_at: datetime | None = None,
        reason: str = "",
    ) -> Run:
        """End a run: now or, where that could not be told at once, at `ended_at`. `reason` is for who ends another's.

        The event carries the digest of what was logged, so that later changes to it show.
        """
        if status not in ENDED:
            raise Invalid(f"A run does not finish as {status}.", mend="Say finished, failed or killed.")
        row = queries.run_row(tx, ref)
        _check_active(ref, row)
        before = queries.run(tx, ref)
        if before.status in ENDED:
            raise Conflict(f"{ref} is {before.status} already.")
        made = list(dict.fromkeys([*before.outputs, *(catalog_pin(tx, each) for each in outputs)]))
        ended = to_micros(min(tx.now, utc(ended_at or tx.now)))
        writing.change_run(
            tx, row.key, status=status.value, ended=ended, outputs=encode_text(made), error=error.replace("\0", "\ufffd")
        )
        settle(tx, row.key)
        action = {RunStatus.FAILED: "experiments.run.failed", RunStatus.KILLED: "experiments.run.killed"}.get(status)
        tx.note(
            resource=ref,
            inputs=[ref],
            outputs=made,
            before={"status": before.status},
            after={"status": status, "digest": before.digest},
            action=action,
        )
        return queries.run(tx, ref)

    @operation("write", event="experiments.run.resumed")
    def resume(self, tx: Transaction, ref: Ref, *, reason: str = "") -> Run:
        """Open an ended run for further figures; one that is running is returned as it is."""
        row = queries.run_row(tx, ref)
        _check_active(ref, row)
        if row.status == RunStatus.RUNNING:
            tx.unchanged()
        else:
            writing.change_run(tx, row.key, status=RunStatus.RUNNING.value, ended=None, error="")
            tx.note(resource=ref, before={"status": row.status}, after={"status": RunStatus.RUNNING})
        return queries.run(tx, ref)

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> Run:
        """Show one run with everything but its curves."""
        return queries.run(tx, ref)

    @operation("read", on="")
    def list(self, tx: Transaction, where: Filter = Filter(), *, experiment: str | None = None) -> Page[Run]:
        """List runs, the newest first. `where.state` is a status, `where.under` a path of experiments."""
        return queries.list_runs(tx, where, experiment)

    @operation("read", on="")
    def search(
        self,
        tx: Transaction,
        where: str = "",
        *,
        experiments: Sequence[str] | None = None,
        order: Sequence[str] = (),
        view: View = View.ACTIVE,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Run]:
        """Search runs: `metrics.auc > 0.9 AND (params.depth = '6' OR tags.team LIKE 'ops%')`, in any order, page by page.

        `experiments` are names or titles (None: every one that may be seen), `order` items such as `metrics.auc DESC`;
        what lacks the value comes last. By default the newest come first. `limit` is 1 to 1000.
        """
        if not 1 <= limit <= MAX_LIMIT:
            raise Invalid(f"A page holds 1 to {MAX_LIMIT} items, not {limit}.")
        named = None
        if experiments is not None:
            rows = [queries.experiment_named(tx, path_for(each)) for each in experiments]
            named = [row.id for row in rows if row is not None]
        page = find(tx, where, order, Scope(numbers_of(tx, named), view), limit=limit, after=after)
        rows = queries.runs_keyed(tx, [head.key for head in page.heads])
        return Page(items=queries.runs_of(tx, rows), next=page.next)

    def tree(self, runs: Sequence[Run]) -> Sequence[NestedRun]:
        """Runs of a list as a tree: each in the run that it is nested in, which is looked up where the list has it not."""

        def ask(ids: Sequence[str]) -> Sequence[Run]:
            told = ", ".join(f"'{each}'" for each in ids[:MAX_LIMIT])
            return self.search(f"run_id IN ({told})", limit=MAX_LIMIT).items

        return nested(runs, ask)

    @operation("read")
    def curve(self, tx: Transaction, ref: Ref, metric: str, *, most: int | None = None) -> Curve:
        """Read a metric over the steps: every point, or with `most` (three or more) an outline that keeps the extremes."""
        if most is not None and most < 3:
            raise Invalid(f"An outline of a curve has at least 3 points, not {most}.")
        run = queries.run_row(tx, ref).key
        columns = queries.points(tx, run, metric)
        if columns is None:
            names = ", ".join(queries.metric_names(tx, run)) or "none"
            raise NotFound(f"{ref} has no metric {metric!r}.", mend=f"Its metrics: {names}.")
        steps, times, values = (column.tolist() for column in by_step(columns))
        kept = thin(values, most) if most is not None else range(len(values))
        return Curve(
            metric=metric,
            steps=[steps[i] for i in kept],
            times=[from_micros(times[i]) for i in kept],
            values=[number(values[i]) for i in kept],
            total=len(values),
            sampled=len(kept) < len(values),
        )

    @operation("read", on="")
    def compare(self, tx: Transaction, refs: Sequence[Ref], *, baseline: Ref | None = None) -> Comparison:
        """Set runs side by side: every parameter, last and best metric, those that differ first.

        `baseline` (by default the first of them) comes first: the others are measured against it. At most 100 runs.
        """
        refs = [*dict.fromkeys([*([baseline] if baseline is not None else []), *refs])]
        if not refs:
            raise Invalid("There is nothing to compare.", mend="Name two or more runs.")
        if len(refs) > MOST_COMPARED:
            raise Invalid(
                f"{len(refs)} runs are too many to set side by side; {MOST_COMPARED} is the most.",
                mend="Choose fewer, or look at their table: experiments.search.",
            )
        return queries.compare(tx, refs)

    @operation("write", event="experiments.run.tagged")
    def tag(self, tx: Transaction, ref: Ref, tags: Mapping[str, str | None]) -> Run:
        """Set tags of a run; None takes one away."""
        row = queries.run_row(tx, ref)
        _check_active(ref, row)
        before = {**queries.run(tx, ref).tags, NAME_TAG: row.name}
        changed = {key: value for key, value in tags.items() if before.get(key) != value}
        writing.set_tags(tx, row.key, {key: value for key, value in changed.items() if value is not None})
        for key in [key for key, value in changed.items() if value is None]:
            writing.drop_tag(tx, row.key, key)
        if changed:
            sets = [f"{key}={value}" if value is not None else f"-{key}" for key, value in changed.items()]
            tx.note(resource=ref, after={"tags": sets})
        else:
            tx.unchanged()
        return queries.run(tx, ref)

    @operation("erase", event="experiments.run.deleted")
    def delete(self, tx: Transaction, ref: Ref, *, reason: str = "") -> Run:
        """Delete a run for good; `discard` is what can be undone.

        `InUse` names what was made from it and still needs it.
        """
        gone = queries.run(tx, ref)
        held = [str(each) for each in catalog.dependants(tx, ref)]
        if held:
            raise InUse(
                f"{ref} cannot be deleted: {', '.join(held)} came from it.",
                mend="Delete what depends on it first.",
                details={"dependants": held},
            )
        writing.erase(tx, queries.run_row(tx, ref).key)
        catalog.release(tx, ref)
        tx.note(resource=ref, before={"experiment": gone.experiment, "digest": gone.digest})
        return gone

    # At the caller's side

    def run(
        self,
        experiment: str,
        *,
        name: str = "",
        tags: Mapping[str, str] = {},
        inputs: Sequence[Ref | str] = (),
        seeds: Mapping[str, int] = {},
        capture: bool = True,
        folder: Path | None = None,
        reason: str = "",
    ) -> ActiveRun:
        """Start a run here and log through what this returns; used in a `with`, it ends by itself.

            with workspace.experiments.run("delay", inputs=["dataset:flights@7"]) as run:
                run.log_params({"depth": 6})
                run.log_metric("auc", 0.71, step=3)

        `folder` is where the code lies (by default the working directory): its commit and uncommitted changes are captured.
        """
        from modelwright.experiments import capturing

        started = self.start(
            experiment,
            name=name,
            tags=tags,
            inputs=[each if isinstance(each, Ref) else Ref.parse(each) for each in inputs],
            capture=capturing.capture(self.blobs, folder or Path.cwd(), seeds=seeds) if capture else Capture(),
            reason=reason,
        )
        return self.follow(started)

    def follow(self, run: Run | Ref | str) -> ActiveRun:
        """A handle to log through to a run that is running already."""
        if not isinstance(run, Run):
            run = self.show(run if isinstance(run, Ref) else Ref.parse(run))
        return ActiveRun(run, log=self.log, finish=self.finish, blobs=self.blobs)


MOST_COMPARED = 100


def _check_active(ref: Ref, row: Any) -> None:
    if row.deleted is not None:
        raise Conflict(f"{ref} is deleted.", mend="Restore it first: experiments.restore.")


VERSIONED = frozenset({Kind.DATASET, Kind.FEATURES, Kind.MODEL, Kind.PIPELINE, Kind.POLICY})


def catalog_pin(tx: Transaction, ref: Ref) -> Ref:
    """The exact version that a ref stands for now; what has no versions stands for itself."""
    return catalog.resolve(tx, ref) if ref.kind in VERSIONED else ref
