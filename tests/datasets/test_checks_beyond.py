"""Checks that look beyond the rows of one version: at another dataset, at the version before, and at what Python says."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from modelwright.core.errors import Invalid
from modelwright.core.refs import Ref
from modelwright.datasets import (
    Distribution,
    Expression,
    Function,
    Measure,
    Range,
    References,
    RowCount,
    Severity,
    load_checks,
)
from modelwright.store import Verdict

DRAWN = np.random.default_rng(11)


@pytest.fixture
def datasets(embedded):
    embedded.datasets.add("airports", pa.table({"faa": ["JFK", "LGA", None], "zone": [1, 2, 3]}))
    trips = pa.table({"id": [1, 2, 3, 4], "origin": ["JFK", "XXX", None, "LGA"], "zone": [1, 1, 9, 1]})
    embedded.datasets.add("trips", trips, key="id")
    return embedded.datasets


def _one(datasets, check, ref="dataset:trips"):
    (result,) = datasets.check(ref, [check]).results
    return result


def test_values_that_another_dataset_does_not_have_are_counted_and_shown(datasets):
    found = _one(datasets, References(columns=["origin"], to=Ref.parse("dataset:airports"), to_columns=["faa"]))
    assert (found.verdict, found.failing, found.sample) == (Verdict.FAIL, 1, [{"row": 2, "id": 2, "origin": "XXX"}])
    assert found.against == Ref.parse("dataset:airports@1")
    both = References(columns=["origin", "zone"], to=Ref.parse("dataset:airports@1"), to_columns=["faa", "zone"])
    assert _one(datasets, both).failing == 2


def test_several_references_and_conditions_are_answered_together(datasets):
    to = Ref.parse("dataset:airports")
    checks = [References(columns=["zone"], to=to), Expression(sql="id > 0"), References(columns=["nope"], to=to)]
    results = datasets.check("dataset:trips", checks).results
    assert [r.failing for r in results] == [1, 0, 1]
    assert "no column 'nope'" in results[2].error


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (References(columns=["origin"], to=Ref.parse("dataset:nowhere")), "nowhere"),
        (References(columns=["origin"], to=Ref.parse("dataset:airports")), "no column 'origin'"),
        (References(columns=["id", "zone"], to=Ref.parse("dataset:airports"), to_columns=["zone"]), "2 columns cannot"),
        (Distribution(column="nope", max_distance=1), "no column 'nope'"),
        (Distribution(column="zone", max_distance=-1), "at least 0"),
        (Distribution(column="zone", max_distance=1, against=Ref.parse("dataset:gone")), "gone"),
        (Distribution(column="zone", max_distance=1, against=Ref.parse("dataset:trips"), measure=Measure.TV), "numbers"),
        (Distribution(column="origin", max_distance=1, against=Ref.parse("dataset:trips"), measure=Measure.KS), "order"),
        (Distribution(column="origin", max_distance=1, against=Ref.parse("dataset:airports")), "no column 'origin'"),
        (Function(run=lambda batch: batch, columns=["nope"]), "no column 'nope'"),
        (Function(run=lambda batch: pc.add(batch["id"], 1), columns=["id"]), "int64, not truth values"),
        (Function(run=lambda batch: np.array([True]), columns=["id"]), "not 4 truth values"),
        (Function(run=lambda batch: 1 / 0, columns=["id"]), "ZeroDivisionError: division by zero"),
        (Function(run=lambda batch: batch, columns=[]), "No column"),
    ],
    ids=lambda value: getattr(value, "title", value),
)
def test_what_cannot_run_has_failed_with_its_reason(datasets, check, said):
    import msgspec

    mild = msgspec.structs.replace(check, severity=Severity.WARNING)
    found = _one(datasets, mild)
    assert found.verdict is Verdict.FAIL
    assert said in found.error


def short(batch):
    """Whether an origin has three letters that are not all the same."""
    return pc.and_(pc.equal(pc.utf8_length(batch["origin"]), 3), pc.not_equal(batch["origin"], "XXX"))


def test_a_function_in_python_says_which_rows_are_right(datasets):
    found = _one(datasets, Function(run=short, columns=["origin"]))
    assert (found.check, found.verdict, found.failing) == ("function(short)", Verdict.FAIL, 2)
    assert found.sample == [{"row": 2, "id": 2, "origin": "XXX"}, {"row": 3, "id": 3, "origin": None}]
    name, digest = found.source.split()
    assert name.endswith("test_checks_beyond.short")
    assert len(digest) == 64
    (evidence,) = datasets.checks("dataset:trips")
    assert (evidence.figures["function(short)"]["failing"], evidence.figures["function(short)"]["source"]) == (
        2,
        found.source,
    )


def test_a_function_is_called_with_every_row_once_however_many_batches_there_are(embedded):
    embedded.datasets.add("numbers", pa.table({"x": np.arange(300_000)}), key="x")
    seen = []

    def odd(batch):
        seen.append(batch.num_rows)
        return (batch["x"].to_numpy() != 200_000) & (batch["x"].to_numpy() != 299_999)

    (found,) = embedded.datasets.check("dataset:numbers", [Function(run=odd, columns=["x"])]).results
    assert sum(seen) == 300_000
    assert len(seen) > 2
    assert [each["row"] for each in found.sample] == [200_001, 300_000]


def test_a_function_quotes_nothing_personal(embedded):
    def fail(batch):
        raise ValueError(batch["name"][0])

    embedded.datasets.add("people", pa.table({"name": ["ada", "bob"], "age": [1, 2]}), personal=["name"])
    no = Function(run=lambda batch: batch["age"].to_numpy() > 1, columns=["name", "age"])
    report = embedded.datasets.check("dataset:people", [Function(run=fail, columns=["name"]), no])
    assert report.results[0].error == "ValueError (withheld: the dataset has personal columns)"
    assert report.results[1].sample == [{"row": 1, "age": 1}]


@pytest.fixture
def moved(embedded):
    """Two versions: `same` is drawn alike, `far` is not, `word` has a value more often, `code` is about a person."""

    def rows(shift, share):
        return pa.table(
            {
                "same": DRAWN.normal(size=20_000),
                "far": DRAWN.normal(shift, size=20_000),
                "word": np.where(DRAWN.random(20_000) < share, "a", "b"),
                "code": np.where(DRAWN.random(20_000) < share, "a", "b"),
            }
        )

    embedded.datasets.add("drawn", rows(0, 0.5), personal=["code"])
    embedded.datasets.add("drawn", rows(0.5, 0.8))
    return embedded.datasets


def test_a_distribution_is_held_against_the_version_before(moved):
    checks = [
        Distribution(column="same", max_distance=0.1),
        Distribution(column="far", max_distance=0.1),
        Distribution(column="same", max_distance=0.05, measure=Measure.KS),
        Distribution(column="far", max_distance=0.05, measure=Measure.KS, severity=Severity.WARNING),
        Distribution(column="word", max_distance=0.1, measure=Measure.TV),
        Distribution(column="code", max_distance=0.1),
    ]
    report = moved.check("dataset:drawn@2", checks)
    assert [r.verdict.value for r in report.results] == ["pass", "fail", "pass", "warn", "fail", "fail"]
    ks, words = report.results[3].observed, report.results[4].observed
    assert ks == pytest.approx(0.197, abs=0.02)  # twice the normal distribution at 0.25, less one
    assert words == pytest.approx(0.3, abs=0.02)
    assert "about a person" in report.results[5].error
    assert report.results[0].against == Ref.parse("dataset:drawn@1")


def test_what_went_wrong_is_no_measure_for_what_comes_next(embedded):
    checks = [Distribution(column="x", max_distance=0.2), RowCount(min_ratio=0.5)]
    datasets = embedded.datasets

    def added(shift, rows=5000):
        ref = datasets.add("days", pa.table({"x": DRAWN.normal(shift, size=rows)})).ref
        return [(each.verdict.value, each.against) for each in datasets.check(ref, checks).results]

    first = Ref.parse("dataset:days@1")
    assert added(0)[0] == ("pass", None)
    assert added(5)[0] == ("fail", first)
    assert added(0)[0] == ("pass", first)
    assert added(0, 1000)[1][0] == "fail"
    assert added(0, 400)[1][0] == "fail"  # of the 5,000 of the third, not of the 1,000 that were too few
    assert added(0)[0] == ("pass", Ref.parse("dataset:days@3"))
    checks[0] = Distribution(column="x", max_distance=0.2, against=Ref.parse("dataset:days@2"))
    assert added(5)[0] == ("pass", Ref.parse("dataset:days@2"))


def test_where_nothing_was_ever_in_order_the_parent_is_the_measure(embedded):
    datasets, never = embedded.datasets, Range(column="x", minimum=100)
    for shift in (0, 5, 5):
        ref = datasets.add("never", pa.table({"x": DRAWN.normal(shift, size=5000)})).ref
        found = datasets.check(ref, [never, Distribution(column="x", max_distance=0.2)]).results[1]
    assert (found.verdict.value, found.against) == ("pass", Ref.parse("dataset:never@2"))


def test_a_first_version_has_nothing_to_be_compared_with(moved):
    found = _one(moved, Distribution(column="far", max_distance=0.1), "dataset:drawn@1")
    assert (found.verdict, found.observed) == (Verdict.PASS, None)
    assert "no version before" in found.message


def test_what_can_be_written_down_is_read_from_toml_and_functions_are_not(write):
    path = write(
        "checks.toml",
        """
        [[check]]
        kind = "references"
        columns = ["origin"]
        to = "dataset:airports"
        to_columns = ["faa"]

        [[check]]
        kind = "distribution"
        column = "delay"
        max_distance = 0.2
        measure = "ks"
        """,
    )
    references, distribution = load_checks(path)
    assert references.to == Ref.parse("dataset:airports")
    assert distribution.measure is Measure.KS
    with pytest.raises(Invalid, match="function"):
        load_checks(write("more.toml", '[[check]]\nkind = "function"\nrun = "os.system"\ncolumns = ["a"]\n'))
