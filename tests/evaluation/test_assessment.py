"""Slices, comparison and report, from arrays."""

from __future__ import annotations

import numpy as np
import pytest

from modelwright.core.errors import Invalid
from modelwright.core.wire import decode, encode
from modelwright.evaluation import EvaluationReport, Outcome, Plan, Task, assess, mcnemar, roc_curve
from modelwright.evaluation.findings import comparison_verdict, findings
from modelwright.store import Verdict

QUICK = Plan(replicates=200)


def rows(n: int = 3000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    scores = random.random(n)
    return (random.random(n) < scores).astype(float), scores


def blurred(scores: np.ndarray, amount: float, seed: int = 9) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, amount, len(scores))
    return np.clip(scores + noise, 0, 1)


def test_a_clearly_better_candidate_is_better_and_the_other_way_round_worse() -> None:
    labels, scores = rows()
    worse = blurred(scores, 0.6)
    there = assess(labels, scores, champion_scores=worse, plan=QUICK).comparison
    back = assess(labels, worse, champion_scores=scores, plan=QUICK).comparison
    assert (there.outcome, comparison_verdict(there)) == (Outcome.BETTER, Verdict.PASS)
    assert (back.outcome, comparison_verdict(back)) == (Outcome.WORSE, Verdict.FAIL)
    assert there.gain.value == pytest.approx(-back.gain.value)


def test_pairing_makes_two_nearly_equal_models_not_inferior_although_each_interval_is_wide() -> None:
    labels, scores = rows(1500)
    found = assess(labels, blurred(scores, 0.005), champion_scores=scores, plan=QUICK).comparison
    assert found.candidate.high - found.candidate.low > 0.02
    assert found.gain.high - found.gain.low < 0.005
    assert found.non_inferior and comparison_verdict(found) is Verdict.PASS


def test_too_few_rows_to_tell_is_inconclusive_and_a_warning() -> None:
    labels, scores = rows(60)
    found = assess(labels, blurred(scores, 0.3), champion_scores=blurred(scores, 0.3, seed=3), plan=QUICK).comparison
    assert (found.outcome, found.non_inferior) == (Outcome.INCONCLUSIVE, False)
    assert comparison_verdict(found) is Verdict.WARN


def test_surely_worse_by_less_than_the_margin_is_worse_and_not_inferior() -> None:
    labels, scores = rows(4000)
    plan = Plan(replicates=200, margin=0.2)
    found = assess(labels, blurred(scores, 0.3), champion_scores=scores, plan=plan).comparison
    assert (found.outcome, found.non_inferior) == (Outcome.WORSE, True)


def test_without_a_champion_the_candidate_is_the_first_and_passes() -> None:
    found = assess(*rows(200), plan=QUICK).comparison
    assert (found.outcome, comparison_verdict(found)) == (Outcome.FIRST, Verdict.PASS)


def test_gains_of_an_error_are_positive_when_it_shrinks() -> None:
    random = np.random.default_rng(0)
    labels = random.normal(0, 1, 500)
    plan = Plan(task=Task.REGRESSION, replicates=100)
    near, far = labels + random.normal(0, 0.1, 500), labels + random.normal(0, 1, 500)
    assert assess(labels, near, champion_scores=far, plan=plan).comparison.outcome is Outcome.BETTER


def test_a_broken_slice_is_flagged_and_sound_ones_are_not() -> None:
    labels, scores = rows(4000)
    carrier = np.array(["AA", "B6", "DL", "UA"])[np.arange(4000) % 4]
    scores = np.where(carrier == "DL", np.random.default_rng(5).random(4000), scores)
    found = assess(labels, scores, slices={"carrier": carrier}, plan=QUICK).slices
    assert [each.value for each in found.flagged] == ["DL"]
    assert found.worst.value == "DL"
    assert found.worst.estimate.high < found.whole.low


def test_where_nothing_is_wrong_hardly_anything_is_flagged() -> None:
    flagged = 0
    for seed in range(12):
        labels, scores = rows(1500, seed)
        groups = np.random.default_rng(seed + 50).integers(0, 10, 1500)
        found = assess(labels, scores, slices={"g": groups}, plan=Plan(replicates=100, metrics=["roc_auc"])).slices
        flagged += bool(found.flagged)
    assert flagged <= 4


def test_a_small_slice_is_shown_as_such_without_a_verdict() -> None:
    labels, scores = rows(400)
    where = np.array(["big"] * 380 + ["tiny"] * 20)
    tiny = next(s for s in assess(labels, scores, slices={"where": where}, plan=QUICK).slices.slices if s.value == "tiny")
    assert tiny.small and not tiny.flagged and tiny.p_value is None
    assert tiny.estimate.n == 20 and "too few rows" in tiny.estimate.note


def test_a_slice_with_many_rows_and_few_events_is_small_too() -> None:
    labels, scores = rows(400)
    rare = np.arange(400) < 100
    labels = np.where(rare, 0.0, labels)
    found = assess(labels, scores, slices={"rare": rare}, plan=QUICK).slices
    only = next(s for s in found.slices if s.value == "True")
    assert only.small and only.positives == 0 and only.estimate.value is None


def test_missing_slice_values_are_a_slice_of_their_own() -> None:
    labels, scores = rows(200)
    values = ["a", None] * 100
    found = assess(labels, scores, slices={"x": values}, plan=QUICK).slices
    assert {s.value: s.estimate.n for s in found.slices} == {"a": 100, "(missing)": 100}


def test_rows_of_one_class_give_a_report_that_says_what_is_undefined() -> None:
    report = assess(np.zeros(50), np.linspace(0, 0.3, 50), slices={"s": ["x"] * 50}, plan=QUICK)
    assert report.metrics["roc_auc"].value is None
    assert report.metrics["roc_auc"].note == "undefined: the rows hold one class only"
    kinds = {f.kind: f.verdict for f in findings(report, "0" * 64)}
    assert kinds["evaluation"] is Verdict.FAIL


def test_a_report_survives_its_journey_as_json() -> None:
    labels, scores = rows(300)
    report = assess(labels, scores, champion_scores=scores, slices={"h": np.arange(300) % 2}, plan=QUICK)
    assert decode(encode(report), EvaluationReport) == report


def test_findings_are_small_and_carry_the_figures_that_policies_read() -> None:
    labels, scores = rows(300)
    report = assess(labels, scores, champion_scores=blurred(scores, 0.2), slices={"h": np.arange(300) % 2}, plan=QUICK)
    found = {f.kind: f for f in findings(report, "0" * 64)}
    assert list(found) == ["evaluation", "calibration", "slices", "comparison"]
    assert all(f.figures["n"] == 300 and f.report == "0" * 64 and f.summary for f in found.values())
    assert found["evaluation"].figures["roc_auc"]["low"] < found["evaluation"].figures["roc_auc"]["value"]
    assert sum(len(encode(f.figures)) for f in found.values()) < 4000


def test_a_metric_of_another_task_and_a_slice_of_another_length_are_refused() -> None:
    labels, scores = rows(50)
    with pytest.raises(Invalid, match="mae is a metric for a regression task"):
        assess(labels, scores, plan=Plan(metrics=["mae"]))
    with pytest.raises(Invalid, match="'x' has 2 values for 50 rows"):
        assess(labels, scores, slices={"x": ["a", "b"]}, plan=QUICK)


def test_the_mid_p_of_mcnemar_agrees_with_the_worked_example_of_fagerland_2013() -> None:
    """Table 1 there: 1 discordant pair one way and 7 the other; the mid-p value is 0.039."""
    labels = np.ones(21)
    candidate = np.array([1.0] * 1 + [0.0] * 7 + [1.0] * 13)
    champion = np.array([0.0] * 1 + [1.0] * 7 + [1.0] * 13)
    assert mcnemar(labels, candidate, champion) == pytest.approx(0.039, abs=5e-4)
    assert mcnemar(labels, champion, champion) == 1.0


def test_the_roc_curve_runs_from_corner_to_corner_and_encloses_the_area() -> None:
    labels, scores = rows(800)
    x, y = np.array(roc_curve(labels, np.round(scores, 1))).T
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    report = assess(labels, np.round(scores, 1), plan=Plan(replicates=20, metrics=["roc_auc"]))
    assert np.trapezoid(y, x) == pytest.approx(report.metrics["roc_auc"].value, abs=1e-12)
    assert roc_curve(np.ones(5), np.linspace(0, 1, 5)) == []
