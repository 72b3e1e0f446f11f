"""The room through its operations, through every door."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from msgspec.structs import replace

from modelwright.core.errors import Conflict, InUse, Invalid, NotFound, Unavailable
from modelwright.core.refs import Ref
from modelwright.core.wire import decode, encode
from modelwright.features import FeatureView, column, count, expression, maximum, mean
from modelwright.features.durations import since_epoch
from modelwright.features.materialise import batches
from modelwright.features.packing import Timeline, pack
from modelwright.features.records import OnlineRows
from modelwright.store import State
from modelwright.workspace import Workspace

MOMENT = pa.timestamp("us", tz="UTC")


def hour(number: float) -> datetime:
    return datetime(2013, 1, 1, tzinfo=UTC) + timedelta(hours=number)


WEATHER = pa.table(
    {
        "origin": ["JFK", "JFK", "JFK", "EWR"],
        "time_hour": pa.array([hour(1), hour(2), hour(4), hour(1)], MOMENT),
        "temp": [1.0, None, 4.0, -3.5],
        "sky": ["clear", "rain", "fog", "clear"],
    }
)
FLIGHTS = pa.table(
    {
        "carrier": ["UA", "UA", "UA", "DL", None],
        "departed": pa.array([hour(0), hour(1), hour(2), hour(2), hour(2)], MOMENT),
        "landed": pa.array([hour(3), hour(2), hour(5), hour(4), hour(3)], MOMENT),
        "delay": [40.0, 3.0, 20.0, 0.0, 99.0],
    }
)
weather = FeatureView(
    name="weather",
    entity="origin",
    source="dataset:weather",
    event_time="time_hour",
    ttl="3h",
    features=["temp", "sky", expression("measured", "time_hour"), expression("freezing", "temp < 0")],
    owner="ada",
    tags={"tier": "standard"},
)
carriers = FeatureView(
    name="delays/carriers",
    entity="carrier",
    source="dataset:flights",
    select="SELECT *, (delay > 15)::INT AS late FROM source",
    event_time="departed",
    created_time="landed",
    features=[
        mean("late", window="4h", name="late_rate"),
        count(window="4h", name="landings"),
        maximum("delay", window="1d"),
    ],
)


def with_views(workspace: Workspace) -> None:
    workspace.datasets.add("weather", WEATHER)
    workspace.datasets.add("flights", FLIGHTS)
    workspace.features.apply(weather)
    workspace.features.apply(carriers)


@pytest.fixture(scope="module")
def furnish() -> Callable[[Workspace], None]:
    return with_views


@pytest.fixture
def applied(workspace: Workspace) -> Workspace:
    """Two views through every door."""
    return workspace


@pytest.fixture
def here(embedded: Workspace) -> Workspace:
    """Two views, for what is computed alike whatever the door."""
    return embedded


def asked(rows: Sequence[tuple[str | None, str | None, datetime]]) -> pa.Table:
    origins, names, moments = zip(*rows, strict=True)
    return pa.table(
        {"origin": origins, "carrier": names, "event_timestamp": pa.array(moments, MOMENT), "label": range(len(rows))}
    )


ROWS = [
    ("JFK", "UA", hour(1)),
    ("JFK", "UA", hour(3)),
    ("JFK", "UA", hour(3)),
    ("EWR", "DL", hour(3.999)),
    ("EWR", None, hour(4)),
    ("LGA", "XX", hour(6)),
    ("JFK", "UA", hour(0.5)),
]


def test_applying_a_definition_adds_a_version_with_its_types_and_its_source(applied: Workspace) -> None:
    version = applied.features.show(Ref.parse("features:weather"))
    assert version.ref == Ref.parse("features:weather@1")
    assert version.view == weather
    assert version.source == Ref.parse("dataset:weather@1")
    assert [(c.name, c.dtype.value) for c in version.keys] == [("origin", "STRING")]
    assert [c.dtype.value for c in version.columns] == ["FP64", "STRING", "DATETIME", "BOOL"]
    assert version.tags == {"tier": "standard"}


def test_the_same_definition_is_the_same_version(applied: Workspace) -> None:
    assert applied.features.apply(weather).ref == Ref.parse("features:weather@1")
    assert applied.features.apply(replace(weather, ttl="4h")).ref == Ref.parse("features:weather@2")


def test_a_definition_that_does_not_fit_its_source_adds_nothing(applied: Workspace) -> None:
    with pytest.raises(Invalid, match=r"'weather': there is no column 'humidity'\. dataset:weather has .*temp"):
        applied.features.apply(replace(weather, features=[column("humidity")]))
    assert applied.features.show(Ref.parse("features:weather")).ref.version == 1


def test_a_view_of_an_unknown_dataset_is_refused(workspace: Workspace) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        workspace.features.apply(replace(weather, source="dataset:nowhere"))


def test_a_dataset_that_a_view_was_checked_against_is_not_deleted(applied: Workspace) -> None:
    with pytest.raises(InUse, match="features:weather@1"):
        applied.datasets.delete(Ref.parse("dataset:weather@1"))


def test_views_are_listed_by_their_latest_versions(applied: Workspace) -> None:
    applied.features.apply(replace(weather, ttl="4h"))
    assert {str(v.ref) for v in applied.features.list().items} == {"features:weather@2", "features:delays/carriers@1"}
    assert [v.ref.version for v in applied.features.versions(Ref.parse("features:weather")).items] == [2, 1]


def test_a_diff_names_what_changed_and_whether_it_breaks(applied: Workspace) -> None:
    changed = replace(weather, ttl="4h", features=[column("temp"), expression("sky", "upper(sky)"), column("origin2")])
    changed = replace(changed, select="SELECT *, origin AS origin2 FROM source")
    applied.features.apply(changed)
    found = applied.features.diff(Ref.parse("features:weather@1"), Ref.parse("features:weather@2"))
    assert (found.added, found.removed, found.breaking) == (["origin2"], ["measured", "freezing"], True)
    assert [c.field for c in found.changes] == ["select", "sky.sql", "ttl"]
    assert not applied.features.diff(found.after, found.after).breaking


def test_every_row_asked_for_comes_back_once_and_in_order(applied: Workspace) -> None:
    found = applied.features.training(asked(ROWS), ["features:weather", "features:delays/carriers@1"])
    rows = found.table.to_pylist()
    assert [row["label"] for row in rows] == list(range(len(ROWS)))
    assert [row["temp"] for row in rows] == [1.0, None, None, -3.5, None, None, None]
    assert [row["sky"] for row in rows] == ["clear", "rain", "rain", "clear", None, None, None]
    assert [row["late_rate"] for row in rows] == [None, 0.5, 0.5, None, None, None, None]
    assert [row["landings"] for row in rows] == [0, 2, 2, 0, 0, 0, 0]


def test_a_training_set_names_exactly_what_it_came_from(here: Workspace) -> None:
    before = here.features.training(asked(ROWS), ["features:weather"])
    here.datasets.add("weather", WEATHER.slice(0, 1))
    after = here.features.training(asked(ROWS), ["features:weather"])
    assert before.refs == [Ref.parse("features:weather@1"), Ref.parse("dataset:weather@1")]
    assert after.sources == [Ref.parse("dataset:weather@2")]
    assert not after.table.equals(before.table)
    again = here.features.training(asked(ROWS), before.views, sources=before.sources)
    assert again.table.equals(before.table)


def test_a_label_that_moves_in_the_future_moves_no_feature(here: Workspace) -> None:
    rows = asked([("JFK", "UA", hour(4.9)), ("JFK", "DL", hour(3.9))])
    before = here.features.training(rows, ["features:delays/carriers"])
    shifted = FLIGHTS.set_column(3, "delay", pa.array([40.0, 3.0, -500.0, 500.0, 99.0]))
    here.datasets.add("flights", shifted)
    after = here.features.training(rows, ["features:delays/carriers"])
    assert after.sources != before.sources
    assert after.table.equals(before.table)


def test_a_feature_never_takes_the_place_of_another_column(here: Workspace) -> None:
    here.features.apply(replace(weather, name="other"))
    with pytest.raises(Invalid, match="'temp'"):
        here.features.training(asked(ROWS), ["features:weather", "features:other"])


def test_rows_may_come_as_a_list_and_views_are_named_once(here: Workspace) -> None:
    listed = asked(ROWS).to_pylist()
    made = here.features.training(listed, ["features:weather"]).table
    assert made["temp"].equals(here.features.training(asked(ROWS), ["features:weather"]).table["temp"])
    with pytest.raises(Invalid, match="features:weather@1 is named twice"):
        here.features.training(listed, ["features:weather", "features:weather@1"])
    with pytest.raises(Invalid, match="are no table"):
        here.features.training([1, 2], ["features:weather"])
    with pytest.raises(Invalid, match="empty list has no columns"):
        here.features.training([], ["features:weather"])


@pytest.mark.parametrize("missing", ["origin", "event_timestamp"])
def test_a_request_without_a_needed_column_names_it(here: Workspace, missing: str) -> None:
    with pytest.raises(Invalid, match=missing):
        here.features.training(asked(ROWS).drop_columns([missing]), ["features:weather"])


def keys(rows: Sequence[tuple[str | None, str | None, datetime]]) -> list[dict[str, Any]]:
    return [{"origin": origin, "carrier": carrier} for origin, carrier, _ in rows]


BOTH = [Ref.parse("features:weather"), Ref.parse("features:delays/carriers@1")]


def test_an_online_row_is_the_offline_row(applied: Workspace) -> None:
    for view in BOTH:
        applied.features.materialise(view, hour(8), since=hour(0))
    moments = [at for _, _, at in ROWS]
    online = applied.features.online(BOTH, keys(ROWS), now=moments)
    offline = applied.features.training(asked(ROWS), BOTH)
    for read, row in zip(online, offline.table.to_pylist(), strict=True):
        stated = read.pop("measured")
        assert stated == (None if row["measured"] is None else row["measured"].strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        assert read == {name: row[name] for name in read}


def test_a_view_materialised_at_one_moment_keeps_its_ttl_and_windows_afterwards(here: Workspace) -> None:
    for view in BOTH:
        here.features.materialise(view, hour(4))
    key = [{"origin": "JFK", "carrier": "UA"}]

    def at(moment: datetime) -> dict[str, Any]:
        return here.features.online(BOTH, key, now=moment)[0]

    assert (at(hour(4))["sky"], at(hour(4))["landings"]) == ("fog", 1)
    assert at(hour(6.9))["sky"] == "fog"
    assert at(hour(7))["sky"] is None
    assert at(hour(5))["landings"] == 0


def test_reads_before_what_stands_online_are_refused(here: Workspace) -> None:
    here.features.materialise("features:weather", hour(4))
    with pytest.raises(Invalid, match="lies before"):
        here.features.online(BOTH[:1], [{"origin": "JFK"}], now=hour(3))


def test_a_read_may_refuse_what_is_too_old(applied: Workspace) -> None:
    applied.features.materialise("features:weather", hour(4))
    read = [{"origin": "JFK"}]
    assert applied.features.online(BOTH[:1], read, now=hour(5), max_age="1h")[0]["sky"] == "fog"
    with pytest.raises(Unavailable, match="more than 1h"):
        applied.features.online(BOTH[:1], read, now=hour(5) + timedelta(microseconds=1), max_age="1h")


def test_a_view_that_was_not_materialised_cannot_be_read(applied: Workspace) -> None:
    with pytest.raises(Unavailable, match="materialise"):
        applied.features.online(BOTH[:1], [{"origin": "JFK"}])


@pytest.mark.parametrize("key", [{}, {"origin": 1}, {"origin": True}, {"carrier": "UA"}])
def test_a_key_that_does_not_fit_is_refused(here: Workspace, key: dict[str, Any]) -> None:
    here.features.materialise("features:weather", hour(4))
    with pytest.raises(Invalid, match="origin"):
        here.features.online(BOTH[:1], [key], now=hour(4))


def test_materialising_again_changes_nothing_and_leaves_no_event(applied: Workspace) -> None:
    first = applied.features.materialise("features:weather", hour(4))
    assert applied.features.materialise("features:weather", hour(4)) == first
    assert applied.features.materialised(Ref.parse("features:weather")) == first
    assert first.rows == 2


def test_what_was_known_later_is_not_overwritten(applied: Workspace) -> None:
    applied.features.materialise("features:weather", hour(4))
    with pytest.raises(Conflict, match=r"later than .* mw features materialise features:weather@1 --since 20"):
        applied.features.materialise("features:weather", hour(3))


def test_entities_that_left_the_source_leave_the_online_store(here: Workspace) -> None:
    here.features.materialise("features:weather", hour(4))
    here.datasets.add("weather", WEATHER.slice(0, 3))
    here.features.materialise("features:weather", hour(4.5))
    assert here.features.online(BOTH[:1], [{"origin": "EWR"}], now=hour(4.5))[0]["sky"] is None


def test_a_broken_off_materialisation_stays_unseen_and_goes_on(applied: Workspace) -> None:
    before = applied.features.materialise("features:weather", hour(3))
    plan = applied.features.plan(Ref.parse("features:weather"), until=hour(4))

    ticks = since_epoch(hour(4))
    first, second = batches(weather, WEATHER, ticks, ticks, rows=1, size=10**6)
    assert applied.features.load(plan.view, generation=plan.generation, rows=first) == 1
    assert applied.features.arrived(plan.view, generation=plan.generation) == 1
    assert applied.features.materialised(plan.view) == before
    with pytest.raises(Conflict, match=r"Of 2 rows .* 1 have arrived"):
        applied.features.publish(plan.view, state=replace(plan, rows=2))
    for again in (first, second):
        applied.features.load(plan.view, generation=plan.generation, rows=again)
    assert applied.features.arrived(plan.view, generation=plan.generation) == 2
    made = applied.features.materialise("features:weather", hour(4))
    held = first.size + second.size
    assert made == replace(plan, rows=2, waiting=False, bytes=held, seconds=made.seconds)


def test_a_row_that_is_no_timeline_is_refused(here: Workspace) -> None:

    disordered = Timeline([2, 1], [2, 1], [[0.0, 1.0]] * 4)
    shapes = [Timeline([1], [1], [[0.0]]), Timeline([1], [1, 2], [[0.0]] * 4), disordered]
    whole = pack(Timeline([1], [1], [[0.0]] * 4))
    for packed in (b"", b"hello", whole[:-1], whole + b"?", b"\1" + whole, *map(pack, shapes)):
        sent = OnlineRows(keys=['["JFK"]'], sizes=[len(packed)], packed=b64encode(packed).decode())
        with pytest.raises(Invalid, match="not a packed timeline"):
            here.features.load(BOTH[0], generation="g", rows=sent)
    with pytest.raises(Invalid, match="1 rows of 7 bytes"):
        here.features.load(BOTH[0], generation="g", rows=OnlineRows(keys=["[1]"], sizes=[7], packed="aGVsbG8="))
    with pytest.raises(Invalid, match="no base64"):
        here.features.load(BOTH[0], generation="g", rows=OnlineRows(keys=["[1]"], sizes=[7], packed="?"))


def test_versions_of_a_view_stand_online_side_by_side(here: Workspace) -> None:
    here.features.materialise("features:weather@1", hour(4))
    here.features.apply(replace(weather, ttl="30m"))
    here.features.materialise("features:weather@2", hour(4))
    sky = [
        here.features.online([Ref.parse(f"features:weather@{n}")], [{"origin": "JFK"}], now=hour(5))[0]["sky"]
        for n in (1, 2)
    ]
    assert sky == ["fog", None]


def test_a_retired_version_leaves_the_online_store_and_keeps_its_definition(applied: Workspace) -> None:
    applied.features.materialise("features:weather@1", hour(4))
    applied.features.apply(replace(weather, ttl="30m"))
    retired = applied.features.retire(Ref.parse("features:weather@1"), successor=Ref.parse("features:weather@2"))
    assert (retired.state, retired.successor) == (State.RETIRED, Ref.parse("features:weather@2"))
    assert applied.features.materialised(retired.ref) is None
    with pytest.raises(Conflict, match=r"retired.*features:weather@2"):
        applied.features.materialise("features:weather@1", hour(5))


def test_a_sample_of_edges_and_times_finds_no_difference_and_is_evidence(applied: Workspace) -> None:
    for view in BOTH:
        applied.features.materialise(view, hour(6), since=hour(0))
    found = applied.features.verify(BOTH, 40)
    assert [(c.rows, c.mismatches, c.equal) for c in found] == [(40, 0, True), (40, 0, True)]
    assert all(c.evidence for c in found)


def test_a_row_that_was_tampered_with_is_found(here: Workspace) -> None:

    plan = here.features.plan(BOTH[0], until=hour(4))
    ticks, wrong = since_epoch(hour(4)), WEATHER.set_column(2, "temp", pa.array([1.0, 2.0, 4.5, -3.5]))
    (rows,) = batches(weather, wrong, ticks, ticks, rows=10, size=10**6)
    here.features.load(plan.view, generation=plan.generation, rows=rows)
    here.features.publish(plan.view, state=replace(plan, rows=len(rows.keys)))
    sample = pa.table({"origin": ["JFK", "EWR"], "event_timestamp": pa.array([hour(4), hour(4)], MOMENT)})
    (found,) = here.features.verify(BOTH[:1], sample)
    assert (found.rows, found.values, found.mismatches, found.equal) == (2, 8, 1, False)
    (example,) = found.examples
    assert (example.entity, example.feature, example.online, example.offline) == ({"origin": "JFK"}, "temp", 4.5, 4.0)


def test_a_sample_outside_of_what_stands_online_is_refused(here: Workspace) -> None:
    here.features.materialise("features:weather", hour(4))
    sample = pa.table({"origin": ["JFK"], "event_timestamp": pa.array([hour(5)], MOMENT)})
    with pytest.raises(Invalid, match="stands online for"):
        here.features.verify(BOTH[:1], sample)


def test_a_registration_whose_parts_contradict_each_other_is_refused(here: Workspace) -> None:
    version = here.features.show(BOTH[0])
    given = {"view": version.view, "source": version.source, "keys": version.keys, "columns": version.columns}
    for wrong in ({"keys": []}, {"columns": version.columns[1:]}, {"source": Ref.parse("dataset:flights@1")}):
        with pytest.raises(Invalid):
            here.features.register("weather", **(given | wrong))
    with pytest.raises(Invalid):
        here.features.register("another", **given)


def test_a_definition_travels_as_json() -> None:

    for view in (weather, carriers):
        assert decode(encode(view), FeatureView) == view
        assert msgspec.json.decode(encode(view))["source"] == str(view.source)


def test_rows_may_come_as_a_data_frame(embedded: Workspace) -> None:
    import pandas as pd

    embedded.datasets.add("weather", WEATHER)
    embedded.features.apply(weather)
    frame = pd.DataFrame({"origin": pd.Categorical(["EWR", "JFK"]), "event_timestamp": [hour(1), hour(2)]}, index=[7, 3])
    found = embedded.features.training(frame, ["features:weather"])
    assert found.table["sky"].to_pylist() == ["clear", "rain"]
    assert found.table.column_names[:2] == ["origin", "event_timestamp"]


def test_everything_that_happens_to_a_view_is_on_the_record(embedded: Workspace) -> None:
    embedded.datasets.add("weather", WEATHER)
    embedded.features.apply(weather)
    embedded.features.materialise("features:weather", hour(4))
    embedded.features.materialise("features:weather", hour(4))
    embedded.features.verify(["features:weather"], 10)
    embedded.features.retire(Ref.parse("features:weather@1"))
    events = [e for e in embedded.record.history(Ref.parse("features:weather")).items if e.action.startswith("features.")]
    assert sorted(e.action.rsplit(".", 1)[-1] for e in events) == ["materialised", "registered", "retired", "verified"]
    made = next(e for e in events if e.action == "features.view.materialised")
    assert (made.inputs, made.outputs) == (["dataset:weather@1"], ["features:weather@1"])
