"""Bringing a store over: what is not here yet or has changed there, so ordered that everything finds what it needs.

There is no list of what was done: what is here is the list. So an import that was killed goes on where it was when it is
started again, and one that has nothing to do changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Conflict, Unavailable
from modelwright.core.refs import Kind, Ref
from modelwright.exchange.bringing_traces import BringingTraces
from modelwright.exchange.files import File, Place, Within
from modelwright.exchange.records import Counts, Outcome, compared
from modelwright.exchange.remarks import Remarks
from modelwright.exchange.sieve import Sieve
from modelwright.experiments import Artifact
from modelwright.experiments.artifacts import media_type_of
from modelwright.experiments.filenames import BadFileName, check_file_name
from modelwright.experiments.intake import (
    ForeignExperiment,
    ForeignLoggedModel,
    ForeignRun,
    Incoming,
    Intake,
    Series,
)
from modelwright.models.intake import ALIAS_TAG, ForeignModel, ForeignVersion, ModelIntake, Registered
from modelwright.models.records import PROMPT_TAG

if TYPE_CHECKING:
    from modelwright.exchange.sources import Source
    from modelwright.traces import Traces

T = TypeVar("T")
Of = TypeVar("Of", ForeignRun, ForeignLoggedModel)
Told = Callable[[str, int, int], None]  # what is being brought, how much of it is done, and of how much (0: unknown)
RUNS = 200  # in one call
POINTS = 50_000  # in one call
CURVE = 250  # points that a curve counts as at least, for a server is asked for each: what waits is lost by a kill
FILES = 500  # in one call
TRACES = 50  # in one call
AT_ONCE = 16  # runs whose files are on their way together
HANDS = 8  # files that are on their way at once
COUNTED = 1000  # runs that are counted in one call


class Bringing:
    """One import."""

    def __init__(
        self,
        source: Source,
        intake: Intake,
        models: ModelIntake,
        traces: Traces,
        *,
        told: Told = lambda what, done, total: None,
        dry_run: bool = False,
    ) -> None:
        self.source, self.intake, self.models, self.dry_run = source, intake, models, dry_run
        self._room_of_traces = traces
        self.blobs: Blobs = intake.blobs
        self._told = told
        self._added: dict[str, int] = {}
        self._same: dict[str, int] = {}
        self._moved: dict[str, int] = {}
        self._remarks = Remarks()
        self._sieve = Sieve(self._remarks)
        self._runs: dict[str, str] = {}  # where the files of each run lie, by its id
        self._logged: dict[str, str] = {}  # the same of logged models
        self._there = Counts()  # of what is counted while it is read: files

    def run(self, *, target: str = "") -> Outcome:
        """Bring everything, then count both sides.

        What leads to other things is listed before them, for others work there meanwhile: so whatever a version was made
        from is found.
        """
        expected = self.source.sizes()
        versions = list(self.source.versions())
        models = list(self.source.models())
        numbers = self._experiments(expected)
        with ThreadPoolExecutor(HANDS, thread_name_prefix="modelwright-import") as self._hands:
            try:
                self._all_runs(numbers, expected)
                self._all_logged(numbers, expected)
            except BaseException:
                self._hands.shutdown(wait=False, cancel_futures=True)
                raise
        self._all_traces()
        self._registry(models, versions, expected)
        here = Counts() if self.dry_run else self._count()
        there = self.source.counts() + self._there
        return Outcome(
            source=self.source.name,
            target=target,
            dry_run=self.dry_run,
            added=self._added,
            same=self._same,
            check=[] if self.dry_run else compared(there, here),
            notes=[*self.source.notes, *self._remarks.lines()],
            remarks=self._remarks.all(),
        )

    # Experiments and runs

    def _experiments(self, expected: Counts) -> dict[str, int]:
        numbers: dict[str, int] = {}
        self._titles: dict[str, ForeignExperiment] = {}
        for batch in batches(map(self._sieve.experiment, self.source.experiments()), RUNS):
            self._titles |= {each.id: each for each in batch}
            lacking = set(self.intake.lacking_experiments(batch))
            self._count_up("experiments", len(lacking), len(batch) - len(lacking))
            if not self.dry_run:
                numbers |= self.intake.experiments(batch, source=self.source.name)
            self._told("experiments", len(self._titles), expected.experiments)
        return numbers

    def _all_runs(self, numbers: Mapping[str, int], expected: Counts) -> None:
        done = 0
        for batch in batches(map(self._sieve.run, among(self.source.runs(), self._titles, self._remarks)), RUNS):
            self._runs |= {each.id: each.location for each in batch}
            lacking = set(self.intake.lacking(batch))
            self._count_up("runs", len(lacking), len(batch) - len(lacking))
            if not self.dry_run:
                self._bring([each for each in batch if each.id in lacking], numbers)
            held = {} if self.dry_run else self.intake.files_of([each.id for each in batch])
            for some in batches(batch, AT_ONCE):
                places = [(Ref(Kind.RUN, each.id), each.location, held.get(each.id, {})) for each in some]
                for files in self._bring_files(places):
                    self._there.artifacts += len(files)
                    self._there.artifact_bytes += sum(file.size for file in files)
                    done += 1
                    self._told("runs", done, expected.runs)

    def _bring(self, runs: Sequence[ForeignRun], numbers: Mapping[str, int]) -> None:
        by_id = {each.id: each for each in runs}
        pending: dict[int, list[Incoming]] = {}
        held = 0
        for run, series in self._with_series(list(by_id)):
            number = numbers[by_id[run].experiment]
            pieces = list(in_calls(series))
            pending.setdefault(number, []).append(
                Incoming(run=by_id[run], experiment=number, series=pieces[0] if pieces else [])
            )
            held += sum(max(CURVE, len(each)) for each in pieces[0]) if pieces else 0
            self._tell_on("points", sum(map(len, series)))
            if held >= POINTS or len(pieces) > 1:
                self._send(pending)
                held = 0
            for piece in pieces[1:]:
                self.intake.add_points(run, piece)
        self._send(pending)

    def _send(self, pending: dict[int, list[Incoming]]) -> None:
        for batch in pending.values():
            self.intake.runs(batch, source=self.source.name)
        pending.clear()

    def _with_series(self, runs: Sequence[str]) -> Iterator[tuple[str, list[Series]]]:
        """Each run with its curves; one without any comes in the end."""
        seen: set[str] = set()
        for run, found in itertools.groupby(self.source.series(runs), key=lambda each: each[0]):
            seen.add(run)
            yield run, [self._sieve.series(run, series) for _, series in found]
        yield from ((run, []) for run in runs if run not in seen)

    def _all_logged(self, numbers: Mapping[str, int], expected: Counts) -> None:
        for batch in batches(
            map(self._sieve.logged, among(self.source.logged_models(), self._titles, self._remarks)), RUNS
        ):
            self._logged |= {each.id: each.location for each in batch}
            lacking = set(self.intake.lacking_logged(batch))
            self._count_up("logged models", len(lacking), len(batch) - len(lacking))
            if lacking and not self.dry_run:
                new = [each for each in batch if each.id in lacking]
                self.intake.logged_models(new, numbers, source=self.source.name)
            held = {} if self.dry_run else self.intake.logged_files_of([each.id for each in batch])
            for some in batches(batch, AT_ONCE):
                places = [(Ref(Kind.LOGGED_MODEL, each.id), each.location, held.get(each.id, {})) for each in some]
                self._there.logged_files += sum(map(len, self._bring_files(places)))
            self._told("logged models", len(self._logged), expected.logged_models)

    # Files

    def _bring_files(self, places: Sequence[tuple[Ref, str, Mapping[str, int]]]) -> Iterator[list[File]]:
        """Bring the files that are not held in the same size, of each place all that there are.

        Those of several places are on their way at once: where either side is a bucket or a server, each of them waits
        for it most of the time.
        """
        begun: list[tuple[Ref, list[File], list[Future[Artifact]]]] = []
        for ref, location, held in places:
            files, place = self._listed(location, str(ref))
            lacking = [file for file in files if held.get(file.path) != file.size]
            named = self._beside_one_another(
                [file for file in lacking if self._can_be_named(file, str(ref))], held, str(ref)
            )
            self._count_up("files", len(named), len(files) - len(lacking))
            wanted = [] if self.dry_run else named
            begun.append((ref, files, [self._hands.submit(self._stored, place, file) for file in wanted if place]))
        for ref, files, coming in begun:
            for batch in batches(coming, FILES):
                self.intake.files(ref, [self._arrived(each) for each in batch], source=self.source.name)
            yield files

    def _arrived(self, file: Future[Artifact]) -> Artifact:
        found = file.result()
        self._tell_on("files", 1)
        return found

    def _listed(self, location: str, whose: str) -> tuple[list[File], Place | None]:
        """The files of a location; where they cannot be had, that is remarked."""
        if not location:
            return [], None
        try:
            place = self.source.place(location)
            if place is not None:
                return place.files(), place
            why = "give --artifacts"
        except Unavailable as error:
            why = error.message
        self._there.unreached += 1
        self._remarks.add(f"has files that cannot be had from here ({why})", f"{whose}: {location}")
        return [], None

    def _can_be_named(self, file: File, whose: str) -> bool:
        try:
            check_file_name(file.path)
        except BadFileName as error:
            self._remarks.add("has a file whose name is not taken here", f"{whose}: {error.message}")
            return False
        return True

    def _beside_one_another(self, files: Sequence[File], held: Collection[str], whose: str) -> list[File]:
        """Those that no folder is in the way of: in a bucket a file may have the name of one, or lie in another file."""
        folders = {folder for name in (*(file.path for file in files), *held) for folder in _folders_of(name)}
        kept = []
        for file in files:
            if file.path in folders:
                self._remarks.add("has a file and a folder of one name, and the file is left out", f"{whose}: {file.path}")
            elif any(folder in held for folder in _folders_of(file.path)):
                self._remarks.add("has a file that would lie in another one, and is left out", f"{whose}: {file.path}")
            else:
                kept.append(file)
        return kept

    def _stored(self, place: Place, file: File) -> Artifact:
        digest = self.blobs.put(place.read(file.path))
        return Artifact(
            name=file.path,
            digest=digest,
            size=self.blobs.size(digest),
            media_type=media_type_of(file.path),
        )

    # Traces

    def _all_traces(self) -> None:
        self._traces = BringingTraces(self._room_of_traces, self._titles, self._remarks)
        for batch in batches(self.source.traces(), TRACES):
            known = [each for each in batch if each.experiment in self._titles]
            lacking = self._traces.bring(known, dry_run=self.dry_run, told=lambda done: self._told("traces", done, 0))
            self._count_up("traces", lacking, len(known) - lacking)

    # The registry

    def _registry(self, models: Sequence[ForeignModel], all_versions: Sequence[ForeignVersion], expected: Counts) -> None:
        versions: dict[str, list[ForeignVersion]] = {}
        for version in all_versions:
            versions.setdefault(version.name, []).append(version)
        self._registered: dict[str, tuple[ForeignModel, list[ForeignVersion]]] = {}
        done = 0
        for model in models:
            mine = versions.get(model.name, [])
            self._registered[model.name] = model, mine
            self._model(model, mine)
            done += len(mine)
            self._told("model versions", done, expected.versions)

    def _model(self, model: ForeignModel, versions: Sequence[ForeignVersion]) -> None:
        held = self.models.here(model.name)
        same = held is not None and held.description == model.description and model.tags.items() <= held.tags.items()
        self._count_up("registered models", int(not same), int(same))
        if not same and not self.dry_run:
            self.models.model(model.name, model, source=self.source.name)
        here = held.versions if held else {}
        for each in sorted(versions, key=lambda version: version.number):
            self._version(each, here.get(each.number))
        wanted = {alias: number for alias, number in model.aliases.items() if number in {v.number for v in versions}}
        if self.dry_run or not wanted:
            return
        for alias in self.models.aliases(model.name, wanted, source=self.source.name):
            self._remarks.add(
                "has an alias that is kept as a tag: it is no alias here, or one that only a gate sets",
                f"{model.name}@{alias}",
            )

    def _version(self, there: ForeignVersion, here: ForeignVersion | None) -> None:
        same = here is not None and (
            (here.stage, here.description) == (there.stage or "None", there.description)
            and there.tags.items() <= here.tags.items()
        )
        self._count_up("model versions", int(not same), int(same))
        if same or self.dry_run:
            return
        record = None
        if here is None:
            run = Ref(Kind.RUN, there.run) if there.run in self._runs else None
            record = self.models.record_for(there, self._version_files(there), run=run)
        elif there.source and here.source != there.source:
            self._remarks.add("is another version here, and is left as it is", f"{there.name} version {there.number}")
            return
        try:
            self.models.version(there.name, there, record, source=self.source.name)
        except Conflict as error:
            self._remarks.add("could not be brought", error.message)

    def _version_files(self, version: ForeignVersion) -> dict[str, str]:
        """The digests of a version's files, by their paths; none where they cannot be had."""
        whose = f"{version.name} version {version.number}"
        if version.tags.get(PROMPT_TAG, "").lower() == "true":
            return {}  # its text is a tag
        try:
            place = self._version_place(version)
            named = [] if place is None else [each for each in place.files() if self._can_be_named(each, whose)]
            files = self._beside_one_another(named, {}, whose)
        except Unavailable:
            place, files = None, []
        if place is None or not files:
            self._remarks.add("is brought as an address only, since its files cannot be had", whose)
            return {}
        return {file.path: self.blobs.put(place.read(file.path)) for file in files}

    def _version_place(self, version: ForeignVersion) -> Place | None:
        if version.logged_as in self._logged:
            return self.source.place(self._logged[version.logged_as])
        for location in (version.location, version.source):
            if location.startswith("runs:/"):
                run, _, path = location.removeprefix("runs:/").partition("/")
                place = self.source.place(self._runs[run]) if self._runs.get(run) else None
                if place is not None:
                    return Within(place, path) if path else place
            elif location and not location.startswith("models:/"):
                place = self.source.place(location)
                if place is not None:
                    return place
        return None

    # Counting

    def _count(self) -> Counts:
        """What is here of all that is there."""
        here = Counts()
        held = set(self._titles) - set(self.intake.lacking_experiments(list(self._titles.values())))
        here.experiments = len(held)
        here.experiments_deleted = sum(self._titles[each].deleted for each in held)
        here.experiment_tags = sum(len(self._titles[each].tags) for each in held)
        for batch in batches(self._runs, COUNTED):
            tally = self.intake.tally(batch)
            here += Counts(**{name: getattr(tally, name) for name in tally.__struct_fields__})
        for batch in batches(self._logged, COUNTED):
            logged = self.intake.tally_logged(batch)
            here += Counts(**{name: getattr(logged, name) for name in logged.__struct_fields__})
        for name, (model, versions) in self._registered.items():
            held_model = self.models.here(name)
            if held_model is not None:
                here += _counted(held_model, model, versions)
        return here + self._traces.count()

    def _tell_on(self, what: str, more: int) -> None:
        """Tell of so much more of what has no total."""
        self._moved[what] = self._moved.get(what, 0) + more
        self._told(what, self._moved[what], 0)

    def _count_up(self, what: str, added: int, same: int) -> None:
        self._added[what] = self._added.get(what, 0) + added
        self._same[what] = self._same.get(what, 0) + same


def _counted(here: Registered, there: ForeignModel, versions: Sequence[ForeignVersion]) -> Counts:
    """Of a model what is here, of that which is there."""
    found = Counts(registered_models=1)
    for each in versions:
        mine = here.versions.get(each.number)
        if mine is not None and mine.source == (each.source or mine.source):
            found += Counts(versions=1, version_tags=len(mine.tags))
    for alias, number in there.aliases.items():
        found.aliases += here.aliases.get(alias) == number or here.tags.get(ALIAS_TAG + alias) == str(number)
    return found


def among(things: Iterable[Of], experiments: Container[str], remarks: Remarks) -> Iterator[Of]:
    """Those that are of experiments which were there when this began: others work there meanwhile."""
    for each in things:
        if each.experiment in experiments:
            yield each
        else:
            remarks.add("was made while this went on: run the same command again", f"Experiment {each.experiment}")


def _folders_of(path: str) -> Iterator[str]:
    """The folders that a file lies in, the outermost first."""
    return itertools.accumulate(path.split("/")[:-1], "{}/{}".format)


def batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """So many at a time."""
    rest = iter(things)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def in_calls(series: Sequence[Series]) -> Iterator[list[Series]]:
    """Curves in portions of a size that goes in one call, each curve in order of step and time.

    So the last point of a curve comes last, and one of which a part is missing is known by it.
    """
    portion: list[Series] = []
    room = POINTS
    for each in series:
        if len(each) > POINTS:
            order = np.lexsort((np.asarray(each.times), np.asarray(each.steps))).tolist()
            each = Series(
                each.metric, [each.steps[i] for i in order], [each.times[i] for i in order], [each.values[i] for i in order]
            )
        at = 0
        while at < len(each):
            end = min(len(each), at + room)
            portion.append(Series(each.metric, each.steps[at:end], each.times[at:end], each.values[at:end]))
            room -= end - at
            at = end
            if room == 0:
                yield portion
                portion, room = [], POINTS
    if portion:
        yield portion
