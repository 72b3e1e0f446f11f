"""What a store may hold and cannot be kept here: left out or changed, and remarked, so that the rest comes over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from modelwright.exchange.remarks import Remarks
from modelwright.experiments.intake import ForeignExperiment, ForeignLoggedModel, ForeignRun, Series
from modelwright.experiments.logged.writing import MAX_PARAM, MAX_VALUE
from modelwright.experiments.values import MAX_NAME

LATEST: Final = 253_402_300_799_999  # milliseconds from 1970 to the end of the year 9999
UNNAMED: Final = "has a parameter or tag whose name is not taken here, and which is left out"
LONG: Final = "has a value that is longer than is kept here, and is cut"
NUL: Final = "has a value with the character NUL, which is replaced: no text in PostgreSQL holds it"
UNTIMELY: Final = "has a time outside of the years 1970 to 9999, which is kept as the nearest within"


class Sieve:
    """Lets through what can be kept. The same thing comes out the same, so a second import finds it unchanged."""

    def __init__(self, remarks: Remarks) -> None:
        self._remarks = remarks

    def experiment(self, each: ForeignExperiment) -> ForeignExperiment:
        """An experiment."""
        whose = f"Experiment {each.title!r}"
        created, updated = self._time(each.created, whose), self._time(each.updated, whose)
        return replace(each, tags=self._pairs(each.tags, whose), created=created, updated=updated)

    def run(self, each: ForeignRun) -> ForeignRun:
        """A run without its points."""
        whose = f"run:{each.id}"
        return replace(
            each,
            params=self._pairs(each.params, whose),
            tags=self._pairs(each.tags, whose),
            started=self._time(each.started, whose),
            ended=None if each.ended is None else self._time(each.ended, whose),
            deleted_at=None if each.deleted_at is None else self._time(each.deleted_at, whose),
            latest={name: (value, step, self._time(at, whose)) for name, (value, step, at) in each.latest.items()},
        )

    def series(self, run: str, each: Series) -> Series:
        """A curve."""
        if not each.times or (min(each.times) >= 0 and max(each.times) <= LATEST):
            return each
        return Series(each.metric, each.steps, [self._time(at, f"run:{run}") for at in each.times], each.values)

    def logged(self, each: ForeignLoggedModel) -> ForeignLoggedModel:
        """A logged model."""
        whose = f"logged-model:{each.id}"
        return replace(
            each,
            params=self._pairs(each.params, whose, MAX_PARAM),
            tags=self._pairs(each.tags, whose, MAX_VALUE),
            created=self._time(each.created, whose),
            updated=self._time(each.updated, whose),
            figures=[replace(figure, time=self._time(figure.time, whose)) for figure in each.figures],
        )

    def _pairs(self, pairs: Mapping[str, str], whose: str, most: int = 0) -> dict[str, str]:
        odd = [name for name in pairs if not 0 < len(name) <= MAX_NAME or "\0" in name]
        for name in odd:
            self._remarks.add(UNNAMED, f"{whose}: {name[:40]!r}")
        kept = {name: value for name, value in pairs.items() if name not in odd} if odd else dict(pairs)
        for name, value in kept.items():
            if "\0" in value:
                self._remarks.add(NUL, f"{whose}: {name}")
                kept[name] = value = value.replace("\0", "\ufffd")
            if most and len(value) > most:
                self._remarks.add(LONG, f"{whose}: {name} has {len(value):,} characters, of {most:,} at most")
                kept[name] = value[:most]
        return kept

    def _time(self, at: int, whose: str) -> int:
        if 0 <= at <= LATEST:
            return at
        self._remarks.add(UNTIMELY, f"{whose}: {at}")
        return min(max(at, 0), LATEST)
