"""A profile in place of rows, on either side of every detector."""

import numpy as np
import pyarrow as pa
import pytest

from modelwright.datasets import DatasetColumn
from modelwright.datasets.segments import TableSketch
from modelwright.monitoring.detectors import REGISTRY, ColumnKind, Values, values_of
from modelwright.monitoring.detectors.sketched import values_of_sketch

CASES = [(name, kind) for name, detector in REGISTRY.items() for kind in sorted(detector.kinds)]
every = pytest.mark.parametrize(("name", "kind"), CASES)


def column(kind: ColumnKind, rows: int, seed: int, shift: float = 0.0) -> pa.Array:
    random = np.random.default_rng(seed)
    if kind is ColumnKind.NUMERIC:
        return pa.array(random.normal(shift, 1.0, rows))
    common = random.choice(["a", "b", "c"], rows, p=[0.5 - shift / 2, 0.3, 0.2 + shift / 2])
    rare = np.char.add("rare", random.integers(0, 5000, rows).astype(str))
    return pa.array(np.where(random.random(rows) < 0.05, rare, common))


def profiled(values: pa.Array, pieces: int = 1) -> tuple[Values, float]:
    size = -(-len(values) // pieces)
    whole = TableSketch([])
    for start in range(0, len(values), size):
        whole.grow(pa.table({"x": values.slice(start, size)}))
    found = values_of_sketch(whole.columns["x"], whole.kinds["x"])
    assert found is not None
    return found


@every
def test_without_drift_a_profile_raises_no_alarm_and_with_it_one(name, kind):
    detector = REGISTRY[name]
    reference, _ = profiled(column(kind, 60_000, 1), pieces=6)
    alarms = 0
    for seed in range(20):
        found = detector.compare(reference, values_of(column(kind, 400, 50 + seed)))
        alarms += found.p_value < 0.01 and found.effect >= detector.floor
    assert alarms <= 1
    current = values_of(column(kind, 5000, 5, shift=0.8))
    if name == "missing":
        current = Values(kind, current.present[:3500], 1500)
    found = detector.compare(reference, current)
    assert found.effect >= detector.floor and found.p_value < 0.01


@every
def test_two_profiles_of_one_distribution_differ_by_no_more_than_chance(name, kind):
    (one, _), (other, _) = (profiled(column(kind, 30_000, seed), pieces=3) for seed in (11, 12))
    found = REGISTRY[name].compare(one, other)
    assert found.effect < REGISTRY[name].floor and found.p_value > 0.001


def test_shares_are_within_what_the_profile_says_it_may_be_off():
    numbers = np.random.default_rng(3).lognormal(0, 1, 200_000)
    found, error = profiled(pa.array(numbers), pieces=20)
    assert 0 < error <= 0.01 and found.rows <= (1.628 / error) ** 2
    places = np.quantile(numbers, np.linspace(0.01, 0.99, 99))
    told = np.searchsorted(found.ordered, places, "right") / len(found.present)
    assert np.abs(told - np.linspace(0.01, 0.99, 99)).max() <= error
    few, none = profiled(pa.array([1.0, 2.0, 2.0, None, float("nan")]))
    assert (none, few.present.tolist(), few.missing) == (0.0, [1.0, 2.0, 2.0], 2)


def test_categories_that_are_not_named_are_told_from_missing_ones():
    texts = pa.array(["a"] * 900 + [f"x{i}" for i in range(2000)] + [None] * 100)
    found, error = profiled(texts)
    assert (found.other + len(found.present), found.missing) == (2900, 100) and error > 0
    assert (found.present == "a").sum() == pytest.approx(900, abs=error * 2900 + 1)
    assert REGISTRY["chi-square"].compare(found, values_of(texts)).effect < 0.05


def test_what_a_profile_does_not_keep_is_not_compared():
    sketch = TableSketch([DatasetColumn(name="email", type="string", personal=True)])
    sketch.add(pa.table({"email": ["a@example.org"]}))
    assert values_of_sketch(sketch.columns["email"], "string") is None


def test_rare_texts_and_examples_are_not_kept_of_predictions():
    sketch = TableSketch([])
    sketch.grow(pa.table({"x": ["common"] * 20 + ["canary"], "n": list(range(21))}))
    sketch.grow(pa.table({"n": [1, 2]}))  # a later table without the column: missing there
    sketch.forget(fewer_than=10)
    column = sketch.columns["x"]
    assert (column.frequent.counts, column.examples, column.greatest) == ({"common": 20}, [], None)
    assert (column.rows, column.missing, sketch.rows) == (23, 2, 23)
