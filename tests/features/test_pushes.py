"""Rows that stream in: online at once, offline too, each once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from modelwright.core.errors import Conflict, Invalid
from modelwright.core.refs import Ref
from modelwright.features import FeatureView, count, distinct, last, mean
from modelwright.features.keys import key_text
from modelwright.features.materialise import arrivals, timelines
from modelwright.features.packing import pack, unpack
from modelwright.features.ports import Change
from modelwright.features.sessions import sessions
from modelwright.features.timeline import merge, read
from modelwright.features.turn import FeatureTurn
from modelwright.features.views import FeatureSettings
from modelwright.workspace import Workspace

MOMENT = pa.timestamp("us", tz="UTC")
SOURCE = Ref.parse("dataset:paid")
NOW = datetime.now(UTC).replace(microsecond=0)


def paid(*rows: tuple[str | None, float, float | None]) -> pa.Table:
    """Card, hours ago, amount."""
    cards, hours, amounts = zip(*rows, strict=True) if rows else ((), (), ())
    at = pa.array([NOW - timedelta(hours=h) for h in hours], MOMENT)
    return pa.table({"card": pa.array(cards, pa.string()), "at": at, "amount": pa.array(amounts, pa.float64())})


newest = FeatureView(name="cards", entity="card", source=SOURCE, event_time="at", features=["amount"])
windows = FeatureView(
    name="counts",
    entity="card",
    source=SOURCE,
    event_time="at",
    features=[count(window="10h", name="often"), mean("amount", window="10h", name="usual")],
)
VIEWS = [Ref.parse("features:cards"), Ref.parse("features:counts")]
KEYS = [{"card": c} for c in ("a", "b", "c")]


def standing(workspace: Workspace) -> Workspace:
    workspace.datasets.add("paid", paid(("a", 9, 10.0), ("a", 3, 20.0), ("b", 2, 5.0)))
    for view in (newest, windows):
        workspace.features.apply(view)
        workspace.features.materialise(view.ref)
    return workspace


def both(workspace: Workspace) -> list[dict[str, Any]]:
    """What is read online, which must be what a training set says of the present."""
    now = datetime.now(UTC)
    online = list(workspace.features.online(VIEWS, KEYS, now=now))
    asked = pa.Table.from_pylist(KEYS).append_column("event_timestamp", pa.array([now] * 3, MOMENT))
    offline = workspace.features.training(asked, VIEWS).table.drop_columns(["card", "event_timestamp"]).to_pylist()
    assert online == offline
    return online


def test_what_is_pushed_is_online_and_offline(workspace: Workspace) -> None:
    here = standing(workspace)
    here.pushes.push(SOURCE, [{"card": "a", "at": (NOW - timedelta(hours=1)).isoformat(), "amount": 60}], id="1")
    here.pushes.push(SOURCE, paid(("c", 0.5, 7.0), ("b", 4, 1.0)), id="2")
    here.pushes.push(SOURCE, paid(("c", 0.5, 7.0), ("b", 4, 1.0)), id="2")
    assert both(here) == [
        {"amount": 60.0, "often": 3, "usual": 30.0},
        {"amount": 5.0, "often": 2, "usual": 3.0},
        {"amount": 7.0, "often": 1, "usual": 7.0},
    ]
    assert here.datasets.show(SOURCE).rows == 6
    here.pushes.push(SOURCE, paid(("b", 0.1, 9.0)))
    assert [row["amount"] for row in both(here)] == [60.0, 9.0, 7.0]
    found = here.pushes.freshness(VIEWS[0])
    assert (found.behind, found.unfolded) == (0, 0)
    assert all(c.equal for c in here.features.verify(VIEWS, 20))


def test_the_same_push_again_is_that_push(embedded: Workspace) -> None:
    here = standing(embedded)
    first = here.pushes.push(SOURCE, paid(("a", 1, 1.0)), id="once")
    again = here.pushes.push(SOURCE, paid(("a", 1, 1.0)), id="once")
    assert (first.number, first.repeated, again.number, again.repeated) == (1, False, 1, True)
    for other in (paid(("a", 1, 1.0), ("b", 1, 1.0)), paid(("a", 1, 2.0))):
        with pytest.raises(Conflict, match="other rows"):
            here.pushes.push(SOURCE, other, id="once")
    here.pushes.fold(SOURCE)
    assert here.pushes.push(SOURCE, paid(("a", 1, 1.0)), id="once").repeated
    assert here.features.online(VIEWS[1:], KEYS[:1])[0]["often"] == 3
    assert here.pushes.pending(SOURCE) == []


def test_a_view_that_was_not_brought_up_to_date_is_by_the_next_push(embedded: Workspace) -> None:
    here = standing(embedded)
    store = here.pushes.online
    assert store is not None
    before = store.states()
    here.pushes.push(SOURCE, paid(("a", 1, 1.0)))
    for state in before.values():  # as if the process had been killed before the views were told
        store.drop(state.view)
        here.features.materialise(state.view, state.until, source=state.source)
    here.pushes.push(SOURCE, paid(("b", 1, 2.0)))
    assert [row["often"] for row in both(here)] == [3, 2, 0]


def test_materialising_again_computes_only_what_changed(embedded: Workspace) -> None:
    here = standing(embedded)
    first = here.features.materialised(VIEWS[1])
    here.pushes.push(SOURCE, paid(("c", 1, 1.0)))
    sent = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(here.caller, name)

        def call(self, room: Any, operation: Any, arguments: Any) -> Any:
            if "rows" in arguments:
                sent.extend(arguments["rows"].keys)
            return here.caller.call(room, operation, arguments)

    made = here.features.over(Counting()).materialise(VIEWS[1])
    assert sent == ['["c"]']
    assert first is not None
    assert (made.generation, made.source, made.rows) == (first.generation, SOURCE.at(2), 3)
    assert both(here)[2]["often"] == 1
    assert here.features.materialise(VIEWS[1], whole=True).generation != first.generation
    assert both(here)[2]["often"] == 1


def test_a_push_that_comes_while_rows_are_compared_is_no_difference(embedded: Workspace) -> None:
    here = standing(embedded)
    pushes = [paid(("a", 1, 99.0))]

    class Pushing:
        """Somebody pushes right before the rows are read online."""

        def __getattr__(self, name: str) -> Any:
            return getattr(here.caller, name)

        def call(self, room: Any, operation: Any, arguments: Any) -> Any:
            if operation.name == "online" and pushes:
                here.pushes.push(SOURCE, pushes.pop())
            return here.caller.call(room, operation, arguments)

    (found,) = here.features.over(Pushing()).verify(VIEWS[:1], 20)
    assert (pushes, found.rows, found.mismatches, found.equal) == ([], 20, 0, True)
    assert len(here.record.evidence(VIEWS[0].at(1), "online-offline")) == 1


def test_rows_that_wait_for_their_time_come_with_it(embedded: Workspace) -> None:
    embedded.datasets.add("paid", paid(("a", 9, 10.0), ("a", 3, 20.0), ("b", 2, 5.0)))
    embedded.features.apply(newest)
    state = embedded.features.materialise(VIEWS[0], NOW - timedelta(hours=5))
    assert (state.waiting, state.rows) == (True, 1)
    state = embedded.features.materialise(VIEWS[0], NOW - timedelta(hours=1))
    assert (state.waiting, state.rows) == (False, 2)
    assert [row["amount"] for row in embedded.features.online(VIEWS[:1], KEYS)] == [20.0, 5.0, None]


def test_rows_that_do_not_fit_are_refused(embedded: Workspace) -> None:
    here = standing(embedded)
    for wrong, said in (
        (paid(("a", 1, 1.0)).drop_columns(["amount"]), "amount missing"),
        ([{"card": 1, "at": "2026-01-01T00:00:00Z", "amount": 1.0}], "do not fit"),
        ([{"card": "a", "at": "2026-01-01T00:00:00Z", "amount": 1.0, "more": 1}], "more not among them"),
    ):
        with pytest.raises(Invalid, match=said):
            here.pushes.push(SOURCE, wrong)
    with pytest.raises(Invalid, match="base64"):
        here.pushes.accept(SOURCE, id="1", data="?")
    with pytest.raises(Invalid, match="as a whole"):
        here.pushes.accept(SOURCE.at(1), id="1", data="")


def test_small_folds_do_not_make_many_parts(embedded: Workspace) -> None:
    here = standing(embedded)
    for number in range(5):
        here.pushes.push(SOURCE, paid(("a", 1, float(number))))
        here.pushes.fold(SOURCE)
    version = here.datasets.show(SOURCE)
    assert (version.rows, [part.rows for part in version.parts]) == (8, [7, 1])
    assert here.datasets.read(SOURCE)["amount"].to_pylist() == [10.0, 20.0, 5.0, *map(float, range(5))]


def identity(connection: Any) -> Any:
    return connection


def unopened() -> Any:
    raise AssertionError("a session of DuckDB was opened, and nothing has to be computed")


def test_rows_of_views_that_only_name_columns_are_taken_as_they_lie(embedded: Workspace) -> None:
    big = 2**53 + 1
    rows = pa.table(
        {
            "Card": ["a", None, "b", "c", "ü"],
            "at": pa.array([1, 2, None, 4, 5], MOMENT),
            "known": pa.array([3, 2, 3, None, 5], MOMENT),
            "amount": pa.array([1.5, 2.0, 3.0, 4.0, float("nan")], pa.float32()),
            "n": pa.array([big, 1, 2, 3, None], pa.int64()),
            "yes": [True, None, False, None, False],
            "word": ["x", "y", "z", None, ""],
        }
    )
    at = {"entity": "card", "source": SOURCE, "event_time": "at"}
    sorts: list[dict[str, Any]] = [
        {"features": ["amount", "n", "yes", "word"]},
        {"features": ["amount", "n"], "created_time": "known"},
        {
            "features": [
                mean("n", window="3h"),
                distinct("word", window="3h"),
                last("amount", window="3h"),
                count(window="1h"),
            ]
        },
    ]
    for each in sorts:
        computed = FeatureView(name="v", select="SELECT * FROM source", **at, **each)
        with sessions() as connection:
            expected = arrivals(computed, [(7, rows)], partial(identity, connection))
            arrivals(plain := replace(computed, select=None), [(7, rows)], partial(identity, connection))
        assert arrivals(plain, [(7, rows)], unopened) == expected
        assert set(expected) == {'["a"]', '["ü"]'} if "created_time" in each else {'["a"]', '["c"]', '["ü"]'}


hours = st.integers(0, 8)
row_lists = st.lists(st.tuples(st.sampled_from("ab"), hours, hours, st.none() | st.integers(0, 3).map(float)), max_size=10)


@settings(max_examples=15, deadline=None)
@given(row_lists, st.lists(st.tuples(st.integers(1, 3), row_lists), max_size=3), st.booleans(), st.booleans(), hours)
def test_rows_merged_one_push_after_the_other_are_as_if_they_had_always_been_there(
    before: Any, pushed: Any, windowed: bool, created: bool, since: int
) -> None:
    def table(rows: Any) -> pa.Table:
        keys, event, known, x = zip(*rows, strict=True) if rows else ((), (), (), ())
        times = {"happened": event, "learned": known}
        return pa.table(
            {"key": pa.array(keys, pa.string()), "x": pa.array(x, pa.float64())}
            | {name: pa.array([t * 3_600_000_000 for t in each], MOMENT) for name, each in times.items()}
        )

    made: Any = ["x"]
    if windowed:
        made = [count(window="3h"), mean("x", window="3h"), distinct("x", window="3h"), last("x", window="3h")]
    view = FeatureView(
        name="v",
        entity="key",
        source=SOURCE,
        event_time="happened",
        created_time="learned" if created else None,
        features=made,
    )
    begin, end = since * 3_600_000_000, 20 * 3_600_000_000
    held = {f'["{key[0]}"]': pack(timeline) for key, timeline in timelines(view, table(before), begin, end)}
    rows = merge(view, 0, begin)
    for number, (times, batch) in enumerate(pushed, 1):
        with sessions() as connection:
            arrived = arrivals(view, [(number, table(batch))], partial(identity, connection))
        for key, found in arrived.items():
            for _ in range(times):  # again and again is once
                held[key] = rows(held.get(key), found)
    every = before + [row for _, batch in pushed for row in batch]
    expected = {f'["{key[0]}"]': timeline for key, timeline in timelines(view, table(every), begin, end)}
    from modelwright.features import engine

    columns = engine.describe(view, table([]))[1]
    for key in held.keys() | expected.keys():
        for at in range(since, 12):
            ticks = at * 3_600_000_000
            answers = [read(view, columns, t, ticks) if t else None for t in (unpack(held[key]) if key in held else None,
                                                                              expected.get(key))]  # fmt: skip
            nothing = dict.fromkeys(view.names) if not windowed else None
            if None in answers:
                there = next(a for a in answers if a is not None)
                assert nothing is None or there == nothing
                assert nothing is not None or not any(there[n] for n in there if "count" in n)
            else:
                assert answers[0] == answers[1], (key, at)


def test_a_view_whose_row_cannot_be_read_holds_up_no_other(embedded: Workspace) -> None:
    here = standing(embedded)
    store = here.pushes.online
    assert store is not None
    (state,) = [each for view, each in store.states().items() if view.name == "cards"]
    assert store.update([Change(state, [key_text(("a",))], lambda key, held: b"no row at all")]) != [None]
    with pytest.raises(ValueError, match="its head is not one"):
        here.pushes.push(SOURCE, paid(("a", 1, 60.0), ("b", 1, 6.0)), id="1")
    (row,) = here.features.online([VIEWS[1]], [{"card": "b"}])
    assert row == {"often": 2, "usual": 5.5}
    assert [here.pushes.freshness(view).behind for view in VIEWS] == [1, 0]


def test_pushes_that_fit_their_dataset_no_longer_hold_up_no_others(embedded: Workspace) -> None:
    here = standing(embedded)
    here.datasets.add("aside", pa.table({"id": [1]}), key="id")
    here.pushes.push("dataset:aside", [{"id": 2}])
    here.datasets.add("aside", pa.table({"id": [1], "new": [2]}), key="id")
    here.pushes.push(SOURCE, paid(("b", 0.1, 9.0)))
    turn = FeatureTurn(here.features, here.pushes, FeatureSettings())
    told = list(turn.turn(NOW))
    assert "The pushes of dataset:aside stay in the journal" in told[0] and "new missing" in told[0]
    assert told[1] == "Folded the pushes of dataset:paid into dataset:paid@2."
    assert here.pushes.streams() == [Ref.parse("dataset:aside")]
