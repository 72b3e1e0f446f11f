from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelwright.core.errors import Invalid, NotFound
from modelwright.features import FeatureView, column, count, expression, load_views, maximum, mean, minimum, total


def view(**changed: Any) -> FeatureView:
    given: dict[str, Any] = {"name": "v", "entity": ["key"], "source": "dataset:d", "event_time": "at", "features": ["x"]}
    return FeatureView(**(given | changed))


def test_a_definition_is_written_with_plain_values() -> None:
    made = view(entity="key", features=["x", expression("double", "2 * x")])
    assert (made.entity, str(made.source), made.names) == (["key"], "dataset:d", ["x", "double"])


def test_an_aggregate_is_named_for_what_it_is() -> None:
    made = [f("x", window="7d").name for f in (mean, total, minimum, maximum, count)] + [count(window="7d").name]
    assert made == ["x_mean_7d", "x_total_7d", "x_minimum_7d", "x_maximum_7d", "x_count_7d", "count_7d"]


@pytest.mark.parametrize("window", ["-1d", "1.5d", "", "soon"])
def test_a_window_that_is_no_duration_is_told_as_that(window: str) -> None:
    with pytest.raises(Invalid, match="is not a duration"):
        count(window=window)


def test_one_expression_is_computed_once_for_all_its_windows() -> None:
    made = view(features=[mean("x", window="1d"), mean("x", window="7d"), count(window="7d"), total("y", window="1h")])
    assert made.inputs == ['"x"', '"y"']
    assert made.reach == 7 * 86_400_000_000


def test_a_quote_in_a_column_name_stays_in_the_name() -> None:
    with pytest.raises(Invalid, match="cannot name a feature"):
        column('x" FROM source; --')
    assert expression("f", '"odd ""name"""').sql == '"odd ""name"""'


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"features": []}, "at least one"),
        ({"entity": []}, "at least one"),
        ({"entity": ["a b"]}, "entity column"),
        ({"features": ["x", "x"]}, "'x' twice"),
        ({"features": ["key"]}, "'key' twice"),
        ({"features": ["x", mean("x", window="1d")]}, "Make two views"),
        ({"features": [mean("x", window="1d")], "ttl": "1d"}, "Leave ttl out"),
        ({"features": [mean("x", window="1d")], "event_time": None}, "no event_time"),
        ({"event_time": None, "ttl": "1d"}, "no event_time"),
        ({"event_time": None, "created_time": "c"}, "no event_time"),
        ({"ttl": "soon"}, "not a duration"),
        ({"source": "model:m"}, "no dataset"),
        ({"source": "d"}, "kind"),
        ({"name": "../v"}, "name"),
        ({"select": " "}, "empty"),
    ],
)
def test_a_definition_that_makes_no_sense_is_refused_at_once(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(Invalid, match=why):
        view(**changed)


def test_an_aggregate_of_an_expression_needs_a_name() -> None:
    with pytest.raises(Invalid, match="needs a name"):
        mean("x + y", window="1d")
    assert mean("x + y", window="1d", name="sum_of_two").name == "sum_of_two"


def test_a_projects_file_gives_its_views(tmp_path: Path) -> None:
    file = tmp_path / "features.py"
    file.write_text(
        "from modelwright.features import FeatureView\n"
        "a = FeatureView(name='a', entity='k', source='dataset:d', features=['x'])\n"
        "b = FeatureView(name='b', entity='k', source='dataset:d', features=['y'])\n"
        "also_a = a\n"
    )
    assert [each.name for each in load_views(file)] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = 1", "defines no FeatureView"),
        ("1 / 0", "ZeroDivisionError"),
        ("from modelwright.features import column\ncolumn('9')", "cannot name a feature"),
        (
            "from modelwright.features import FeatureView\n"
            "a, b = (FeatureView(name='a', entity='k', source='dataset:d', features=[f]) for f in 'xy')",
            "two views named 'a'",
        ),
    ],
)
def test_a_file_that_gives_no_views_says_why(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "features.py"
    file.write_text(text)
    with pytest.raises(Invalid, match=why):
        load_views(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"features\.py"):
        load_views(tmp_path / "features.py")
