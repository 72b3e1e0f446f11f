"""What a report says, as pieces of evidence: small figures, a verdict, and a sentence.

A policy reads the figures by path: `n`, `roc_auc.low`, `gain.low`, `worst.value`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from modelwright.evaluation.records import IMPORTANCE, Comparison, Estimate, EvaluationReport, Finding, Importance, Outcome
from modelwright.store.records import Verdict

_TOLD = 3  # inputs that the summary names


def findings(report: EvaluationReport, stored: str) -> list[Finding]:
    """The evidence that a report gives: `evaluation` and `comparison` always, the others where they were computed.

    `stored` is the digest of the report as an object.
    """
    found = [
        _evaluation(report),
        _calibration(report),
        _slices(report),
        _comparison(report.comparison),
        _importance(report.importance),
    ]
    return [msgspec.structs.replace(each, report=stored) for each in found if each is not None]


def sentence(estimate: Estimate) -> str:
    """An estimate as it is read aloud: `0.741 (0.729 to 0.753)`."""
    if estimate.value is None:
        return estimate.note
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.4g} ({estimate.note or 'no interval'})"
    return f"{estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g})"


def _bounds(estimate: Estimate | None) -> dict[str, Any]:
    return {} if estimate is None else {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _evaluation(report: EvaluationReport) -> Finding:
    primary = report.comparison.metric
    value = report.metrics[primary]
    return Finding(
        kind="evaluation",
        verdict=Verdict.FAIL if value.value is None else Verdict.PASS,
        figures={
            "n": report.rows,
            "positives": report.positives,
            "threshold": report.threshold,
            "primary": primary,
            **{name: _bounds(each) for name, each in report.metrics.items()},
        },
        summary=f"{primary} {sentence(value)} on {report.rows} rows",
    )


def _calibration(report: EvaluationReport) -> Finding | None:
    found = report.calibration
    if found is None:
        return None
    within = found.rms_error <= report.plan.calibration_tolerance
    return Finding(
        kind="calibration",
        verdict=Verdict.PASS if within else Verdict.WARN,
        figures={
            "n": sum(each.n for each in found.bins),
            "ece": found.ece,
            "rms_error": found.rms_error,
            "tolerance": report.plan.calibration_tolerance,
            "slope": _bounds(found.slope),
            "intercept": _bounds(found.intercept),
        },
        summary=f"calibration error {found.rms_error:.3f}, slope {sentence(found.slope)}",
    )


def _slices(report: EvaluationReport) -> Finding | None:
    found = report.slices
    if found is None:
        return None
    flagged = [f"{each.column}={each.value}" for each in found.flagged]
    small = sum(each.small for each in found.slices)
    worst = found.worst
    return Finding(
        kind="slices",
        verdict=Verdict.WARN if flagged else Verdict.PASS,
        figures={
            "n": found.whole.n,
            "metric": found.metric,
            "slices": len(found.slices),
            "small": small,
            "flagged": flagged,
            "worst": None if worst is None else {"slice": f"{worst.column}={worst.value}", **_bounds(worst.estimate)},
        },
        summary=f"{len(found.slices)} slices, {small} too small for a verdict, "
        + (f"worse than the whole: {', '.join(flagged)}" if flagged else "none worse than the whole"),
    )


def _comparison(found: Comparison) -> Finding:
    return Finding(
        kind="comparison",
        verdict=comparison_verdict(found),
        figures={
            "n": found.candidate.n,
            "verdict": found.outcome.value,
            "metric": found.metric,
            "non_inferior": found.non_inferior,
            "margin": found.margin,
            "gain": _bounds(found.gain),
            "candidate": _bounds(found.candidate),
            "champion": _bounds(found.champion),
            "against": None if found.against is None else str(found.against),
        },
        summary=comparison_sentence(found),
    )


def _importance(found: Importance | None) -> Finding | None:
    if found is None:
        return None
    told = [f"{each.name} {sentence(each.loss)}" for each in found.inputs[:_TOLD]]
    idle = sum(each.loss.low is not None and each.loss.low <= 0 for each in found.inputs)
    return Finding(
        kind=IMPORTANCE,
        verdict=Verdict.INFO,
        figures={
            each.name: {"metric": found.metric, **_bounds(each.loss), "share": each.share, "gain": each.gain}
            for each in found.inputs
        },
        summary=f"what {found.metric} loses when an input is shuffled ({found.rows} rows, {found.repeats} times): "
        + f"{', '.join(told)}; of {idle} of {len(found.inputs)} inputs the interval includes 0",
    )


def comparison_verdict(found: Comparison) -> Verdict:
    """PASS for the first model, a better or a not inferior one; FAIL for a worse one; WARN where nobody can tell."""
    if found.outcome in (Outcome.FIRST, Outcome.BETTER) or found.non_inferior:
        return Verdict.PASS
    return Verdict.FAIL if found.outcome is Outcome.WORSE else Verdict.WARN


def comparison_sentence(found: Comparison) -> str:
    """The comparison in one line."""
    if found.outcome is Outcome.FIRST or found.gain is None:
        return "the first model: there is no champion to compare with"
    against = str(found.against) if found.against else "the champion"
    also = ", not inferior" if found.non_inferior and found.outcome is not Outcome.BETTER else ""
    gain = f"gain in {found.metric} over {against} {sentence(found.gain)}"
    return f"{found.outcome.value}{also}: {gain}, margin {found.margin:g}"
