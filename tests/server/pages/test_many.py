"""The pages of runs with more of everything than fits: what is left out is said, and can be asked for."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
import pytest

from modelwright.experiments import Point, Run
from modelwright.testing import serving
from modelwright.traces import Span, SpanBatch
from modelwright.workspace import Workspace

AT = datetime(2026, 1, 1, tzinfo=UTC)
CURVES = 30  # of a run: more than a page draws
POINTS = 2000  # of the long one: more than a chart draws


class Many(NamedTuple):
    """A browser without an engine, and what there is to look at."""

    browse: httpx.Client
    runs: list[Run]

    def page(self, path: str, **query: Any) -> str:
        """The text of a page."""
        answer = self.browse.get(path, params=query or None)
        assert answer.status_code == 200, answer.text[-400:]
        return html.unescape(answer.text)

    def compare(self, **query: Any) -> str:
        """The runs side by side."""
        return self.page("/runs/compare", run=[each.id for each in self.runs], **query)


@pytest.fixture
def many(embedded: Workspace) -> Iterator[Many]:
    runs = []
    for rate in ("0.5", "0.25", "1e-3"):
        run = embedded.experiments.start("Späte Flüge", name="the same name")
        points = [
            Point.of(f"g/m {number:02}", number / (step + float(rate)), step=step, time=AT)
            for number in range(1, CURVES + 1)
            for step in range(3)
        ]
        long = [Point.of("long", math.nan if s == 1 else s + float(rate), step=s, time=AT) for s in range(POINTS)]
        embedded.experiments.log(
            run.ref, params={"rate": rate, "kind": f"kind {rate}", "drill": rate == "0.5"}, points=points + long
        )
        runs.append(embedded.experiments.finish(run.ref))
    with serving(embedded) as url, httpx.Client(base_url=url, headers={"accept": "text/html"}) as client:
        yield Many(client, runs)


def names_of_rows(page: str) -> list[str]:
    return [each.strip() for each in re.findall(r'<th scope="row" class="mono">(?:<a[^>]*>)?([^<]+)', page)]


def specs(page: str) -> list[Any]:
    return [json.loads(each) for each in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page)]


def test_a_chart_says_that_it_does_not_show_every_point(many: Many) -> None:
    page = many.page(f"/runs/{many.runs[0].id}", curve="long")
    assert "300 of 2,000 points are drawn, the lowest and highest of every stretch among them." in page
    assert "900 of 6,000 points are drawn" in many.compare(curve="long")
    assert "points are drawn" not in many.page(f"/runs/{many.runs[0].id}", curve="g/m 01")


def test_a_long_name_and_one_that_turns_the_direction_of_writing_leave_the_rest_in_its_place(embedded: Workspace) -> None:
    runs = [embedded.experiments.start("odd", name=name).ref for name in ("n" * 250, "turned \u202e round \x1b[2J")]
    embedded.experiments.log(runs[1], params={"kind": "para \u202e meter"})
    embedded.experiments.tag(runs[1], {"hue": "ta \u202e g"})
    pages = [f"/runs/{runs[1].name}", "/runs", f"/runs/compare?run={runs[0].name}&run={runs[1].name}"]
    with serving(embedded) as url, httpx.Client(base_url=url, headers={"accept": "text/html"}) as client:
        one, all_of_them, compared = (html.unescape(client.get(page).text) for page in pages)
    for page in (one, all_of_them, compared):
        assert r"turned \u202e round \x1b[2J" in page and not set(page) & {"\u202e", "\x1b"}
    assert r"para \u202e meter" in one and r"ta \u202e g" in one
    for page in (all_of_them, compared):
        assert f">{'n' * 59}…<" in page


def test_a_value_that_is_not_finite_breaks_the_line_and_is_told(many: Many, embedded: Workspace) -> None:
    run = embedded.experiments.start("broken")
    values = [0.5, math.nan, 0.25, math.inf, 0.125]
    points = [Point.of("loss", value, step=step, time=AT) for step, value in enumerate(values)]
    embedded.experiments.log(run.ref, points=points)
    page = many.page(f"/runs/{run.id}")
    assert "2 of them are not finite: the line is broken there." in page
    (chart,) = specs(page)
    assert [each["value"] for each in chart["data"]["values"]] == [0.5, None, 0.25, None, 0.125]


def test_runs_of_one_name_are_lines_of_their_own(many: Many) -> None:
    page = many.compare(curve="g/m 01")
    called = {f"the same name …{run.id[-6:]}" for run in many.runs}
    parallel, scatter, curves = specs(page)
    for chart in (parallel["layer"][0], scatter, curves):
        assert {each["run"] for each in chart["data"]["values"]} == called
    assert all(each in page for each in called)


def test_numbers_that_came_as_text_are_drawn_to_scale_and_words_are_not(many: Many) -> None:
    _, scatter, _ = specs(many.compare(curve="g/m 01", x="rate", y="long"))
    assert scatter["encoding"]["x"]["type"] == "quantitative"
    assert sorted(each["x"] for each in scatter["data"]["values"]) == [0.001, 0.25, 0.5]
    for words in ("kind", "drill"):
        _, scatter, _ = specs(many.compare(curve="g/m 01", x=words, y="long"))
        assert scatter["encoding"]["x"]["type"] == "nominal"
    _, scatter, _ = specs(many.compare(curve="g/m 01"))
    assert scatter["encoding"]["x"]["title"] == "rate"  # the first whose values are numbers


def test_curves_beyond_those_drawn_are_drawn_when_they_are_asked_for(many: Many) -> None:
    one = f"/runs/{many.runs[0].id}"
    assert f"12 of {CURVES + 1} curves are drawn" in many.page(one)
    assert 'aria-label="g/m 30"' not in many.page(one)
    assert 'href="?curve=g/m%2030"' in many.page(one)
    assert 'aria-label="g/m 30"' in many.page(one, curve="g/m 30")
    assert f"12 of {CURVES + 1} curves are drawn" in many.compare()
    link = re.search(r'href="(\?[^"]*curve=g%2Fm\+30)"', many.compare())
    assert link is not None
    drawn = many.page(f"/runs/compare{link[1]}")
    assert 'aria-label="g/m 30"' in drawn and f"1 of {CURVES + 1} curves is drawn" in drawn


def test_a_part_of_a_name_finds_metrics_and_parameters(many: Many) -> None:
    found = many.page(f"/runs/{many.runs[0].id}", like="M 1", curve="long")
    assert re.findall(r'title="Draw its curve">([^<]+)<', found) == [f"g/m {number}" for number in range(10, 20)]
    assert "No metric is called that." in many.page(f"/runs/{many.runs[0].id}", like="nothing")
    table = many.compare(like="RATE", curve="long")
    assert re.findall(r'<th scope="row" class="mono">([^<]+)<', table) == ["rate"]
    assert "None is called that." in table


def test_the_title_of_an_experiment_is_told_and_one_run_alone_is_too(many: Many) -> None:
    assert "3 runs of Späte Flüge, measured against" in many.compare()
    alone = many.page("/runs/compare", run=many.runs[0].id)
    assert "One run of Späte Flüge: choose another to measure against it." in alone


def test_what_the_list_is_ordered_by_is_a_column(many: Many) -> None:
    page = many.page("/runs", order="metrics.`g/m 27` DESC")
    assert 'title="Order by g/m 27"' in page
    page = many.page("/runs", order="params.`rate` ASC")
    assert 'title="Order by rate"' in page


def test_a_run_that_nobody_will_end_says_so_and_is_ended_on_its_page(many: Many, embedded: Workspace) -> None:
    now = embedded.workspace.status().now
    run = embedded.experiments.start("Späte Flüge", name="lost", started_at=now - timedelta(days=5))
    assert "silent for 5 days" in many.page("/runs", q="lost")
    page = many.page(f"/runs/{run.id}")
    assert "Nothing was heard of it for 5 days" in page and 'action="/runs/end"' in page
    form = {"run": run.id, "status": "killed", "reason": "its machine is gone"}
    assert many.browse.post("/runs/end", data=form | {"status": "running"}).status_code == 400
    done = many.browse.post("/runs/end", data=form)
    assert (done.status_code, done.headers["location"]) == (303, f"/runs/{run.id}")
    ended = embedded.experiments.show(run.ref)
    assert (ended.status, ended.ended_at) == ("killed", run.started_at)
    assert "its machine is gone" in many.page(f"/runs/{run.id}") and "/runs/end" not in many.page(f"/runs/{run.id}")


def test_a_metric_that_one_run_alone_has_comes_after_those_of_all(many: Many, embedded: Workspace) -> None:
    for run in many.runs:
        embedded.experiments.resume(run.ref)
        points = [Point.of(f"a/{run.id[-3:]}/{number:03}", number, step=0, time=AT) for number in range(150)]
        embedded.experiments.log(run.ref, points=points)
    page = many.compare()
    rows = names_of_rows(page)
    assert rows[: CURVES + 1] == [f"g/m {number:02}" for number in range(1, CURVES + 1)] + ["long"]
    assert "281 more" in page
    onward = re.search(r'href="(\?[^"]*rows=200[^"]*)"', page)
    assert onward
    further = many.page(f"/runs/compare{onward[1]}")
    assert "g/m 01" not in names_of_rows(further)
    named = names_of_rows(many.compare(sort="name"))
    assert named[0].startswith("a/") and named[:200] == sorted(named[:200])
    by_size = names_of_rows(many.compare(sort="difference"))
    assert by_size[0].startswith("g/m") and by_size[CURVES] == "long"


def test_the_list_has_columns_for_what_at_least_half_of_the_runs_have(many: Many, embedded: Workspace) -> None:
    lone = embedded.experiments.start("Späte Flüge", name="lone")
    embedded.experiments.log(lone.ref, points=[Point.of("a/rare", 1, step=0, time=AT)])
    head = many.page("/runs").partition("</thead>")[0]
    assert "a/rare" not in head.rpartition("<thead>")[2] and "g/m 01" in head.rpartition("<thead>")[2]


def test_one_point_is_drawn_where_it_is_asked_for(many: Many, embedded: Workspace) -> None:
    lone = embedded.experiments.start("Späte Flüge", name="lone")
    embedded.experiments.log(lone.ref, points=[Point.of("once", 0.34657, step=3, time=AT)])
    assert specs(many.page(f"/runs/{lone.id}")) == []  # its figure stands in the table
    (chart,) = specs(many.page(f"/runs/{lone.id}", curve="once"))
    assert chart["mark"]["point"] is True
    assert chart["encoding"]["y"]["axis"] == {"values": [0.34657], "format": ".5~g"}
    assert specs(many.page(f"/runs/{many.runs[0].id}", curve="long"))[0]["mark"].get("point") is not True


def test_what_was_logged_without_steps_is_drawn_over_time(many: Many, embedded: Workspace) -> None:
    made = [embedded.experiments.start("Späte Flüge", name=name) for name in ("one", "other")]
    for run in made:
        points = [Point.of("loss", 1 / second, step=0, time=AT + timedelta(seconds=second)) for second in (1, 2, 4)]
        embedded.experiments.log(run.ref, points=[*points, Point.of("epochs", 1, step=0, time=AT)])
    (chart,) = specs(many.page(f"/runs/{made[0].id}"))
    assert [(each["seconds"], each["value"]) for each in chart["data"]["values"]] == [(0, 1), (1, 0.5), (3, 0.25)]
    assert chart["encoding"]["x"]["title"] == "seconds"
    embedded.experiments.log(made[1].ref, points=[Point.of("loss", 1 / 8, step=1, time=AT + timedelta(seconds=5))])
    page = many.page("/runs/compare", run=[each.id for each in made])
    assert '"title": "step"' in page and '"title": "seconds"' not in page  # one of them has steps


def test_traces_of_an_experiment_that_is_not_there_are_none(many: Many, embedded: Workspace) -> None:
    made = embedded.experiments.create("Späte Züge")
    embedded.traces.log(made.ref, [SpanBatch(spans=[Span(trace="b" * 32, id="c" * 16, name="answer", start=1, end=2)])])
    assert "Späte Züge</span>" in many.page("/traces") and ">answer</a>" in many.page("/traces", experiment="Späte Züge")
    assert "of Späte Züge" in many.page("/traces", experiment=made.name)
    assert ">answer</a>" not in many.page("/traces", experiment="none")
