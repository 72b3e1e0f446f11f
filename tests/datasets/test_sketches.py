"""Sketches keep what they promise: within their bounds, however the rows were cut into pieces and put together."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.errors import Corrupt
from modelwright.datasets import DatasetColumn
from modelwright.datasets.profile import profile_of
from modelwright.datasets.records import Segment
from modelwright.datasets.segments import TableSketch, read_segment
from modelwright.datasets.sketches.column import ColumnSketch
from modelwright.datasets.sketches.distinct import ERROR, Distinct
from modelwright.datasets.sketches.frequent import SURE
from modelwright.datasets.sketches.hashing import hash_numbers, hash_texts
from modelwright.datasets.sketches.quantiles import ERROR as RANKS

NUMBERS = [0, 14555800124870461561, 11997753015133180395]
FLOATS = [0, 0, 17901526442738384756]
TEXTS = [0, 15949913603807687541, 8289659875728857457, 2811616395412627646]


def _sketch(*pieces):
    found = ColumnSketch()
    for piece in pieces:
        found.add(piece if isinstance(piece, pa.Array) else pa.array(piece))
    return found


def _joined(*sketches):
    found = ColumnSketch()
    for each in sketches:
        found.merge(ColumnSketch.read(each.write(), quoting=True))
    return found


DRAWN = np.random.default_rng(5)
SHAPES = {
    "normal": DRAWN.normal(size=200_000),
    "sorted": np.arange(200_000.0),
    "backwards": np.arange(200_000.0)[::-1],
    "skewed": DRAWN.pareto(1.1, 200_000),
    "many alike": np.round(DRAWN.normal(size=200_000), 1),
    "a value that stands out": np.where(DRAWN.random(200_000) < 0.3, -999.0, DRAWN.random(200_000)),
}


@pytest.mark.parametrize("pieces", [1, 3, 40])
@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES.keys())
def test_quantiles_of_pieces_put_together_are_within_their_rank_error(values, pieces):
    found = _joined(*[_sketch(piece) for piece in np.array_split(values, pieces)])
    ordered = np.sort(values)
    for wanted, value in zip(ASKED, found.quantiles.quantiles(ASKED), strict=True):
        low = np.searchsorted(ordered, value, "left") / len(ordered)
        high = np.searchsorted(ordered, value, "right") / len(ordered)
        assert low - RANKS <= wanted <= high + RANKS
    numbers, weights = found.quantiles.weighted()
    assert weights.sum() == len(values)
    assert len(numbers) < 2_000


ASKED = [0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0]


def test_moments_and_extremes_of_pieces_are_those_of_the_whole():
    values = SHAPES["normal"]
    found = _joined(*[_sketch(piece) for piece in np.array_split(values, 7)])
    assert found.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-12)
    assert found.sd == pytest.approx(values.std(ddof=1))
    assert (found.least, found.greatest) == (values.min(), values.max())


@pytest.mark.parametrize("n", [0, 1, 1000, 1024, 1025, 5_000, 20_000, 300_000])
def test_distinct_counts_are_exact_for_few_and_within_their_error_for_many(n):
    found = Distinct()
    found.add(hash_numbers(np.arange(n)))
    assert abs(found.count() - n) <= (0 if n <= 1024 else 3 * ERROR * n)
    assert found.exact is (n <= 1024)


@pytest.mark.parametrize("further", [10, 100, 2000])
def test_a_batch_that_begins_with_few_is_counted_to_its_end(further):
    few, others = hash_numbers(np.arange(1000)), hash_numbers(np.arange(1000, 1000 + further))
    together, apart = Distinct(), Distinct()
    together.add(np.concatenate([np.tile(few, 20), others, others]))
    for some in (few, others):
        apart.add(some)
    assert together.exact is apart.exact is (further <= 24)
    assert together.count() == apart.count()
    assert abs(together.count() - 1000 - further) <= 3 * ERROR * together.count()


@given(st.lists(st.lists(st.integers(-3000, 3000), max_size=3000), min_size=3, max_size=3), st.integers(1, 2000))
def test_distinct_counts_and_exact_figures_do_not_depend_on_the_order_of_merging(lists, spread):
    lists = [[*each, *range(number * spread)] for number, each in enumerate(lists)]
    a, b, c = (_sketch(pa.array(each, pa.int64())) for each in lists)
    one, other = _joined(_joined(a, b), c), _joined(a, _joined(b, c))
    whole = _sketch(pa.array([x for each in lists for x in each], pa.int64()))
    for found in (one, other):
        assert found.distinct.count() == whole.distinct.count()
        assert (found.rows, found.count, found.least, found.greatest) == (
            whole.rows, whole.count, whole.least, whole.greatest,
        )  # fmt: skip


@given(st.integers(0, 2**32), st.integers(1, 20))
def test_frequent_values_are_there_and_no_count_is_too_high_or_lower_than_it_says(seed, pieces):
    values = np.random.default_rng(seed).zipf(1.3, 20_000).clip(max=10**6)
    found = _joined(*[_sketch(piece) for piece in np.array_split(values, pieces)]).frequent
    true = dict(zip(*(x.tolist() for x in np.unique(values, return_counts=True)), strict=True))
    assert found.error <= len(values) / SURE
    for value, count in true.items():
        assert count - found.error <= found.counts.get(value, 0) <= count


def test_texts_are_counted_alike_whether_they_come_with_a_dictionary_or_not():
    texts = pa.array(np.array(["north", "south", "", "ä" * 9, "x" * 2000])[DRAWN.integers(0, 5, 3000)])
    plain, coded = _sketch(texts), _sketch(texts.dictionary_encode())
    assert plain.frequent.counts == coded.frequent.counts
    assert (plain.distinct.few == coded.distinct.few).all()
    assert (plain.least, plain.greatest, plain.examples) == (coded.least, coded.greatest, coded.examples)


@given(st.lists(st.text(max_size=40), max_size=60))
def test_different_texts_have_different_hashes_wherever_they_lie_in_an_array(texts):
    hashes = hash_texts(pa.array(["first", *texts], pa.string()).slice(1)).tolist()
    assert len(set(hashes)) == len(set(texts))
    assert hashes == [hash_texts(pa.array([text], pa.string()))[0] for text in texts]


def test_hashes_are_part_of_the_format_and_never_change():
    assert hash_numbers(np.array([0, 1, -1])).tolist() == NUMBERS
    assert hash_numbers(np.array([-0.0, 0.0, 1.5])).tolist() == FLOATS
    assert hash_texts(pa.array(["", "a", "modelwright", "x" * 600])).tolist() == TEXTS


def test_dates_and_times_come_back_as_what_they_are():
    columns = [DatasetColumn(name="d", type="date32[day]"), DatasetColumn(name="t", type="timestamp[us, tz=UTC]")]
    sketch = TableSketch(columns)
    moments = pa.array([datetime(1969, 12, 31, 23, 59, 59, 500_000), datetime(2020, 2, 29)], pa.timestamp("us", "UTC"))
    sketch.add(pa.table({"d": [date(1969, 12, 31), date(2020, 2, 29)], "t": moments}))
    days, times = profile_of(sketch, columns).columns
    assert (days.minimum, days.maximum) == ("1969-12-31", "2020-02-29")
    assert (times.minimum, times.examples[1]) == ("1969-12-31T23:59:59.500000Z", "2020-02-29T00:00:00.000000Z")


def test_a_version_with_rows_at_its_end_profiles_these_alone(embedded):
    rows = pa.table({"x": np.arange(600_000), "y": DRAWN.normal(size=600_000)})
    first = embedded.datasets.add("numbers", rows.slice(0, 590_000), key="x")
    second = embedded.datasets.add("numbers", rows, key="x")
    before, after = (embedded.datasets.profile(version.ref) for version in (first, second))
    shared = {each.sketch for each in before.segments} & {each.sketch for each in after.segments}
    assert len(shared) >= len(before.segments) - 1
    assert sum(each.rows for each in after.segments) == after.rows == 600_000
    assert after.column("x").mean == pytest.approx(299_999.5)
    assert after.column("x").distinct == pytest.approx(600_000, rel=3 * ERROR)


def test_what_is_no_sketch_is_refused(embedded):
    blobs = embedded.caller.blobs
    for content in (b"", b"nothing", b"\xff" * 80, (10).to_bytes(8, "little") + b"{}"):
        with pytest.raises(Corrupt, match="holds no sketch"):
            read_segment(blobs, Segment(digest="0" * 64, rows=1, sketch=blobs.put(content)), [])
