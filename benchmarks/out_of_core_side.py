"""The side of the benchmark `out-of-core`, a process: `python -m benchmarks.out_of_core_side FOLDER ROWS VIEWS EACH`.

It makes a project with views of that many rows, unless there is one, joins ROWS requests with all of them, and prints the
seconds that the join took and the most memory that the process held, in MiB.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

from modelwright.workspace import Settings, Workspace, open_workspace

KEYS = 500_000
YEAR = 365 * 86_400_000_000
START = 1_767_225_600_000_000  # 2026, in microseconds since 1970


def made(number: int, seed: int, *values: str) -> Any:
    """Rows of entities at times of one year, with some numbers each."""
    import numpy as np
    import pyarrow as pa

    seeded = np.random.default_rng(seed)
    at = START + seeded.integers(0, YEAR, number)
    columns = {
        "entity": pa.array(seeded.integers(0, KEYS, number)),
        "at": pa.array(at).cast(pa.timestamp("us", tz="UTC")),
    }
    return pa.table({**columns, **{name: seeded.normal(size=number) for name in values}})


def fill(workspace: Workspace, views: int, each: int) -> None:
    """Views `v0, v1, ...` of one feature, each of a dataset of its own."""
    from modelwright.features import FeatureView

    for place in range(views):
        workspace.datasets.add(f"rows{place}", made(each, place, f"x{place}"))
        view = FeatureView(
            name=f"v{place}",
            entity="entity",
            source=f"dataset:rows{place}",
            event_time="at",
            ttl="90d",
            features=[f"x{place}"],
        )
        workspace.features.apply(view)


def main(folder: Path, rows: int, views: int, each: int) -> None:
    """Fill, or join."""
    if not folder.exists():
        with open_workspace(folder, settings=Settings()) as workspace:
            fill(workspace, views, each)
        return
    with open_workspace(folder, settings=Settings()) as workspace:
        asked = made(rows, 1_000).rename_columns(["entity", "event_timestamp"])
        began = time.perf_counter()
        found = workspace.features.training(asked, [f"features:v{place}" for place in range(views)])
        seconds = time.perf_counter() - began
        assert found.table.num_rows == rows
    kibibytes = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(seconds, kibibytes / 1024)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
