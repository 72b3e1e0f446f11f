"""Is the candidate worse? A sequential test that may be looked at as often as one likes.

Every guardrail is a stream of bad events (an error, a slow answer, a prediction that its label calls wrong). Let w be the
candidate's share of the requests in an interval and r the ratio of its bad-event rate to the baseline's. A bad event then
falls on the candidate with probability

    theta(r, w) = w r / (w r + 1 - w),

whatever the base rate. Three e-processes (non-negative, expectation at most one under their null at every stopping time)
are kept, each the mean over a grid of alternatives of a product of likelihood ratios:

    harm    null r <= tolerated   alternatives up to ten times as many bad events: large means FAIL
    safety  null r >= acceptable  alternatives below that: large means PASS
    budget  null p >= budget      the candidate's own rate, for services so healthy that bad events hardly come: also PASS

By Ville's inequality the chance that an e-process ever reaches 1/alpha under its null is at most alpha, however often and
for whatever reason one looks or stops. A candidate is unacceptable only if its ratio and its rate both are, so the mean of
`safety` and `budget` is itself an e-process against "unacceptable". With w from the realised counts of an interval the
number of bad events on the candidate is hypergeometric, whose expectation of a convex function is at most the binomial's
(Hoeffding 1963, theorem 4), so validity holds.

After Lindon, Sanden and Shirikian, "Rapid regression detection in software deployments through sequential testing" (KDD
2022), and Howard et al., "Time-uniform, nonparametric, nonasymptotic confidence sequences" (Annals of Statistics 2021).
Pure: state in, state out, plain numbers that survive a restart unchanged.
"""

from __future__ import annotations

from math import exp, log, log1p
from typing import Final

import msgspec

from modelwright.deployments.records import Arms, Finding, Guardrail, Judgement, Outcome, Reading

GRID: Final = 25
SRM_ALPHA: Final = 0.001


def _zeros() -> list[float]:
    return [0.0] * GRID


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a guardrail has seen: totals, and the log likelihood ratio of every alternative of each e-process."""

    seen: Arms = Arms()
    harm: list[float] = msgspec.field(default_factory=_zeros)
    safety: list[float] = msgspec.field(default_factory=_zeros)
    budget: list[float] = msgspec.field(default_factory=_zeros)


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """Whether units are dealt as the weights say (sample-ratio mismatch): log likelihood ratios over odds ratios."""

    candidate: int = 0
    baseline: int = 0
    odds: list[float] = msgspec.field(default_factory=_zeros)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the engine knows about one rollout."""

    guardrails: dict[str, Evidence] = {}
    routing: Routing = Routing()


def observe(state: State, guardrail: Guardrail, interval: Arms) -> State:
    """The state after one more interval of one guardrail. The order of events within an interval does not matter."""
    known = state.guardrails.get(guardrail.name, Evidence())
    seen = known.seen + interval
    harm, safety = known.harm, known.safety
    requests = interval.baseline + interval.candidate
    if 0 < interval.candidate < requests:
        share = interval.candidate / requests
        tests = (
            (harm, _harm_grid(guardrail), guardrail.tolerated),
            (safety, _safety_grid(guardrail), guardrail.acceptable),
        )
        harm, safety = (
            [s + _gain(interval, share, r, null) for s, r in zip(sums, grid, strict=True)] for sums, grid, null in tests
        )
    budget = known.budget
    if guardrail.budget is not None:
        good = interval.candidate - interval.candidate_bad
        budget = [
            s + interval.candidate_bad * log(q / guardrail.budget) + good * (log1p(-q) - log1p(-guardrail.budget))
            for s, q in zip(budget, _budget_grid(guardrail.budget), strict=True)
        ]
    after = Evidence(seen=seen, harm=harm, safety=safety, budget=budget)
    return msgspec.structs.replace(state, guardrails=state.guardrails | {guardrail.name: after})


def observe_routing(state: State, *, baseline: int, candidate: int, weight: float) -> State:
    """The state after units were met for the first time, `weight` per cent of them meant for the candidate."""
    share = weight / 100
    if not 0 < share < 1 or baseline + candidate == 0:
        return state
    known = state.routing
    interval = Arms(baseline_bad=baseline, candidate_bad=candidate)
    odds = [s + _gain(interval, share, r, 1.0) for s, r in zip(known.odds, _ODDS, strict=True)]
    after = Routing(candidate=known.candidate + candidate, baseline=known.baseline + baseline, odds=odds)
    return msgspec.structs.replace(state, routing=after)


def judge(
    state: State, guardrails: list[Guardrail], *, alpha: float = 0.05, beta: float = 0.05, min_requests: int = 100
) -> Judgement:
    """The verdict on everything seen so far.

    FAIL if any guardrail does at alpha divided by their number. PASS if all that are required do at beta, and both sides
    have answered `min_requests`. A routing that does not follow its weights (alpha 0.001) blocks both: nothing can be
    concluded from it. Otherwise, and always without data, INCONCLUSIVE.
    """
    fail_at, pass_at = log(len(guardrails) / alpha) if guardrails else 0.0, -log(beta)
    readings = [_read(state, guardrail, fail_at, pass_at, min_requests) for guardrail in guardrails]
    skewed = log_mean(state.routing.odds) >= -log(SRM_ALPHA)
    required = [reading for reading, rail in zip(readings, guardrails, strict=True) if rail.required]
    if skewed:
        outcome, why = Outcome.INCONCLUSIVE, "units are not dealt as the weight says: look at the routing first"
    elif failed := [reading for reading in readings if reading.outcome is Outcome.FAIL]:
        outcome, why = Outcome.FAIL, "; ".join(_told(reading) for reading in failed)
    elif required and all(reading.outcome is Outcome.PASS for reading in required):
        outcome, why = (
            Outcome.PASS,
            "no worse than is acceptable on " + ", ".join(reading.guardrail for reading in required),
        )
    else:
        open_ones = [reading.guardrail for reading in required if reading.outcome is not Outcome.PASS]
        outcome, why = Outcome.INCONCLUSIVE, f"not enough is known yet about {', '.join(open_ones) or 'anything'}"
    return Judgement(outcome=outcome, why=why, readings=readings, skewed=skewed)


def log_mean(logs: list[float]) -> float:
    """The logarithm of the mean of exponentials, without overflow."""
    top = max(logs)
    return top + log(sum(exp(each - top) for each in logs) / len(logs))


def theta(ratio: float, share: float) -> float:
    """The chance that a bad event falls on the candidate (see the module)."""
    return share * ratio / (share * ratio + 1 - share)


def _gain(interval: Arms, share: float, ratio: float, null: float) -> float:
    """What the bad events of an interval add to the log likelihood ratio of `ratio` against `null`."""
    ours, theirs = theta(ratio, share), theta(null, share)
    return interval.candidate_bad * log(ours / theirs) + interval.baseline_bad * log((1 - ours) / (1 - theirs))


def _read(state: State, rail: Guardrail, fail_at: float, pass_at: float, min_requests: int) -> Reading:
    known = state.guardrails.get(rail.name, Evidence())
    harm = log_mean(known.harm)
    safety = log_mean(known.safety)
    if rail.budget is not None:
        safety = log_mean([safety, log_mean(known.budget)])
    enough = min(known.seen.baseline, known.seen.candidate) >= min_requests
    outcome = Outcome.INCONCLUSIVE
    if harm >= fail_at:
        outcome = Outcome.FAIL
    elif safety >= pass_at and enough:
        outcome = Outcome.PASS
    return Reading(
        guardrail=rail.name,
        outcome=outcome,
        seen=known.seen,
        harm=harm,
        harm_needed=fail_at,
        safety=safety,
        safety_needed=pass_at,
        required=rail.required,
        requests_needed=None if outcome is not Outcome.INCONCLUSIVE else _still_needed(known.seen, rail, safety, pass_at),
    )


def _still_needed(seen: Arms, rail: Guardrail, safety: float, pass_at: float) -> int | None:
    """About how many more requests a candidate as good as the baseline needs to PASS; None before anything was seen.

    The gain per request is the larger of two: the bad-event rate times the Kullback-Leibler divergence per bad event
    between equal rates and the acceptable ratio; and, with a budget, the candidate's share times that between the observed
    rate and the budget.
    """
    requests = seen.baseline + seen.candidate
    if not 0 < seen.candidate < requests or safety >= pass_at:
        return None
    share = seen.candidate / requests
    rate = (seen.baseline_bad + seen.candidate_bad) / requests
    gains = [rate * _divergence(theta(1.0, share), theta(rail.acceptable, share))]
    if rail.budget is not None and rate < rail.budget:
        gains.append(share * _divergence(rate, rail.budget))
    best = max(gains)
    return None if best <= 0 else int((pass_at - safety) / best) + 1


def _divergence(p: float, q: float) -> float:
    """Kullback-Leibler divergence between two Bernoulli distributions, in nats."""
    return (p * log(p / q) if p > 0 else 0.0) + ((1 - p) * log((1 - p) / (1 - q)) if p < 1 else 0.0)


def _told(reading: Reading) -> str:
    seen = reading.seen
    return (
        f"{reading.guardrail}: {seen.candidate_bad} of {seen.candidate} on the candidate against "
        f"{seen.baseline_bad} of {seen.baseline} (e-value {_power(reading.harm)}, needed {exp(reading.harm_needed):.0f})"
    )


def _power(logarithm: float) -> str:
    return f"{exp(logarithm):.3g}" if logarithm < 600 else f"10^{logarithm / log(10):.0f}"


def log_grid(low: float, high: float, *, open_low: bool = False) -> list[float]:
    """`GRID` values evenly apart in the logarithm, from low (left out if `open_low`) to high."""
    steps = GRID if open_low else GRID - 1
    first = 1 if open_low else 0
    return [low * (high / low) ** ((i + first) / steps) for i in range(GRID)]


def _harm_grid(rail: Guardrail) -> list[float]:
    return log_grid(rail.tolerated, 10 * rail.tolerated, open_low=True)


def _safety_grid(rail: Guardrail) -> list[float]:
    return log_grid(0.1 * rail.acceptable, rail.acceptable / 1.05)


def _budget_grid(budget: float) -> list[float]:
    return log_grid(budget / 100, budget / 1.05)


_ODDS: Final = log_grid(0.1, 10.0)


def finding_of(judgement: Judgement) -> list[Finding]:
    """A judgement as figures, for evidence."""
    return [
        Finding(guardrail=r.guardrail, outcome=r.outcome, seen=r.seen, e_harm=_power(r.harm), e_safety=_power(r.safety))
        for r in judgement.readings
    ]
