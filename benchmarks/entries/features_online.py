"""Features online: thirty of them for one entity and for a hundred, in process and over HTTP; and putting them there."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time
from typing import Any

from benchmarks.cases import CALLS, MILLISECONDS, ROWS, SECONDS, Bar, Case, Measured, Setting, Skip, benchmark
from benchmarks.feast import TTL, TTL_SECONDS, Feast, Sides, feast, feast_server, need_feast, ours, redis
from benchmarks.servers import Server, start_ours
from benchmarks.tracking import each_server
from benchmarks.wire import request, together
from modelwright.core.refs import Ref
from modelwright.workspace import Settings, Workspace, open_workspace

VIEWS = ("one", "two", "three")
FEATURES = 10  # of each view
NAMES = [f"{view}_{i}" for view in VIEWS for i in range(FEATURES)]
REFS = [Ref.parse(f"features:{name}") for name in VIEWS]
BARS = {"SQLite": {1: 15.0, 100: 30.0}, "Redis": {1: 6.0, 100: 20.0}}  # times as fast as Feast
MATERIALISED = {"SQLite": 10.0, "Redis": 4.0}
CONNECTIONS = {1: 8.0, 16: 25.0}

Keys = Sequence[Sequence[int]]


@benchmark("features-online", what="30 features of 3 views put online and read, in process and over HTTP, beside Feast")
def features_online(setting: Setting) -> Iterator[Case]:
    """In SQLite and in Redis on both sides, of the same Parquet; what a read gives is compared. Pushes have no peer."""
    entities, table = setting.size(50_000, 500), setting.folder / "rows.parquet"
    _write(table, entities)
    with ExitStack() as stack:
        places = {"SQLite": ""}
        with suppress(Skip):
            places["Redis"] = f"127.0.0.1:{stack.enter_context(redis(setting.folder))}"
        for place, address in places.items():
            yield from _in_process(setting, place, address, table, entities)
        yield from _over_http(setting, entities)
    if "Redis" not in places:
        raise Skip("there is no redis-server on the path")
    need_feast()


def _in_process(setting: Setting, place: str, address: str, table: Path, entities: int) -> Iterator[Case]:
    settings = Settings(features={"online": f"redis://{address}" if address else "", "log_share": 0.0})
    with ExitStack() as stack:
        project = setting.folder / f"{place} project"
        workspace = stack.enter_context(open_workspace(project, settings=settings))
        _apply(workspace, table)
        try:
            peer: Feast | None = stack.enter_context(
                feast(setting.folder / f"{place} feast", engine="dask", views=_views(table), online=address)
            )
        except Skip:
            peer = None
        yield from _put(workspace, peer, place, entities)
        reader = workspace.features.reader(REFS)
        if peer is not None:
            assert _equal(reader.columns([{"entity": 7}]), peer.ask("read", keys=[[7]])["rows"])

        def own(keys: Keys) -> dict[str, Any]:  # in the form of Feast's answer
            return _each(lambda some: reader.columns([{"entity": each} for each in some]), keys)

        def by_entity(keys: Keys) -> dict[str, Any]:
            return _each(lambda some: reader.rows([{"entity": each} for each in some]), keys)

        for number, times in BARS[place].items():

            def keys(number: int = number) -> Keys:
                return [random.sample(range(entities), number) for _ in range(setting.size(300 if number == 1 else 40, 10))]

            for what, unit, bar in (("", MILLISECONDS, Bar(times, of="times")), (": processors", MILLISECONDS, None)):
                yield Case(
                    label=f"{place}, in process, {_entities(number)}{what}",
                    unit=unit,
                    run=_told(own, "cpu" if what else "each"),
                    peers={} if peer is None else {f"Feast, {place}": _told(_asking(peer), "cpu" if what else "each")},
                    before=keys,
                    runs=5,
                    bar=bar if peer is not None else None,
                )
        yield Case(
            label=f"{place}, in process, {_entities(100)}: by entity, not by feature",
            unit=MILLISECONDS,
            run=_told(by_entity, "each"),
            before=lambda: [random.sample(range(entities), 100) for _ in range(setting.size(40, 10))],
            runs=5,
        )
        if not address:
            yield _pushing(setting, workspace, table, entities)


def _put(workspace: Workspace, peer: Feast | None, place: str, entities: int) -> Iterator[Case]:
    """Everything into the online store, again and again; Feast keeps answers and we the rows they are computed from."""
    label, about = f"{place}: materialise {entities:,} entities x 3 views", dict[str, Any](runs=3, warmups=0)
    own = Sides(ours(lambda: [workspace.features.materialise(ref, whole=True) for ref in REFS]))
    if peer is None:
        yield Case(label=label, unit=ROWS, amount=entities * len(VIEWS), run=own.wall, **about)
        return
    other, name = Sides(lambda: peer.ask("materialise")), f"Feast, {place}"
    bar = Bar(MATERIALISED[place], of="times")
    yield Case(
        label=label,
        unit=ROWS,
        amount=entities * len(VIEWS),
        run=own.wall,
        peers={name: other.wall},
        bar=bar,
        **about,
    )
    yield Case(label=f"{label}: processors", unit=SECONDS, run=own.cpu, peers={name: other.cpu}, **about)


def _pushing(setting: Setting, workspace: Workspace, path: Path, entities: int) -> Case:
    import pyarrow.parquet as pq

    table, pushed = pq.read_table(path), iter(range(10**9))
    return Case(
        label="push one row into 3 views",
        unit=MILLISECONDS,
        run=lambda _: workspace.pushes.push("dataset:rows", table.slice(next(pushed) % entities, 1)),
        runs=setting.size(100, 5),
        warmups=2,
    )


def _over_http(setting: Setting, entities: int) -> Iterator[Case]:
    """One client with so many connections, which leaves the cores to the server; the other server stands still meanwhile.

    Beside the calls a second stands what each took of the server's processors, whatever else the machine did.
    """
    project, servers = setting.folder / "SQLite project", dict[str, Server]()
    (project / "modelwright.toml").write_text("[features]\nlog_share = 0.0\n")
    with ExitStack() as stack:
        servers["ours"] = start_ours(project)
        stack.callback(servers["ours"].stop)
        with suppress(Skip):
            servers["Feast server"] = stack.enter_context(feast_server(setting.folder / "SQLite feast"))
        for number in (1, 100):
            for connections, times in CONNECTIONS.items():
                calls = setting.size(200 if number == 1 else 30, 5)

                def asked(server: Server, calls: int = calls, number: int = number, many: int = connections) -> Any:
                    def send(_: object) -> Measured:
                        make = _for_us if server is servers["ours"] else _for_feast
                        sent = [[make(random.sample(range(entities), number)) for _ in range(calls)] for _ in range(many)]
                        told = together(server.address, sent)
                        return Measured(told.seconds, told.each)

                    return send

                yield Case(
                    label=f"over HTTP, {_entities(number)}, {connections} connection{'' if connections == 1 else 's'}",
                    unit=CALLS,
                    amount=calls * connections,
                    runs=5,
                    bar=Bar(times, of="times") if len(servers) > 1 else None,
                    **each_server(servers, asked),
                )


def _for_us(keys: Sequence[int]) -> bytes:
    return request("POST", "/features/online", {"views": [str(ref) for ref in REFS], "keys": [{"entity": k} for k in keys]})


def _for_feast(keys: Sequence[int]) -> bytes:
    names = [f"{view}:{view}_{i}" for view in VIEWS for i in range(FEATURES)]
    return request("POST", "/get-online-features", {"features": names, "entities": {"entity": list(keys)}})


def _entities(number: int) -> str:
    return "1 entity" if number == 1 else f"{number} entities"


def _each(read: Callable[[Sequence[int]], object], keys: Keys) -> dict[str, Any]:
    """Timed as Feast's side times itself."""
    from time import perf_counter

    each, began = [], process_time()
    for some in keys:
        wall = perf_counter()
        read(some)
        each.append(perf_counter() - wall)
    return {"each": each, "cpu": (process_time() - began) / len(keys)}


def _asking(peer: Feast) -> Callable[[Keys], dict[str, Any]]:
    return lambda keys: peer.ask("read", keys=keys)


def _told(read: Callable[[Keys], dict[str, Any]], what: str) -> Callable[[Any], Measured]:
    """The mean seconds of a read, of the clock with each by itself, or of the processors."""

    def run(keys: Keys) -> Measured:
        found = read(keys)
        if what == "cpu":
            return Measured(found["cpu"])
        return Measured(sum(found["each"]) / len(keys), found["each"])

    return run


def _equal(own: Mapping[str, Sequence[Any]], given: Mapping[str, Sequence[Any]]) -> bool:
    return all(own[name] == given[name] for name in NAMES)


def _write(path: Path, entities: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    seeded, at = np.random.default_rng(3), datetime.now(UTC) - timedelta(hours=1)
    columns = {name: seeded.normal(size=entities) for name in NAMES}
    times = pa.array([at] * entities, pa.timestamp("us", tz="UTC"))
    pq.write_table(pa.table({"entity": pa.array(range(entities)), "at": times, **columns}), path)


def _views(table: Path) -> dict[str, Any]:
    return {
        view: {"path": str(table), "features": [f"{view}_{i}" for i in range(FEATURES)], "ttl": TTL_SECONDS}
        for view in VIEWS
    }


def _apply(workspace: Workspace, table: Path) -> None:
    from modelwright.features import FeatureView

    workspace.datasets.add("rows", table)
    for name in VIEWS:
        features = [f"{name}_{i}" for i in range(FEATURES)]
        view = FeatureView(name=name, entity="entity", source="dataset:rows", event_time="at", ttl=TTL, features=features)
        workspace.features.apply(view)
