"""A view version has the types that it says: a dataset whose columns change asks for another version of the view."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from modelwright.core.errors import Conflict, Invalid
from modelwright.core.refs import Ref
from modelwright.features import FeatureView, load_views
from modelwright.workspace import Workspace

VIEW = FeatureView(name="sizes", entity="id", source="dataset:sizes", features=["size"])
REF = Ref.parse("features:sizes@1")
WHOLE, TEXT = pa.table({"id": [1, 2], "size": [10, 20]}), pa.table({"id": [1, 2], "size": ["S", "M"]})


def asked() -> pa.Table:
    return pa.table({"id": [1], "event_timestamp": pa.array([datetime.now(UTC)], pa.timestamp("us", "UTC"))})


def test_a_column_of_another_type_is_refused_and_what_stands_online_stays(workspace: Workspace) -> None:
    workspace.datasets.add("sizes", WHOLE, key="id")
    workspace.features.apply(VIEW)
    workspace.features.materialise(REF)
    workspace.datasets.add("sizes", TEXT)
    for way in (lambda: workspace.features.materialise(REF), lambda: workspace.features.training(asked(), REF)):
        with pytest.raises(Conflict, match="size is STRING there, and INT64 in this version") as refused:
            way()
        assert "mw features apply" in refused.value.mend
    assert workspace.features.online([REF], [{"id": 1}]) == [{"size": 10}]
    old = Ref.parse("dataset:sizes@1")
    assert workspace.features.training(asked(), REF, sources=[old]).table["size"].to_pylist() == [10]
    assert workspace.features.materialise(REF, source=old).source == old


def test_applied_again_it_is_a_version_with_the_types_of_now(workspace: Workspace) -> None:
    workspace.datasets.add("sizes", WHOLE, key="id")
    workspace.features.apply(VIEW)
    workspace.datasets.add("sizes", TEXT)
    second = workspace.features.apply(VIEW)
    assert (second.ref.version, second.columns[0].dtype.value) == (2, "STRING")
    assert workspace.features.apply(VIEW).ref == second.ref
    workspace.features.materialise(second.ref)
    assert workspace.features.online([second.ref], [{"id": 2}]) == [{"size": "M"}]
    assert workspace.features.diff(REF, second.ref) is not None
    workspace.datasets.add("sizes", pa.table({"id": [3], "size": [1]}))
    third = workspace.features.apply(VIEW)
    assert (third.ref.version, third.columns[0].dtype.value) == (3, "INT64")


def test_pushes_of_other_types_leave_what_stands_online(embedded: Workspace) -> None:
    embedded.datasets.add("sizes", WHOLE, key="id")
    embedded.features.apply(VIEW)
    embedded.features.materialise(REF)
    embedded.datasets.add("sizes", TEXT)
    embedded.pushes.push("dataset:sizes", [{"id": 1, "size": "L"}], id="a")
    assert embedded.features.online([REF], [{"id": 1}]) == [{"size": 10}]
    assert embedded.pushes.freshness(REF).behind == 1


def test_a_file_may_hold_its_views_in_lists(tmp_path: Path) -> None:
    file = tmp_path / "features.py"
    body = "FeatureView(name=f'v{n}', entity='id', source='dataset:x', features=['a'])"
    file.write_text(f"from modelwright.features import FeatureView\nVIEWS = [{body} for n in range(3)]\nfirst = VIEWS[0]\n")
    assert [each.name for each in load_views(file)] == ["v0", "v1", "v2"]
    file.write_text("views = []\n")
    with pytest.raises(Invalid, match="defines no FeatureView"):
        load_views(file)
