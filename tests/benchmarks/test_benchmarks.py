"""The runner measures, and every benchmark can be loaded. How fast anything is, is never a test."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import report, runner
from benchmarks.cases import EVENTS, MILLISECONDS, Bar, Benchmark, Case, Setting, Skip


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


def test_every_entry_registers_a_benchmark() -> None:
    found = runner.load()

    assert {"start", "audited-write"} <= found.keys()
    assert all(each.what and each.name == name for name, each in found.items())
