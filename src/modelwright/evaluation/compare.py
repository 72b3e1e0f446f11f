"""Candidate against champion on the same rows, paired: what both find hard counts for neither."""

from __future__ import annotations

import numpy as np

from modelwright.core.refs import Ref
from modelwright.evaluation.intervals import interval
from modelwright.evaluation.metrics import Array, Metric
from modelwright.evaluation.records import Comparison, Estimate, Outcome, Plan


def first(metric: Metric, candidate: Estimate, plan: Plan) -> Comparison:
    """There is no champion: nothing to be worse than."""
    return Comparison(metric=metric.name, outcome=Outcome.FIRST, candidate=candidate, margin=plan.margin)


def compare(
    metric: Metric,
    candidate: Estimate,
    champion: Estimate,
    candidate_replicates: Array,
    champion_replicates: Array,
    plan: Plan,
    *,
    against: Ref | None = None,
) -> Comparison:
    """The gain with its interval, from replicates that redrew the same rows for both.

    Better or worse where the interval leaves zero on that side, inconclusive where it holds zero; not inferior where it
    lies above minus the margin. A candidate may be worse and yet not inferior: surely, but by less than matters.
    """
    gains = metric.gain(candidate_replicates, champion_replicates)
    gain = Estimate(value=None, n=candidate.n, note="undefined for candidate or champion")
    if candidate.value is not None and champion.value is not None:
        value = float(metric.gain(np.array(candidate.value), np.array(champion.value)))
        bounds = interval(value, gains, confidence=plan.confidence)
        gain = Estimate(value=value, n=candidate.n, note="no interval: most redraws leave it undefined")
        if bounds is not None:
            gain = Estimate(value=value, low=bounds[0], high=bounds[1], n=candidate.n)
    return Comparison(
        metric=metric.name,
        outcome=outcome_of(gain),
        candidate=candidate,
        champion=champion,
        gain=gain,
        margin=plan.margin,
        non_inferior=gain.low is not None and gain.low > -plan.margin,
        against=against,
    )


def outcome_of(gain: Estimate) -> Outcome:
    """What an interval of the gain says."""
    if gain.low is not None and gain.low > 0:
        return Outcome.BETTER
    if gain.high is not None and gain.high < 0:
        return Outcome.WORSE
    return Outcome.INCONCLUSIVE


def mcnemar(labels: Array, candidate: Array, champion: Array, *, threshold: float = 0.5) -> float:
    """The two-sided mid-p value that both make equally many wrong decisions (Fagerland, Lydersen and Laake, 2013)."""
    from math import comb

    right = ((candidate >= threshold) == (labels == 1)), ((champion >= threshold) == (labels == 1))
    gained, lost = int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0]))
    n, fewer = gained + lost, min(gained, lost)
    if n == 0 or gained == lost:
        return 1.0
    tail = sum(comb(n, k) for k in range(fewer)) + comb(n, fewer) / 2
    return float(2 * tail / 2**n)
