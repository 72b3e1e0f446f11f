"""Finding columns about people when data come in: every detector over a table of thirty columns."""

from __future__ import annotations

import random
from collections.abc import Iterator

from benchmarks.cases import SECONDS, Bar, Case, Setting, benchmark

COLUMNS = 30
DISTINCT = 20_000  # values of a column; detectors take a sample of these


@benchmark(
    "classification", what="columns about people found in 1,000,000 rows of 30 columns, a third of them about people"
)
def classification(setting: Setting) -> Iterator[Case]:
    """The bar is the requirement's: five seconds (PV-1)."""
    import pyarrow as pa

    from modelwright.datasets.detecting.scan import scan

    made, rows = random.Random(3), setting.size(1_000_000, 20_000)
    kinds = (
        lambda n: f"person{n}@example.org",
        lambda n: f"+49 30 {n:07d}",
        lambda n: f"192.0.{n // 250}.{n % 250}",
        lambda n: f"article {n:06d}",
        lambda n: f"1.{n // 100}.{n % 100}",
        lambda n: n,
        lambda n: n / 7,
        lambda n: n % 97,
        lambda n: f"word{n % 50}",
    )
    places = pa.array([made.randrange(DISTINCT) for _ in range(rows)])
    held = [pa.array([kinds[each % len(kinds)](n) for n in range(DISTINCT)]).take(places) for each in range(COLUMNS)]
    table = pa.table({f"c{number}": column for number, column in enumerate(held)})

    def run(_: object) -> None:
        found = {each.column for each in scan([table])}
        assert "c0" in found and "c5" not in found, found

    yield Case(label=f"{rows:,} rows", unit=SECONDS, run=run, runs=setting.size(5, 1), bar=Bar(5.0))
