"""Vectorised functions in Python that views call: offline and online alike, each row alone, never from the record."""

from __future__ import annotations

import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import modelwright as mw
from modelwright.core.errors import Invalid, Unavailable
from modelwright.features import FeatureView, Transformation, expression, mean, vectorised
from modelwright.features.sessions import session
from modelwright.testing import serving
from modelwright.workspace import Workspace

DAY = datetime(2024, 1, 1, tzinfo=UTC)
ROWS = [
    {"who": "ada", "at": DAY, "kg": 60.0, "m": 1.7, "note": "banana"},
    {"who": "ada", "at": DAY.replace(day=2), "kg": 61.0, "m": 1.7, "note": None},
    {"who": "bob", "at": DAY, "kg": None, "m": 1.8, "note": "a"},
]


@vectorised(takes=["float", "float"], gives="float")
def body_mass(kg: Any, m: Any) -> Any:
    return pc.divide(kg, pc.power(m, 2))


@vectorised(takes=["text"], gives="floats")
def letters(text: Any) -> Any:
    made = [None if each is None else [float(len(each)), float(each.count("a"))] for each in text.to_pylist()]
    return pa.array(made, pa.list_(pa.float64()))


PEOPLE = FeatureView(
    name="people",
    entity="who",
    source="dataset:people",
    event_time="at",
    features=[expression("bmi", "body_mass(kg, m)"), expression("about", "letters(note)")],
    request={"weight": "float"},
    on_demand=[expression("gained", "body_mass(weight, 2) > bmi")],
    functions=[body_mass, letters],
)
MEANS = FeatureView(
    name="means",
    entity="who",
    source="dataset:people",
    event_time="at",
    features=[mean("body_mass(kg, m)", window="3d", name="mean_bmi")],
    functions=[body_mass],
)


def of(function: Transformation, call: str) -> FeatureView:
    return FeatureView(
        name="of", entity="who", source="dataset:people", features=[expression("x", call)], functions=[function]
    )


@pytest.fixture
def people(embedded: Workspace) -> Workspace:
    embedded.datasets.add("people", pa.Table.from_pylist(ROWS), key=["who", "at"], time_column="at")
    return embedded


def test_what_a_function_gives_is_the_same_offline_online_and_by_itself(people: Workspace) -> None:
    for view in (PEOPLE, MEANS):
        people.features.apply(view)
        people.features.materialise(view.ref, DAY.replace(day=9), since=DAY)
    asked = [{"who": who, "event_timestamp": DAY.replace(day=2), "weight": 200.0} for who in ("ada", "bob", "cyd", "ada")]
    found = people.features.training(asked, [PEOPLE.ref, MEANS.ref]).table.to_pylist()
    bmi, before = body_mass(pa.array([61.0, 60.0]), pa.array([1.7, 1.7])).to_pylist()
    assert [each["bmi"] for each in found] == [bmi, None, None, bmi]
    assert [each["about"] for each in found] == [None, [1.0, 1.0], None, None]
    assert [each["gained"] for each in found] == [True, None, None, True]
    assert found[0]["mean_bmi"] == pytest.approx((bmi + before) / 2)
    for comparison in people.features.verify([PEOPLE.ref, MEANS.ref]):
        assert comparison.equal
    assert people.features.show(PEOPLE.ref).view.functions == [body_mass, letters]


def test_rows_that_are_pushed_go_through_the_function(people: Workspace) -> None:
    people.features.apply(PEOPLE)
    people.features.materialise(PEOPLE.ref)
    people.pushes.push("dataset:people", [ROWS[2] | {"at": "2024-01-05T00:00:00Z", "kg": 100.0, "m": 2.0}], id="one")
    (found,) = people.features.online([PEOPLE.ref], [{"who": "bob", "weight": 120.0}])
    assert found == {"bmi": 25.0, "about": [1.0, 1.0], "gained": True}


def centred(x: Any) -> Any:
    return pc.subtract(x, pc.mean(x))


def drawn(x: Any) -> Any:
    return pa.array([random.random() for _ in x])


def fewer(x: Any) -> Any:
    return x.slice(1)


def failing(x: Any) -> Any:
    raise ValueError(f"{x}")


def median(x: Any) -> Any:  # DuckDB has one
    return x


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (centred, "another value among others than alone"),
        (drawn, "another value among others than alone"),
        (fewer, "it gave 2 values for 3 rows"),
        (failing, r"it raised ValueError \(line \d+\)\. Try it out by itself"),
        (median, "is a function of DuckDB's"),
    ],
)
def test_a_function_that_cannot_be_trusted_is_given_up_and_no_value_is_quoted(
    people: Workspace, function: Any, why: str
) -> None:
    view = of(vectorised(takes=["float"], gives="float")(function), f"{function.__name__}(m)")
    with pytest.raises(Invalid, match=why):
        people.features.training([{"who": "ada", "event_timestamp": DAY}], [people.features.apply(view).ref])


@vectorised(takes=["float"], gives="float")
def light(kg: Any) -> Any:
    if pc.max(kg).as_py() > 100:
        raise ValueError("too heavy")
    return kg


@vectorised(takes=["float"], gives="float")
def short(m: Any) -> Any:
    if pc.max(m).as_py() > 3:
        raise ValueError("too tall")
    return m


def test_the_function_that_gives_up_is_named_whichever_did_before() -> None:
    view = FeatureView(
        name="of", entity="who", source="dataset:people", features=[expression("x", "light(kg)")], functions=[light, short]
    )
    for call, column, value in (("light", "kg", 200.0), ("short", "m", 4.0), ("light", "kg", 300.0)):
        source = pa.table({column: [value]})
        with pytest.raises(Invalid, match=rf"{call}\(\) cannot be used") as told, session(source, view) as connection:
            connection.sql(f"SELECT {call}({column}) FROM source").fetchall()
        assert "apply the view again" in told.value.mend


def test_no_other_view_or_query_sees_the_function(people: Workspace) -> None:
    people.features.training([{"who": "ada", "event_timestamp": DAY, "weight": 1.0}], [people.features.apply(PEOPLE).ref])
    with pytest.raises(Invalid, match="body_mass"):
        people.features.apply(FeatureView(name="of", entity="who", source="dataset:people",
                                          features=[expression("x", "body_mass(kg, m)")]))  # fmt: skip


def test_what_is_on_the_record_is_never_run(people: Workspace) -> None:
    """Whoever may write a definition must not have code of theirs run where others work."""
    foreign = Transformation(name="body_mass", takes=["float"], gives="float", source="def body_mass(x): return x\n")
    with pytest.raises(Unavailable, match="only another version here"):
        people.features.apply(of(foreign, "body_mass(kg)"))
    with pytest.raises(Unavailable, match="not defined here"):
        people.features.apply(of(Transformation(name="gone", takes=["float"], gives="float", source=""), "gone(kg)"))


def test_the_difference_of_two_versions_shows_what_changed_in_the_code(people: Workspace) -> None:
    @vectorised(takes=["float"], gives="float")
    def changing(x: Any) -> Any:
        return pc.add(x, 1)

    first = people.features.apply(of(changing, "changing(m)"))

    @vectorised(takes=["float"], gives="float")
    def changing(x: Any) -> Any:
        return pc.add(x, 2)

    second = people.features.apply(of(changing, "changing(m)"))
    (change,) = people.features.diff(first.ref, second.ref).changes
    with serving(people) as url:
        page = httpx.get(f"{url}/features/of@2", headers={"accept": "text/html"}).text
    assert "mw features diff features:of@1 2" in page and "return pc.add(x, 2)" in page
    assert change.field == "changing()" and "pc.add(x, 1)" in change.before and "pc.add(x, 2)" in change.after


def test_spark_is_not_told_what_a_function_would_be(people: Workspace) -> None:
    people.features.apply(MEANS)
    with pytest.raises(Invalid, match=r"body_mass\(\) would be in Spark"):
        people.features.plan_sql([MEANS.ref])


def test_a_program_without_the_function_takes_it_from_the_projects_own_file(tmp_path: Path) -> None:
    (tmp_path / "modelwright.toml").write_text("")
    (tmp_path / "features.py").write_text(
        "import pyarrow.compute as pc\n"
        "from modelwright.features import FeatureView, expression, vectorised\n\n"
        "@vectorised(takes=['float'], gives='float')\ndef doubled(x):\n    return pc.multiply(x, 2)\n\n"
        "v = FeatureView(name='v', entity='who', source='dataset:people', features=[expression('x', 'doubled(kg)')],\n"
        "                functions=[doubled])\n"
    )
    with mw.connect(tmp_path) as workspace:
        workspace.datasets.add("people", pa.table({"who": ["ada"], "kg": [2.0]}))
    tool = [sys.executable, "-m", "modelwright.cli", "features"]
    for words in (["apply"], ["materialise", "features:v"], ["read", "features:v", "-k", '{"who": "ada"}', "--json"]):
        told = subprocess.run([*tool, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "4.0" in told.stdout
    with mw.connect(tmp_path) as workspace, serving(workspace) as url:  # computed at the caller's side
        there = subprocess.run(
            [*tool, "materialise", "features:v", "--whole", "-w", url, "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert there.returncode == 0, there.stderr
    (tmp_path / "features.py").unlink()
    with mw.connect(tmp_path) as workspace, pytest.raises(Unavailable, match="is not online yet"):
        workspace.pushes.push("dataset:people", [{"who": "bob", "kg": 1.0}], id="one")
