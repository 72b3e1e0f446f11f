"""Feast's side of the benchmarks of features: `PYTHON benchmarks/feast_side.py FOLDER`, in an environment that has Feast.

It knows nothing of Modelwright. It answers one line of JSON on its standard input with one on its standard output:

    {"do": "define", "engine": "dask", "online": "", "views": {"one": {"path": ..., "features": [...], "ttl": 2592000}}}
    {"do": "join", "entities": PATH, "to": PATH}     -> {"wall": 1.2, "cpu": 1.9, "rows": 100000}
    {"do": "materialise"}                            -> {"wall": ..., "cpu": ...}
    {"do": "read", "keys": [7, 11], "times": 100}    -> {"each": [...], "rows": {...}}
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
os.environ["FEAST_USAGE"] = "False"
CONFIG = """
project: bench
registry: {folder}/registry.db
provider: local
offline_store:
  type: {engine}
online_store:
{online}
entity_key_serialization_version: 3
"""


class Side:
    """One feature store in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: Any = None
        self.names: list[str] = []

    def define(self, engine: str, online: str, views: dict[str, Any]) -> dict[str, Any]:
        """Apply views of parquet files, with an engine and an online store: SQLite, or Redis at an address."""
        from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
        from feast.types import Float64

        where = f"  type: redis\n  connection_string: {online}" if online else f"  path: {self.folder}/online.db"
        self.folder.mkdir(parents=True, exist_ok=True)
        text = CONFIG.format(folder=self.folder, engine=engine, online=where)
        (self.folder / "feature_store.yaml").write_text(text)
        self.store = FeatureStore(repo_path=str(self.folder))
        entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
        made = [
            FeatureView(
                name=name,
                entities=[entity],
                ttl=timedelta(seconds=view["ttl"]),
                schema=[Field(name=each, dtype=Float64) for each in view["features"]],
                source=FileSource(name=f"{name}_rows", path=view["path"], timestamp_field="at"),
            )
            for name, view in views.items()
        ]
        self.store.apply([entity, *made])
        self.names = [f"{name}:{each}" for name, view in views.items() for each in view["features"]]
        return {}

    def join(self, entities: str, to: str) -> dict[str, Any]:
        """A training set of the rows in a file; what comes of it goes to another."""
        import pandas as pd

        frame = pd.read_parquet(entities)
        wall, cpu = time.perf_counter(), time.process_time()
        made = self.store.get_historical_features(entity_df=frame, features=self.names).to_df()
        found = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "rows": len(made)}
        made.to_parquet(to)
        return found

    def materialise(self) -> dict[str, Any]:
        """Everything of two days up to now into the online store."""
        now = datetime.now(UTC)
        wall, cpu = time.perf_counter(), time.process_time()
        self.store.materialize(now - timedelta(days=2), now, disable_event_timestamp=False)
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}

    def read(self, keys: list[list[int]]) -> dict[str, Any]:
        """One read for each list of entities; how long each took, and what the last found."""
        each, rows, began = [], {}, time.process_time()
        for some in keys:
            asked = [{"entity": key} for key in some]
            wall = time.perf_counter()
            rows = self.store.get_online_features(features=self.names, entity_rows=asked).to_dict()
            each.append(time.perf_counter() - wall)
        return {"each": each, "cpu": (time.process_time() - began) / len(keys), "rows": rows}


def main() -> None:
    """Answer until there is nothing more to answer."""
    side, answers = Side(Path(sys.argv[1])), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Feast prints is none of the answers
    for line in sys.stdin:
        asked = json.loads(line)
        told = getattr(side, asked.pop("do"))(**asked)
        answers.write(json.dumps(told) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
