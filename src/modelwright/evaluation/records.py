"""The nouns of evaluation: estimates with intervals, calibration, slices, comparisons, splits, and the report. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from modelwright.core.refs import Ref
from modelwright.store.records import Verdict

IMPORTANCE = "importance"  # the kind of evidence about what each input matters: figures by input


class Task(StrEnum):
    """What is predicted: a yes or no (labels 0 and 1, scores are probabilities of 1), or a number."""

    BINARY = "binary"
    REGRESSION = "regression"


class Direction(StrEnum):
    """Which way a metric improves; a signed error improves towards zero."""

    HIGHER = "higher"
    LOWER = "lower"
    ZERO = "zero"


class Method(StrEnum):
    """How a bootstrap interval is read from its replicates."""

    PERCENTILE = "percentile"
    BCA = "bca"


class Outcome(StrEnum):
    """The answer of a comparison. FIRST: there is no champion to compare with yet."""

    BETTER = "better"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"
    FIRST = "first"


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its interval. `value` is None where the figure is undefined, and `note` says why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0  # rows it rests on
    note: str = ""


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a reliability curve: predictions of about this size, and how often the event came."""

    n: int
    mean_score: float
    rate: float
    low: float  # Wilson interval of the rate
    high: float


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a predicted 0.2 means one in five."""

    bins: list[Bin]
    ece: float  # mean distance between score and rate over the bins, weighted by rows; biased upwards
    rms_error: float  # root mean square of the same, with the bias of finite bins taken off
    slope: Estimate  # of the logistic recalibration; 1 is right, below 1 is overconfident
    intercept: Estimate  # of the recalibration with the slope held at 1; 0 is right, below 0 predicts too much


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """A metric on the rows where a column has a value."""

    column: str
    value: str
    estimate: Estimate
    positives: int | None = None  # None for a regression
    small: bool = False  # too few rows for a verdict
    p_value: float | None = None  # that the slice is no worse than the whole, one-sided
    flagged: bool = False  # worse than the whole, with the false discovery rate held over all slices


class Slices(msgspec.Struct, frozen=True, kw_only=True):
    """One metric over every slice of every column asked for."""

    metric: str
    whole: Estimate
    slices: list[Slice]
    worst: Slice | None = None  # the worst that is not small

    @property
    def flagged(self) -> list[Slice]:
        """The slices found worse than the whole."""
        return [each for each in self.slices if each.flagged]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Candidate against champion on the same rows. A positive `gain` is for the candidate, whatever the metric."""

    metric: str
    outcome: Outcome
    candidate: Estimate
    champion: Estimate | None = None
    gain: Estimate | None = None
    margin: float = 0.0  # the loss that would still be accepted
    non_inferior: bool = True  # the interval of the gain lies above minus the margin
    against: Ref | None = None


class Weight(msgspec.Struct, frozen=True, kw_only=True):
    """How much one input matters: what the metric loses when the input is shuffled, all else as it was."""

    name: str
    loss: Estimate  # in units of the metric; an interval that includes 0 says that nothing was seen to be lost
    share: float | None = None  # of the losses above 0 of all inputs together; None where there are none
    gain: float | None = None  # the share of the gain of all splits, where the format keeps that (LightGBM, XGBoost)


class Importance(msgspec.Struct, frozen=True, kw_only=True):
    """Permutation importance of every input, the greatest first."""

    metric: str
    rows: int  # of the sample that it was measured on
    repeats: int  # how often each input was shuffled
    inputs: list[Weight]


class SplitPart(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a split: rows from the earliest to the latest time it holds."""

    name: str
    rows: int
    first: datetime | None
    last: datetime | None


class SplitRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How rows were divided by time; kept with the evaluation so that anybody can divide them so again."""

    parts: list[SplitPart]
    boundaries: list[datetime]
    gap_seconds: float
    dropped: int  # rows inside a gap, or whose outcome was known only after the next part began


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an evaluation computes. Every field has a default; None stands for the task's own."""

    task: Task = Task.BINARY
    metrics: list[str] | None = None  # None: every metric of the task
    primary: str | None = None  # decides slices and comparison; None: roc_auc, or mae
    margin: float = 0.005  # the largest loss in the primary metric that still counts as not worse
    confidence: float = 0.95
    replicates: int = 1000  # of the bootstrap
    method: Method = Method.PERCENTILE
    seed: int = 20
    bins: int = 10  # of the reliability curve, holding equally many rows
    calibration_tolerance: float = 0.05  # a larger debiased calibration error is a warning
    min_rows: int = 30  # a slice with fewer rows gets no verdict
    min_positives: int = 10  # nor one with fewer of either class
    false_discovery_rate: float = 0.1  # among the slices flagged
    importance_rows: int = 2000  # at most so many rows are shuffled
    importance_repeats: int = 5  # and so often for each input
    importance_replicates: int = 200  # of the bootstrap of its interval


class EvaluationReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one evaluation found; stored as an object, its figures in evidence."""

    plan: Plan
    rows: int
    threshold: float
    metrics: dict[str, Estimate]
    comparison: Comparison
    positives: int | None = None
    calibration: Calibration | None = None
    slices: Slices | None = None
    subject: Ref | None = None
    dataset: Ref | None = None
    split: SplitRecord | None = None
    importance: Importance | None = None
    groups: int | None = None  # clusters resampled together, where rows are not independent


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one piece of evidence will say."""

    kind: str  # evaluation, calibration, slices, comparison, importance
    verdict: Verdict
    figures: dict[str, Any] = {}
    summary: str = ""
    report: str | None = None  # digest of an object
