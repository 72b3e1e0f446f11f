"""The service of the room: what can be done with runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa

from modelwright.core.clock import isoformat
from modelwright.core.errors import Conflict, InUse, Invalid, NotFound
from modelwright.core.ids import is_id
from modelwright.core.operations import Resource, Room, operation
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import encode_text
from modelwright.experiments import queries, writing
from modelwright.experiments.curves import thin
from modelwright.experiments.delivering import Delivery
from modelwright.experiments.entries import Delivered, Entry
from modelwright.experiments.names import name_for
from modelwright.experiments.records import (
    Artifact,
    Capture,
    Comparison,
    Curve,
    Experiment,
    Point,
    Run,
    RunStatus,
    number,
)
from modelwright.experiments.tables import artifacts, experiments, from_micros, metrics, params, points, runs
from modelwright.experiments.tracking import ActiveRun
from modelwright.store import Transaction, catalog


class Experiments(Room):
    """Runs of experiments: their parameters, metrics and artifacts, and what it takes to repeat them.

    The right to a run is asked on its experiment: who may read `run:pricing/*` may read every run under `pricing/`.
    """

    room: ClassVar[str] = "experiments"
    kind: ClassVar[Kind] = Kind.RUN

    def resource_of(self, tx: Any, ref: Ref) -> Resource:
        """The experiment that a run belongs to stands for the run."""
        if ref.kind is Kind.EXPERIMENT:
            return Resource(Kind.RUN, ref.name)
        return Resource(Kind.RUN, queries.row(tx, ref).experiment)

    @operation("write", event="experiments.experiment.created")
    def create(self, tx: Transaction, name: str, *, description: str = "") -> Experiment:
        """Create an experiment, or return the one of that name. Starting a run creates its experiment by itself."""
        ref = Ref(Kind.EXPERIMENT, name)
        if tx.execute(sa.select(experiments.c.name).where(experiments.c.name == name)).first() is None:
            stamps = {"created_at": tx.stamp, "created_by": tx.principal.id}
            tx.execute(experiments.insert().values(name=name, description=description, **stamps))
            tx.note(resource=ref)
        else:
            tx.unchanged()
        return queries.experiment(tx, ref)

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
        started_at: datetime | None = None,
        reason: str = "",
    ) -> Run:
        """Start a run. `inputs` are pinned to the versions they stand for now, and cannot be deleted while it exists.

        An `id` (a ULID) made by the caller starts it once, however often it is asked for; `started_at` says that it began
        earlier, before it could be told.
        """
        if id is not None and not is_id(id):
            raise Invalid(f"{id!r} cannot be the id of a run.", mend="Make a ULID, or leave it to the workspace.")
        ref = Ref(Kind.RUN, id or tx.new_id())
        there = tx.execute(sa.select(runs.c.experiment).where(runs.c.id == ref.name)).scalar()
        if there is not None:
            if there != experiment:
                raise Conflict(f"There is a run {ref.name} already, of another experiment.", mend="Make a new id.")
            tx.unchanged()
            return queries.run(tx, ref)
        self.create(experiment)
        pinned = [catalog_pin(tx, each) for each in inputs]
        tx.execute(
            runs.insert().values(
                id=ref.name,
                experiment=experiment,
                name=name or name_for(ref.name),
                status=RunStatus.RUNNING,
                started_at=isoformat(min(tx.now, started_at or tx.now)),
                created_by=tx.principal.id,
                inputs=encode_text(pinned),
                outputs="[]",
                capture=encode_text(capture),
                error="",
            )
        )
        for key, value in tags.items():
            catalog.set_tag(tx, ref, key, value)
        catalog.depend(tx, ref, pinned)
        after = {"experiment": experiment, "commit": capture.commit, "diff": capture.diff, "packages": capture.packages}
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
    ) -> None:
        """Log a batch to a running run: all of it or nothing.

        Sending the same batch again changes nothing. A parameter keeps its first value (another is a `Conflict`); an
        artifact of the same name is replaced. Figures are data, so a batch leaves no event: `finish` seals what was logged.
        """
        row = queries.row(tx, ref)
        if row.status != RunStatus.RUNNING:
            raise Conflict(f"{ref} is {row.status} and takes no more figures.", mend="Call experiments.resume first.")
        writing.add_params(tx, ref, params)
        writing.add_points(tx, ref, points)
        writing.add_artifacts(tx, ref, artifacts)
        for key, value in tags.items():
            catalog.set_tag(tx, ref, key, value)

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
        began, so that its clock need not be right. An entry that breaks a rule is told in the answer and holds nothing up.
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
        tx.execute(runs.update().where(runs.c.id == ref.name).values(**column))
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
    ) -> Run:
        """End a run: now or, where that could not be told at once, at `ended_at`.

        The event carries the digest of what was logged, so that later changes to it show.
        """
        if status is RunStatus.RUNNING:
            raise Invalid("A run does not finish as running.", mend="Say finished, failed or killed.")
        before = queries.run(tx, ref)
        if before.status is not RunStatus.RUNNING:
            raise Conflict(f"{ref} is {before.status} already.")
        made = list(dict.fromkeys([*before.outputs, *(catalog_pin(tx, each) for each in outputs)]))
        ended = {
            "status": status,
            "ended_at": isoformat(min(tx.now, ended_at or tx.now)),
            "outputs": encode_text(made),
            "error": error,
        }
        tx.execute(runs.update().where(runs.c.id == ref.name).values(**ended))
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
        row = queries.row(tx, ref)
        if row.status == RunStatus.RUNNING:
            tx.unchanged()
        else:
            reopened = {"status": RunStatus.RUNNING, "ended_at": None, "error": ""}
            tx.execute(runs.update().where(runs.c.id == ref.name).values(**reopened))
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
    def list_experiments(self, tx: Transaction, where: Filter = Filter()) -> Page[Experiment]:
        """List experiments by name, with the number of their runs."""
        return queries.list_experiments(tx, where)

    @operation("read")
    def curve(self, tx: Transaction, ref: Ref, metric: str, *, most: int | None = None) -> Curve:
        """Read a metric over the steps: every point, or with `most` (three or more) an outline that keeps the extremes."""
        if most is not None and most < 3:
            raise Invalid(f"An outline of a curve has at least 3 points, not {most}.")
        known = queries.metric_ids(tx, ref)
        if metric not in known:
            names = ", ".join(known) or "none"
            raise NotFound(f"{ref} has no metric {metric!r}.", mend=f"Its metrics: {names}.")
        p = points.c
        found = tx.execute(sa.select(points).where(p.metric == known[metric]).order_by(p.step, p.time)).all()
        values = [float("nan") if row.value is None else row.value for row in found]
        kept = thin(values, most) if most is not None else range(len(found))
        return Curve(
            metric=metric,
            steps=[found[i].step for i in kept],
            times=[from_micros(found[i].time) for i in kept],
            values=[number(values[i]) for i in kept],
            total=len(found),
            sampled=len(kept) < len(found),
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
        before = queries.run(tx, ref).tags
        changed = {key: value for key, value in tags.items() if before.get(key) != value}
        for key, value in changed.items():
            catalog.set_tag(tx, ref, key, value)
        if changed:
            sets = [f"{key}={value}" if value is not None else f"-{key}" for key, value in changed.items()]
            tx.note(resource=ref, after={"tags": sets})
        else:
            tx.unchanged()
        return queries.run(tx, ref)

    @operation("erase", event="experiments.run.deleted")
    def delete(self, tx: Transaction, ref: Ref, *, reason: str = "") -> Run:
        """Delete a run for good. `InUse` names what was made from it and still needs it."""
        gone = queries.run(tx, ref)
        held = [str(each) for each in catalog.dependants(tx, ref)]
        if held:
            raise InUse(
                f"{ref} cannot be deleted: {', '.join(held)} came from it.",
                mend="Delete what depends on it first.",
                details={"dependants": held},
            )
        mine = sa.select(metrics.c.id).where(metrics.c.run == ref.name)
        tx.execute(points.delete().where(points.c.metric.in_(mine)))
        for table in (metrics, params, artifacts):
            tx.execute(table.delete().where(table.c.run == ref.name))
        writing.forget_writers(tx, ref)
        for key in gone.tags:
            catalog.set_tag(tx, ref, key, None)
        catalog.release(tx, ref)
        tx.execute(runs.delete().where(runs.c.id == ref.name))
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
VERSIONED = frozenset({Kind.DATASET, Kind.FEATURES, Kind.MODEL, Kind.PIPELINE, Kind.POLICY})


def catalog_pin(tx: Transaction, ref: Ref) -> Ref:
    """The exact version that a ref stands for now; what has no versions stands for itself."""
    return catalog.resolve(tx, ref) if ref.kind in VERSIONED else ref
