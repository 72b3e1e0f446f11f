"""The plan without ASOF against the oracle: in DuckDB, and in a Spark on this machine where there is one.

Spark is no dependency of ours: `pip install pyspark` beside the rest, and Java 17, and its part is run too.
"""

from __future__ import annotations

import importlib.util
import random
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.errors import Invalid
from modelwright.core.refs import Ref
from modelwright.features import engine, portable
from modelwright.features.definitions import FeatureView, expression, last, mean
from modelwright.features.records import ViewRecord
from modelwright.features.spark import translated
from modelwright.workspace import Workspace
from tests.features import test_point_in_time as asof

oracle, SECOND = asof.oracle, asof.SECOND
Run = Callable[[str, pa.Table, pa.Table], pa.Table]


def in_duckdb(text: str, rows: pa.Table, requests: pa.Table) -> pa.Table:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("rows", rows)
        connection.register("requests", requests)
        return connection.sql(text).to_arrow_table()


@pytest.fixture(scope="module")
def in_spark() -> Iterator[Run]:
    if importlib.util.find_spec("pyspark") is None or shutil.which("java") is None:
        pytest.skip("Spark is not here: it takes the package pyspark, and Java 17 on the path")
    from pyspark.sql import SparkSession

    made = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    made = made.config("spark.sql.session.timeZone", "UTC").config("spark.sql.shuffle.partitions", "2")
    spark = made.getOrCreate()

    def run(text: str, rows: pa.Table, requests: pa.Table) -> pa.Table:
        spark.createDataFrame(rows).createOrReplaceTempView("rows")
        spark.createDataFrame(requests).createOrReplaceTempView("requests")
        return spark.sql(text).toArrow()

    yield run
    spark.stop()


def planned(view: FeatureView, source: pa.Table, dialect: str = "duckdb") -> str:
    keys, columns = engine.describe(view, source)
    record = ViewRecord(view=view, source=Ref.parse("dataset:rows@1"), keys=keys, columns=columns)
    each = portable.Computed(view.ref.at(1), record, *engine.types(view, source), "rows")
    return portable.statement([each], requests="requests", timestamp="at", dialect=dialect)


def numbered(wanted: list[tuple[str | None, int]]) -> pa.Table:
    keys, at = pa.array([key for key, _ in wanted], pa.string()), pa.array([at for _, at in wanted], asof.MOMENT)
    return pa.table({"number": pa.array(range(len(wanted)), pa.int64()), "key": keys, "at": at})


def answered(found: pa.Table, view: FeatureView) -> list[tuple[Any, ...]]:
    """The features of each request, in the order in which they were asked for; none is missing and none is there twice."""
    ordered = found.sort_by("number")
    assert ordered["number"].to_pylist() == list(range(found.num_rows))
    return [tuple(row.values()) for row in ordered.select(view.stored).to_pylist()]


def expected(
    view: FeatureView, truth: list[Any], wanted: list[tuple[str | None, int]], lifetime: int | None
) -> list[tuple[Any, ...]]:
    if view.windowed:
        return [asof.expected_windows(truth, key, at) for key, at in wanted]
    return [oracle.newest(truth, key, at, lifetime) for key, at in wanted]


@given(asof.rows, asof.requests, st.booleans(), st.booleans(), st.sampled_from([None, 1, 4]))
def test_the_plan_without_asof_gives_what_the_oracle_gives(
    rows: list[Any], wanted: Any, created: bool, windowed: bool, ttl: int | None
) -> None:
    view = asof.window_view(created) if windowed else asof.newest_view(created, ttl and f"{ttl}s")
    source, truth = asof.source_of(rows), rows if created else asof.at_once(rows)
    found = answered(in_duckdb(planned(view, source), source, numbered(wanted)), view)
    assert asof.close(found, expected(view, truth, wanted, ttl and ttl * SECOND))


def many(number: int) -> tuple[list[Any], list[tuple[str | None, int]]]:
    """So many sources and requests at once, kept apart by their keys: one run of Spark takes a second and more."""
    made, rows, wanted = random.Random(5), [], []

    def moment() -> int:
        return made.randrange(13) * SECOND

    def value() -> float | None:
        return made.choice([None, *(n / 2 for n in range(-4, 5))])

    for case in range(number):
        keys = [None, f"{case} a", f"{case} b"]
        for _ in range(made.randrange(12)):
            times = made.choice([None, moment()]), made.choice([None, moment(), moment()])
            rows.append(oracle.Row(made.choice(keys), times[0] or moment(), times[1], (value(), value())))
        wanted += [(made.choice([*keys, "stranger"]), moment()) for _ in range(made.randrange(8))]
    return rows, wanted


@pytest.mark.slow
@pytest.mark.parametrize("created", [False, True])
@pytest.mark.parametrize("windowed", [False, True])
def test_spark_gives_what_the_oracle_gives(in_spark: Run, created: bool, windowed: bool) -> None:
    rows, wanted = many(200)
    view = asof.window_view(created) if windowed else asof.newest_view(created, "4s")
    source, truth = asof.source_of(rows), rows if created else asof.at_once(rows)
    found = answered(in_spark(planned(view, source, "spark"), source, numbered(wanted)), view)
    of: dict[str | None, list[Any]] = {}
    for row in truth:
        of.setdefault(row.key, []).append(row)
    told = [expected(view, of.get(key, []), [(key, at)], 4 * SECOND)[0] for key, at in wanted]
    assert asof.close(found, told)


ROWS = pa.table(
    {
        "key": ["a", "a", "b"],
        "at": pa.array([0, 60 * SECOND, 0], asof.MOMENT),
        "x": [1.0, float("nan"), float("inf")],
        "y": [4, 2, 0],
        "about": pa.array([[1.0, 2.0], [1.0, None], [3.0]], pa.list_(pa.float64())),
        "shop": ["s", "t", None],
    }
)
STRANGE = FeatureView(
    name="strange",
    entity="key",
    source="dataset:rows",
    select='SELECT *, "at" + to_minutes(y) AS known, (y > 1)::INT AS many FROM source WHERE y >= 0',
    event_time="at",
    created_time="known",
    features=["x", "many", "about", "shop", expression("ratio", "x / y"), expression("seen", '"at"')],
    request={"asked": "float"},
    on_demand=[expression("times", "asked / many")],
)
ASKED = pa.table(
    {
        "number": [0, 1, 2, 3],
        "key": ["a", "b", "a", None],
        "at": pa.array([300 * SECOND, 5 * SECOND, 119 * SECOND, 0], asof.MOMENT),
        "asked": [3.0, 1.0, None, 1.0],
    }
)


def strange(run: Run, dialect: str) -> list[dict[str, Any]]:
    made = run(planned(STRANGE, ROWS, dialect), ROWS, ASKED).sort_by("number")
    assert made.column_names == [*ASKED.column_names, *STRANGE.names]
    return made.select(STRANGE.names).to_pylist()


def as_joined() -> list[dict[str, Any]]:
    found = engine.join(STRANGE, ROWS, ASKED, engine.ticks(ASKED["at"], "at"))
    table = pa.table([*ASKED.columns, *found], names=[*ASKED.column_names, *STRANGE.stored])
    columns = engine.describe(STRANGE, ROWS)[1]
    table = table.append_column("times", engine.on_demand(STRANGE, columns, table)[0])
    return table.select(STRANGE.names).to_pylist()


def test_embeddings_moments_own_sql_and_what_is_computed_on_demand_come_out_as_in_a_training_set() -> None:
    joined = as_joined()
    assert [row["about"] for row in joined] == [[1.0, 2.0], None, None, None] or joined[0]["shop"] is not None
    assert strange(in_duckdb, "duckdb") == joined


@pytest.mark.slow
def test_they_do_in_spark_too(in_spark: Run) -> None:
    assert strange(in_spark, "spark") == as_joined()


def test_what_spark_has_no_words_for_is_named_and_nothing_is_made_up() -> None:
    with pytest.raises(Invalid, match=r"hash\(\)"):
        translated("SELECT hash(x) AS x FROM source")
    view = FeatureView(name="v", entity="key", source="dataset:rows", features=["x"])
    with pytest.raises(Invalid, match="no plan for 'oracle'"):
        planned(view, ROWS, "oracle")


def test_a_workspace_writes_the_plan_of_several_views_which_gives_its_own_training_set(embedded: Workspace) -> None:
    embedded.datasets.add("shops/rows", ROWS)
    embedded.features.apply(
        FeatureView(name="newest", entity="key", source="dataset:shops/rows", event_time="at", ttl="2m", features=["x"])
    )
    windows = [mean("y", window="5m"), last("shop", window="5m", tumbling=True)]
    view = FeatureView(name="windows", entity="key", source="dataset:shops/rows", event_time="at", features=windows)
    embedded.features.apply(view)
    views = ["features:newest", "features:windows"]
    text = embedded.features.plan_sql(views, dialect="duckdb", timestamp="at", tables={"shops/rows": "rows"})
    made = in_duckdb(text, ROWS, ASKED.select(["number", "key", "at"])).sort_by("number")
    trained = embedded.features.training(ASKED.select(["number", "key", "at"]), views, timestamp="at")
    assert made.to_pylist() == trained.table.to_pylist()
    assert '"shops_rows"' in embedded.features.plan_sql(views, dialect="duckdb")
    assert "`shops_rows`" in embedded.features.plan_sql(views)
    with pytest.raises(Invalid, match="other"):
        embedded.features.plan_sql(views, tables={"other": "rows"})
