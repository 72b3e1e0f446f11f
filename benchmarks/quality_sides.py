"""The sides of the benchmark `quality`, each a process: `python -m benchmarks.quality_sides SIDE FILE`."""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

WORDS = ["north", "south", "east", "west"]
NUMBERS = {f"x{n}": (-9.0, 9.0) for n in range(8)} | {f"n{n}": (0, 10 ** (n + 1)) for n in range(8)}
FULL = ["id", "at", "user", *NUMBERS, "f0", "f1", "w0", "w1", "w2", "w3", "b0", "b1"]


def checks(path: Path) -> None:
    """Ours, as `datasets.check` runs them."""
    import pyarrow.parquet as pq

    from modelwright.core.refs import Ref
    from modelwright.datasets import DatasetColumn, DatasetVersion, Expression, Nulls, Pattern, Range, Types, Unique, Values
    from modelwright.datasets.checking import Grounds, run_checks
    from modelwright.datasets.records import CheckBasis
    from modelwright.store import Verdict

    schema, now = pq.read_schema(path), datetime.now(UTC)
    version = DatasetVersion(
        ref=Ref.parse("dataset:rows@1"),
        digest="",
        created_at=now,
        created_by="",
        changed_at=now,
        bytes=path.stat().st_size,
        rows=pq.read_metadata(path).num_rows,
        columns=[DatasetColumn(name=field.name, type=str(field.type)) for field in schema],
    )
    declared: list[Any] = [Types(columns={column.name: column.type for column in version.columns})]
    declared += [Nulls(column=name) for name in FULL]
    declared += [Range(column=name, minimum=low, maximum=high) for name, (low, high) in NUMBERS.items()]
    declared += [Values(column=f"w{number}", allowed=WORDS) for number in range(4)]
    declared += [Unique(columns=["id"]), Pattern(column="user", regex="user-[0-9]+"), Expression(sql="x0 + n0 < 100")]
    nowhere: Callable[[Any], Any] = {}.__getitem__
    report = run_checks(declared, Grounds(CheckBasis(version=version, previous=None, now=now), [path], nowhere, nowhere))
    assert report.verdict is Verdict.PASS, report.summary


def profile(path: Path) -> None:
    """Ours, as a version's profile is made when it is added: sketches stored, figures computed."""
    import pyarrow.parquet as pq

    from modelwright.datasets import DatasetColumn
    from modelwright.datasets.profile import profile_of
    from modelwright.datasets.segments import sketch_files
    from modelwright.store.objects import Objects

    columns = [DatasetColumn(name=field.name, type=str(field.type)) for field in pq.read_schema(path)]
    with tempfile.TemporaryDirectory() as folder:
        sketch, segments = sketch_files(Objects.open(Path(folder)), [path], columns, None)
        assert profile_of(sketch, columns, segments).rows == pq.read_metadata(path).num_rows


def summarize(path: Path) -> None:
    """DuckDB's own summary of a table."""
    import duckdb

    assert len(duckdb.sql(f"SUMMARIZE SELECT * FROM read_parquet('{path}')").fetchall()) == 30


def _columns(pandera: Any, types: dict[str, Any]) -> dict[str, Any]:
    """What must hold of each column, in the words of Pandera for one kind of frame; `types` are that frame's."""

    def column(name: str) -> Any:
        found = []
        if name in NUMBERS:
            found.append(pandera.Check.in_range(*NUMBERS[name]))
        if name.startswith("w"):
            found.append(pandera.Check.isin(WORDS))
        if name == "user":
            found.append(pandera.Check.str_matches("^user-[0-9]+$"))
        return pandera.Column(types[name], found, nullable=name not in FULL, unique=name == "id")

    return {name: column(name) for name in types}


def pandera_pandas(path: Path) -> None:
    """The same checks by Pandera on a pandas frame."""
    import pandas as pd
    import pandera.pandas as pa

    frame = pd.read_parquet(path)
    both = pa.Check(lambda rows: rows["x0"] + rows["n0"] < 100)
    pa.DataFrameSchema(_columns(pa, dict(frame.dtypes)), checks=[both]).validate(frame, lazy=True)


def pandera_polars(path: Path) -> None:
    """The same checks by Pandera on a polars frame."""
    import pandera.polars as pa
    import polars as pl

    frame = pl.read_parquet(path)
    both = pa.Check(lambda data: data.lazyframe.select(pl.col("x0") + pl.col("n0") < 100))
    pa.DataFrameSchema(_columns(pa, dict(frame.schema)), checks=[both]).validate(frame, lazy=True)


SIDES: dict[str, Callable[[Path], None]] = {
    each.__name__: each for each in (checks, profile, summarize, pandera_pandas, pandera_polars)
}

if __name__ == "__main__":
    SIDES[sys.argv[1]](Path(sys.argv[2]))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
