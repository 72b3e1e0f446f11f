"""Versions come in and go out: log, register, load, show, list, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from modelwright.core.errors import InUse, Invalid, NotFound, Refused
from modelwright.core.paging import Filter
from modelwright.core.refs import Ref
from modelwright.features import FeatureView
from modelwright.models import ModelVersion, Parity, Stage
from modelwright.serving import Format
from modelwright.workspace import Workspace

Log = Callable[..., ModelVersion]
RUN = Ref.parse("run:01JD0ZK3T8V1M2N3P4Q5R6S7T8")


def test_a_logged_model_is_a_candidate_that_says_what_it_is_made_of(workspace: Workspace, log: Log) -> None:
    version = log(description="linear", tags={"team": "ops"}, run=RUN, licence="Apache-2.0", authors=["grace"])
    assert version == workspace.models.show(Ref.parse("model:delay@1"))
    assert version.stage is Stage.CANDIDATE
    assert version.tags == {"team": "ops"} and version.description == "linear"
    assert version.record.framework.startswith("scikit-learn ")
    assert version.record.run == RUN and version.record.licence == "Apache-2.0"
    assert version.record.authors == ["grace", workspace.principal.effective_id]


def test_a_loaded_model_predicts_what_the_estimator_does(
    workspace: Workspace, log: Log, estimator: Any, flights: pd.DataFrame
) -> None:
    log()
    loaded = workspace.models.load("model:delay@1")
    expected = estimator.predict_proba(flights)[:, 1]
    for table in (flights, pa.table(flights), {name: flights[name].to_numpy() for name in flights}):
        np.testing.assert_allclose(loaded.scores(table), expected, atol=1e-12)
    assert list(loaded.predict(flights.assign(late=1))) == ["probability"]


def test_a_few_rows_of_the_example_come_back(workspace: Workspace, log: Log, flights: pd.DataFrame) -> None:
    version = log()
    assert workspace.models.example("model:delay@1").to_pandas().equals(flights.head(5))
    bare = msgspec.structs.replace(version.record, example=None)
    with pytest.raises(NotFound, match="without an example"):
        workspace.models.example(workspace.models.register("delay", record=bare).ref)


def test_the_example_that_is_kept_says_nothing_of_people(workspace: Workspace, log: Log, flights: pd.DataFrame) -> None:
    text, other = (
        next(n for n, kind in flights.dtypes.items() if (kind.kind in "iuf") is number) for number in (False, True)
    )
    source = pa.table({"key": range(len(flights)), **{name: flights[name].to_numpy() for name in flights}})
    data = workspace.datasets.add("flown", source, personal=[other]).ref
    workspace.privacy.classify(data, text, "special.health")
    log(datasets=[data])
    kept = workspace.models.example("model:delay@1")
    assert [kept[name].null_count for name in (text, other)] == [5, 5]
    named = set(flights) - {text, other}
    assert kept.to_pandas()[sorted(named)].equals(flights.head(5)[sorted(named)])
    seen = FeatureView(name="seen", entity="key", source="dataset:flown", features=[str(other)])
    log(features=[workspace.features.apply(seen).ref])
    kept = workspace.models.example("model:delay@2")
    assert [kept[name].null_count for name in (text, other)] == [0, 5]
    log(run=workspace.experiments.start("train", inputs=[data]).ref)
    kept = workspace.models.example("model:delay@3")
    assert [kept[name].null_count for name in (text, other)] == [5, 5]


def test_a_batch_that_does_not_fit_the_signature_names_the_column(
    workspace: Workspace, log: Log, flights: pd.DataFrame
) -> None:
    log()
    loaded = workspace.models.load("model:delay@1")
    with pytest.raises(Invalid, match="'hour' is missing"):
        loaded.predict(flights.drop(columns="hour"))
    with pytest.raises(Invalid, match="'distance' takes a number"):
        loaded.predict(flights.assign(distance="far"))


def test_an_onnx_model_is_registered_with_the_evidence_that_it_predicts_alike(workspace: Workspace, log: Log) -> None:
    version = log(format="onnx")
    (parity,) = workspace.record.evidence(version.ref, kind="parity")
    assert parity.verdict == "pass"
    assert 0 <= parity.figures["max_difference"] <= parity.figures["tolerance"] == 1e-5
    assert parity.subject_digest == version.digest


def test_a_model_that_does_not_repeat_its_estimator_is_refused_and_leaves_nothing(workspace: Workspace, log: Log) -> None:
    with pytest.raises(Refused, match="differs from the estimator by"):
        log(format="onnx", tolerance=1e-12)
    with pytest.raises(NotFound):
        workspace.models.show(Ref.parse("model:delay"))


def test_an_onnx_model_without_a_comparison_or_with_a_bad_one_is_refused(workspace: Workspace, log: Log) -> None:
    record = msgspec.structs.replace(log().record, format=Format.ONNX)
    with pytest.raises(Refused, match="not compared"):
        workspace.models.register("other", record=record)
    with pytest.raises(Refused, match="differs from the estimator"):
        workspace.models.register("other", record=record, parity=Parity(rows=5, max_difference=0.1, tolerance=1e-5))


def test_a_file_that_is_not_stored_is_refused(workspace: Workspace, log: Log) -> None:
    record = msgspec.structs.replace(log().record, files={"model.skops": "0" * 64})
    with pytest.raises(Invalid, match=r"'model.skops'"):
        workspace.models.register("other", record=record)


def test_an_unknown_format_names_the_known_ones(log: Log) -> None:
    with pytest.raises(Invalid, match="'joblib' is not a model format") as refused:
        log(format="joblib")
    assert "skops, onnx" in refused.value.mend
    with pytest.raises(Refused, match="A pickle runs whatever is written in it"):
        log(format="pickle")


def test_the_same_record_again_is_the_same_version(workspace: Workspace, log: Log) -> None:
    first = log()
    again = workspace.models.register("delay", record=first.record)
    assert again.ref == first.ref
    other = workspace.models.register("delay", record=msgspec.structs.replace(first.record, params={"depth": 4}))
    assert other.ref == Ref.parse("model:delay@2")


def test_models_are_listed_and_their_versions_counted(workspace: Workspace, log: Log) -> None:
    log("pricing/delay", params={"n": 1})
    log("pricing/delay", params={"n": 2})
    log("other")
    under = workspace.models.list(Filter(under="pricing"))
    assert [str(each.ref) for each in under.items] == ["model:pricing/delay@2"]
    versions = workspace.models.versions(Ref.parse("model:pricing/delay"))
    assert [each.ref.version for each in versions.items] == [2, 1]


def test_two_versions_are_compared(workspace: Workspace, log: Log) -> None:
    one, two = log(params={"n": 1}), log(params={"n": 2})
    assert "params.n" in [change.what for change in workspace.models.diff(one.ref, two.ref).changes]
    with pytest.raises(Invalid, match="not versions of the same model"):
        workspace.models.diff(one.ref, log("other").ref)


def test_the_data_a_model_was_made_from_cannot_be_deleted(workspace: Workspace, log: Log) -> None:
    data = workspace.datasets.add("flights", pa.table({"x": [1, 2]}))
    version = log(datasets=["dataset:flights"])
    assert version.record.datasets == [data.ref]  # pinned to the version it was
    with pytest.raises(InUse, match=r"model:delay@1"):
        workspace.datasets.delete(data.ref, reason="tidy")
    workspace.models.delete(version.ref, reason="mistake")
    workspace.datasets.delete(data.ref, reason="tidy")


def test_data_that_does_not_exist_is_refused(workspace: Workspace, log: Log) -> None:
    with pytest.raises(NotFound, match="no dataset named 'nowhere'"):
        log(datasets=["dataset:nowhere@1"])


def test_a_deleted_version_is_gone_and_its_number_is_not_given_again(workspace: Workspace, log: Log) -> None:
    ref = log().ref
    workspace.models.alias(ref, "keep")
    with pytest.raises(InUse, match="alias @keep"):
        workspace.models.delete(ref, reason="mistake")
    workspace.models.drop_alias(ref, "keep")
    workspace.models.delete(ref, reason="mistake")
    with pytest.raises(NotFound):
        workspace.models.show(ref)
    assert log().ref == Ref.parse("model:delay@2")


def test_tags_and_owner_are_set_and_changed(workspace: Workspace, log: Log) -> None:
    from modelwright.models import Profile

    ref = log(tags={"a": "1", "b": "2"}).ref
    tagged: ModelVersion = workspace.models.tag(ref, {"a": None, "c": "3"})
    assert tagged.tags == {"b": "2", "c": "3"}
    workspace.models.describe(ref, Profile(owner="grace", purpose="Warn of delays."))
    assert log(params={"n": 2}).profile.owner == "grace"  # it belongs to the model, not to one version
