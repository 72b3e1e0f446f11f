"""Checks that hold for every detector: whoever adds one gets them by registering it."""

import numpy as np
import pyarrow as pa
import pytest

from modelwright.monitoring.detectors import REGISTRY, ColumnKind, Values, values_of

CASES = [(name, kind) for name, detector in REGISTRY.items() for kind in sorted(detector.kinds)]
every = pytest.mark.parametrize(("name", "kind"), CASES)


def draw(kind: ColumnKind, rows: int, seed: int, shift: float = 0.0) -> Values:
    random = np.random.default_rng(seed)
    if kind is ColumnKind.NUMERIC:
        return values_of(random.normal(shift, 1.0, rows))
    shares = np.array([0.5 - shift / 2, 0.3, 0.2 + shift / 2])
    return values_of(random.choice(["a", "b", "c"], rows, p=shares))


@every
def test_a_sample_does_not_differ_from_itself(name, kind):
    sample = draw(kind, 500, 1)
    found = REGISTRY[name].compare(sample, sample)
    assert found.effect == 0.0
    assert found.p_value == pytest.approx(1.0)


@every
def test_without_drift_few_samples_pass_both_significance_and_floor(name, kind):
    detector, alarms = REGISTRY[name], 0
    reference = draw(kind, 3000, 2)
    for seed in range(60):
        found = detector.compare(reference, draw(kind, 300, 100 + seed))
        alarms += found.p_value < 0.01 and found.effect >= detector.floor
    assert alarms <= 1


@every
def test_without_drift_the_p_value_is_small_about_as_often_as_it_says(name, kind):
    reference = draw(kind, 20000, 3)
    small = [REGISTRY[name].compare(reference, draw(kind, 400, 200 + s)).p_value < 0.1 for s in range(60)]
    assert sum(small) <= 15  # 6 expected; 15 or more has a chance below one in a thousand


@every
def test_a_large_change_is_found(name, kind):
    detector = REGISTRY[name]
    reference, current = draw(kind, 3000, 4), draw(kind, 500, 5, shift=0.8)
    if name == "missing":
        current = Values(kind, current.present[:350], 150)
    found = detector.compare(reference, current)
    assert found.effect >= detector.floor
    assert found.p_value < 0.01


@every
def test_the_order_of_rows_does_not_matter(name, kind):
    reference, current = draw(kind, 800, 6), draw(kind, 300, 7)
    backwards = Values(kind, current.present[::-1].copy(), current.missing)
    assert REGISTRY[name].compare(reference, current) == REGISTRY[name].compare(reference, backwards)


@every
def test_a_constant_column_that_stays_is_no_drift(name, kind):
    value = 3.0 if kind is ColumnKind.NUMERIC else "same"
    found = REGISTRY[name].compare(values_of([value] * 500), values_of([value] * 200))
    assert (found.effect, found.p_value) == (0.0, 1.0)


@every
@pytest.mark.parametrize("to", [2.0, 4.0])
def test_a_constant_column_that_moves_is_drift(name, kind, to):
    if name == "missing":
        pytest.skip("it looks at missing values only")
    one, other = (3.0, to) if kind is ColumnKind.NUMERIC else ("same", "other")
    found = REGISTRY[name].compare(values_of([one] * 500), values_of([other] * 200))
    assert found.effect >= REGISTRY[name].floor
    assert found.p_value < 0.01


@every
@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 50), (50, 0)])
def test_a_column_with_no_values_on_a_side_is_answered(name, kind, n, m):
    def column(rows):
        return Values(kind, draw(kind, rows, 8).present, 50 - rows)

    found = REGISTRY[name].compare(column(n), column(m))
    assert np.isfinite(found.effect)
    assert found.effect >= 0
    assert 0 <= found.p_value <= 1


@every
@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 5), (5, 0), (1, 1)])
def test_tiny_samples_are_answered(name, kind, n, m):
    found = REGISTRY[name].compare(draw(kind, n, 9), draw(kind, m, 10))
    assert np.isfinite(found.effect)
    assert 0 <= found.p_value <= 1


def test_a_category_never_seen_before_is_drift():
    reference, current = values_of(["a", "b"] * 500), values_of(["a", "b", "new"] * 100)
    for name in ("psi", "chi-square", "jensen-shannon"):
        found = REGISTRY[name].compare(reference, current)
        assert found.effect >= REGISTRY[name].floor
        assert found.p_value < 1e-6


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), None])
def test_nan_infinity_and_null_are_missing(odd):
    values = values_of([1.0, 2.0, odd])
    assert values.present.tolist() == [1.0, 2.0]
    assert values.missing == 1


def test_a_column_that_goes_missing_is_drift_for_detectors_that_count_cells():
    full, empty = draw(ColumnKind.NUMERIC, 500, 11), Values(ColumnKind.NUMERIC, np.array([]), 300)
    for name in ("psi", "jensen-shannon", "missing"):
        assert REGISTRY[name].compare(full, empty).effect >= REGISTRY[name].floor


def test_kinds_are_read_from_the_column():
    assert values_of(pa.array(["a", None]).dictionary_encode()).kind is ColumnKind.CATEGORICAL
    assert values_of(pa.array([True, False])).kind is ColumnKind.CATEGORICAL
    assert values_of(pa.array([1, 2])).kind is ColumnKind.NUMERIC
    assert values_of(pa.array([1, 2], pa.timestamp("us", "UTC"))).kind is ColumnKind.NUMERIC
    assert values_of(pa.nulls(3)).missing == 3
