"""Whether a run, done again, came to the same: the comparison, and the verdict over it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from modelwright.core.refs import Ref
from modelwright.experiments.records import ENDED, Run, RunStatus
from modelwright.store.records import Verdict

KIND = "reproduction"  # of the evidence
SYSTEM = "system/"  # metrics of the machine are another every time
LOOSE = 1e-9  # the tolerance where none is given, relative to the larger of two figures


class Part(StrEnum):
    """What of a run was compared."""

    STATUS = "status"
    INPUT = "input"
    PARAM = "parameter"
    METRIC = "metric"
    ARTIFACT = "artifact"
    MODEL = "model"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison. `before` and `after` are texts, empty where a run has none; of files, digests."""

    part: Part
    name: str
    before: str
    after: str
    verdict: Verdict
    apart: float | None = None  # how far two figures are from each other, relative to the larger


class Remade(msgspec.Struct, frozen=True, kw_only=True):
    """A model version of the run that was made again, and not registered again: the digests of its files then and now.

    Of a version that is gone, the model, and no digest of then. `apart` is how far both predict from each other, relative
    to the larger, where that is known.
    """

    ref: Ref
    before: str
    after: str
    apart: float | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `attest` is given: which run was done again as which, and what was not as it had been."""

    original: Ref
    again: Ref
    tolerance: float = LOOSE
    code: str = ""  # the commit that was checked out
    environment: dict[str, list[str]] = {}  # packages with other versions: then, and now (empty: not there)
    notes: list[str] = []  # what could not be made as it was
    models: list[Remade] = []


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome."""

    report: Report
    rows: list[Row]
    verdict: Verdict
    summary: str
    evidence: list[str] = []  # ids


def compare(original: Run, again: Run, *, tolerance: float, models: Sequence[Remade] = ()) -> list[Row]:
    """Everything that either run has, what differs first. Metrics by their last value, artifacts by their digest.

    Other figures or parameters fail; another artifact is a warning, since many a file holds the time it was written, and
    so are another input and a model that predicts other than it did.
    """
    rows = []
    if again.status is not original.status:
        fails = Verdict.FAIL if again.status is not RunStatus.FINISHED else Verdict.WARN
        rows.append(Row(part=Part.STATUS, name="status", before=original.status, after=again.status, verdict=fails))
    read = [{str(each): str(each) for each in run.inputs} for run in (original, again)]
    rows += _same(Part.INPUT, read[0], read[1], Verdict.WARN)
    rows += _same(Part.PARAM, _texts(original.params), _texts(again.params), Verdict.FAIL)
    for name in sorted({*original.metrics, *again.metrics}):
        if not name.startswith(SYSTEM):
            rows.append(_metric(name, original, again, tolerance))
    files = [{each.name: each.digest for each in run.artifacts} for run in (original, again)]
    rows += _same(Part.ARTIFACT, files[0], files[1], Verdict.WARN)
    for model in models:
        same = model.before == model.after or (model.apart is not None and model.apart <= tolerance)
        verdict = Verdict.PASS if same else Verdict.WARN
        rows.append(
            Row(
                part=Part.MODEL,
                name=str(model.ref),
                before=model.before,
                after=model.after,
                verdict=verdict,
                apart=model.apart,
            )
        )
    return sorted(rows, key=lambda row: (row.verdict is Verdict.PASS, row.verdict is Verdict.WARN))


def judge(report: Report, rows: Sequence[Row]) -> tuple[Verdict, str]:
    """Fail where a figure or parameter is another; warn where a file is, or anything was not made as it had been."""
    others = len(report.environment)
    other = "package has another version or is" if others == 1 else "packages have other versions or are"
    packages = f"{others} {other} not there"
    besides = [*([packages] if others else []), *report.notes]
    failed = [row for row in rows if row.verdict is Verdict.FAIL]
    warned = [row for row in rows if row.verdict is Verdict.WARN]
    counts = {part: sum(row.part is part for row in rows) for part in (Part.METRIC, Part.ARTIFACT, Part.MODEL)}
    counted = ", ".join(
        f"{count} {part}{'' if count == 1 else 's'}" for part, count in counts.items() if count or part is not Part.MODEL
    )
    if failed:
        named = ", ".join(row.name if row.name == row.part else f"{row.part} {row.name}" for row in failed[:3])
        differ = "differs" if len(failed) == 1 else "differ"
        told = f" Besides: {'; '.join(besides)}." if besides else ""
        return Verdict.FAIL, f"{len(failed)} of what was compared ({counted}) {differ}: {named}.{told}"
    told = "; ".join([*([f"{len(warned)} differ that may"] if warned else []), *besides])
    if told:
        return Verdict.WARN, f"The figures are the same ({counted}); but {told}."
    return Verdict.PASS, f"Everything is the same: {counted}."


def figures(report: Report, rows: Sequence[Row]) -> dict[str, Any]:
    """The figures of the evidence."""
    apart = [row.apart for row in rows if row.apart is not None]
    return {
        "tolerance": report.tolerance,
        "metrics": sum(row.part is Part.METRIC for row in rows),
        "artifacts": sum(row.part is Part.ARTIFACT for row in rows),
        "models": sum(row.part is Part.MODEL for row in rows),
        "differing": sum(row.verdict is not Verdict.PASS for row in rows),
        "largest_difference": max(apart, default=0.0),
        "packages_differing": len(report.environment),
    }


def ended(run: Run) -> bool:
    """Whether it can be compared."""
    return run.status in ENDED


def _metric(name: str, original: Run, again: Run, tolerance: float) -> Row:
    before, after = original.metrics.get(name), again.metrics.get(name)
    if before is None or after is None:
        shown = ["" if each is None else _exact(each.figure) for each in (before, after)]
        return Row(part=Part.METRIC, name=name, before=shown[0], after=shown[1], verdict=Verdict.FAIL)
    one, two = before.figure, after.figure
    apart = _apart(one, two)
    same = before.step == after.step and (apart is None or apart <= tolerance) and math.isnan(one) == math.isnan(two)
    same = same and (apart is not None or one == two or math.isnan(one))
    steps = ["", ""] if before.step == after.step else [f" at step {before.step}", f" at step {after.step}"]
    return Row(
        part=Part.METRIC,
        name=name,
        before=f"{_exact(one)}{steps[0]}",
        after=f"{_exact(two)}{steps[1]}",
        verdict=Verdict.PASS if same else Verdict.FAIL,
        apart=apart,
    )


def _apart(one: float, two: float) -> float | None:
    """How far two figures are apart, relative to the larger; None where one is not finite."""
    if not (math.isfinite(one) and math.isfinite(two)):
        return None
    return 0.0 if one == two else abs(one / 2 - two / 2) / (max(abs(one), abs(two)) / 2)


def _same(part: Part, before: Mapping[str, str], after: Mapping[str, str], otherwise: Verdict) -> list[Row]:
    rows = []
    for name in sorted({*before, *after}):
        one, two = before.get(name, ""), after.get(name, "")
        there = name in before and name in after
        verdict = Verdict.PASS if there and one == two else otherwise
        rows.append(Row(part=part, name=name, before=one, after=two, verdict=verdict))
    return rows


def _texts(params: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode() for name, value in params.items()
    }


def _exact(figure: float) -> str:
    """The shortest text that is read as that very number."""
    return repr(figure).removesuffix(".0")
