"""The model card: which fields it has and how each is computed from the record. Pure.

A field is computed, declared or missing; there is no fourth way. What cannot be computed and was not declared is left open
in sight of every reader, with the name of whoever is to fill it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from modelwright.datasets.records import DatasetVersion
from modelwright.deployments.records import Live
from modelwright.governance.records import DECLARABLE, CardField, CardSection, ModelCard, Origin, Statement
from modelwright.models.records import ModelVersion
from modelwright.monitoring.records import Incident, Monitor
from modelwright.store.records import Evidence

Figures = Mapping[str, Any]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that a card is made from."""

    version: ModelVersion
    tier: str
    evidence: list[Evidence]  # about the version, newest first
    data_evidence: list[Evidence] = []  # data-checks on what it was trained on, newest first
    training: list[DatasetVersion] = []
    statements: dict[str, Statement] = {}  # the latest by field
    live: list[Live] = []
    monitors: list[Monitor] = []
    incidents: list[Incident] = []

    def latest(self, kind: str) -> Evidence | None:
        """The newest evidence of a kind about the version."""
        return next((each for each in self.evidence if each.kind == kind), None)


def build(facts: Facts, now: datetime) -> ModelCard:
    """The card of one version, as the record stands."""
    version, evaluation = facts.version, facts.latest("evaluation")
    return ModelCard(
        ref=version.ref,
        digest=version.digest,
        at=now,
        owner=version.profile.owner,
        licence=version.record.licence,
        library=version.record.framework.partition(" ")[0],
        datasets=[str(ref) for ref in version.record.datasets],
        results={name: bounds["value"] for name, bounds in _metrics(evaluation).items()},
        sections=[
            CardSection(title="Model details", fields=_details(facts)),
            CardSection(title="Intended use", fields=_declared(facts, "intended_use", "users", "out_of_scope")),
            CardSection(title="Factors", fields=[*_declared(facts, "relevant_factors"), _evaluated_factors(facts)]),
            CardSection(title="Metrics", fields=_performance(facts)),
            CardSection(title="Evaluation data", fields=_evaluation_data(facts)),
            CardSection(title="Training data", fields=_training_data(facts)),
            CardSection(title="Quantitative analyses", fields=_analyses(facts)),
            CardSection(title="Ethical considerations", fields=_ethics(facts)),
            CardSection(title="Caveats and recommendations", fields=_declared(facts, "caveats")),
            CardSection(title="Governance", fields=_governance(facts)),
        ],
    )


def _details(facts: Facts) -> list[CardField]:
    version = facts.version
    record, ref = version.record, [str(version.ref)]
    signature = record.signature
    made = [str(each) for each in record.needs]
    return [
        _computed(facts, "name", "Model and version", [f"{version.ref}, digest {version.digest[:12]}"], ref),
        _computed(facts, "purpose", "Purpose", _some(version.profile.purpose), ref),
        _computed(facts, "owner", "Owner", _some(version.profile.owner), ref),
        _computed(facts, "made", "Made", [f"{version.created_at:%Y-%m-%d} by {version.created_by}"], ref),
        _computed(facts, "origin", "Made from", made, made),
        _computed(facts, "format", "Format", [f"{record.format.value}, {record.framework or 'framework unknown'}"], ref),
        _computed(facts, "parameters", "Parameters", [f"{k} = {v}" for k, v in sorted(record.params.items())], ref),
        _computed(facts, "inputs", "Inputs", [f"{c.name}: {c.dtype.value}" for c in signature.inputs], ref),
        _computed(facts, "outputs", "Outputs", [f"{c.name}: {c.dtype.value}" for c in signature.outputs], ref),
        _computed(facts, "licence", "Licence", _some(record.licence), ref),
    ]


def _evaluated_factors(facts: Facts) -> CardField:
    found = facts.latest("slices")
    lines = [found.summary] if found else []
    return _computed(facts, "evaluated_factors", "Evaluated factors", lines, _refs(found))


def _performance(facts: Facts) -> list[CardField]:
    found = facts.latest("evaluation")
    lines = [f"{name}: {interval(bounds)}" for name, bounds in _metrics(found).items()]
    threshold = found.figures.get("threshold") if found else None
    return [
        _computed(facts, "metrics", "Performance", lines, _refs(found)),
        _computed(facts, "threshold", "Decision threshold", _some(threshold), _refs(found)),
        *_declared(facts, "choice_of_metrics"),
    ]


def _evaluation_data(facts: Facts) -> list[CardField]:
    found = facts.latest("evaluation")
    inputs = [str(ref) for ref in found.inputs if ref != facts.version.ref] if found else []
    rows = [f"{found.figures['n']} rows"] if found and found.figures.get("n") else []
    return [
        _computed(facts, "evaluation_data", "Data sets", [*inputs, *rows] if inputs else rows, [*_refs(found), *inputs]),
        *_declared(facts, "evaluation_motivation"),
    ]


def _training_data(facts: Facts) -> list[CardField]:
    refs = [str(each.ref) for each in facts.training]
    checks = [f"{each.subject}: {each.verdict.value}, {each.summary}" for each in facts.data_evidence]
    return [
        _computed(facts, "training_data", "Data sets", [_described(each) for each in facts.training], refs),
        _computed(facts, "data_checks", "Data checks", checks, [str(each.ref) for each in facts.data_evidence]),
        *_declared(facts, "preprocessing"),
    ]


def _described(dataset: DatasetVersion) -> str:
    when = ""
    if dataset.time_range is not None and not any(c.personal for c in dataset.columns if c.name == dataset.time_column):
        when = f", {dataset.time_range.first[:10]} to {dataset.time_range.last[:10]}"
    return f"{dataset.ref}: {dataset.rows} rows, {len(dataset.columns)} columns{when}"


def _analyses(facts: Facts) -> list[CardField]:
    slices, comparison = facts.latest("slices"), facts.latest("comparison")
    calibration = facts.latest("calibration")
    worst = (slices.figures.get("worst") or {}) if slices else {}
    unitary = [f"worst slice {worst['slice']}: {slices.figures['metric']} {interval(worst)}"] if worst and slices else []
    if slices and slices.figures.get("flagged"):
        unitary.append(f"worse than the whole: {', '.join(slices.figures['flagged'])}")
    return [
        _computed(facts, "unitary", "Results by slice", unitary or _summaries(slices), _refs(slices)),
        *_declared(facts, "intersectional"),
        _computed(facts, "comparison", "Against the champion", _summaries(comparison), _refs(comparison)),
        _computed(facts, "calibration", "Calibration", _summaries(calibration), _refs(calibration)),
    ]


def _ethics(facts: Facts) -> list[CardField]:
    personal = [
        f"{dataset.ref}: {', '.join(names)}"
        for dataset in facts.training
        if (names := [column.name for column in dataset.columns if column.personal])
    ]
    lines = personal or (["No column of the training data is marked as personal."] if facts.training else [])
    refs = [str(each.ref) for each in facts.training]
    return [
        _computed(facts, "personal_data", "Personal data", lines, refs),
        *_declared(facts, "ethical_considerations", "human_oversight"),
    ]


def _governance(facts: Facts) -> list[CardField]:
    approvals = [each for each in facts.evidence if each.kind == "approval"]
    watched = [each for each in facts.evidence if each.kind in ("drift", "performance")]
    drill, live = facts.latest("drill"), facts.live
    monitors = [f"{each.ref} on {each.deployment}" for each in facts.monitors]
    incidents = [f"{each.ref} ({each.state.value}, severity {each.severity}): {each.title}" for each in facts.incidents]
    ref = [str(facts.version.ref)]
    return [
        _computed(facts, "tier", "Risk tier", _some(facts.tier), ref),
        _computed(
            facts,
            "approvals",
            "Approvals",
            [f"{each.created_at:%Y-%m-%d} {each.verdict.value} by {each.producer}: {each.summary}" for each in approvals],
            [str(each.ref) for each in approvals],
        ),
        _computed(
            facts,
            "live",
            "Live",
            [f"{each.deployment} in {each.environment} since {each.since:%Y-%m-%d}" for each in live]
            or [f"Not live; it stands on {facts.version.stage.value}."],
            [f"event:{each.event}" for each in live] or ref,
        ),
        _computed(
            facts,
            "monitoring",
            "Monitoring",
            [
                *monitors,
                *(f"{each.created_at:%Y-%m-%d} {each.kind} {each.verdict.value}: {each.summary}" for each in watched),
            ],
            [*(str(each.ref) for each in facts.monitors), *(str(each.ref) for each in watched)],
        ),
        _computed(
            facts,
            "incidents",
            "Incidents",
            incidents or ["None is on the record."],
            [str(each.ref) for each in facts.incidents] or ref,
        ),
        *([_computed(facts, "drill", "Rollback drill", [drill.summary], _refs(drill))] if drill else []),
    ]


def interval(bounds: Figures) -> str:
    """A figure with its interval, for people: `0.741 (0.729 to 0.753)`."""
    value, low, high = (bounds.get(key) for key in ("value", "low", "high"))
    if value is None:
        return "undefined"
    return f"{value:.4g}" if low is None or high is None else f"{value:.4g} ({low:.4g} to {high:.4g})"


def _metrics(evaluation: Evidence | None) -> dict[str, Figures]:
    """The metrics among the figures of an evaluation: those that have a value."""
    if evaluation is None:
        return {}
    figures = evaluation.figures.items()
    return {name: f for name, f in figures if isinstance(f, Mapping) and f.get("value") is not None}


def _computed(facts: Facts, name: str, title: str, lines: Sequence[str], sources: Sequence[str]) -> CardField:
    if not lines:
        return _missing(facts, name, title)
    return CardField(name=name, title=title, origin=Origin.COMPUTED, lines=list(lines), sources=list(sources))


def _declared(facts: Facts, *names: str) -> list[CardField]:
    found = []
    for name in names:
        said = facts.statements.get(name)
        if said is None:
            found.append(_missing(facts, name, DECLARABLE[name]))
            continue
        lines = [line for line in said.text.splitlines() if line.strip()]
        sources = [f"event:{said.seq}"]
        found.append(
            CardField(
                name=name, title=DECLARABLE[name], origin=Origin.DECLARED, lines=lines, sources=sources, by=said.author
            )
        )
    return found


def _missing(facts: Facts, name: str, title: str) -> CardField:
    owner = facts.version.profile.owner or facts.version.created_by
    return CardField(name=name, title=title, origin=Origin.MISSING, by=owner)


def _some(value: Any) -> list[str]:
    return [] if value in (None, "") else [str(value)]


def _refs(found: Evidence | None) -> list[str]:
    return [str(found.ref)] if found else []


def _summaries(found: Evidence | None) -> list[str]:
    return [f"{found.verdict.value}: {found.summary}"] if found else []


def missing_text(field: CardField) -> str:
    """How a gap is written."""
    return f"MISSING - owner {field.by or 'unknown'}"
