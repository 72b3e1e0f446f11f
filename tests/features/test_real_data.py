"""The flights out of New York in 2013: weather, planes, and rolling rates from flights that had landed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from modelwright.core.refs import Ref
from modelwright.features import FeatureView, count, expression, mean
from modelwright.workspace import Settings, Workspace, WorkspaceSettings, open_workspace

DATA = Path(__file__).parents[3] / "shared" / "data" / "flights"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the flights data is not beside this checkout")

# `year, month, day` are those of the scheduled departure; hour and minute those of the actual one, in New York.
TIMES = """
    SELECT *, departure + to_minutes(dep_delay) AS departed, departure + to_minutes(dep_delay + air_time) AS landed_at,
           (arr_delay > 15)::INT AS late
    FROM (
        SELECT *, timezone('America/New_York', make_timestamp(year, month, day, 0, 0, 0)
            + to_minutes(((hour * 60 + minute - dep_delay) % 1440 + 1440) % 1440)) AS departure
        FROM source)
"""
VIEWS = [
    FeatureView(
        name="weather",
        entity="origin",
        source="dataset:weather",
        event_time="time_hour",
        ttl="3h",
        features=["temp", "wind_speed", "visib", "precip"],
    ),
    FeatureView(
        name="planes",
        entity="tailnum",
        source="dataset:planes",
        features=["seats", "manufacturer", expression("age", "2013 - year")],
    ),
    FeatureView(
        name="carrier_delays",
        entity="carrier",
        source="dataset:flights",
        select=TIMES,
        event_time="landed_at",
        features=[mean("late", window="7d", name="carrier_late_7d"), mean("late", window="6h", name="carrier_late_6h")],
    ),
    FeatureView(
        name="route_delays",
        entity=["origin", "dest"],
        source="dataset:flights",
        select=TIMES,
        event_time="departed",
        created_time="landed_at",
        features=[mean("late", window="7d", name="route_late_7d"), count(window="7d", name="route_flights_7d")],
    ),
]
REFS = [view.ref.at(1) for view in VIEWS]


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    settings = Settings(workspace=WorkspaceSettings(name="flights"))
    with open_workspace(tmp_path_factory.mktemp("flights"), settings=settings) as workspace:
        for name in ("flights", "weather", "planes"):
            workspace.datasets.add(name, DATA / f"{name}.csv")
        for view in VIEWS:
            workspace.features.apply(view)
        yield workspace


@pytest.fixture(scope="module")
def requests(flights: Workspace) -> pa.Table:
    """Every flight at its scheduled departure, with its label."""
    rows = flights.datasets.relation("dataset:flights")
    return rows.query("source", f"""
        SELECT origin, dest, carrier, tailnum, departure AS event_timestamp, departed, landed_at, late FROM ({TIMES})
    """).to_arrow_table()  # fmt: skip


def test_every_flight_comes_back_with_features_of_its_hour(flights: Workspace, requests: pa.Table) -> None:
    found = flights.features.training(requests, REFS)
    assert found.table.num_rows == requests.num_rows
    assert found.table.select(requests.column_names).equals(requests)
    filled = {name: 1 - found.table[name].null_count / requests.num_rows for name in found.features}
    assert filled["temp"] > 0.97
    assert filled["seats"] > 0.8
    assert filled["carrier_late_7d"] > 0.99
    assert 0.1 < pc.mean(found.table["carrier_late_7d"]).as_py() < 0.4


def test_a_rate_counts_only_the_flights_that_had_landed(flights: Workspace, requests: pa.Table) -> None:
    sample = requests.slice(1000, 40)
    found = flights.features.training(sample, REFS[2:]).table.to_pylist()
    every = requests.to_pylist()
    week = timedelta(days=7)
    for row in found:
        at = row["event_timestamp"]
        landed = [
            r for r in every if r["landed_at"] is not None and at - week < r["landed_at"] <= at and r["late"] is not None
        ]
        late = [r["late"] for r in landed if r["carrier"] == row["carrier"]]
        assert row["carrier_late_7d"] == (pytest.approx(sum(late) / len(late)) if late else None)
        route = [r for r in landed_since(every, at, week) if (r["origin"], r["dest"]) == (row["origin"], row["dest"])]
        assert row["route_flights_7d"] == len(route)


def landed_since(rows: list[dict[str, Any]], at: datetime, length: timedelta) -> list[dict[str, Any]]:
    """The flights that left within the window and had landed at its end."""
    return [r for r in rows if r["landed_at"] is not None and r["landed_at"] <= at and r["departed"] > at - length]


def test_labels_of_flights_still_in_the_air_change_nothing(flights: Workspace, requests: pa.Table) -> None:
    cut = datetime(2013, 7, 1, 16, tzinfo=UTC)
    before_cut = requests.filter(pc.less_equal(requests["event_timestamp"], cut))
    true = flights.features.training(before_cut, REFS[2:])
    landed = pc.fill_null(pc.less_equal(requests["landed_at"], cut), True)
    rows = flights.datasets.read("dataset:flights")
    other = pc.if_else(landed, rows["arr_delay"], pc.subtract(60, pc.fill_null(rows["arr_delay"], 0)))
    changed = flights.datasets.add("flights", rows.set_column(rows.column_names.index("arr_delay"), "arr_delay", other))
    again = flights.features.training(before_cut, REFS[2:], sources=[changed.ref])
    assert again.sources == [Ref.parse("dataset:flights@2")]
    assert again.table.equals(true.table)


def test_what_is_read_online_in_july_is_what_a_training_set_says_of_july(flights: Workspace) -> None:
    pinned = [Ref.parse(f"dataset:{name}@1") for name in ("weather", "planes", "flights", "flights")]
    for ref, source in zip(REFS, pinned, strict=True):
        flights.features.materialise(
            ref, datetime(2013, 8, 1, tzinfo=UTC), since=datetime(2013, 7, 1, tzinfo=UTC), source=source
        )
    assert [c.mismatches for c in flights.features.verify(REFS, 150)] == [0, 0, 0, 0]


def test_a_hundred_thousand_rows_come_back_once_each_and_in_order(flights: Workspace, requests: pa.Table) -> None:
    many = pa.concat_tables([requests] * 4).slice(0, 100_000)
    joined = flights.features.training(many, REFS).table
    assert joined.select(many.column_names).equals(many)
