"""A training set: what was known at each row's own time, from three views at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.cases import ROWS, SECONDS, Bar, Case, Setting, Skip, benchmark
from benchmarks.feast import TTL, TTL_SECONDS, Feast, Sides, feast, need_feast, ours
from modelwright.workspace import Settings, Workspace, open_workspace

START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1_000_000)  # microseconds since 1970
YEAR = 365 * 86_400_000_000
TICKS = TTL_SECONDS * 1_000_000
EACH = 20  # rows of each entity in each view
VIEWS = ("one", "two", "three")
BARS = {"duckdb": 2.0, "dask": 8.0}  # times as fast as Feast with that engine
SLOWER = 1 / 1.3  # times as fast as the join by hand, at least


@benchmark("point-in-time", what="a point-in-time join of three views, beside Feast and the same join by hand in DuckDB")
def point_in_time(setting: Setting) -> Iterator[Case]:
    """Ours reads Parquet objects, checks definitions and breaks ties by rule; the one by hand has the tables in memory.

    Feast reads Parquet files. What it gives back is held against ours: rows that are gone and values that differ are told.
    """
    sizes = [(2_000, 20_000)] if setting.quick else [(100_000, 1_000_000), (1_000_000, 5_000_000)]
    for asked, rows in sizes:
        yield from _sized(setting.folder / str(rows), asked, rows)
    need_feast()


def _sized(folder: Path, number: int, rows: int) -> Iterator[Case]:
    import numpy as np
    import pyarrow.parquet as pq

    folder.mkdir()
    seeded = np.random.default_rng(2)
    sources = {name: _table(seeded, rows, rows // EACH) for name in VIEWS}
    asked = _table(seeded, number, rows // EACH).select(["entity", "at"]).rename_columns(["entity", "event_timestamp"])
    pq.write_table(asked, folder / "asked.parquet")
    label = f"{number:,} rows, 3 views of {rows:,}"
    with ExitStack() as stack:
        workspace = stack.enter_context(open_workspace(folder / "project", settings=Settings()))
        views = [_applied(workspace, folder, name, table) for name, table in sources.items()]

        def join() -> Any:
            return workspace.features.training(asked, views).table

        made, values = join(), [f"value_{name}" for name in VIEWS]
        assert made.select(values).to_pydict() == _by_hand(asked, sources).select(values).to_pydict()
        yield from _cases(
            label, number, Sides(ours(join)), Sides(ours(lambda: _by_hand(asked, sources))), "DuckDB ASOF by hand", SLOWER
        )
        for engine, times in BARS.items():
            try:
                peer = stack.enter_context(feast(folder / engine, engine=engine, views=_views(folder)))
            except Skip:
                continue
            told = _compared(peer, folder, made, values)
            joined = Sides(lambda peer=peer: _ask(peer, folder))  # type: ignore[misc]
            yield from _cases(label, number, Sides(ours(join)), joined, f"Feast {engine}: {told}", times)
            peer.stop()


def _cases(label: str, number: int, own: Sides, other: Sides, against: str, times: float) -> Iterator[Case]:
    """On the clock, where the bar is, and of the processors in the same runs."""
    about: dict[str, Any] = {"against": against, "runs": 3, "warmups": 0}
    yield Case(label=label, unit=ROWS, amount=number, run=own.wall, peer=other.wall, bar=Bar(times, of="times"), **about)
    yield Case(label=f"{label}: processors", unit=SECONDS, run=own.cpu, peer=other.cpu, **about)


def _applied(workspace: Workspace, folder: Path, name: str, table: Any) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from modelwright.features import FeatureView, expression

    path = folder / f"{name}.parquet"
    pq.write_table(table.append_column("row", pa.array(range(table.num_rows))), path)
    workspace.datasets.add(name, path, key="row")
    value = expression(f"value_{name}", "value")
    view = FeatureView(name=name, entity="entity", source=f"dataset:{name}", event_time="at", ttl=TTL, features=[value])
    pq.write_table(table.rename_columns(["entity", "at", f"value_{name}"]), folder / f"{name}.feast.parquet")
    return workspace.features.apply(view).ref


def _views(folder: Path) -> dict[str, Any]:
    """The same for Feast."""
    return {
        name: {"path": str(folder / f"{name}.feast.parquet"), "features": [f"value_{name}"], "ttl": TTL_SECONDS}
        for name in VIEWS
    }


def _ask(peer: Feast, folder: Path) -> dict[str, Any]:
    return peer.ask("join", entities=str(folder / "asked.parquet"), to=str(folder / "found.parquet"))


def _compared(peer: Feast, folder: Path, made: Any, values: Sequence[str]) -> str:
    """How many of the rows Feast gives back, and how many values in them are not ours."""
    import pyarrow.parquet as pq

    _ask(peer, folder)
    given = pq.read_table(folder / "found.parquet").select(["entity", "event_timestamp", *values]).to_pandas()
    own = made.select(["entity", "event_timestamp", *values]).to_pandas()
    both = own.merge(given, on=["entity", "event_timestamp"], suffixes=("", "_given"))
    unlike = sum(
        int(((both[n] != both[f"{n}_given"]) & (both[n].notna() | both[f"{n}_given"].notna())).sum()) for n in values
    )
    return f"{len(given):,} of {len(own):,} rows, {unlike:,} of {both[values].size:,} values unlike ours"


def _table(seeded: Any, number: int, entities: int) -> Any:
    """Rows of entities at times that no entity has twice."""
    import pyarrow as pa

    at = START + seeded.choice(YEAR // 1_000_000, number, replace=False) * 1_000_000
    return pa.table(
        {
            "entity": pa.array(seeded.integers(0, entities, number)),
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
        chosen += f", CASE WHEN {age} < {TICKS} THEN {name}.value END AS value_{name}"
    with duckdb.connect() as connection:
        for name in names:
            connection.register(name, sources[name])
        connection.register("given", asked)
        connection.execute("CREATE TEMP TABLE a AS SELECT row_number() OVER () AS row, * FROM given")
        return connection.sql(f"SELECT a.*{chosen} FROM a{joins} ORDER BY a.row").to_arrow_table()
