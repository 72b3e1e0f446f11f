"""A training set: what was known at each row's own time, from three views at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from benchmarks.cases import ROWS, Case, Setting, benchmark
from modelwright.workspace import Settings, open_workspace

START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1_000_000)  # microseconds since 1970
YEAR = 365 * 86_400_000_000
ENTITIES = 1_000
TTL = 30 * 86_400_000_000
VIEWS = ("one", "two", "three")


@benchmark(
    "point-in-time", what="a point-in-time join of three views; the peer is the same join written by hand for DuckDB"
)
def point_in_time(setting: Setting) -> Iterator[Case]:
    """Ours reads Parquet objects, checks definitions and breaks ties by rule; the peer has the tables in memory."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from modelwright.features import FeatureView, expression

    number = setting.size(100_000, 2_000)
    seeded = np.random.default_rng(2)
    sources = {name: _table(seeded, number) for name in VIEWS}
    asked = _table(seeded, number).select(["entity", "at"]).rename_columns(["entity", "event_timestamp"])
    with open_workspace(setting.folder / "project", settings=Settings()) as workspace:
        views = []
        for name, table in sources.items():
            path = setting.folder / f"{name}.parquet"
            pq.write_table(table.append_column("row", pa.array(range(number))), path)
            workspace.datasets.add(name, path, key="row")
            view = FeatureView(
                name=name,
                entity=["entity"],
                source=f"dataset:{name}",
                event_time="at",
                ttl="30d",
                features=[expression(f"value_{name}", "value")],
            )
            views.append(workspace.features.apply(view).ref)

        def ours(_: object) -> Any:
            return workspace.features.training(asked, views).table

        values = [f"value_{name}" for name in VIEWS]
        assert ours(None).select(values).to_pydict() == _by_hand(asked, sources).select(values).to_pydict()
        yield Case(
            label=f"{number:,} rows, 3 views of {number:,}",
            unit=ROWS,
            amount=number,
            run=ours,
            peer=lambda _: _by_hand(asked, sources),
            against="DuckDB ASOF by hand",
            runs=7,
        )


def _table(seeded: Any, number: int) -> Any:
    """Rows of entities at times that no entity has twice."""
    import pyarrow as pa

    at = START + seeded.choice(YEAR // 1_000_000, number, replace=False) * 1_000_000
    return pa.table(
        {
            "entity": pa.array(seeded.integers(0, ENTITIES, number)),
            "at": pa.array(at).cast(pa.timestamp("us", tz="UTC")),
            "value": seeded.normal(size=number),
        }
    )


def _by_hand(asked: Any, sources: dict[str, Any], names: Sequence[str] = VIEWS) -> Any:
    import duckdb

    joins, chosen = "", ""
    for name in names:
        joins += f" ASOF LEFT JOIN {name} ON a.entity = {name}.entity AND a.event_timestamp >= {name}.at"
        age = f"epoch_us(a.event_timestamp) - epoch_us({name}.at)"
        chosen += f", CASE WHEN {age} < {TTL} THEN {name}.value END AS value_{name}"
    with duckdb.connect() as connection:
        for name in names:
            connection.register(name, sources[name])
        connection.register("given", asked)
        connection.execute("CREATE TEMP TABLE a AS SELECT row_number() OVER () AS row, * FROM given")
        return connection.sql(f"SELECT a.*{chosen} FROM a{joins} ORDER BY a.row").to_arrow_table()
