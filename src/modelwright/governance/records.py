"""The nouns of governance: card fields with their origin, statements, value figures, inventory, answers. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from modelwright.core.refs import Ref
from modelwright.deployments.records import Live
from modelwright.store.records import Evidence, Verdict


class Origin(StrEnum):
    """Where a field of a document comes from."""

    COMPUTED = "computed"  # from records
    DECLARED = "declared"  # a person said so
    MISSING = "missing"


# What only a person can say about a model. Everything else in a card is computed.
DECLARABLE: dict[str, str] = {
    "intended_use": "Intended use",
    "users": "Intended users",
    "out_of_scope": "Out-of-scope uses",
    "relevant_factors": "Relevant factors",
    "choice_of_metrics": "Why these metrics",
    "evaluation_motivation": "Why these evaluation data",
    "preprocessing": "Preprocessing",
    "intersectional": "Intersectional results",
    "ethical_considerations": "Ethical considerations",
    "caveats": "Caveats and recommendations",
    "human_oversight": "Human oversight",
}


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What a person declared about a model (or, with a version, about that version only). The latest one holds."""

    about: Ref
    field: str
    text: str
    author: str
    at: datetime
    seq: int  # the ledger event


class CardField(msgspec.Struct, frozen=True, kw_only=True):
    """One field: its text (each line of a list one item), where it comes from, and the records that say so."""

    name: str
    title: str
    origin: Origin
    lines: list[str] = []
    sources: list[str] = []  # refs, or `event:<seq>`
    by: str = ""  # who declared it, or who is to


class CardSection(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that are read together."""

    title: str
    fields: list[CardField]


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """A model card: sections in the order of Mitchell et al. (Model Cards for Model Reporting, 2019), then governance."""

    ref: Ref
    digest: str  # of the model version
    at: datetime
    owner: str
    licence: str
    library: str
    datasets: list[str]
    results: dict[str, float]  # metric to value, for machines
    sections: list[CardSection]

    @property
    def fields(self) -> list[CardField]:
        """Every field of every section."""
        return [field for section in self.sections for field in section.fields]

    @property
    def missing(self) -> list[CardField]:
        """The fields that nobody has filled."""
        return [field for field in self.fields if field.origin is Origin.MISSING]

    @property
    def completeness(self) -> int:
        """Filled fields in per cent, rounded down: only a full card says 100."""
        return 100 * (len(self.fields) - len(self.missing)) // len(self.fields)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure with the events that it was computed from. `value` is None where there was nothing to compute."""

    name: str
    label: str
    value: float | None
    unit: str
    n: int  # cases it rests on
    events: list[int] = []  # sequence numbers in the ledger

    @property
    def text(self) -> str:
        """The value as it is read: `36 hours (2 cases)`, `50 % (4 cases)`, `nothing to compute it from`."""
        if self.value is None:
            return "nothing to compute it from"
        cases = f"({self.n} {'case' if self.n == 1 else 'cases'})"
        if self.unit == "share":
            return f"{100 * self.value:.3g} % {cases}"
        if self.unit == "hours" and self.value >= 72:
            return f"{self.value / 24:.3g} days {cases}"
        if self.unit == "hours" and self.value < 1:
            minutes = self.value * 60
            return f"{minutes:.0f} minutes {cases}" if minutes >= 1 else f"less than a minute {cases}"
        return f"{self.value:.3g} {self.unit} {cases}"


class ValueReport(msgspec.Struct, frozen=True, kw_only=True):
    """How well the organisation delivers and keeps its models, over a period, from ledger events only."""

    since: datetime
    until: datetime
    figures: list[Figure]

    def figure(self, name: str) -> Figure:
        """One figure by name."""
        return next(figure for figure in self.figures if figure.name == name)


class InventoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One model as the inventory lists it."""

    model: Ref  # its latest version
    owner: str
    purpose: str
    tier: str
    stage: str
    live: list[Live] = []
    last_evidence: datetime | None = None
    failing: list[str] = []  # kinds of evidence on a live version whose latest verdict is fail
    open_incidents: list[Ref] = []
    gaps: list[str] = []  # what an inventory must say and this entry cannot


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """Who approved, when, with what words, as which piece of evidence."""

    by: str
    at: datetime
    reason: str
    evidence: str


class LiveAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One version that was live, who had approved it by then, and on what evidence it went live."""

    live: Live
    approvals: list[Consent]
    evidence: list[Evidence]
    gate: Evidence | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was live at a moment, who approved it, and on what evidence."""

    at: datetime
    live: list[LiveAnswer]
    sentences: list[str]


def verdict_of(completeness: int, *, enough: int = 80, little: int = 50) -> Verdict:
    """What a card's completeness (per cent) is worth as evidence."""
    if completeness >= enough:
        return Verdict.PASS
    return Verdict.WARN if completeness >= little else Verdict.FAIL
