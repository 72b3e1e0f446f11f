"""Evaluations put on the record, through every door."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.refs import Ref
from modelwright.core.signature import Column, DataType, Signature
from modelwright.core.wire import encode
from modelwright.evaluation import Outcome, Plan, assess
from modelwright.models import ModelRecord, ModelVersion
from modelwright.serving import Format
from modelwright.workspace import Workspace

QUICK = Plan(replicates=60)


@pytest.fixture
def dataset(workspace: Workspace) -> Ref:
    return workspace.datasets.add("flights", pa.table({"x": [1, 2]})).ref


def version(workspace: Workspace, seed: int = 0) -> ModelVersion:
    """A version that is never loaded: an evaluation is about its ref and digest."""
    column = Column(name="x", dtype=DataType.FP64)
    files = {"model.skops": workspace.models.blobs.put(b"a model")}
    signature = Signature(inputs=[column], outputs=[column])
    record = ModelRecord(format=Format.SKOPS, files=files, signature=signature, size=7, params={"seed": seed})
    return workspace.models.register("delay", record=record)


def rows(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    scores = random.random(n)
    return (random.random(n) < scores).astype(float), scores


def test_an_evaluation_becomes_evidence_of_each_kind_about_the_exact_version(workspace: Workspace, dataset: Ref) -> None:
    subject = version(workspace)
    report = workspace.evaluation.evaluate(
        subject.ref, *rows(), dataset=dataset, slices={"origin": np.arange(400) % 3}, plan=QUICK
    )
    found = {each.kind: each for each in workspace.evaluation.show(subject.ref)}
    assert list(found) == ["evaluation", "calibration", "slices", "comparison"]
    for each in found.values():
        assert (each.subject, each.subject_digest, each.inputs) == (subject.ref, subject.digest, [dataset])
    assert found["evaluation"].figures["roc_auc"]["value"] == pytest.approx(report.metrics["roc_auc"].value)
    assert found["comparison"].figures["verdict"] == "first" and found["comparison"].verdict == "pass"
    assert workspace.evaluation.report(subject.ref) == report


def test_a_comparison_names_the_champion_it_was_made_against(workspace: Workspace, dataset: Ref) -> None:
    champion, candidate = version(workspace, 1), version(workspace, 2)
    labels, scores = rows()
    report = workspace.evaluation.evaluate(
        candidate.ref, labels, scores, dataset=dataset, champion=champion.ref, champion_scores=1 - scores, plan=QUICK
    )
    assert report.comparison.outcome is Outcome.BETTER
    comparison = workspace.evaluation.show(candidate.ref)[-1]
    assert comparison.figures["against"] == str(champion.ref)
    assert comparison.inputs == [dataset, champion.ref]


def test_the_newest_finding_counts_and_all_are_kept(workspace: Workspace, dataset: Ref) -> None:
    subject = version(workspace)
    labels, scores = rows()
    for given in (scores, 1 - scores):
        workspace.evaluation.evaluate(subject.ref, labels, given, dataset=dataset, plan=QUICK)
    newest = workspace.evaluation.show(subject.ref)[0]
    assert newest.figures["roc_auc"]["value"] < 0.5
    assert len(workspace.evaluation.history(subject.ref.whole, finding="evaluation")) == 2


def test_a_ref_that_may_move_is_refused_before_anything_is_computed(workspace: Workspace, dataset: Ref) -> None:
    subject = version(workspace)
    with pytest.raises(Invalid, match="subject model:delay@latest is not pinned"):
        workspace.evaluation.evaluate("model:delay@latest", *rows(), dataset=dataset, plan=QUICK)
    with pytest.raises(Invalid, match="dataset dataset:flights is not pinned"):
        workspace.evaluation.evaluate(subject.ref, *rows(), dataset="dataset:flights", plan=QUICK)


def test_a_version_is_not_compared_with_itself_nor_with_scores_of_nobody(workspace: Workspace, dataset: Ref) -> None:
    subject = version(workspace)
    labels, scores = rows()
    with pytest.raises(Invalid, match="cannot be compared with itself"):
        workspace.evaluation.evaluate(
            subject.ref, labels, scores, dataset=dataset, champion=subject.ref, champion_scores=scores, plan=QUICK
        )
    with pytest.raises(Invalid, match="go together"):
        workspace.evaluation.evaluate(subject.ref, labels, scores, dataset=dataset, champion_scores=scores, plan=QUICK)


def test_a_report_about_another_version_is_refused_and_records_nothing(workspace: Workspace, dataset: Ref) -> None:
    one, two = version(workspace, 1), version(workspace, 2)
    workspace.evaluation.evaluate(one.ref, *rows(), dataset=dataset, plan=QUICK)
    report = workspace.evaluation.show(one.ref)[0].report
    assert report is not None
    with pytest.raises(Invalid, match=r"about model:delay@1 .* not about model:delay@2"):
        workspace.evaluation.record(two.ref, report=report)
    assert list(workspace.evaluation.show(two.ref)) == []


def test_a_report_bound_to_nothing_is_refused(workspace: Workspace) -> None:
    subject = version(workspace)
    loose = workspace.evaluation.blobs.put(encode(assess(*rows(), plan=QUICK)))
    with pytest.raises(Invalid, match="not about model:delay@1"):
        workspace.evaluation.record(subject.ref, report=loose)


def test_what_was_never_evaluated_says_so(workspace: Workspace) -> None:
    with pytest.raises(NotFound, match="never evaluated"):
        workspace.evaluation.report(version(workspace).ref)
    with pytest.raises(NotFound):
        workspace.evaluation.show(Ref.parse("model:nowhere"))
