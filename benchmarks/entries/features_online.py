"""Features online: thirty of them for one entity and for a hundred, in process and over HTTP; and putting them there."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.cases import MILLISECONDS, ROWS, Case, Setting, benchmark
from benchmarks.servers import ours
from modelwright.core.refs import Ref
from modelwright.workspace import Settings, Workspace, open_workspace

VIEWS = ("one", "two", "three")
FEATURES = 10  # of each view
REFS = [Ref.parse(f"features:{name}") for name in VIEWS]


@benchmark(
    "features-online", what="30 features of 3 views read online, and materialised; the peer keeps answers by hand in SQLite"
)
def features_online(setting: Setting) -> Iterator[Case]:
    """The peer has one JSON text for each entity and view, without a time to live, a point in time or a check of keys."""
    entities, project = setting.size(50_000, 500), setting.folder / "project"
    table = _table(entities)
    with open_workspace(project, settings=Settings()) as workspace:
        _apply(workspace, table)
        yield Case(
            label=f"materialise {entities:,} entities x 3 views",
            unit=ROWS,
            amount=entities * len(VIEWS),
            run=lambda _: [workspace.features.materialise(ref, whole=True) for ref in REFS],
            peer=lambda _: _by_hand(setting.folder / "peer.db", table),
            against="executemany of JSON into SQLite",
            runs=3,
        )
        reader, peer = workspace.features.reader(REFS), sqlite3.connect(setting.folder / "peer.db")
        for number in (1, 100):

            def keys(number: int = number) -> list[dict[str, int]]:
                return [{"entity": each} for each in random.sample(range(entities), number)]

            assert [list(row.values()) for row in reader.rows([{"entity": 7}])] == [_peer(peer, [{"entity": 7}])[0]]
            yield Case(
                label=f"in process, {number} {'entity' if number == 1 else 'entities'}",
                unit=MILLISECONDS,
                run=lambda given: reader.rows(given),
                peer=lambda given: _peer(peer, given),
                before=keys,
                against="JSON by key from SQLite",
                runs=setting.size(2_000, 20),
                warmups=20,
            )
        pushed = iter(range(10**9))
        yield Case(
            label="push one row into 3 views",
            unit=MILLISECONDS,
            run=lambda _: workspace.pushes.push("dataset:rows", table.slice(next(pushed) % entities, 1)),
            runs=setting.size(100, 5),
            warmups=2,
        )
    (project / "modelwright.toml").write_text("")
    yield from _over_http(setting, project, entities)


def _over_http(setting: Setting, project: Path, entities: int) -> Iterator[Case]:
    import httpx

    with ours(project) as server, httpx.Client(base_url=server.url) as client:
        for number in (1, 100):

            def body(number: int = number) -> dict[str, Any]:
                sample = random.sample(range(entities), number)
                return {"views": [str(ref) for ref in REFS], "keys": [{"entity": each} for each in sample]}

            yield Case(
                label=f"over HTTP, {number} {'entity' if number == 1 else 'entities'}",
                unit=MILLISECONDS,
                run=lambda given: client.post("/features/online", json=given).raise_for_status(),
                peer=lambda _: client.get("/v2/health/live").raise_for_status(),
                before=body,
                against="an answer that reads nothing",
                runs=setting.size(2_000, 20),
                warmups=20,
            )


def _table(entities: int) -> Any:
    import numpy as np
    import pyarrow as pa

    seeded, at = np.random.default_rng(3), datetime.now(UTC) - timedelta(hours=1)
    columns = {f"{view}_{i}": seeded.normal(size=entities) for view in VIEWS for i in range(FEATURES)}
    times = pa.array([at] * entities, pa.timestamp("us", tz="UTC"))
    return pa.table({"entity": pa.array(range(entities)), "happened": times, **columns})


def _apply(workspace: Workspace, table: Any) -> None:
    from modelwright.features import FeatureView

    workspace.datasets.add("rows", table)
    for name in VIEWS:
        features = [f"{name}_{i}" for i in range(FEATURES)]
        view = FeatureView(
            name=name, entity="entity", source="dataset:rows", event_time="happened", ttl="30d", features=features
        )
        workspace.features.apply(view)


def _by_hand(path: Path, table: Any) -> None:
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE rows (view TEXT, entity INTEGER, row TEXT, PRIMARY KEY (view, entity)) WITHOUT ROWID")
    for name in VIEWS:
        chosen = table.select(["entity", *(f"{name}_{i}" for i in range(FEATURES))]).to_pylist()
        made = [(name, row.pop("entity"), json.dumps(list(row.values()))) for row in chosen]
        connection.executemany("INSERT INTO rows VALUES (?, ?, ?)", made)
    connection.commit()
    connection.close()


def _peer(connection: sqlite3.Connection, keys: list[dict[str, int]]) -> list[list[float]]:
    query = "SELECT row FROM rows WHERE view = ? AND entity = ?"
    return [
        [value for name in VIEWS for value in json.loads(connection.execute(query, (name, key["entity"])).fetchone()[0])]
        for key in keys
    ]
