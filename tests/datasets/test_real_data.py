"""The flights, weather, planes and census files, as their users would bring them."""

from __future__ import annotations

import pyarrow.compute as pc
import pytest

from modelwright.core.errors import Invalid
from modelwright.datasets import Nulls, RowCount, Unique
from modelwright.store import Verdict


def test_a_month_more_is_a_version_whose_difference_is_that_month(embedded, real_data):
    datasets = embedded.datasets
    year = datasets.add(
        "weather/year", real_data / "flights/weather.csv", key=["origin", "time_hour"], time_column="time_hour"
    )
    rows = datasets.read(year.ref)
    checks = [Unique(), Nulls(column="temp", max_share=0.01), RowCount(min_ratio=1.0)]
    spring = {"key": year.key, "time_column": "time_hour", "checks": checks}
    datasets.add("weather", rows.filter(pc.less_equal(rows["month"], 3)), **spring)
    april = datasets.add("weather", rows.filter(pc.less_equal(rows["month"], 4)), checks=checks)

    diff = datasets.diff("dataset:weather@1", april.ref)
    assert (diff.rows.added, diff.rows.removed, diff.rows.changed) == (pc.sum(pc.equal(rows["month"], 4)).as_py(), 0, 0)
    assert {row["month"] for row in diff.rows.added_sample} == {4}
    assert diff.time_before.last < diff.time_after.last == "2013-05-01T03:00:00.000000Z"
    moved = {change.name: change.level for change in diff.distributions}
    assert (moved["temp"], moved["origin"]) == ("small", "none")  # it gets warmer; the airports stay
    assert datasets.checks(april.ref)[0].verdict is Verdict.PASS


def test_a_broken_row_among_thirty_thousand_is_named_and_nothing_is_loaded(embedded, real_data, write):
    lines = (real_data / "flights/flights.csv").read_text().splitlines()
    lines[17_000] = lines[17_000].rpartition(",")[0]
    path = write("flights.csv", "\n".join(lines))
    with pytest.raises(Invalid) as caught:
        embedded.datasets.add("flights", path)
    assert (caught.value.details["line"], caught.value.details["column"]) == (17_001, "minute")
    assert embedded.datasets.list().items == []


def test_every_flight_is_loaded(embedded, real_data):
    assert embedded.datasets.add("flights", real_data / "flights/flights.csv").rows == 32_735


@pytest.mark.parametrize(
    ("file", "rows", "missing"),
    [
        ("flights/weather.csv", 26_115, {"wind_gust": 20_778}),
        ("flights/planes.csv", 3_322, {"speed": 3_299}),
        ("census/train.csv", 32_561, {"occupation": 1_843, "native_country": 583}),
    ],
)
def test_marks_of_missing_values_are_missing_values(embedded, real_data, file, rows, missing):
    version = embedded.datasets.add("real", real_data / file)
    profile = embedded.datasets.profile(version.ref)
    assert profile.rows == rows
    assert {name: profile.column(name).missing for name in missing} == missing
