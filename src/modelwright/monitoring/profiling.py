"""Windows as profiles: put together from pieces of the log, of which no more than one is in memory, and kept.

A profile is the same object as a dataset version's: mergeable sketches by column. So days make a week without being read
again, and what was predicted can still be compared when the log has let go of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from modelwright.core.later import later
from modelwright.core.refs import Ref
from modelwright.monitoring.ports import MODEL, OWN, Predictions
from modelwright.monitoring.records import Watch, WindowResult
from modelwright.monitoring.windows import Window, floor_to

if TYPE_CHECKING:
    import pyarrow as pa

    from modelwright.datasets import Datasets
    from modelwright.monitoring import judging
    from modelwright.monitoring.detectors import base, sketched
else:  # they need NumPy and the library of metrics
    judging = later("modelwright.monitoring.judging")
    base = later("modelwright.monitoring.detectors.base")
    sketched = later("modelwright.monitoring.detectors.sketched")

PIECE: Final = timedelta(hours=1)  # of the log that is read at a time
Sketches = dict[str, Any]  # by model version: `TableSketch`


class Profiles:
    """The closed windows of a deployment's log, one after the other, each as profiles of what model versions answered."""

    def __init__(self, datasets: Datasets, predictions: Predictions) -> None:
        self._datasets = datasets
        self._predictions = predictions

    def windows(
        self, deployment: str, *, since: datetime, until: datetime, every: timedelta, least: int
    ) -> Iterator[tuple[Window, Sketches]]:
        """The windows that `windows.closed` finds, without patience; the last is empty, and where what is left begins."""
        held, rows, start = Sketches(), 0, since
        end = floor_to(since, every) + every
        while end <= until:
            rows += self._take(held, deployment, max(since, end - every), end)
            if rows >= least and rows:
                yield Window(start=start, end=end, rows=rows), held
            if rows >= least or not rows:
                held, rows, start = Sketches(), 0, end
            end += every
        yield Window(start=start, end=start), {}

    def judged(self, window: Window, found: Sketches, reference: judging.Reference, watch: Watch) -> WindowResult:
        """The profile of the version that answered most rows against the reference; it is kept with the result."""
        model, sketch = max(found.items(), key=lambda each: (each[1].rows, each[0]))
        sketch.forget(fewer_than=sketched.RARE)
        notes = judging.others_left_out(window.rows - sketch.rows)
        samples, off = samples_of(sketch, reference.columns, notes)
        notes.append(f"Compared profile with profile: a share of the window's is off by at most {off:.1%}.")
        result = judging.judge_samples(window, Ref.parse(model), sketch.rows, samples, reference, watch, notes)
        return replace(result, profile=self._datasets.keep_sketch(sketch))

    def _take(self, held: Sketches, deployment: str, since: datetime, until: datetime) -> int:
        """Take a stretch of the log into the profiles at hand; how many rows it had."""
        rows = 0
        while since < until:
            end = min(until, floor_to(since, PIECE) + PIECE)
            table = self._predictions.read(deployment, since, end)
            for model, answered in _by_model(table):
                if model not in held:
                    held[model] = self._datasets.sketch_rows([])
                held[model].grow(answered)
            rows += table.num_rows
            since = end
        return rows


def samples_of(sketch: Any, reference: Mapping[str, base.Values], notes: list[str]) -> tuple[dict[str, base.Values], float]:
    """The columns of a profile as samples, and by what share they may be off; `notes` say what cannot be compared."""
    samples: dict[str, base.Values] = {}
    off = 0.0
    for name, kind in sketch.kinds.items():
        found = sketched.values_of_sketch(sketch.columns[name], kind)
        wanted = reference[name].kind if name in reference else None
        if found is None:
            notes.append(f"The profile keeps nothing to compare {name} by.")
            continue
        values, error = found
        if wanted is not None and values.kind is not wanted:
            if len(values.present) or values.other:
                notes.append(f"{name} is {values.kind} here and {wanted} in the reference.")
                continue
            values = base.Values(
                wanted, values.present.astype(float if wanted is base.ColumnKind.NUMERIC else str), values.missing
            )
        samples[name] = values
        off = max(off, error)
    return samples, off


def _by_model(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    import pyarrow.compute as pc

    for model in pc.unique(table.column(MODEL)).to_pylist():
        rows = table.filter(pc.equal(table.column(MODEL), model))
        yield model, rows.drop_columns([name for name in OWN if name in rows.column_names])
