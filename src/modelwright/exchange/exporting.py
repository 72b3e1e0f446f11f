"""Writing a workspace back into a store of MLflow's, and counting both."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from modelwright.core.errors import Conflict
from modelwright.exchange.bringing import Told, among, batches
from modelwright.exchange.files import File, Within, streamed
from modelwright.exchange.records import Counts, Outcome, compared
from modelwright.exchange.remarks import Remarks
from modelwright.exchange.sources.folder import counted_logged
from modelwright.exchange.sources.workspace import WorkspaceSource
from modelwright.exchange.targets import Target
from modelwright.experiments.intake import ForeignLoggedModel, ForeignRun, Series
from modelwright.models.intake import ForeignModel, ForeignVersion
from modelwright.serving.records import MLMODEL

RUNS = 100  # that are compared at once
AT_ONCE = 10  # whose curves are held, and written, at once: what a kill costs
RUNS_URI = "runs:/"


class Exporting:
    """One export. One that was stopped goes on when it is started again."""

    def __init__(self, source: WorkspaceSource, target: Target, *, told: Told = lambda what, done, total: None) -> None:
        self.source, self.target = source, target
        self._told = told
        self._added: dict[str, int] = {}
        self._same: dict[str, int] = {}
        self._runs: dict[str, ForeignRun] = {}
        self._logged: set[str] = set()
        self._files = Counts()  # what is here, counted while it is written
        self._left = Counts()  # what the target has no place for
        self._unloadable = 0
        self._points = 0  # written, as far as they are told
        self._remarks = Remarks()

    def run(self) -> Outcome:
        """Write everything, then count both sides. As in an import, what leads to other things is listed before them."""
        expected = self.source.sizes()
        versions = list(self.source.versions())
        models = list(self.source.models())
        experiments = list(self.source.experiments())
        self._titles = {each.id for each in experiments}
        self._count_up("experiments", self.target.experiments(experiments), len(experiments))
        self._write_runs(expected)
        for batch in batches(among(self.source.logged_models(), self._titles, self._remarks), RUNS):
            self._write_logged(batch)
        self._write_registry(models, versions)
        self.target.finish(experiments, list(self._runs.values()))
        if not self.target.shows_discarded:
            links = [use for run in self._runs.values() for use in run.models if use.model not in self._logged]
            self._left.model_links = len(links)
        here = self.source.counts() + self._files - self._left
        there = self.target.counts()
        there.traces = there.spans = there.assessments = 0  # which are not written
        check = compared(there, here)
        notes = [*self.source.notes, *self._notes(), *self.target.notes]
        if any(line.there > line.here for line in check):
            notes.insert(0, "There is more there than here: what was deleted here since an earlier export stays there.")
        return Outcome(
            source=self.source.name,
            target=self.target.name,
            dry_run=False,
            added=self._added,
            same=self._same,
            check=check,
            notes=notes,
            remarks=self.source.remarks | self._remarks.all() | self.target.remarks,
        )

    def _write_runs(self, expected: Counts) -> None:
        for batch in batches(among(self.source.runs(), self._titles, self._remarks), RUNS):
            lacking = set(self.target.lacking(batch))
            self._count_up("runs", len(lacking), len(batch))
            for some in batches([each for each in batch if each.id in lacking], AT_ONCE):
                curves: dict[str, list[Series]] = {}
                wanted = sorted(each.id for each in some)
                for run, found in itertools.groupby(self.source.series(wanted), key=lambda each: each[0]):
                    curves[run] = [series for _, series in found]
                self.target.runs([(each, curves.get(each.id, [])) for each in some])
                self._points += sum(len(series) for each in curves.values() for series in each)
                self._told("points", self._points, expected.points)
            for each in batch:
                files = self._write_files(each.location)
                self._files.artifacts += len(files)
                self._files.artifact_bytes += sum(file.size for file in files)
                self._runs[each.id] = each
                self._told("runs", len(self._runs), expected.runs)

    def _write_logged(self, batch: list[ForeignLoggedModel]) -> None:
        kept = [each for each in batch if self.target.shows_discarded or not each.deleted]
        self._logged |= {each.id for each in kept}
        self._count_up("logged models", self.target.logged_models(kept), len(kept))
        for each in kept:
            self._files.logged_files += len(self._write_files(each.location))
        for each in batch:
            if each not in kept:
                self._left += counted_logged(each)

    def _write_registry(self, models: Sequence[ForeignModel], versions: Sequence[ForeignVersion]) -> None:
        self._count_up("registered models", self.target.models(models), len(models))
        for version in versions:
            files = self._own_files(version)
            try:
                fresh = self.target.version(version, own_files=bool(files))
            except Conflict as error:
                self._remarks.add("could not be written", f"{version.name} version {version.number}: {error.message}")
                continue
            self._count_up("model versions", int(fresh), 1)
            if files:
                self._unloadable += all(each.path != MLMODEL for each in files)
                self._write_files(version.location)
        for model in models:
            self.target.aliases(model)

    def _own_files(self, version: ForeignVersion) -> list[File]:
        """The files of a version, unless they are those of a logged model or a run, which are there already."""
        place = self.source.place(version.location) if version.location else None
        if place is None or version.logged_as in self._logged:
            return []
        files = place.files()
        run, _, path = version.source.removeprefix(RUNS_URI).partition("/")
        if version.source.startswith(RUNS_URI) and run in self._runs:
            logged = self.source.place(self._runs[run].location)
            if logged is not None and set(files) <= set((Within(logged, path) if path else logged).files()):
                return []
        return files

    def _write_files(self, location: str) -> list[File]:
        """Bring the files of a thing over that are not there in the same size; all that there are."""
        place = self.source.place(location)
        files = [] if place is None else place.files()
        held = self.target.held(location) if files else {}
        for file in files:
            fresh = held.get(file.path) != file.size
            self._count_up("files", int(fresh), 1)
            if fresh and place is not None:
                self.target.put(location, file.path, streamed(place.read(file.path)), file.size)
                self._told("files", self._added["files"], 0)
        return files

    def _notes(self) -> list[str]:
        notes = list(self._remarks.lines())
        if self._left.logged_models:
            notes.append(
                f"{self._left.logged_models} discarded logged models, and {self._left.model_links} links of runs to them, "
                "are neither written nor counted: a server shows no discarded logged model."
            )
        if self._unloadable:
            notes.append(
                f"Versions without an MLmodel, which MLflow needs to load them: {self._unloadable}; their files are there."
            )
        return notes

    def _count_up(self, what: str, added: int, total: int) -> None:
        self._added[what] = self._added.get(what, 0) + added
        self._same[what] = self._same.get(what, 0) + total - added
