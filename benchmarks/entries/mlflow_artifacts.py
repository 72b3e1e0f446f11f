"""Artifacts through the server's proxy, beside MLflow's own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from benchmarks.cases import MEBIBYTES, MEGABYTES, Bar, Case, Measured, Setting, benchmark
from benchmarks.servers import Peak, Server, need_mlflow
from benchmarks.tracking import each_server, new_experiment, new_run, three
from benchmarks.wire import Connection, request

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
SMALL = 1_000_000  # bytes
PIECE = 1_000_000


@benchmark("mlflow-artifacts", what="files through the artifact proxy, beside MLflow's own server with a folder behind it")
def artifacts(setting: Setting) -> Iterator[Case]:
    """No two files that go up are alike, so that storing by content spares nothing."""
    need_mlflow()
    files, large = setting.size(100, 5), setting.size(500, 20) * PIECE
    with ExitStack() as stack:
        servers = three(stack, setting)
        fresh = itertools.count()
        yield Case(
            label=f"{files} files of 1 MB up",
            unit=MEGABYTES,
            amount=files * SMALL,
            runs=setting.size(7, 1),
            bar=Bar(3, of="times"),
            **each_server(servers, lambda server: _many(server, fresh, files)),
        )
        yield Case(
            label=f"one of {large // PIECE} MB up",
            unit=MEGABYTES,
            amount=large,
            runs=setting.size(5, 1),
            bar=Bar(1.2, of="times"),
            **each_server(servers, lambda server: _up(server, fresh, large)),
        )
        yield Case(
            label=f"one of {large // PIECE} MB down",
            unit=MEGABYTES,
            amount=large,
            runs=setting.size(5, 1),
            bar=Bar(2, of="times"),
            **each_server(servers, lambda server: _down(server, fresh, large)),
        )
        yield Case(
            label="memory beyond the idle server's, the same up and down",
            unit=MEBIBYTES,
            runs=3,
            warmups=0,
            bar=Bar(64),
            **each_server(servers, lambda server: _memory(server, fresh, large)),
        )


def _folder(connection: Connection, number: int) -> str:
    info = new_run(connection, new_experiment(connection, f"artifacts {number}"))
    return f"{PROXY}/" + str(info["artifact_uri"]).removeprefix("mlflow-artifacts:").lstrip("/")


def _pieces(size: int) -> Iterator[bytes]:
    """Bytes that nobody has seen: random ones, and their places, so that they need not be drawn anew for each piece."""
    drawn = os.urandom(PIECE)
    for place in range(size // PIECE):
        mark = place.to_bytes(8, "little")
        yield mark + drawn[len(mark) :]


def _many(server: Server, fresh: Iterator[int], files: int) -> Callable[[Any], object]:
    connection = server.connection()
    folder = _folder(connection, next(fresh))

    def work(_: Any) -> Measured:
        from time import perf_counter

        requests = [request("PUT", f"{folder}/{next(fresh)}.bin", os.urandom(SMALL)) for _ in range(files)]
        began = perf_counter()
        for sent in requests:
            connection.ask(sent)
        return Measured(perf_counter() - began)

    return work


def _up(server: Server, fresh: Iterator[int], size: int) -> Callable[[Any], object]:
    connection = server.connection()
    folder = _folder(connection, next(fresh))
    return lambda _: connection.send_file(f"{folder}/{next(fresh)}.bin", lambda: _pieces(size), size)


def _down(server: Server, fresh: Iterator[int], size: int) -> Callable[[Any], object]:
    connection = server.connection()
    path = f"{_folder(connection, next(fresh))}/large.bin"
    connection.send_file(path, lambda: _pieces(size), size)

    def work(_: Any) -> None:
        came = connection.drain(request("GET", path))
        if came != size:
            raise RuntimeError(f"{came} bytes came of {size}")

    return work


def _memory(server: Server, fresh: Iterator[int], size: int) -> Callable[[Any], Measured]:
    up, down = _up(server, fresh, size), _down(server, fresh, size)

    def work(given: Any) -> Measured:
        with Peak(server) as peak:
            up(given)
            down(given)
        return Measured(peak.most - peak.before)

    return work
