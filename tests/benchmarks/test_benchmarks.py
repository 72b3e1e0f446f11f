"""The runner measures, and every benchmark can be loaded. How fast anything is, is never a test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

from benchmarks import report, runner, wire
from benchmarks.cases import CALLS, EVENTS, MILLISECONDS, Bar, Benchmark, Case, Measured, Setting, Skip


def test_a_case_is_warmed_up_and_measured_by_turns_with_its_peer() -> None:
    called: list[str] = []
    case = Case(
        label="a",
        unit=MILLISECONDS,
        run=lambda given: called.append(f"ours {given}"),
        peer=lambda given: called.append(f"peer {given}"),
        before=lambda: "x",
        runs=4,
        warmups=1,
    )

    result = runner.measure("b", case)

    ours, peer = "ours x", "peer x"
    assert called == [ours, peer, ours, peer, peer, ours, ours, peer, peer, ours]
    assert result.peer is not None
    assert result.ours.runs == result.peer.runs == 4
    assert result.ours.low <= result.ours.median <= result.ours.high
    assert result.ratio == result.ours.median / result.peer.median


def test_a_bar_is_a_least_for_rates_and_a_most_for_times() -> None:
    def met(unit: object, limit: float) -> bool | None:
        case = Case(label="a", unit=unit, run=lambda _: None, bar=Bar(limit))  # type: ignore[arg-type]
        return runner.measure("b", case).met

    assert [met(EVENTS, 0), met(EVENTS, 1e18)] == [True, False]
    assert [met(MILLISECONDS, 1e9), met(MILLISECONDS, 0)] == [True, False]


def test_a_benchmark_has_an_empty_folder_and_may_say_why_it_cannot_run() -> None:
    def cases(setting: Setting) -> Iterator[Case]:
        assert not list(setting.folder.iterdir())
        yield Case(label="a", unit=MILLISECONDS, run=lambda _: None)
        raise Skip("no more today")

    first, second = runner.run(Benchmark("b", "nothing", cases))

    assert isinstance(first, runner.Result)
    assert second == runner.Skipped("b", "no more today")
    told = report.document([first, second], report.machine(), quick=False)
    assert [each["label"] for each in told["results"]] == ["a"]
    assert told["skipped"] == [{"benchmark": "b", "why": "no more today"}]
    assert report.table(Benchmark("b", "nothing", cases), [first, second]).row_count == 2


def test_the_ratio_is_to_the_best_of_several_peers_and_single_calls_give_the_p99() -> None:
    def side(seconds: float) -> Measured:
        return Measured(seconds, [seconds / 100] * 100)

    case = Case(
        label="a",
        unit=CALLS,
        amount=100,
        run=lambda _: side(1),
        peers={"slow": lambda _: side(10), "slower": lambda _: side(40)},
        runs=3,
        bar=Bar(11, of="times"),
    )

    result = runner.measure("b", case)

    assert (result.against, list(result.others)) == ("slow", ["slower"])
    assert result.ours.median == 100
    assert result.times == 10
    assert result.met is False
    assert result.ours.p99 == 10  # milliseconds


def test_the_client_reads_plain_and_chunked_answers_and_outlives_a_server_that_hangs_up() -> None:
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n" + b'{"a":1}',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue",
    ]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def serve() -> None:
            for group in (answers[:3], answers[3:]):
                accepted, _ = listening.accept()
                with accepted:
                    for answer in group:
                        accepted.recv(65536)
                        accepted.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with wire.Connection(wire.Address("127.0.0.1", port)) as connection:
            sent = wire.request("POST", "/", {"x": 1})
            assert [connection.ask(sent).json() for _ in answers] == [{"a": 1}, {}, {}, True]
        thread.join()


def test_every_entry_registers_a_benchmark() -> None:
    found = runner.load()

    assert {"start", "audited-write"} <= found.keys()
    assert all(each.what and each.name == name for name, each in found.items())
