"""The production gate of the shipped policy, with everything it asks for brought together requirement by requirement."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from modelwright.core.errors import Refused
from modelwright.core.principals import Principal
from modelwright.core.refs import Ref
from modelwright.datasets import Nulls
from modelwright.evaluation import Plan
from modelwright.models import ModelVersion, Stage
from modelwright.policy import Tier
from modelwright.policy.tiers import QUESTIONS
from modelwright.store import Verdict, acting_as
from modelwright.workspace import Workspace

HARMLESS = {key: min(question.answers, key=question.answers.__getitem__) for key, question in QUESTIONS.items()}
GRACE = Principal(id="grace", trusted=True)


@pytest.fixture
def candidate(embedded: Workspace, estimator: Any, flights: pd.DataFrame) -> ModelVersion:
    data = embedded.datasets.add("flights", pa.table(flights))
    version = embedded.models.log("delay", estimator, example=flights, datasets=[data.ref])
    embedded.policy.classify(version.ref, HARMLESS, tier=Tier.STANDARD, reason="people notice, and it can be undone")
    return version


def unmet(workspace: Workspace, ref: Ref, stage: Stage) -> set[str]:
    """What the gate says is missing; nothing, if it lets the version through."""
    try:
        workspace.models.promote(ref, stage, reason="try")
    except Refused as refused:
        return set(refused.details["unmet"])
    return set()


def evaluate(workspace: Workspace, version: ModelVersion, flights: pd.DataFrame, late: np.ndarray, **further: Any) -> None:
    scores = workspace.models.load(version.ref).scores(flights)
    workspace.evaluation.evaluate(
        version.ref,
        late,
        scores,
        dataset=version.record.datasets[0],
        slices={"carrier": flights.carrier},
        plan=Plan(replicates=60),
        **further,
    )


def ready(workspace: Workspace, version: ModelVersion) -> None:
    workspace.record.attach(version.ref, "model-card", Verdict.INFO)
    with acting_as(GRACE):
        workspace.policy.approve(version.ref, "promote", reason="read the card and the slices")


def test_each_requirement_is_named_until_it_is_met(
    embedded: Workspace, candidate: ModelVersion, flights: pd.DataFrame, late: np.ndarray
) -> None:
    ref = candidate.ref
    assert unmet(embedded, ref, Stage.STAGING) == {"data-checks", "evaluation"}
    embedded.datasets.check(candidate.record.datasets[0], [Nulls(column="distance")])
    assert unmet(embedded, ref, Stage.STAGING) == {"evaluation"}
    evaluate(embedded, candidate, flights, late)
    assert unmet(embedded, ref, Stage.STAGING) == set()

    assert unmet(embedded, ref, Stage.PRODUCTION) == {"model-card", "approval"}
    ready(embedded, candidate)
    assert unmet(embedded, ref, Stage.PRODUCTION) == set()
    assert embedded.models.make_champion(ref, reason="goes live").stage is Stage.PRODUCTION


def test_an_author_cannot_approve(embedded: Workspace, candidate: ModelVersion) -> None:
    with pytest.raises(Refused, match="author"):
        embedded.policy.approve(candidate.ref, "promote", reason="it is mine and it is good")


def test_a_second_model_must_be_compared_with_the_champion(
    embedded: Workspace, candidate: ModelVersion, flights: pd.DataFrame, late: np.ndarray, estimator: Any
) -> None:
    embedded.datasets.check(candidate.record.datasets[0], [Nulls(column="distance")])
    evaluate(embedded, candidate, flights, late)
    ready(embedded, candidate)
    for stage in (Stage.STAGING, Stage.PRODUCTION):
        embedded.models.promote(candidate.ref, stage, reason="up")
    embedded.models.make_champion(candidate.ref, reason="goes live")

    data = candidate.record.datasets
    second = embedded.models.log("delay", estimator, example=flights, datasets=data, params={"again": True})
    evaluate(embedded, second, flights, late)
    embedded.models.promote(second.ref, Stage.STAGING, reason="up")
    ready(embedded, second)
    assert unmet(embedded, second.ref, Stage.PRODUCTION) == {"comparison"}

    champion = embedded.models.load("model:delay@champion")
    evaluate(embedded, second, flights, late, champion=champion.version.ref, champion_scores=champion.scores(flights))
    assert unmet(embedded, second.ref, Stage.PRODUCTION) == {"approval"}  # it was given on older figures
    with acting_as(GRACE):
        embedded.policy.approve(second.ref, "promote", reason="as good as the champion")
    assert unmet(embedded, second.ref, Stage.PRODUCTION) == set()
