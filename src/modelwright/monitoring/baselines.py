"""What the windows of a monitor are compared with: the rows of its reference where they are at hand, else their profile.

This is the one place that decides which. Rows are read from the dataset's version, or from the log of predictions. Where a
version's rows cannot be had (its objects are gone or out of reach) the sketches that its profile was made from stand for
them; where the log no longer holds a period, the sketch that was kept when it still did. A window's notes say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from modelwright.core.errors import Corrupt, Gone, ModelwrightError, NotFound, Unavailable
from modelwright.core.later import later
from modelwright.core.refs import Ref
from modelwright.monitoring.ports import OWN, Predictions
from modelwright.monitoring.records import Monitor, Period

if TYPE_CHECKING:
    import pyarrow as pa

    from modelwright.datasets import Datasets
    from modelwright.monitoring import judging
    from modelwright.monitoring.detectors import sketched
else:  # they need NumPy and the library of metrics
    judging = later("modelwright.monitoring.judging")
    sketched = later("modelwright.monitoring.detectors.sketched")

REFERENCE_ROWS: Final = 100_000  # of a reference that is larger, so many rows evenly spread
KEPT: Final = 8  # references held in memory
BASELINE: Final = "baseline"  # in the progress of a monitor: the kept sketch of its period
_AT_A_TIME: Final = timedelta(days=1)  # of a log that is sketched


class Baselines:
    """The references of monitors, read once each."""

    def __init__(self, datasets: Datasets, predictions: Predictions) -> None:
        self._datasets = datasets
        self._predictions = predictions
        self._held: dict[Ref, judging.Reference] = {}

    def of(self, monitor: Monitor, state: Mapping[str, Any]) -> judging.Reference:
        """The reference of a monitor; `state` is what it keeps from turn to turn, in which `BASELINE` may be."""
        if monitor.ref not in self._held:
            found = self._found(monitor, state)
            while len(self._held) >= KEPT:
                self._held.pop(next(iter(self._held)))
            self._held[monitor.ref] = found
        return self._held[monitor.ref]

    def kept(self, monitor: Monitor, state: Mapping[str, Any], until: datetime) -> dict[str, Any]:
        """What is to stay in a monitor's state so that its period can be compared with when the log has let go of it.

        Nothing before the period is over: `until` is the moment before which no more predictions are expected.
        """
        if BASELINE in state:
            return {BASELINE: state[BASELINE]}
        period = monitor.watch.period
        if period is None or period.until > until:
            return {}
        sketch = self._datasets.sketch_rows(self._logged(monitor, period))
        if not sketch.rows:
            return {}
        sketch.forget(fewer_than=sketched.RARE)
        return {BASELINE: {"sketch": self._datasets.keep_sketch(sketch), "rows": sketch.rows}}

    def _found(self, monitor: Monitor, state: Mapping[str, Any]) -> judging.Reference:
        watch = monitor.watch
        if watch.profiled and (sketch := self._profile(monitor, state)) is not None:
            return _profiled(sketch, "As it was asked for")
        if watch.reference is not None:
            return self._of_version(watch.reference)
        assert watch.period is not None
        table = self._predictions.read(monitor.deployment.name, watch.period.since, watch.period.until)
        kept = state.get(BASELINE)
        if kept is None or table.num_rows >= kept["rows"]:
            return judging.reference_of(_thinned(table))
        said = f"The log holds {table.num_rows} of the {kept['rows']} predictions of the reference period by now"
        return _profiled(self._datasets.kept_sketch(kept["sketch"]), said)

    def _profile(self, monitor: Monitor, state: Mapping[str, Any]) -> Any | None:
        """The profile of a reference; None where a version has none, and its rows have to do."""
        watch = monitor.watch
        if watch.reference is not None:
            try:
                return self._datasets.sketch(watch.reference)
            except NotFound:
                return None
        if (kept := state.get(BASELINE)) is not None:
            return self._datasets.kept_sketch(kept["sketch"])
        assert watch.period is not None
        return self._datasets.sketch_rows(self._logged(monitor, watch.period))

    def _of_version(self, ref: Ref) -> judging.Reference:
        try:
            return judging.reference_of(_thinned(self._datasets.read(ref)))
        except Gone:
            raise
        except (NotFound, Corrupt, Unavailable) as error:
            try:
                sketch = self._datasets.sketch(ref)
            except ModelwrightError:
                raise error from None
            return _profiled(sketch, f"The rows of {ref} cannot be read ({error.message.rstrip('.')})")

    def _logged(self, monitor: Monitor, period: Period) -> Iterator[pa.Table]:
        """The predictions of a period, no more of them at a time than a day's."""
        start: datetime = period.since
        while start < period.until:
            end = min(period.until, start + _AT_A_TIME)
            table = self._predictions.read(monitor.deployment.name, start, end)
            yield table.drop_columns([name for name in OWN if name in table.column_names])
            start = end


def _profiled(sketch: Any, why: str) -> judging.Reference:
    columns, off, left = {}, 0.0, []
    for name, kind in sketch.kinds.items():
        found = sketched.values_of_sketch(sketch.columns[name], kind)
        if found is None:
            left.append(name)
        else:
            columns[name], error = found
            off = max(off, error)
    notes = [f"{why}: its profile stands for them, in which a share is off by at most {off:.1%}."]
    if left:
        notes.append(f"The profile keeps nothing to compare {', '.join(left)} by.")
    return judging.Reference(columns, notes)


def _thinned(table: pa.Table) -> pa.Table:
    if table.num_rows <= REFERENCE_ROWS:
        return table
    step = table.num_rows / REFERENCE_ROWS
    return table.take([int(i * step) for i in range(REFERENCE_ROWS)])
