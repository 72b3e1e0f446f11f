"""The joins against an oracle that knows nothing of SQL. Values are halves, so that sums are exact in any order."""

from __future__ import annotations

import importlib.util
import random
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.core.errors import Invalid
from modelwright.features import engine, sql
from modelwright.features.definitions import (
    FeatureView,
    column,
    count,
    deviation,
    distinct,
    expression,
    last,
    maximum,
    mean,
    minimum,
    total,
)
from modelwright.features.materialise import timelines
from modelwright.features.packing import NOTHING
from modelwright.features.sessions import sessions
from modelwright.features.timeline import read

_spec = importlib.util.spec_from_file_location("features_oracle", Path(__file__).with_name("oracle.py"))
assert _spec is not None
assert _spec.loader is not None
oracle = importlib.util.module_from_spec(_spec)
sys.modules["features_oracle"] = oracle
_spec.loader.exec_module(oracle)

SECOND = 1_000_000
MOMENT = pa.timestamp("us", tz="UTC")
times = st.integers(0, 12).map(lambda n: n * SECOND)
values = st.none() | st.integers(-4, 4).map(lambda n: n / 2)
keys = st.none() | st.sampled_from(["a", "b"])
rows = st.lists(
    st.builds(
        oracle.Row,
        key=keys,
        event=st.none() | times,
        created=st.none() | times,
        values=st.tuples(values, values),
    ),
    max_size=12,
)
requests = st.lists(st.tuples(keys | st.just("stranger"), times), max_size=8)


def source_of(given_rows: list[Any]) -> pa.Table:
    return pa.table(
        {
            "key": pa.array([r.key for r in given_rows], pa.string()),
            "happened": pa.array([r.event for r in given_rows], MOMENT),
            "learned": pa.array([r.created for r in given_rows], MOMENT),
            "x": pa.array([r.values[0] for r in given_rows], pa.float64()),
            "y": pa.array([r.values[1] for r in given_rows], pa.float64()),
        }
    )


def asked(wanted: list[tuple[str | None, int]]) -> tuple[pa.Table, pa.Array]:
    return pa.table({"key": pa.array([k for k, _ in wanted], pa.string())}), pa.array([t for _, t in wanted], pa.int64())


def joined(view: FeatureView, given_rows: list[Any], wanted: list[tuple[str | None, int]]) -> list[tuple[Any, ...]]:
    table, at = asked(wanted)
    found = [c.to_pylist() for c in engine.join(view, source_of(given_rows), table, at)]
    return list(zip(*found, strict=True))


def online(
    view: FeatureView, given_rows: list[Any], wanted: list[tuple[str | None, int]], since: int, until: int
) -> list[tuple[Any, ...]]:
    source = source_of(given_rows)
    columns = engine.describe(view, source)[1]
    held = dict(timelines(view, source, since, until))
    return [
        tuple(read(view, columns, held.get((key,), NOTHING) if key is not None else NOTHING, at).values())
        for key, at in wanted
    ]


def newest_view(created: bool, ttl: str | None) -> FeatureView:
    return FeatureView(
        name="newest",
        entity="key",
        source="dataset:rows",
        event_time="happened",
        created_time="learned" if created else None,
        ttl=ttl,
        features=["x", column("y")],
    )


AGGREGATES = (count, mean, total, minimum, maximum, deviation, distinct, last)
WINDOWS = (("1s", False), ("5s", False), ("4s", True))


def window_view(created: bool) -> FeatureView:
    made = [
        each(what, window=window, tumbling=tumbling, name=f"{each.__name__}_{what}_{window}_{tumbling}")
        for window, tumbling in WINDOWS
        for what in ("x", "y")
        for each in AGGREGATES
    ]
    return FeatureView(
        name="windows",
        entity="key",
        source="dataset:rows",
        event_time="happened",
        created_time="learned" if created else None,
        features=[count(window="1s", name="events_1s"), count(window="5s", name="events_5s"), *made],
    )


def expected_windows(given_rows: list[Any], key: str | None, at: int) -> tuple[Any, ...]:
    found = {
        (window, i): oracle.window(given_rows, key, at, int(window[:-1]) * SECOND, i, tumbling=tumbling)
        for window, tumbling in WINDOWS
        for i in (0, 1)
    }
    listed = [found[window, i][each.__name__] for window, _ in WINDOWS for i in (0, 1) for each in AGGREGATES]
    return (found["1s", 0]["events"], found["5s", 0]["events"], *listed)


def close(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> bool:
    """Equal, but for the last places of a deviation: its order of addition is not ours."""
    return [list(map(rounded, row)) for row in found] == [list(map(rounded, row)) for row in expected]


def rounded(value: Any) -> Any:
    return round(value, 9) if isinstance(value, float) else value


def at_once(given_rows: list[Any]) -> list[Any]:
    """The same rows, known as they happen."""
    return [oracle.Row(r.key, r.event, r.event, r.values) for r in given_rows]


@given(rows, requests, st.booleans(), st.sampled_from([None, 1, 4]))
def test_the_newest_known_row_is_the_oracles(given_rows: list[Any], wanted: Any, created: bool, ttl: int | None) -> None:
    view = newest_view(created, ttl and f"{ttl}s")
    truth = given_rows if created else at_once(given_rows)
    length = ttl and ttl * SECOND
    assert joined(view, given_rows, wanted) == [oracle.newest(truth, key, at, length) for key, at in wanted]


@given(rows, requests, st.booleans())
def test_windows_are_the_oracles(given_rows: list[Any], wanted: Any, created: bool) -> None:
    truth = given_rows if created else at_once(given_rows)
    expected = [expected_windows(truth, key, at) for key, at in wanted]
    assert close(joined(window_view(created), given_rows, wanted), expected)


@given(rows, requests, st.booleans(), st.booleans(), times, times)
def test_an_online_row_equals_the_offline_row_at_every_time_it_covers(
    given_rows: list[Any], wanted: Any, created: bool, windowed: bool, one: int, other: int
) -> None:
    since, until = sorted((one, other))
    view = window_view(created) if windowed else newest_view(created, "4s")
    covered = [(key, at) for key, at in wanted if since <= at <= until]
    assert close(online(view, given_rows, covered, since, until), joined(view, given_rows, covered))


@given(rows, requests, st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_what_was_not_known_yet_changes_nothing(
    given_rows: list[Any], wanted: Any, created: bool, windowed: bool, rng: random.Random
) -> None:
    view = window_view(created) if windowed else newest_view(created, "4s")
    truth = given_rows if created else at_once(given_rows)
    for key, at in wanted[:1]:
        shifted = [
            row
            if oracle.usable(true) and max(true.event, true.created) <= at
            else replace(row, values=(rng.random(), None))
            for row, true in zip(given_rows, truth, strict=True)
        ]
        assert close(joined(view, shifted, [(key, at)]), joined(view, given_rows, [(key, at)]))


@settings(max_examples=10, deadline=None)
@given(rows, requests, st.randoms(use_true_random=False))
def test_the_order_of_rows_in_the_source_changes_nothing(given_rows: list[Any], wanted: Any, rng: random.Random) -> None:
    shuffled = given_rows.copy()
    rng.shuffle(shuffled)
    for view in (newest_view(True, None), window_view(True)):
        assert close(joined(view, shuffled, wanted), joined(view, given_rows, wanted))


# The edges, spelled out


def one_row(event: int, created: int | None = None) -> list[Any]:
    return [oracle.Row("a", event, event if created is None else created, (1.0, 2.0))]


def test_a_row_counts_from_its_own_moment_on() -> None:
    view = newest_view(False, None)
    assert joined(view, one_row(5 * SECOND), [("a", 5 * SECOND - 1), ("a", 5 * SECOND)]) == [(None, None), (1.0, 2.0)]


def test_a_row_holds_for_less_than_its_ttl() -> None:
    view = newest_view(False, "4s")
    assert joined(view, one_row(0), [("a", 4 * SECOND - 1), ("a", 4 * SECOND)]) == [(1.0, 2.0), (None, None)]


def test_a_window_leaves_out_its_beginning_and_holds_its_end() -> None:
    view = FeatureView(name="w", entity="key", source="dataset:rows", event_time="happened", features=[count(window="4s")])
    ends = [("a", -1), ("a", 0), ("a", 4 * SECOND - 1), ("a", 4 * SECOND)]
    assert joined(view, one_row(0), ends) == [(0,), (1,), (1,), (0,)]


def test_a_piece_that_tumbles_is_whole_and_holds_its_end() -> None:
    whole = count(window="4s", tumbling=True)
    view = FeatureView(name="w", entity="key", source="dataset:rows", event_time="happened", features=[whole])
    times = [("a", at * SECOND) for at in (4, 7, 8, 11, 12)]
    assert joined(view, one_row(4 * SECOND), times) == [(1,), (1,), (0,), (0,), (0,)]
    assert joined(view, one_row(5 * SECOND), times) == [(0,), (0,), (1,), (1,), (0,)]
    assert joined(view, one_row(-SECOND), [("a", -1), ("a", 0), ("a", 4 * SECOND)]) == [(0,), (1,), (0,)]


def test_the_last_of_a_window_may_be_a_text_or_a_moment_and_so_may_what_is_counted() -> None:
    moments = pa.array([1, 2, 3], MOMENT)
    source = pa.table({"key": ["a"] * 3, "happened": moments, "shop": ["x", "y", None], "seen": moments})
    made = [last("shop", window="1h"), distinct("shop", window="1h"), last("seen", window="1h", name="seen_last")]
    view = FeatureView(name="w", entity="key", source="dataset:rows", event_time="happened", features=made)
    assert [c.dtype.value for c in engine.describe(view, source)[1]] == ["STRING", "INT64", "DATETIME"]
    found = engine.join(view, source, pa.table({"key": ["a", "b"]}), pa.array([5, 5]))
    assert [c.to_pylist() for c in found] == [["y", None], [2, 0], [moments[2].as_py(), None]]


def test_an_embedding_is_an_array_of_numbers_and_one_with_a_hole_is_missing() -> None:
    vectors = pa.array([[1.0, 2.0], [1.0, None], [float("nan"), 0.0], None], pa.list_(pa.float32(), 2))
    source = pa.table({"key": ["a", "b", "c", "d"], "about": vectors})
    view = FeatureView(name="v", entity="key", source="dataset:rows", features=["about"])
    (described,) = engine.describe(view, source)[1]
    assert (described.dtype.value, described.length) == ("FP64", 2)
    found = engine.join(view, source, pa.table({"key": ["a", "b", "c", "d", "e"]}), pa.array([0] * 5))
    assert found[0].to_pylist() == [[1.0, 2.0], None, None, None, None]
    with pytest.raises(Invalid, match="array of numbers"):
        engine.describe(view, source.set_column(1, "about", pa.array([["x"]] * 4)))


@pytest.mark.parametrize(
    ("sql", "said"),
    [("sum(x)", "from that row alone"), ("x + nothing", "nothing"), ("x + asked", ""), ("now()", "from that row alone")],
)
def test_what_is_computed_on_demand_knows_its_features_and_its_request(sql: str, said: str) -> None:
    view = FeatureView(
        name="v",
        entity="key",
        source="dataset:rows",
        features=["x"],
        request={"asked": "int"},
        on_demand=[expression("sum", sql)],
    )
    if said:
        with pytest.raises(Invalid, match=said):
            engine.describe(view, source_of([]))
    else:
        assert [c.name for c in engine.describe(view, source_of([]))[1]] == ["x", "sum"]


def test_a_stale_newest_row_does_not_bring_back_an_older_one() -> None:
    older, newer = oracle.Row("a", SECOND, SECOND, (1.0, 1.0)), oracle.Row("a", 2 * SECOND, 2 * SECOND, (None, 9.0))
    assert joined(newest_view(False, "4s"), [older, newer], [("a", 3 * SECOND)]) == [(None, 9.0)]


def test_a_correction_counts_once_it_is_known() -> None:
    first, corrected = oracle.Row("a", 0, 0, (1.0, 1.0)), oracle.Row("a", 0, 3 * SECOND, (2.0, 2.0))
    answers = joined(newest_view(True, None), [corrected, first], [("a", 2 * SECOND), ("a", 3 * SECOND)])
    assert answers == [(1.0, 1.0), (2.0, 2.0)]


def test_a_late_older_row_does_not_displace_a_newer_one() -> None:
    newer, late = oracle.Row("a", 2 * SECOND, 2 * SECOND, (2.0, 2.0)), oracle.Row("a", SECOND, 5 * SECOND, (1.0, 1.0))
    assert joined(newest_view(True, None), [newer, late], [("a", 6 * SECOND)]) == [(2.0, 2.0)]


def test_numbers_that_are_not_finite_are_missing() -> None:
    source = pa.table({"key": ["a", "b"], "x": [float("nan"), float("inf")]})
    view = FeatureView(name="v", entity="key", source="dataset:rows", features=["x"])
    table, at = asked([("a", 0), ("b", 0)])
    assert engine.join(view, source, table, at)[0].to_pylist() == [None, None]


def test_a_table_without_times_is_true_always() -> None:
    source = pa.table({"plane": [1, 2], "year": [1999, 2004], "kind": ["jet", "prop"]})
    view = FeatureView(
        name="planes", entity="plane", source="dataset:planes", features=[expression("age", "2013 - year"), "kind"]
    )
    found = engine.join(view, source, pa.table({"plane": pa.array([2, 3, 2], pa.int32())}), pa.array([0, 0, -(10**17)]))
    assert [c.to_pylist() for c in found] == [[9, None, 9], ["prop", None, "prop"]]


def test_local_times_become_moments_by_the_zone_of_their_place() -> None:
    source = pa.table({"key": ["a"], "local": pa.array([datetime(2013, 7, 1, 8)], pa.timestamp("us")), "x": [1.0]})
    view = FeatureView(
        name="v",
        entity="key",
        source="dataset:rows",
        select="SELECT key, x, timezone('America/New_York', local) AS happened FROM source",
        event_time="happened",
        features=["x"],
    )
    noon = int(datetime(2013, 7, 1, 12, tzinfo=UTC).timestamp()) * SECOND
    table, at = asked([("a", noon - 1), ("a", noon)])
    assert engine.join(view, source, table, at)[0].to_pylist() == [None, 1.0]


def test_a_naive_event_time_is_refused_and_told_what_to_write() -> None:
    source = pa.table({"key": ["a"], "happened": pa.array([datetime(2013, 7, 1)], pa.timestamp("us")), "x": [1.0]})
    view = FeatureView(name="v", entity="key", source="dataset:rows", event_time="happened", features=["x"])
    with pytest.raises(Invalid, match=r"time zone.*timezone\('UTC', happened\)"):
        engine.describe(view, source)


def test_a_naive_or_missing_request_time_is_refused() -> None:
    with pytest.raises(Invalid, match="needs a time zone"):
        engine.ticks(pa.array([datetime(2013, 1, 1)], pa.timestamp("us")), "event_timestamp")
    with pytest.raises(Invalid, match="1 missing"):
        engine.ticks(pa.array([None], MOMENT), "event_timestamp")


def test_a_request_in_another_zone_is_the_same_moment() -> None:
    moment = datetime(2013, 7, 1, 12, tzinfo=UTC)
    berlin = pa.array([moment], pa.timestamp("ns", tz="Europe/Berlin"))
    assert engine.ticks(berlin, "t").to_pylist() == [int(moment.timestamp()) * SECOND]


def test_an_entity_of_another_type_is_refused() -> None:
    view = FeatureView(name="v", entity="key", source="dataset:rows", features=["x"])
    with pytest.raises(Invalid, match=r"'key' is int64 .* STRING in view 'v'"):
        engine.join(view, source_of([]), pa.table({"key": [1]}), pa.array([0]))


@pytest.mark.parametrize(
    "select",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT 1; SELECT 2",
        "CREATE TABLE t AS SELECT 1",
        "SELECT nothing FROM source",
        "COPY source TO 'out.csv'",
    ],
)
def test_the_sql_of_a_definition_reaches_nothing_but_its_source(select: str) -> None:
    view = FeatureView(name="v", entity="key", source="dataset:rows", select=select, features=["x"])
    with pytest.raises(Invalid):
        engine.describe(view, source_of([]))


@pytest.mark.parametrize(
    "select",
    [
        "SELECT key, lead(x) OVER (ORDER BY happened) AS x FROM source",
        "SELECT key, max(x) AS x FROM source GROUP BY key",
        "SELECT DISTINCT key, x FROM source",
        "SELECT DISTINCT ON (key) key, x FROM source",
        "SELECT * FROM source ORDER BY x LIMIT 1",
        "SELECT source.* FROM source JOIN source other USING (key)",
        "SELECT source.* FROM source, source other",
        "SELECT * FROM source UNION ALL SELECT * FROM source",
        "SELECT * FROM source WHERE x = (SELECT max(x) FROM source)",
        "SELECT * FROM source USING SAMPLE 50%",
        "SELECT * FROM source QUALIFY row_number() OVER () = 1",
        "WITH top AS (SELECT key, max(x) AS x FROM source GROUP BY ALL) SELECT * FROM top",
        "SELECT * FROM (SELECT key, geomean(x) AS x FROM source GROUP BY key)",
        "SELECT key, random() AS x FROM source",
        "SELECT key, epoch(now()) AS x FROM source",
        "SELECT key, epoch(CURRENT_TIMESTAMP) AS x FROM source",
        "SELECT key, epoch(age(learned)) AS x FROM source",
    ],
)
def test_a_definition_sees_one_row_at_a_time_and_no_clock(select: str) -> None:
    view = FeatureView(name="v", entity="key", source="dataset:rows", select=select, features=["x"])
    with pytest.raises(Invalid, match="from that row alone"):
        engine.describe(view, source_of([]))


@pytest.mark.parametrize(
    "select",
    [
        "SELECT * FROM source",
        "FROM source",
        "SELECT * REPLACE (x + 1 AS x) FROM source WHERE y > 0",
        "WITH a AS (SELECT key, list_sum([x, y]) AS x FROM source) SELECT * FROM a",
        "SELECT key, CASE WHEN x > 0 THEN x ELSE coalesce(y, 0) END AS x FROM (SELECT * FROM source)",
        "SELECT key, unnest([x, y]) AS x FROM source",
    ],
)
def test_a_definition_may_compute_whatever_it_likes_of_one_row(select: str) -> None:
    view = FeatureView(name="v", entity="key", source="dataset:rows", select=select, features=["x"])
    assert [c.dtype.value for c in engine.describe(view, source_of([]))[1]] == ["FP64"]


@pytest.mark.parametrize("sql", ["x), (y", "x) FROM source; SELECT (1", "(SELECT max(y) FROM source)", "max(x)"])
def test_an_expression_is_one_value(sql: str) -> None:
    view = FeatureView(name="v", entity="key", source="dataset:rows", features=[expression("f", sql)])
    with pytest.raises(Invalid):
        engine.describe(view, source_of([]))


def test_only_the_columns_that_a_view_can_name_are_read() -> None:
    names = ["key", "at", "value", 'Odd "name"', "spare"]
    view = FeatureView(name="v", entity="key", source="dataset:d", event_time="at", features=["value"])
    assert sql.needed(view, names) == ["key", "at", "value"]
    quoted = FeatureView(name="v", entity="KEY", source="dataset:d", features=[expression("x", '"odd ""NAME""" * 2')])
    assert sql.needed(quoted, names) == ["key", 'Odd "name"']
    for text in ("source", "COLUMNS('sp.*')"):
        whole = FeatureView(name="v", entity="key", source="dataset:d", features=[expression("x", f"hash({text})")])
        assert sql.needed(whole, names) == names
    star = FeatureView(name="v", entity="key", source="dataset:d", select="SELECT * FROM source", features=["value"])
    assert sql.needed(star, names) == names


def test_views_that_share_a_session_leave_nothing_in_it() -> None:
    view = FeatureView(name="v", entity="key", source="dataset:d", event_time="at", features=["value"])
    late = FeatureView(name="l", entity="key", source="dataset:d", event_time="at", created_time="at", features=["value"])
    table, at = pa.table({"key": ["a", "b"]}), pa.array([5, 5])
    source = pa.table({"key": ["a", "a"], "at": pa.array([1, 1], pa.timestamp("us", "UTC")), "value": [1.0, 2.0]})
    with sessions() as connection:
        for each in (view, late, view):
            assert engine.join_in(connection, each, source, table, at)[0].to_pylist() == [2.0, None]
        assert connection.execute("SELECT count(*) FROM information_schema.tables").fetchone() == (0,)
