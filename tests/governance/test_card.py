"""The model card: what is computed, what is declared, and what is missing in sight."""

from datetime import timedelta

import pytest

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.principals import Principal
from modelwright.core.refs import Ref
from modelwright.governance import Origin
from modelwright.governance.records import DECLARABLE, verdict_of
from modelwright.store import Verdict, acting_as


def field(card, name):
    return next(each for each in card.fields if each.name == name)


def evaluate(replayed, ref, value=0.74):
    figures = {"n": 500, "threshold": 0.5, "primary": "roc_auc", "roc_auc": {"value": value, "low": 0.70, "high": 0.78}}
    data = [Ref.parse("dataset:flights@1")]
    summary = f"roc_auc {value}"
    return replayed.record.attach(ref, "evaluation", Verdict.PASS, figures=figures, summary=summary, inputs=data)


def test_a_bare_version_has_gaps_and_each_names_its_owner(governance, register):
    card = governance.card(register().ref)
    metrics = field(card, "metrics")
    assert (metrics.origin, metrics.lines, metrics.by) == (Origin.MISSING, [], "ada")
    assert field(card, "intended_use").origin is Origin.MISSING
    assert field(card, "owner").lines == ["ada"]
    assert card.completeness < 60
    assert "MISSING - owner ada" in governance.markdown(card.ref)


def test_computed_fields_name_their_records(governance, replayed, register, dataset):
    ref = register().ref
    made = evaluate(replayed, ref)
    card = governance.card(ref)
    assert field(card, "metrics").lines == ["roc_auc: 0.74 (0.7 to 0.78)"]
    assert field(card, "metrics").sources == [str(made.ref)]
    assert field(card, "training_data").lines == ["dataset:flights@1: 60 rows, 3 columns, 2013-01-01 to 2013-06-01"]
    assert field(card, "personal_data").lines == ["dataset:flights@1: name"]
    assert field(card, "evaluation_data").lines == ["dataset:flights@1", "500 rows"]
    assert all(f.sources for f in card.fields if f.origin is Origin.COMPUTED)


def test_another_figure_changes_exactly_its_field(governance, replayed, register):
    ref = register().ref
    evaluate(replayed, ref, 0.74)
    before = {f.name: f.lines for f in governance.card(ref).fields}
    evaluate(replayed, ref, 0.75)
    after = {f.name: f.lines for f in governance.card(ref).fields}
    assert {name for name in before if before[name] != after[name]} == {"metrics"}


def test_a_statement_fills_its_field_with_its_author(governance, register):
    ref = register().ref
    with acting_as(Principal(id="grace", trusted=True)):
        governance.state(ref.whole, "caveats", "Not for freight.\nNot for 2014.")
    said = field(governance.card(ref), "caveats")
    assert (said.origin, said.lines, said.by) == (Origin.DECLARED, ["Not for freight.", "Not for 2014."], "grace")
    assert said.sources[0].startswith("event:")


def test_a_statement_about_a_version_goes_before_one_about_the_model(governance, register):
    one, two = register(b"one").ref, register(b"two").ref
    governance.state(two, "caveats", "this version only")
    governance.state(one.whole, "caveats", "every version")
    assert field(governance.card(one), "caveats").lines == ["every version"]
    assert field(governance.card(two), "caveats").lines == ["this version only"]


def test_an_empty_statement_takes_the_earlier_one_back(governance, register):
    ref = register().ref
    governance.state(ref.whole, "caveats", "something")
    governance.state(ref.whole, "caveats", " ")
    assert field(governance.card(ref), "caveats").origin is Origin.MISSING


def test_what_is_computed_cannot_be_declared(governance, register):
    with pytest.raises(Invalid, match="'metrics' is not a field to declare"):
        governance.state(register().ref, "metrics", "very good")
    with pytest.raises(NotFound):
        governance.state(Ref.parse("model:nowhere"), "caveats", "x")


def test_the_statement_is_the_event_it_points_at(governance, replayed, register):
    said = governance.state(register().ref.whole, "users", "Airlines")
    (event,) = [e for e in replayed.record.events().items if e.action == "governance.statement.made"]
    assert (event.seq, event.after["text"]) == (said.seq, "Airlines")


def test_completeness_is_the_verdict_of_the_evidence(governance, replayed, register):
    ref = register().ref
    bare = governance.publish_card(ref)
    assert bare.figures["completeness"] == governance.card(ref).completeness
    assert "metrics" in bare.figures["missing"]
    for name in DECLARABLE:
        governance.state(ref.whole, name, f"about {name}")
    evaluate(replayed, ref)
    full = governance.publish_card(ref)
    assert full.kind == "model-card"
    assert full.figures["completeness"] > bare.figures["completeness"]
    assert replayed.caller.blobs.read(full.report).decode().startswith("---\nlicense:")


@pytest.mark.parametrize(("per_cent", "verdict"), [(100, "pass"), (80, "pass"), (79, "warn"), (50, "warn"), (49, "fail")])
def test_the_bounds_of_the_verdict(per_cent, verdict):
    assert verdict_of(per_cent).value == verdict


def test_the_header_is_yaml_that_model_hubs_read(governance, replayed, register):
    yaml = pytest.importorskip("yaml")
    ref = register().ref
    evaluate(replayed, ref)
    header = yaml.safe_load(governance.markdown(ref).split("---")[1])
    assert header["license"] == "apache-2.0"
    assert header["library_name"] == "scikit-learn"
    assert header["datasets"] == ["dataset:flights@1"]
    result = header["model-index"][0]["results"][0]
    assert result["metrics"] == [{"type": "roc_auc", "value": 0.74}]


def test_a_statement_cannot_break_out_of_the_page(governance, register):
    ref = register().ref
    governance.state(ref.whole, "caveats", "<script>alert(1)</script>\n# heading *bold*")
    assert "<script>" not in governance.html(ref)
    assert "<script>" not in governance.markdown(ref)
    assert "\\*bold\\*" in governance.markdown(ref)


def test_approvals_live_monitors_and_incidents_are_on_the_card(governance, replayed, register, ship, dataset):
    from modelwright.monitoring import Watch

    ref = register().ref
    ship(ref)
    replayed.monitoring.watch(Ref.parse("deployment:delay"), Watch(reference=dataset))
    replayed.workspace.advance(replayed.workspace.status().now + timedelta(days=1))
    replayed.monitoring.report(Ref.parse("deployment:delay"), "all scores are 0.5")
    card = governance.card(ref)
    assert "grace" in field(card, "approvals").lines[0]
    assert field(card, "live").lines == ["deployment:delay in production since 2013-01-01"]
    assert field(card, "monitoring").lines[0] == "monitor:delay@1 on deployment:delay"
    assert field(card, "incidents").lines == ["incident:1 (open, severity 3): all scores are 0.5"]
