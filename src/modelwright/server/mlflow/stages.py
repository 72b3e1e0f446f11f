"""MLflow's four stages and ours: None is a candidate, and what we archived or retired is Archived. Pure."""

from __future__ import annotations

from typing import Final

from modelwright.models import Stage
from modelwright.server.mlflow.errors import invalid

NONE: Final = "None"
STAGES: Final = {
    NONE: Stage.CANDIDATE,
    "Staging": Stage.STAGING,
    "Production": Stage.PRODUCTION,
    "Archived": Stage.ARCHIVED,
}
_SAID: Final = {ours: theirs for theirs, ours in STAGES.items()} | {Stage.RETIRED: "Archived"}
_CANONICAL: Final = {each.lower(): each for each in STAGES}
ACTIVE: Final = frozenset({"Staging", "Production"})  # others can be archived out of these


def canonical(text: str) -> str:
    """A stage in any case as MLflow writes it; INVALID_PARAMETER_VALUE names the stages that there are."""
    found = _CANONICAL.get(text.lower())
    if found is None:
        raise invalid(f"Invalid Model Version stage: {text[:80]}. Value must be one of {', '.join(STAGES)}.")
    return found


def said(stage: Stage) -> str:
    """One of our stages in MLflow's words."""
    return _SAID[stage]
