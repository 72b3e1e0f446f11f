"""Experiments and runs, written into a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from modelwright.core.errors import Conflict
from modelwright.core.hashing import digest_value
from modelwright.exchange.targets import RunWithCurves
from modelwright.exchange.targets.server.there import (
    EXPERIMENT_TAG,
    MODEL_TAG,
    RUN_TAG,
    VERSION_TAG,
    WRITTEN_TAG,
    Server,
    There,
    pairs,
    parts,
)
from modelwright.experiments.intake import ForeignExperiment, ForeignRun, Series
from modelwright.experiments.records import DatasetRead, ModelRole

STANDS: Final = "Model versions from Modelwright"  # the experiment of the logged models that versions stand on
POINTS, PARAMS, TAGS = 1000, 100, 100  # in one call


class Runs(Server):
    """Writes experiments and runs."""

    def experiments(self, new: Sequence[ForeignExperiment]) -> int:
        """See `Target`. One of the same name is the same experiment; what an export has deleted is restored for now."""
        there = {each.title: each for each in self._source.experiments()}
        fresh = sum(self._experiment(self._names.experiment(each), there.get(each.title)) for each in new)
        within = list(self._numbers.values())
        if STANDS in there:
            if there[STANDS].deleted:
                self._post("experiments/restore", experiment_id=there[STANDS].id)
            self._numbers[""] = there[STANDS].id
            within.append(there[STANDS].id)
        self._find(within)
        return fresh

    def _experiment(self, new: ForeignExperiment, there: ForeignExperiment | None) -> bool:
        own = {EXPERIMENT_TAG: new.id}
        if there is None:
            made = self._post("experiments/create", name=new.title, tags=pairs(own | new.tags))
            there = ForeignExperiment(id=made["experiment_id"], title=new.title, tags=own | new.tags)
            fresh = True
        else:
            missing = {key: value for key, value in new.tags.items() if there.tags.get(key) != value}
            mine = EXPERIMENT_TAG in there.tags
            if there.deleted:
                if not mine:
                    raise Conflict(
                        f"{self.name} has a deleted experiment {new.title!r} that no export has made.",
                        mend="Restore it there, or have it deleted for good (mlflow gc).",
                    )
                self._post("experiments/restore", experiment_id=there.id)
            for tag in pairs(missing):
                self._post("experiments/set-experiment-tag", experiment_id=there.id, **tag)
            fresh = bool(missing) or (mine and there.deleted != new.deleted)
        self._numbers[new.id] = there.id
        self._tags[there.id] = frozenset(new.tags)
        if EXPERIMENT_TAG in there.tags:
            self._made.add(there.id)
        return fresh

    def _find(self, within: Sequence[str]) -> None:
        """What is there of runs and logged models: those of an earlier export, and those that were imported from there."""
        for experiment in within:
            for run in self._source.runs_of(experiment):
                links = {(each.role, each.model) for each in run.models}
                written = run.tags.get(WRITTEN_TAG, "")
                there = There(run.id, run.location, deleted=run.deleted, written=written, links=links)
                self._runs[run.tags.get(RUN_TAG, run.id)] = there
        for logged in self._source.logged_of(within) if within else ():
            there = There(logged.id, logged.location, written=logged.tags.get(WRITTEN_TAG, ""), params=set(logged.params))
            if VERSION_TAG in logged.tags:
                there.written = logged.status
                self._stands[logged.tags[VERSION_TAG]] = there
            else:
                self._logged[logged.tags.get(MODEL_TAG, logged.id)] = there

    def lacking(self, runs: Sequence[ForeignRun]) -> list[str]:
        """See `Target`."""
        runs = [self._names.run(each) for each in runs]
        for each in runs:
            if each.id in self._runs:
                self._runs[each.id].tags = frozenset(each.tags)
        return [each.id for each in runs if each.id not in self._runs or self._runs[each.id].written != _digest(each)]

    def runs(self, new: Sequence[RunWithCurves]) -> None:
        """See `Target`. What was written is said by a tag that is set last; a run without it is written once more."""
        for run, series in ((self._names.run(each), self._names.series(curves)) for each, curves in new):
            there = self._runs.get(run.id) or self._create_run(run)
            self._activate(there)
            for part in parts(pairs(run.params), PARAMS):
                self._post("runs/log-batch", run_id=there.id, params=part)
            for part in parts(pairs(run.tags), TAGS):
                self._post("runs/log-batch", run_id=there.id, tags=part)
            for part in parts([point for each in series for point in _points(each)], POINTS):
                self._post("runs/log-batch", run_id=there.id, metrics=part)
            if run.datasets:
                self._post("runs/log-inputs", run_id=there.id, datasets=[_input(read) for read in run.datasets])
            ended = {} if run.ended is None else {"end_time": run.ended}
            self._post("runs/update", run_id=there.id, status=run.status.value.upper(), run_name=run.name, **ended)
            self._post("runs/set-tag", run_id=there.id, key=WRITTEN_TAG, value=_digest(run))

    def _create_run(self, run: ForeignRun) -> There:
        made = self._post(
            "runs/create",
            experiment_id=self._numbers[run.experiment],
            user_id=run.user,
            run_name=run.name,
            start_time=run.started,
            tags=pairs({RUN_TAG: run.id}),
        )["run"]["info"]
        there = There(made["run_id"], made["artifact_uri"], tags=frozenset(run.tags))
        self._runs[run.id] = there
        return there

    def _activate(self, there: There) -> None:
        """A deleted run takes nothing; `finish` deletes it again."""
        if there.deleted:
            self._post("runs/restore", run_id=there.id)
            there.deleted = False

    def _link(self, run: ForeignRun, there: There) -> None:
        """Say which logged models a run took in and made, unless that is said."""
        missing = [each for each in run.models if each.model in self._logged]
        missing = [each for each in missing if (each.role, self._logged[each.model].id) not in there.links]
        if missing:
            self._activate(there)
        for each in missing:
            model = self._logged[each.model].id
            if each.role is ModelRole.INPUT:
                self._post("runs/log-inputs", run_id=there.id, models=[{"model_id": model}])
            else:
                self._post("runs/outputs", run_id=there.id, models=[{"model_id": model, "step": each.step}])


def _digest(run: ForeignRun) -> str:
    return digest_value(
        [run.name, run.status, run.started, run.ended, run.user, run.params, run.tags, run.points, str(run.datasets)]
    )


def _points(series: Series) -> list[dict[str, Any]]:
    return [
        {"key": series.metric, "value": value, "step": step, "timestamp": time}
        for value, step, time in zip(series.values, series.steps, series.times, strict=True)
    ]


def _input(read: DatasetRead) -> dict[str, Any]:
    described = {
        "name": read.name,
        "digest": read.digest,
        "source_type": read.source_type or "external",
        "source": read.source or "-",
        "schema": read.schema,
        "profile": read.profile,
    }
    return {"tags": pairs(read.tags), "dataset": {key: value for key, value in described.items() if value}}
