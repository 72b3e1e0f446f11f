"""Views that only name columns are joined without a query: what comes of it is what DuckDB computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from modelwright.features import FeatureView, engine, expression, plain

MOMENT = pa.timestamp("us", tz="UTC")
MOST = np.iinfo(np.int64).max
AT = pa.array([0, 10, 20, None, 40, 50], MOMENT)
VALUES = {
    "doubles": pa.array([1.5, float("nan"), None, float("inf"), -float("inf"), 2.5]),
    "floats": pa.array([0.1, float("nan"), None, 3.0, 4.0, 5.5], pa.float32()),
    "bytes": pa.array([1, 2, None, 4, 5, 6], pa.int8()),
    "wide": pa.array([1, 2, None, 4, 5, 1 << 63], pa.uint64()),
    "texts": pa.array(["a", "", None, "d", "e", "f"], pa.large_string()),
    "words": pa.array(["a", "b", None, "d", "e", "f"]).dictionary_encode(),
    "bits": pa.array([True, False, None, True, False, True]),
    "moments": pa.array([1, 2, None, 4, 5, 6], MOMENT),
    "arrays": pa.array([[1.0], [2.0], None, [4.0], [float("nan")], [6.0]]),
}
KEYS = {
    "numbers": pa.array([1, 1, 2, 2, None, 3]),
    "short": pa.array([1, 1, 2, 2, None, 3], pa.int16()),
    "texts": pa.array(["1", "1", "2", "2", None, "3"], pa.large_string()),
    "bits": pa.array([True, True, False, False, None, True]),
}


def joined(source: pa.Table, text: str, *, created: str | None = None, ttl: str | None = None) -> list[Any]:
    view = FeatureView(
        name="v",
        entity="e",
        source="dataset:d",
        event_time="at",
        created_time=created,
        ttl=ttl,
        features=[expression("f", text)],
    )
    keys = [*source["e"].to_pylist(), source["e"][0].as_py(), None]
    requests = pa.table({"e": pa.array(keys, source["e"].type)})
    moments = pa.array([5, 15, 20, 100, 100, 49, 100, 100][: len(keys)])
    return engine.join(view, source, requests, moments)[0].to_pylist()


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("key", KEYS)
def test_a_column_is_what_the_same_expression_is(kind: str, key: str) -> None:
    source = pa.table({"e": KEYS[key], "at": AT, "late": AT, "value": VALUES[kind]})
    for more in ({}, {"created": "late"}, {"ttl": "10s"}):
        assert joined(source, "value", **more) == joined(source, "(value)", **more)


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_times_of_any_unit_and_zone_are_the_same_moments(unit: str, zone: str) -> None:
    at = pa.array([1, 2, 3, None, 5, 6], pa.int64()).cast(pa.timestamp(unit, tz=zone))
    source = pa.table({"e": KEYS["numbers"], "at": at, "value": VALUES["doubles"]})
    assert joined(source, "value") == joined(source, "(value)")


@pytest.mark.parametrize("end", [MOST, -MOST])
def test_a_time_that_never_comes_is_missing(end: int) -> None:
    source = pa.table({"e": [1, 1], "at": pa.array([0, end]).cast(MOMENT), "value": [1.0, 2.0]})
    assert joined(source, "value") == [1.0, 1.0, 1.0, None] == joined(source, "(value)")


@pytest.mark.parametrize("name", ["value", "VALUE", '"value"', "user", '"a ""b"""', "true", '"true"', "rowid"])
def test_a_name_means_the_column_that_sql_means(name: str) -> None:
    named = {"value": 1.0, "user": 2.0, 'a "b"': 4.0, "true": 5.0, "rowid": 6.0}
    source = pa.table({"e": [1], "at": pa.array([0], MOMENT), **{each: [value] for each, value in named.items()}})
    view = FeatureView(name="v", entity="e", source="dataset:d", event_time="at", features=[expression("f", name)])
    other = FeatureView(name="v", entity="e", source="dataset:d", event_time="at", features=[expression("f", f"({name})")])
    asked, at = pa.table({"e": [1]}), pa.array([9])
    assert engine.join(view, source, asked, at)[0].to_pylist() == engine.join(other, source, asked, at)[0].to_pylist()


def test_only_names_and_simple_types_go_past_the_query() -> None:
    source = pa.table({"e": KEYS["numbers"], "at": AT, "value": VALUES["doubles"], "arrays": VALUES["arrays"]})

    def rows(**given: Any) -> Any:
        view = FeatureView(**{"name": "v", "entity": "e", "source": "dataset:d", "event_time": "at", **given})
        return plain.rows(view, *engine.types(view, source), source)

    assert rows(features=["value"]).column_names == ["k0", "event", "x0"]
    assert rows(features=["value", "arrays"]) is None
    assert rows(features=[expression("f", "value + 0")]) is None
    assert rows(features=["value"], select="SELECT * FROM source WHERE e = 1") is None
