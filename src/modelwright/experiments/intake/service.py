"""The service that takes runs in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import sqlalchemy as sa

from modelwright.core.errors import Conflict, Invalid
from modelwright.core.names import path_for
from modelwright.core.operations import Resource, Room, operation
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import queries
from modelwright.experiments.artifacts.queries import add as add_file
from modelwright.experiments.artifacts.queries import shelf as shelf_of
from modelwright.experiments.filenames import check_file_name
from modelwright.experiments.intake import writing
from modelwright.experiments.intake.logged import writing as logged
from modelwright.experiments.intake.records import (
    ForeignExperiment,
    ForeignLoggedModel,
    ForeignRun,
    Incoming,
    LoggedTally,
    Series,
    Tally,
)
from modelwright.experiments.logged import LoggedModel
from modelwright.experiments.logged import queries as logged_of
from modelwright.experiments.points import by_step
from modelwright.experiments.records import Artifact, number
from modelwright.experiments.tables import artifacts
from modelwright.experiments.values import check_title
from modelwright.store import Transaction

MOST = 1000  # runs in one call


class Intake(Room):
    """The way in for runs that were tracked elsewhere, and for what belongs to them.

    It keeps what was: ids, times, states, whole curves. So it needs the right to write on runs as a whole. What is here
    already and the same is left alone; where both sides differ, what is brought wins, and what only we have stays. Each
    call that changes anything leaves one event, which names the source.
    """

    room: ClassVar[str] = "intake"
    kind: ClassVar[Kind] = Kind.RUN

    def resource_of(self, tx: Any, ref: Ref) -> Resource:
        """The experiment that a run belongs to stands for the run."""
        return Resource(Kind.RUN, queries.run_row(tx, ref).experiment_name)

    @operation("write", event="intake.experiments.brought", on="")
    def experiments(self, tx: Transaction, new: Sequence[ForeignExperiment], *, source: str) -> dict[str, int]:
        """Bring experiments; returns the number that each has here, by its id there.

        One of the same title is the same experiment. An id there becomes the number here where that is free.
        """
        numbers, changed = {}, []
        for each in new:
            check_title(each.title)
            row = queries.experiment_named(tx, path_for(each.title))
            if row is None:
                numbers[each.id] = writing.add_experiment(tx, each)
                changed.append(Ref(Kind.EXPERIMENT, path_for(each.title)))
                continue
            if row.title != each.title:
                raise Conflict(
                    f"The name {row.name} that {each.title!r} would get belongs to the experiment {row.title!r}.",
                    mend="Rename one of them before the import.",
                )
            numbers[each.id] = row.id
            held = queries.experiments_of(tx, [row])[0].tags
            if _differs(each, row, held):
                writing.change_experiment(tx, row.id, each, held)
                changed.append(Ref(Kind.EXPERIMENT, row.name))
        if changed:
            tx.note(resource=changed[0], outputs=changed, after={"source": source, "experiments": len(changed)})
        else:
            tx.unchanged()
        return numbers

    @operation("write", on="")
    def lacking_experiments(self, tx: Transaction, experiments: Sequence[ForeignExperiment]) -> list[str]:
        """Which of some experiments are not here, or lack something here; by their ids there."""
        found = []
        for each in experiments:
            row = queries.experiment_titled(tx, each.title)
            if row is None or _differs(each, row, queries.experiments_of(tx, [row])[0].tags):
                found.append(each.id)
        return found

    @operation("write", on="")
    def lacking(self, tx: Transaction, runs: Sequence[ForeignRun]) -> list[str]:
        """Which of some runs are not here, or lack something here."""
        rows = writing.rows_of(tx, _few([each.id for each in runs]))
        here = dict(zip(rows, queries.runs_of(tx, list(rows.values())), strict=True))
        points = writing.points_of(tx, [row.key for row in rows.values()])
        return [
            each.id
            for each in runs
            if each.id not in here or writing.differs(each, here[each.id], points[rows[each.id].key])
        ]

    @operation("write", event="intake.runs.brought", on="")
    def runs(self, tx: Transaction, new: Sequence[Incoming], *, source: str) -> int:
        """Bring runs of one experiment with such of their points as are given; returns how many were not here before."""
        rows = writing.rows_of(tx, _few([each.run.id for each in new]))
        fresh = [each for each in new if each.run.id not in rows]
        if len({each.experiment for each in new}) != 1:
            raise Invalid("A call brings runs of one experiment.")
        of = queries.experiment_numbered(tx, new[0].experiment)
        if of is None:
            raise Invalid(f"There is no experiment {new[0].experiment}.", mend="Bring the experiments first.")
        refs = [Ref(Kind.RUN, each.run.id) for each in new]
        writing.add_runs(tx, fresh, gone=of.deleted)
        for each in new:
            if each.run.id in rows:
                writing.change_run(tx, rows[each.run.id], each, gone=of.deleted)
        counts = {"runs": len(new), "added": len(fresh), "points": sum(len(s) for each in new for s in each.series)}
        tx.note(resource=Ref(Kind.EXPERIMENT, of.name), outputs=refs, after={"source": source, **counts})
        return len(fresh)

    @operation("write", data=True, on="")
    def add_points(self, tx: Transaction, run: str, series: Sequence[Series]) -> None:
        """Bring further points of a run that was brought. Points that are here already are the same points."""
        row = queries.run_row(tx, Ref(Kind.RUN, run))
        writing.merge_points(tx, row.key, series)

    @operation("write", on="")
    def lacking_logged(self, tx: Transaction, models: Sequence[ForeignLoggedModel]) -> list[str]:
        """Which of some logged models are not here, or lack something here."""
        rows = logged.rows_of(tx, _few([each.id for each in models]))
        here = dict(zip(rows, logged_of.models_of(tx, list(rows.values())), strict=True))
        return [each.id for each in models if each.id not in here or logged.differs(each, here[each.id])]

    @operation("write", event="intake.logged_models.brought", on="")
    def logged_models(
        self, tx: Transaction, new: Sequence[ForeignLoggedModel], numbers: Mapping[str, int], *, source: str
    ) -> None:
        """Bring logged models without their files; `numbers` are those of their experiments here, by their ids there."""
        rows = logged.rows_of(tx, _few([each.id for each in new]))
        for each in new:
            logged.bring(tx, each, numbers[each.experiment], rows.get(each.id))
        refs = [Ref(Kind.LOGGED_MODEL, each.id) for each in new]
        runs = list(dict.fromkeys(Ref(Kind.RUN, each.run) for each in new if each.run))
        tx.note(resource=refs[0], inputs=runs, outputs=refs, after={"source": source, "logged_models": len(new)})

    @operation("write", event="intake.files.brought", on="")
    def files(self, tx: Transaction, ref: Ref, new: Sequence[Artifact], *, source: str) -> None:
        """Name stored objects as files of a run or a logged model, discarded or not. One of the same name is replaced.

        `Conflict` where one would lie in another, or have the name of a folder.
        """
        shelf = shelf_of(tx, ref)
        for each in new:
            check_file_name(each.name)
            if not self.blobs.exists(each.digest):
                raise Invalid(f"The file {each.name!r} ({each.digest[:12]}) is not stored.", mend="Put it first.")
            table, same = shelf.where(each.name)
            tx.execute(table.delete().where(*same))
            add_file(tx, shelf, each.name, {"digest": each.digest, "size": each.size, "media_type": each.media_type})
        tx.note(resource=ref, outputs=[ref], after={"source": source, "files": len(new)})

    @operation("write", on="")
    def logged_files_of(self, tx: Transaction, models: Sequence[str]) -> dict[str, dict[str, int]]:
        """The files of some logged models: by model, the size of each by name."""
        return logged.files_of(tx, logged.rows_of(tx, _few(models)))

    @operation("write", on="")
    def tally_logged(self, tx: Transaction, models: Sequence[str]) -> LoggedTally:
        """Count what some logged models have here."""
        return logged.tally(tx, _few(models))

    @operation("write", on="")
    def files_of(self, tx: Transaction, runs: Sequence[str]) -> dict[str, dict[str, int]]:
        """The files of some runs: by run, the size of each by name."""
        rows = {row.key: identity for identity, row in writing.rows_of(tx, _few(runs)).items()}
        found: dict[str, dict[str, int]] = {identity: {} for identity in rows.values()}
        a = artifacts.c
        for row in tx.execute(sa.select(a.run, a.name, a.size).where(a.run.in_(list(rows)))):
            found[rows[row.run]][row.name] = row.size
        return found

    @operation("read")
    def series(self, tx: Transaction, ref: Ref) -> list[Series]:
        """Every point of a run, metric by metric, in order of step; times in milliseconds."""
        row = queries.run_row(tx, ref)
        found = []
        for name in queries.metric_names(tx, row.key):
            columns = queries.points(tx, row.key, name)
            if columns is not None:
                steps, times, values = (column.tolist() for column in by_step(columns))
                found.append(Series(name, steps, [time // writing.MILLI for time in times], [number(v) for v in values]))
        return found

    @operation("read", on="")
    def every_logged(self, tx: Transaction, *, after: str = "", limit: int = 200) -> Sequence[LoggedModel]:
        """The logged models that the caller may read, discarded ones too, in order of their ids from one on."""
        return logged.every(tx, after=after, limit=min(limit, MOST))

    @operation("write", on="")
    def tally(self, tx: Transaction, runs: Sequence[str]) -> Tally:
        """Count what some runs have here, each point once."""
        rows = writing.rows_of(tx, _few(runs))
        points = writing.points_of(tx, [row.key for row in rows.values()])
        found = queries.runs_of(tx, list(rows.values()))
        return Tally(
            runs=len(found),
            runs_deleted=sum(each.lifecycle == "deleted" for each in found),
            params=sum(len(each.params) for each in found),
            tags=sum(len(each.tags) for each in found),
            metrics=sum(len(each.metrics) for each in found),
            points=sum(points.values()),
            dataset_inputs=sum(len(each.datasets) for each in found),
            model_links=sum(len(each.models) for each in found),
            artifacts=sum(len(each.artifacts) for each in found),
            artifact_bytes=sum(file.size for each in found for file in each.artifacts),
        )


def _differs(new: ForeignExperiment, row: Any, held: Mapping[str, str]) -> bool:
    return (row.deleted is not None) != new.deleted or not new.tags.items() <= held.items()


def _few(runs: Sequence[str]) -> Sequence[str]:
    if len(runs) > MOST:
        raise Invalid(f"A call takes at most {MOST} runs, not {len(runs)}.")
    return runs
