"""What is collected, served or kept and not needed, and what about people goes into models: told, and evidence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pyarrow as pa
import pytest

from modelwright.core.errors import Denied, Invalid, Refused
from modelwright.core.principals import Principal
from modelwright.core.refs import Ref
from modelwright.features import FeatureView, last
from modelwright.governance.minimisation import Concern, MinimisationFinding
from modelwright.models import ModelVersion
from modelwright.store import Verdict, acting_as
from modelwright.workspace import Workspace


def by(found: list[MinimisationFinding]) -> dict[str, list[str]]:
    return {str(each.ref): each.names for each in found}


def test_columns_about_people_in_a_live_model_and_those_that_nothing_reads(
    replayed: Workspace, dataset: Ref, register: Callable[..., ModelVersion], ship: Callable[[Ref], None]
) -> None:
    model = register()
    before = replayed.minimisation.report()
    assert before.of(Concern.PERSONAL_INPUT) == [] and before.looked_at["live models"] == 0
    ship(model.ref)
    assert replayed.minimisation.report().of(Concern.PERSONAL_INPUT) == []  # x says nothing of anybody
    replayed.privacy.classify(dataset, "x", "special.health", reason="it is a diagnosis")
    report = replayed.minimisation.report()
    (found,) = report.of(Concern.PERSONAL_INPUT)
    assert (found.ref, found.names, found.classes) == (model.ref, ["x"], ["special.health"])
    assert "no purpose is permitted" in found.why and "production" in found.why
    (unread,) = report.of(Concern.UNREAD_COLUMN)
    assert (unread.names, unread.classes) == (["name"], ["pii"])  # x is taken, at is the time
    (unlimited,) = report.of(Concern.UNLIMITED)
    assert unlimited.names == ["x", "name"]
    replayed.retention.declare("short", "30d", ["datasets:flights"], reason="r")
    assert replayed.minimisation.report().of(Concern.UNLIMITED) == []


def test_the_evidence_of_a_model_fails_until_a_purpose_is_permitted_and_what_is_idle_is_out(
    replayed: Workspace, dataset: Ref, register: Callable[..., ModelVersion], ship: Callable[[Ref], None]
) -> None:
    model = register().ref
    assert replayed.minimisation.attest(model).verdict is Verdict.PASS
    replayed.privacy.classify(dataset, "x", "special.health", reason="it is a diagnosis")
    assert replayed.minimisation.attest(model).verdict is Verdict.FAIL
    replayed.privacy.permit(dataset, ["scoring"], columns=["x"], basis="contract")
    assert replayed.minimisation.attest(model).verdict is Verdict.PASS
    replayed.record.attach(model, "importance", Verdict.INFO, figures={"x": {"low": -0.01, "high": 0.02}})
    made = replayed.minimisation.attest(model)
    assert made.verdict is Verdict.FAIL and "of no weight" in made.summary
    ship(model)
    (found,) = replayed.minimisation.report().of(Concern.WEIGHTLESS)
    assert (found.names, found.classes) == (["x"], ["special.health"])
    with pytest.raises(Refused, match="found"):
        replayed.record.attach(model, "minimisation", Verdict.PASS)
    with pytest.raises(Invalid, match="no version of a model"):
        replayed.minimisation.attest(dataset)


def test_features_that_no_live_model_takes_and_data_kept_too_long(
    replayed: Workspace, dataset: Ref, register: Callable[..., ModelVersion]
) -> None:
    at = pa.array([replayed.workspace.status().now], pa.timestamp("us", "UTC"))
    replayed.datasets.add("crm", pa.table({"id": ["7"], "email": ["ada@example.org"], "plan": ["a"], "at": at}))
    features = [last("email", window="9d", name="email"), last("plan", window="9d", name="plan")]
    replayed.features.apply(FeatureView(name="crm", entity="id", source="dataset:crm", event_time="at", features=features))
    replayed.features.materialise("features:crm")
    replayed.retention.declare("short", "30d", ["datasets:crm", "features:crm"], reason="r")
    replayed.workspace.advance(replayed.workspace.status().now + timedelta(days=40))
    report = replayed.minimisation.report()
    assert by(report.of(Concern.UNUSED_FEATURE)) == {"features:crm@1": ["email", "plan"]}
    (found,) = report.of(Concern.UNUSED_FEATURE)
    assert found.classes == ["pii.email"] and "served online" in found.why
    assert {str(each.ref) for each in report.of(Concern.OVERDUE)} == {"dataset:crm@1", "features:crm@1"}
    assert by(replayed.minimisation.report(under="flights").findings).keys() == {"dataset:flights@1", "dataset:flights"}
    order = [each.concern for each in report.findings]
    assert order == sorted(order, key=list(Concern).index)


def test_the_report_is_for_who_audits_and_tells_what_they_may_read(replayed: Workspace, dataset: Ref) -> None:
    for name, grants in (("aud", [("auditor", "*")]), ("sci", [("scientist", "*")])):
        replayed.access.create_user(name)
        for role, scope in grants:
            replayed.access.grant(name, role, scope=scope)
    with acting_as(Principal(id="aud")):
        assert replayed.minimisation.report().findings
    with acting_as(Principal(id="sci")), pytest.raises(Denied):
        replayed.minimisation.report()


def test_it_works_through_every_door(workspace: Workspace) -> None:
    workspace.datasets.add("people", pa.table({"id": [1], "email": ["ada@example.org"]}), key="id")
    found = workspace.minimisation.report()
    assert by(found.of(Concern.UNREAD_COLUMN)) == {"dataset:people@1": ["email"]}


def test_a_column_that_says_who_agreed_is_read(replayed: Workspace) -> None:
    table = pa.table({"id": [1], "agrees": [True], "who": ["ada"], "idle": ["x"]})
    ref = replayed.datasets.add("consents", table, key="id").ref
    replayed.privacy.permit(ref, ["scoring"], basis="consent", consent="agrees", subject="who")
    found = by(replayed.minimisation.report().of(Concern.UNREAD_COLUMN))
    assert found[str(ref)] == ["idle"]
