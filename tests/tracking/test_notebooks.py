"""What a notebook shows of a run, a comparison, a curve and a model version: escaped, self-contained, without a theme."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pytest
from msgspec.structs import replace

import modelwright as mw
from modelwright.client import connect
from modelwright.core.errors import Unavailable
from modelwright.core.html import sparkline, where_between
from modelwright.datasets.display import OPEN
from modelwright.testing import serving
from modelwright.tracking import TrackedRun
from modelwright.workspace import Workspace

NONE = {"capture": False, "system_metrics": False}
EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"


class Reader(HTMLParser):
    """Collects the tags, attributes and text of a piece of HTML, and whether what is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.text = ""
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(shown: Any) -> Reader:
    html = shown._repr_html_()
    found = Reader(html)
    assert found.open == [] and not {"script", "img", "link", "iframe", "style"} & set(found.tags)
    assert not [name for name in found.names if name.startswith("on")]
    assert "http" not in html.replace('xmlns="http://www.w3.org/2000/svg"', "")
    return found


@pytest.fixture
def run(here: Workspace) -> TrackedRun:
    with mw.start_run("delay", name=EVIL[:60], tags={"idea": EVIL}, **NONE) as made:
        mw.log_params({"depth": 6, "note": EVIL})
        for value in (3.0, float("nan"), 1.0, 2.0):
            mw.log_metric("loss", value)
        mw.log_metric("once", float("inf"))
        mw.log_text("x", "log.txt")
    return made


def test_a_run_that_is_running_here_draws_its_curves(run: TrackedRun) -> None:
    found = read(run)
    assert found.tags.count("svg") == 1 and found.tags.count("polyline") == 2  # NaN is a gap
    assert EVIL in found.text and "finished" in found.text


def test_a_run_a_curve_and_a_comparison_on_the_record_are_shown(run: TrackedRun, here: Workspace) -> None:
    kept = here.experiments.show(run.ref)
    found = read(kept)
    assert EVIL in found.text and "log.txt" in found.text and "svg" in found.tags
    assert "polyline" in read(here.experiments.curve(run.ref, "loss")).tags
    with mw.start_run("delay", **NONE) as other:
        mw.log_params({"depth": 7})
        mw.log_metric("loss", 0.5)
    found = read(here.experiments.compare([run.ref, other.ref]))
    assert "depth" in found.text and "2 runs" in found.text


def test_a_model_version_is_shown(here: Workspace) -> None:
    from sklearn.linear_model import LinearRegression

    table = pa.table({"x<b>": [0.0, 1.0, 2.0]})
    fitted = LinearRegression().fit(table.to_pandas(), [0.0, 1.0, 2.0])
    with mw.start_run("delay", **NONE) as made:
        pass
    version = here.models.log("delay", fitted, example=table, run=made.ref, description=EVIL)
    found = read(version)
    assert EVIL in found.text and "x<b>" in found.text and "candidate" in found.text


@pytest.mark.parametrize(
    "values", [[], [1.0], [float("nan")] * 3, [1e308, -1e308, 1e308], [0.0, 0.0], [float("inf"), 1.0, 2.0]]
)
def test_a_sparkline_is_a_picture_of_any_values(values: list[float]) -> None:
    made = sparkline(values)
    if len(values) < 2 or all(value != value for value in values):
        assert made == ""
        return
    picture = ElementTree.fromstring(made)
    for line in picture.iter("{http://www.w3.org/2000/svg}polyline"):
        for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", line.attrib["points"]):
            assert 0 <= float(x) <= 140 and 0 <= float(y) <= 28


def test_a_mark_stands_between_the_extremes_or_is_left_out() -> None:
    assert "circle" in where_between(0.0, 0.5, 1.0) and "circle" in where_between(-1e308, 0.0, 1e308)
    assert where_between(1.0, 1.0, 1.0) == where_between(0.0, float("nan"), 1.0) == ""


def test_a_workspace_that_was_closed_or_is_out_of_reach_keeps_no_version_from_being_shown(here: Workspace) -> None:
    version = here.datasets.add("flights", pa.table({"n": [1.0, 2.0]}))
    with serving(here) as url, connect(url) as there:
        assert there.datasets.show(version.ref) == version
    with pytest.raises(Unavailable, match="was closed here"):
        there.datasets.show(version.ref)
    beyond = connect(url)
    assert beyond.datasets and {there.datasets, beyond.datasets} & {*OPEN} == {beyond.datasets}
    assert "svg" in read(version).tags
    here.datasets.close()
    assert "svg" not in read(version).tags
    beyond.close()


def test_a_dataset_version_and_a_profile_draw_their_columns(here: Workspace) -> None:
    rows = pa.table({"n": [float(i) for i in range(50)], "kind": [EVIL, "b"] * 25, EVIL: [None] * 50})
    version = here.datasets.add("flights", rows, key="n", description=EVIL)
    for shown in (version, here.datasets.profile(version.ref)):
        found = read(shown)
        assert found.tags.count("svg") == 2 and found.tags.count("rect") > 20
        assert "kind" in found.text and "24.5" in found.text and EVIL[:18] in found.text
    assert "n (key)" in read(version).text
    unknown = replace(version, digest="0" * 64)  # of a workspace that is not open: without plots
    assert "svg" not in read(unknown).tags and "n (key)" in read(unknown).text
