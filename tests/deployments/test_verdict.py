"""The verdict engine holds its promises however often one looks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.wire import decode, encode
from modelwright.deployments import verdict
from modelwright.deployments.records import Arms, Guardrail, Outcome

RAIL = Guardrail(name="errors")
counts = st.integers(0, 50)
intervals = st.lists(
    st.builds(
        lambda b, bb, c, cb: Arms(baseline=b + bb, baseline_bad=bb, candidate=c + cb, candidate_bad=cb),
        counts, counts, counts, counts,
    ),
    max_size=12,
)  # fmt: skip


def simulate(
    seed: int, *, ratio: float, looks: int = 40, requests: int = 1000, weights: tuple[float, ...] = (0.1,), rail=RAIL
) -> tuple[Outcome, int]:
    """One rollout with a base rate of bad events of 1 %: the outcome, and the requests it took."""
    rng = np.random.default_rng(seed)
    state = verdict.State()
    for look in range(looks):
        candidate = int(rng.binomial(requests, weights[look * len(weights) // looks]))
        interval = Arms(
            baseline=requests - candidate,
            baseline_bad=int(rng.binomial(requests - candidate, 0.01)),
            candidate=candidate,
            candidate_bad=int(rng.binomial(candidate, 0.01 * ratio)),
        )
        state = verdict.observe(state, rail, interval)
        outcome = verdict.judge(state, [rail]).outcome
        if outcome is not Outcome.INCONCLUSIVE:
            return outcome, (look + 1) * requests
    return Outcome.INCONCLUSIVE, looks * requests


def outcomes(runs: int, **setting) -> list[tuple[Outcome, int]]:
    return [simulate(seed, **setting) for seed in range(runs)]


def share(found: list[tuple[Outcome, int]], outcome: Outcome) -> float:
    return sum(each is outcome for each, _ in found) / len(found)


@pytest.mark.parametrize("setting", [{}, {"requests": 100, "looks": 60}, {"weights": (0.01, 0.05, 0.25, 0.5)}])
def test_a_healthy_candidate_fails_no_more_often_than_promised(setting) -> None:
    # 5 % of 300 runs and three standard errors above it; the published simulations lie at 1 to 2 %.
    assert share(outcomes(300, ratio=1.0, **setting), Outcome.FAIL) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def test_a_healthy_candidate_passes() -> None:
    found = outcomes(100, ratio=1.0)
    assert share(found, Outcome.PASS) >= 0.9


@pytest.mark.parametrize(("ratio", "within"), [(3.0, 8000), (5.0, 4000)])
def test_a_bad_candidate_is_found_soon(ratio: float, within: int) -> None:
    found = outcomes(100, ratio=ratio)
    assert share(found, Outcome.FAIL) >= 0.97
    assert np.median([requests for _, requests in found]) <= within


def test_an_unacceptable_candidate_hardly_ever_passes() -> None:
    assert share(outcomes(200, ratio=2.0), Outcome.PASS) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


def test_a_rate_that_is_over_budget_hardly_ever_passes_by_the_budget() -> None:
    rail = Guardrail(name="errors", budget=0.02)
    assert share(outcomes(200, ratio=2.0, rail=rail), Outcome.PASS) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


def test_a_service_without_errors_passes_by_its_budget() -> None:
    rail = Guardrail(name="errors", budget=0.01)
    state = verdict.observe(verdict.State(), rail, Arms(baseline=9000, candidate=1000))
    assert verdict.judge(state, [rail]).outcome is Outcome.PASS
    without = verdict.observe(verdict.State(), RAIL, Arms(baseline=9000, candidate=1000))
    assert verdict.judge(without, [RAIL]).outcome is Outcome.INCONCLUSIVE


def test_without_data_nothing_is_concluded() -> None:
    assert verdict.judge(verdict.State(), [RAIL]).outcome is Outcome.INCONCLUSIVE
    one_sided = verdict.observe(verdict.State(), RAIL, Arms(candidate=5000, candidate_bad=2500))
    assert verdict.judge(one_sided, [RAIL]).outcome is Outcome.INCONCLUSIVE


def test_too_few_requests_do_not_pass_and_do_fail() -> None:
    rail = Guardrail(name="errors", budget=0.5)
    few = verdict.observe(verdict.State(), rail, Arms(baseline=900, candidate=60))
    assert verdict.judge(few, [rail]).outcome is Outcome.INCONCLUSIVE
    bad = verdict.observe(verdict.State(), rail, Arms(baseline=900, baseline_bad=2, candidate=60, candidate_bad=20))
    assert verdict.judge(bad, [rail]).outcome is Outcome.FAIL


def test_more_guardrails_need_more_evidence_to_fail() -> None:
    state = verdict.observe(verdict.State(), RAIL, Arms(baseline=900, baseline_bad=9, candidate=100, candidate_bad=6))
    alone = verdict.judge(state, [RAIL]).readings[0]
    among = verdict.judge(state, [RAIL, Guardrail(name="a"), Guardrail(name="b")]).readings[0]
    assert alone.harm == among.harm
    assert among.harm_needed == pytest.approx(alone.harm_needed + math.log(3))


def test_a_guardrail_that_is_not_required_cannot_hold_a_promotion_back_but_can_fail_it() -> None:
    quality = Guardrail(name="quality", required=False)
    rails = [Guardrail(name="errors", budget=0.01), quality]
    state = verdict.observe(verdict.State(), rails[0], Arms(baseline=9000, candidate=1000))
    assert verdict.judge(state, rails).outcome is Outcome.PASS
    state = verdict.observe(state, quality, Arms(baseline=900, baseline_bad=90, candidate=100, candidate_bad=60))
    assert verdict.judge(state, rails).outcome is Outcome.FAIL


def test_units_that_are_dealt_wrongly_block_every_verdict() -> None:
    state = verdict.observe(verdict.State(), RAIL, Arms(baseline=9000, baseline_bad=9, candidate=1000, candidate_bad=500))
    assert verdict.judge(state, [RAIL]).outcome is Outcome.FAIL
    skewed = verdict.observe_routing(state, baseline=800, candidate=200, weight=10)
    judgement = verdict.judge(skewed, [RAIL])
    assert (judgement.outcome, judgement.skewed) == (Outcome.INCONCLUSIVE, True)
    straight = verdict.observe_routing(state, baseline=905, candidate=95, weight=10)
    assert not verdict.judge(straight, [RAIL]).skewed


def test_units_dealt_rightly_are_hardly_ever_called_skewed() -> None:
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        state = verdict.State()
        for weight in (1, 5, 25, 50) * 5:
            candidate = int(rng.binomial(200, weight / 100))
            state = verdict.observe_routing(state, baseline=200 - candidate, candidate=candidate, weight=weight)
            alarms += verdict.judge(state, [RAIL]).skewed
    assert alarms <= 2


@given(intervals)
def test_a_restart_in_the_middle_changes_nothing(seen: list[Arms]) -> None:
    straight = interrupted = verdict.State()
    for interval in seen:
        straight = verdict.observe(straight, RAIL, interval)
        interrupted = decode(encode(verdict.observe(interrupted, RAIL, interval)), verdict.State)
    assert interrupted == straight


@given(intervals, st.randoms())
def test_the_order_of_intervals_does_not_matter(seen: list[Arms], rng) -> None:
    shuffled = list(seen)
    rng.shuffle(shuffled)
    one, other = verdict.State(), verdict.State()
    for interval in seen:
        one = verdict.observe(one, RAIL, interval)
    for interval in shuffled:
        other = verdict.observe(other, RAIL, interval)
    ours, theirs = verdict.judge(one, [RAIL]).readings[0], verdict.judge(other, [RAIL]).readings[0]
    assert ours.harm == pytest.approx(theirs.harm, abs=1e-6)
    assert ours.safety == pytest.approx(theirs.safety, abs=1e-6)


@given(st.floats(0.02, 0.9), st.integers(1, 40))
def test_the_harm_process_is_fair_under_its_null(weight: float, events: int) -> None:
    """The exact expectation over where the bad events of an interval fall is at most one: what makes it an e-process."""
    requests = 100
    candidate = max(1, min(requests - 1, round(weight * requests)))
    total = 0.0
    for ours in range(max(0, events - (requests - candidate)), min(events, candidate) + 1):
        ways = math.comb(candidate, ours) * math.comb(requests - candidate, events - ours) / math.comb(requests, events)
        interval = Arms(baseline=requests - candidate, baseline_bad=events - ours, candidate=candidate, candidate_bad=ours)
        state = verdict.observe(verdict.State(), RAIL, interval)
        total += ways * math.exp(verdict.log_mean(state.guardrails["errors"].harm))
    assert total <= 1 + 1e-9
