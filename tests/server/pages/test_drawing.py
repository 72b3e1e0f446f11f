"""What the pages compute by themselves: words, pictures, and traffic read from the exposition."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.refs import Ref
from modelwright.datasets.records import ColumnProfile, Histogram
from modelwright.server.pages import charts, graph, lineage, words
from modelwright.server.pages.render import path_of
from modelwright.server.pages.shapes import shape
from modelwright.server.pages.traffic import served, together
from modelwright.serving import Arm, Plane, Route, ServingMetrics, Variant
from modelwright.store import Edge, Event

AT = datetime(2013, 7, 1, 12, 30, tzinfo=UTC)


def edge(source: str, target: str) -> Edge:
    return Edge(source=Ref.parse(source), target=Ref.parse(target), action="made", seq=1, at=AT)


def event(action: str, reason: str = "") -> Event:
    return Event(seq=1, ts=AT, action=action, actor={"id": "ada"}, resource="model:delay@1", reason=reason)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "True"),
        (7, "7"),
        (2013, "2013"),
        (12345, "12\u2009345"),
        (0.12345678, "0.1235"),
        (-0.5, "\u22120.5"),
        ("2024-01-01T00:00:00.000000Z", "2024-01-01 00:00"),
        ("2024-01-01T10:20:00.500000Z", "2024-01-01 10:20:00.5"),
        ("2024-01-01 or so", "2024-01-01 or so"),
    ],
)
def test_figures_have_as_many_digits_as_say_something(value: Any, text: str) -> None:
    assert words.figure(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00001, "under 1 ms"),
        (0.0042, "4.2 ms"),
        (3.0, "3 s"),
        (600, "10 min"),
        (7200.0, "2 h"),
        (864_000, "10 days"),
        (96_000_000, "1,111 days"),
    ],
)
def test_durations_are_in_the_unit_that_a_person_would_choose(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text
    assert words.duration(timedelta(seconds=seconds)) == text


def test_long_ids_are_cut_to_what_tells_them_apart() -> None:
    assert words.shortened("run:01JD0ZK3T8V1M2N3P4Q5R6S7T8 made it") == "run:…Q5R6S7T8 made it"
    assert words.shortened("model:pricing/delay@3") == "model:pricing/delay@3"


def test_events_that_repeat_are_counted_and_others_are_not() -> None:
    lines = words.told([event("a.b.c"), event("a.b.c"), event("a.b.c", "why"), event("a.b.d"), event("a.b.c")])
    assert [(each.action, times) for each, times in lines] == [("a.b.c", 2), ("a.b.c", 1), ("a.b.d", 1), ("a.b.c", 1)]


def test_a_specification_cannot_leave_its_element() -> None:
    made = words.chart("one", {"title": "</script><script>alert(1)</script>"}, '"><b>')
    assert "<script>alert" not in made and "<b>" not in made
    assert made.count("</script>") == 1


@pytest.mark.parametrize(
    ("ref", "path"),
    [
        ("model:pricing/delay@3", "/models/pricing/delay@3"),
        ("experiment:delay", "/runs?experiment=delay"),
        ("execution:01JD", "/executions/01JD"),
        ("alert:3", "/alerts/3"),
        ("evidence:01JD", "/record/evidence:01JD"),
        ("principal:svc/ci", "/record/principal:svc/ci"),
    ],
)
def test_every_ref_has_a_page(ref: str, path: str) -> None:
    assert path_of(ref) == path


def test_lineage_stands_in_columns_from_what_was_to_what_came_of_it() -> None:
    edges = [edge("dataset:a@1", "run:r"), edge("run:r", "model:m@1"), edge("dataset:a@1", "model:m@1")]
    edges.append(edge("model:m@1", "deployment:d"))
    found = lineage.columns(Ref.parse("model:m@1"), edges)
    assert found == {"model:m@1": 0, "run:r": -1, "dataset:a@1": -2, "deployment:d": 1}


def test_a_circle_ends() -> None:
    edges = [edge("model:a@1", "model:b@1"), edge("model:b@1", "model:c@1"), edge("model:c@1", "model:b@1")]
    picture = lineage.draw(Ref.parse("model:a@1"), edges)
    assert picture.count("<rect") == 3


def test_many_versions_of_one_thing_are_one_box() -> None:
    edges = [edge(f"dataset:a@{number}", "model:m@1") for number in range(1, 31)]
    edges += [edge("dataset:b@1", "model:m@1"), edge("model:m@1", "deployment:d")]
    picture = lineage.draw(Ref.parse("model:m@1"), edges)
    assert picture.count("<rect") == 4
    assert "30 × dataset" in picture and "a@1…30" in picture and picture.count("<path") == 3


def test_the_same_figures_are_drawn_once() -> None:
    made = []

    def draw(figures: list[float], *, floor: float) -> dict[str, Any]:
        made.append(figures)
        return {"figures": figures, "floor": floor}

    first = charts.drawn(draw, [0.1, 0.2], floor=0.5)
    assert charts.drawn(draw, [0.1, 0.2], floor=0.5) == first
    assert len(made) == 1
    charts.drawn(draw, [0.1, 0.2], floor=0.6)
    assert len(made) == 2


names = st.sampled_from("abcdefgh")


@given(st.lists(st.tuples(names, names).filter(lambda pair: pair[0] < pair[1]), max_size=20))
def test_no_arrow_of_a_graph_without_circles_points_backwards(pairs: list[tuple[str, str]]) -> None:
    arrows = [graph.Arrow(*pair) for pair in pairs]
    keys = sorted({key for pair in pairs for key in pair}) or ["a"]
    columns = graph.depths(arrows, keys)
    assert all(columns[arrow.source] < columns[arrow.target] for arrow in arrows)
    picture = graph.draw({key: graph.Node("step", key) for key in keys}, arrows, columns, "steps")
    assert picture.count("<rect") == len(keys)


def test_what_a_node_says_is_never_markup() -> None:
    picture = graph.draw({"a": graph.Node("<i>", "<b>", '"><i>', '"><i>', "<u>")}, [], {"a": 0}, '"><i>')
    assert "<i>" not in picture and "<b>" not in picture and "<u>" not in picture


def test_traffic_is_read_from_the_exposition_by_endpoint_and_version() -> None:
    metrics = ServingMetrics()
    one, two = (Arm(model=Ref.parse(f"model:delay@{n}"), digest=f"{n}" * 64) for n in (1, 2))
    metrics.routed({"delay": Route(endpoint="delay", stable=one, canary=two, weight=10.0)})
    for number in range(90):
        metrics.done("delay", one, Variant.STABLE, "v2", 200, 0.004 if number < 80 else 0.2)
    metrics.done("delay", two, Variant.CANARY, "v2", 500, 0.004)
    metrics.done("delay", None, "", "v2", 400, 0.001)
    found = served(metrics.exposition(Plane([])))
    stable, canary = sorted(found["delay"], key=lambda side: side.model)
    assert (stable.model, stable.requests, stable.errors) == ("model:delay@1", 90, 0)
    assert (canary.requests, canary.errors, canary.error_share) == (1, 1, 1.0)
    assert 0.0025 <= (stable.quantile(0.5) or 0) <= 0.005
    assert 0.1 <= (stable.quantile(0.95) or 0) <= 0.25
    both = together(found["delay"])
    assert both is not None and (both.requests, both.errors) == (91, 1)
    assert served("") == {} and together([]) is None


def test_a_difference_of_columns_that_hold_infinities_is_drawn() -> None:
    def column(least: float | None) -> ColumnProfile:
        drawn = Histogram(edges=[1.0, 2.0], counts=[2])
        return ColumnProfile(name="x", type="double", count=3, missing=0, minimum=least, histogram=drawn)

    assert "1 to 2" in str(shape(column(None), column(None)))
    assert "0.5 to 2" in str(shape(column(None), column(0.5)))
