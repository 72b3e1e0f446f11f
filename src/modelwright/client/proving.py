"""The registry for a script that does a past run again: a reproduction is a proof, and no new product.

It registers nothing. A model that the script registers is held against the version that the run made of it, and with that
version the script goes on. What would move, name or describe a version is answered with the version as it stands, and
nothing is put live.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from modelwright.core.blobs import Blobs
from modelwright.core.clock import SystemClock
from modelwright.core.errors import ModelwrightError, NotFound, Refused
from modelwright.core.hashing import digest_value
from modelwright.core.operations import Operation, Room
from modelwright.core.paging import every
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import encode
from modelwright.experiments.reproduction.records import Remade

if TYPE_CHECKING:
    from modelwright.models import ModelRecord, ModelVersion
    from modelwright.workspace import Workspace


UNREGISTERED: Final = 900_000_000  # the number of the first version that stands in for one that is gone


def prove(workspace: Workspace, original: str, told: str) -> Workspace:
    """The same workspace, for a script that does a run (by its id) again; what it makes again is told in a file."""
    caller = Proving(workspace, Ref(Kind.RUN, original), Path(told) if told else None)
    for room in (workspace.models, workspace.registry, workspace.signatures, workspace.deployments):
        room.caller = caller
    return workspace


def apart(before: Mapping[str, Any], after: Mapping[str, Any]) -> float | None:
    """The largest difference between two predictions, relative to the larger of two figures; None for other labels."""
    import numpy as np

    largest = 0.0
    for name, one in before.items():
        two = after.get(name)
        if two is None or one.shape != two.shape or one.dtype.kind not in "fiub" or two.dtype.kind not in "fiub":
            if two is None or one.tolist() != two.tolist():
                return None
            continue
        one, two = one.astype(np.float64), two.astype(np.float64)
        other = ~((one == two) | (np.isnan(one) & np.isnan(two)))
        gaps = np.abs(one - two)[other] / np.maximum(np.abs(one), np.abs(two))[other]
        if not np.isfinite(gaps).all():
            return None
        largest = max(largest, float(gaps.max(initial=0.0)))
    return largest


class Proving:
    """A `Caller` that leaves models and deployments as they are."""

    def __init__(self, workspace: Workspace, original: Ref, told: Path | None) -> None:
        self._workspace, self._caller = workspace, workspace.caller
        self._original, self._told = original, told
        self._registered: Counter[str] = Counter()  # how many versions the script has registered, by model
        self._instead: dict[Ref, ModelVersion] = {}  # of versions that are gone

    @property
    def blobs(self) -> Blobs:
        return self._caller.blobs

    @property
    def principal(self) -> Principal:
        return self._caller.principal

    def call(self, room: Room, operation: Operation[Any, Any, Any, Any], arguments: dict[str, Any]) -> Any:
        """See `Caller.call`."""
        if operation.path == "models/show" and arguments["ref"] in self._instead:
            return self._instead[arguments["ref"]]
        if not operation.writes or operation.path == "registry/create":  # one that is there is a `Conflict`, as ever
            return self._caller.call(room, operation, arguments)
        if operation.path == "models/register":
            return self._made(arguments["name"], arguments["record"])
        if arguments.get("ref") in self._instead:
            return self._instead[arguments["ref"]]
        if room.room == self._workspace.deployments.room:
            raise Refused(
                f"{self._original} is being done again, which puts nothing live: {operation.path}.",
                mend="Have the script leave it out where MODELWRIGHT_REPRODUCES is set.",
            )
        return self._as_it_stands(operation, arguments)

    def _made(self, name: str, record: ModelRecord) -> ModelVersion:
        """The version that the run made, in the place of the one that would be registered now."""
        there = self._versions(name)
        at, after = self._registered[name], digest_value(record.files)
        self._registered[name] += 1
        if at < len(there):
            found = there[at]
            before = digest_value(found.record.files)
            made = Remade(ref=found.ref, before=before, after=after, apart=self._apart(found, record))
        else:
            found = self._stand_in(name, record)
            made = Remade(ref=found.ref.whole, before="", after=after)
        if self._told is not None:
            with self._told.open("ab") as file:
                file.write(encode(made) + b"\n")
        return found

    def _stand_in(self, name: str, record: ModelRecord) -> ModelVersion:
        """For a version that is gone, or that the run did not make: one that this process alone knows of."""
        from modelwright.models import ModelVersion, Profile, Stage

        now, ref = SystemClock().now(), Ref(Kind.MODEL, name, UNREGISTERED + len(self._instead))
        found = self._instead[ref] = ModelVersion(
            ref=ref,
            title=name,
            digest=digest_value(record),
            record=record,
            stage=Stage.CANDIDATE,
            profile=Profile(),
            created_at=now,
            created_by=self.principal.id,
            changed_at=now,
        )
        return found

    def _apart(self, found: ModelVersion, record: ModelRecord) -> float | None:
        """How far both predict from each other on the rows that are kept with the version; None where that is not known.

        A file may hold the time it was written, or where something lay in memory, as those of skops do.
        """
        from modelwright.models.loaded import LoadedModel
        from modelwright.serving import load

        models, made = self._workspace.models, replace(found, record=record, seal=None)
        try:
            rows = models.example(found.ref)
            before = models.load(found.ref, retired=True).predict(rows)
            files = {path: self.blobs.read(digest) for path, digest in record.files.items()}
            after = LoadedModel(made, load(made.manifest, files)).predict(rows)
        except ModelwrightError:
            return None
        return apart(before, after)

    def _versions(self, name: str) -> list[ModelVersion]:
        """What the run made of a model, in order: by what versions say, by what it says, or by when they were made."""
        models, ref = self._workspace.models, Ref(Kind.MODEL, name)
        try:
            known = sorted(every(lambda where: models.versions(ref, where)), key=lambda each: each.ref.version or 0)
        except NotFound:
            return []
        run = self._workspace.experiments.show(self._original)
        return (
            [each for each in known if each.record.run == run.ref]
            or [each for each in known if each.ref in run.outputs]
            or [each for each in known if run.ended_at is not None and run.started_at <= each.created_at <= run.ended_at]
        )

    def _as_it_stands(self, operation: Operation[Any, Any, Any, Any], arguments: dict[str, Any]) -> Any:
        from modelwright.models import Model, ModelVersion, Profile

        ref, answer = arguments.get("ref"), operation.types()[1]
        if answer is Profile:
            return arguments["profile"]
        if answer is Model and ref is not None:
            return self._workspace.registry.show(ref)
        return self._workspace.models.show(ref) if answer is ModelVersion and ref is not None else ref
