"""What every metric of the register must keep to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.errors import Invalid, NotFound
from modelwright.evaluation import METRICS, Metric, Task, metric, metrics_of
from modelwright.evaluation.records import Direction

every_metric = pytest.mark.parametrize("each", METRICS.values(), ids=METRICS.keys())
seeds = st.integers(0, 2**32 - 1)


def rows(each: Metric, seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores with ties, both classes present."""
    random = np.random.default_rng(seed)
    scores = random.integers(0, 12, n) / 11
    if each.task is Task.REGRESSION:
        return random.normal(3, 2, n), random.normal(3, 2, n)
    labels = (random.random(n) < scores).astype(float)
    labels[:2] = 0, 1
    return labels, scores


@every_metric
@given(seed=seeds)
def test_stays_within_its_bounds(each: Metric, seed: int) -> None:
    value = each(*rows(each, seed))
    assert np.isnan(value) or each.low <= value <= each.high


@every_metric
@given(seed=seeds)
def test_does_not_depend_on_the_order_of_rows(each: Metric, seed: int) -> None:
    labels, scores = rows(each, seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    assert each(labels[order], scores[order]) == pytest.approx(each(labels, scores), abs=1e-12, nan_ok=True)


@every_metric
@given(seed=seeds)
def test_a_weight_of_two_is_the_row_twice(each: Metric, seed: int) -> None:
    labels, scores = rows(each, seed)
    counts = np.random.default_rng(seed + 1).integers(0, 4, len(labels))
    counts[:2] = 1
    repeated = each(np.repeat(labels, counts), np.repeat(scores, counts))
    weighed = each.weigher(labels, scores)(counts[None, :].astype(float))[0]
    assert weighed == pytest.approx(repeated, abs=1e-12, nan_ok=True)


@every_metric
def test_a_faultless_prediction_has_the_perfect_value(each: Metric) -> None:
    labels, _ = rows(each, 1)
    assert each(labels, labels) == pytest.approx(each.perfect, abs=1e-12)


@every_metric
def test_a_worse_prediction_is_a_negative_gain(each: Metric) -> None:
    labels, _ = rows(each, 2)
    worse = labels + 5 if each.task is Task.REGRESSION else 0.9 - 0.8 * labels
    assert each.gain(np.array(each(labels, worse)), np.array(each(labels, labels))) < 0


@every_metric
def test_no_rows_and_missing_values_and_unequal_lengths_are_named(each: Metric) -> None:
    with pytest.raises(Invalid, match="no rows"):
        each([], [])
    with pytest.raises(Invalid, match=r"scores hold 1 missing or infinite values, the first in row 1"):
        each([0, 1], [0.5, float("nan")])
    with pytest.raises(Invalid, match="2 labels and 3 scores"):
        each([0, 1], [0.1, 0.2, 0.3])
    with pytest.raises(Invalid, match="labels are not numbers"):
        each(["yes", "no"], [0.1, 0.2])


@pytest.mark.parametrize("each", metrics_of(Task.BINARY), ids=lambda m: m.name)
def test_labels_other_than_zero_and_one_are_refused(each: Metric) -> None:
    with pytest.raises(Invalid, match="0 and 1; found 2"):
        each([0, 2], [0.1, 0.9])


@every_metric
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_rows_of_one_class_give_a_value_or_an_explained_absence(each: Metric, label: float) -> None:
    value = each(np.full(5, label), np.linspace(0.1, 0.4, 5))
    assert each.low <= value <= each.high or (np.isnan(value) and each.undefined)


@every_metric
def test_weights_of_nothing_are_undefined_and_not_an_error(each: Metric) -> None:
    labels, scores = rows(each, 3)
    assert np.isnan(each.weigher(labels, scores)(np.zeros((2, len(labels))))).all()


@pytest.mark.parametrize("each", [m for m in METRICS.values() if m.probabilities], ids=lambda m: m.name)
def test_a_metric_of_probabilities_refuses_other_scores(each: Metric) -> None:
    with pytest.raises(Invalid, match="needs probabilities; the scores run from -1 to 3"):
        each([0, 1], [-1, 3])


def test_a_metric_is_found_by_name_and_a_wrong_name_is_told_the_right_ones() -> None:
    assert metric("roc_auc").direction is Direction.HIGHER
    with pytest.raises(NotFound, match="roc_auc"):
        metric("auc")
