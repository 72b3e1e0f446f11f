"""Features over a table that lies elsewhere: a Delta table, read where it is, by its own versions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from modelwright.core.errors import Invalid
from modelwright.features import FeatureView, count
from modelwright.workspace import Workspace

START = datetime(2026, 1, 1, tzinfo=UTC)
CARDS = FeatureView(name="cards", entity="card", source="dataset:paid", event_time="at", features=["amount"])
HABITS = FeatureView(
    name="habits", entity="card", source="dataset:paid", event_time="at", features=[count(window="1d", name="times")]
)


def paid(*rows: tuple[str, int, float]) -> pa.Table:
    """Rows of card, hour and amount."""
    cards, hours, amounts = zip(*rows, strict=True)
    at = pa.array([START + timedelta(hours=hour) for hour in hours], pa.timestamp("us", "UTC"))
    return pa.table({"card": list(cards), "at": at, "amount": list(amounts)})


def asked(*rows: tuple[str, int]) -> pa.Table:
    at = pa.array([START + timedelta(hours=hour) for _, hour in rows], pa.timestamp("us", "UTC"))
    return pa.table({"card": [card for card, _ in rows], "event_timestamp": at})


@pytest.fixture
def table(tmp_path: Path) -> str:
    place = str(tmp_path / "lake" / "paid")
    write_deltalake(place, paid(("a", 1, 10.0), ("a", 3, 30.0), ("b", 2, 20.0)))
    return place


def test_a_training_set_over_a_delta_table_is_true_to_its_time_and_its_version(embedded: Workspace, table: str) -> None:
    first = embedded.datasets.add_in_place("paid", f"delta:{table}", time_column="at")
    for view in (CARDS, HABITS):
        embedded.features.apply(view)
    requests = asked(("a", 2), ("a", 3), ("b", 1), ("c", 5), ("a", 30))
    made = embedded.features.training(requests, ["features:cards", "features:habits"])
    assert made.sources == [first.ref]
    assert made.table["amount"].to_pylist() == [10.0, 30.0, None, None, 30.0]
    assert made.table["times"].to_pylist() == [1, 2, 0, 0, 0]

    write_deltalake(table, paid(("a", 4, 40.0), ("c", 4, 44.0)), mode="append")
    second = embedded.datasets.add_in_place("paid", f"delta:{table}")
    later = embedded.features.training(requests, ["features:cards"])
    assert (later.sources, later.table["amount"].to_pylist()) == ([second.ref], [10.0, 30.0, None, 44.0, 40.0])
    again = embedded.features.training(requests, ["features:cards"], sources=[first.ref])
    assert again.table["amount"].to_pylist() == [10.0, 30.0, None, None, 30.0]


def test_what_stands_online_of_a_delta_table_equals_offline_and_follows_its_versions(
    embedded: Workspace, table: str
) -> None:
    embedded.datasets.add_in_place("paid", f"delta:{table}", time_column="at")
    for view in (CARDS, HABITS):
        embedded.features.apply(view)
    refs = ["features:cards@1", "features:habits@1"]
    for ref in refs:
        embedded.features.materialise(ref, START + timedelta(hours=10), since=START)
    assert [found.equal for found in embedded.features.verify(refs, 40)] == [True, True]
    write_deltalake(table, paid(("a", 4, 40.0), ("c", 12, 44.0)), mode="append")
    second = embedded.datasets.add_in_place("paid", f"delta:{table}")
    for ref in refs:
        state = embedded.features.materialise(ref, START + timedelta(hours=12), since=START)
        assert (state.source, state.rows) == (second.ref, 3)
    assert [found.equal for found in embedded.features.verify(refs, 40)] == [True, True]
    (use,) = embedded.features.find("cards")
    assert (use.cost.source_rows, use.cost.source_bytes) == (5, second.bytes)


def test_rows_cannot_be_pushed_to_a_table_that_lies_elsewhere(workspace: Workspace, table: str) -> None:
    workspace.datasets.add("paid", paid(("a", 1, 10.0)))
    workspace.pushes.push("dataset:paid", paid(("d", 5, 1.0)), id="before")  # of which no version was made in time
    workspace.datasets.add_in_place("paid", f"delta:{table}", time_column="at")
    workspace.features.apply(CARDS)
    with pytest.raises(Invalid, match=r"dataset:paid@2 lies in place, at .*: no version can be made of what is pushed"):
        workspace.pushes.push("dataset:paid", paid(("d", 6, 1.0)), id="after")
    assert list(workspace.pushes.streams()) == []  # a server does not try for ever
    made = workspace.features.training(asked(("d", 9), ("a", 9)), ["features:cards"])
    assert made.table["amount"].to_pylist() == [None, 30.0]
