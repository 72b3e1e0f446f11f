"""Each kind of check passes, fails with its rows, and fails where it cannot run."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from modelwright.core.errors import Invalid
from modelwright.core.refs import Ref
from modelwright.datasets import (
    Distribution,
    Expression,
    Freshness,
    Nulls,
    Pattern,
    Range,
    References,
    RowCount,
    Severity,
    Types,
    Unique,
    Values,
    load_checks,
)
from modelwright.datasets.distances import LARGE
from modelwright.datasets.relating import may_lie_in
from modelwright.datasets.sketches.column import ColumnSketch
from modelwright.store import Verdict

ROWS = {
    "id": [1, 2, 2, 4],
    "code": ["AA", "BB", "c", None],
    "size": [1.5, float("nan"), 99.0, 3.0],
    "at": pa.array([datetime(2013, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)], pa.timestamp("us", "UTC")),
}
LATER = datetime(2013, 1, 10, tzinfo=UTC)

KEPT = [
    Types(columns={"id": "int", "size": "float", "code": "text"}),
    Nulls(column="code", max_share=0.25),
    Unique(columns=["at"]),
    Range(column="size", minimum=0, maximum=99),
    Range(column="at", minimum="2013-01-01", maximum="2013-01-04T00:00:00Z"),
    Values(column="code", allowed=["AA", "BB", "c"]),
    Pattern(column="code", regex="[A-Za-z]+"),
    Freshness(max_age="6d", as_of=LATER),
    RowCount(minimum=4, maximum=4, min_ratio=2.0),
    Expression(sql="id > 0 -- always"),
]
BROKEN = [
    (Types(columns={"id": "text", "nope": "int"}), 2),
    (Nulls(column="code"), 1),
    (Nulls(column="size", max_share=0.2), 1),
    (Unique(), 1),
    (Range(column="size", maximum=50), 1),
    (Range(column="at", minimum="2013-01-03"), 2),
    (Values(column="code", allowed=["AA"]), 2),
    (Pattern(column="code", regex="[A-Z]+"), 1),
    (Freshness(max_age="5d", as_of=LATER), 1),
    (RowCount(minimum=5), 1),
    (Expression(sql="code <> 'AA'"), 2),
]
IMPOSSIBLE = [
    (Nulls(column="nope"), "no column 'nope'"),
    (Nulls(column="code", max_share=2), "share from 0 to 1"),
    (Types(columns={"id": "whatever"}), "not a column type"),
    (Range(column="size"), "minimum or a maximum"),
    (Range(column="size", minimum="small"), "holds numbers"),
    (Values(column="code", allowed=[]), "No value is allowed"),
    (Pattern(column="id", regex="1"), "not text"),
    (Pattern(column="code", regex="("), "missing )"),
    (Freshness(max_age="soon", column="at"), "no length of time"),
    (Freshness(max_age="1d", column="code"), "not times"),
    (RowCount(), "needs a bound"),
    (Expression(sql="nope > 1"), "nope"),
    (Expression(sql="id + 1"), "not a condition"),
    (Expression(sql="code::INT > 1"), "Could not convert"),
    (Expression(sql="(SELECT count(*) FROM read_text('/etc/hostname')) > 0"), "disabled by configuration"),
]


@pytest.fixture
def datasets(embedded):
    embedded.datasets.add("things", pa.table(ROWS), key="id", time_column="at")
    return embedded.datasets


@pytest.mark.parametrize("check", KEPT, ids=lambda check: check.title)
def test_a_check_that_holds_passes(datasets, check):
    (result,) = datasets.check("dataset:things", [check]).results
    assert (result.verdict, result.failing, result.sample) == (Verdict.PASS, 0, []), result.message


@pytest.mark.parametrize(("check", "failing"), BROKEN, ids=lambda value: getattr(value, "title", value))
def test_a_check_that_does_not_hold_fails_and_counts(datasets, check, failing):
    (result,) = datasets.check("dataset:things", [check]).results
    assert (result.verdict, result.failing) == (Verdict.FAIL, failing), result.message
    assert not result.error


@pytest.mark.parametrize(("check", "said"), IMPOSSIBLE, ids=lambda value: getattr(value, "title", value))
def test_a_check_that_cannot_run_has_failed_whatever_its_severity(datasets, check, said):
    import msgspec

    warning = msgspec.structs.replace(check, severity=Severity.WARNING)
    report = datasets.check("dataset:things", [warning, Nulls(column="id")])
    result, other = report.results
    assert (report.verdict, result.verdict, other.verdict) == (Verdict.FAIL, Verdict.FAIL, Verdict.PASS)
    assert said in result.error


def test_failing_rows_are_shown_by_number_key_and_value(datasets):
    report = datasets.check("dataset:things", [Range(column="size", maximum=50), Unique()])
    assert report.results[0].sample == [{"row": 3, "id": 2, "size": 99.0}]
    assert [each["row"] for each in report.results[1].sample] == [2, 3]


@pytest.mark.parametrize(
    ("check", "first"),
    [
        (Nulls(column="n"), [7, 14, 21, 28, 35]),
        (Range(column="n", maximum=11), [12, 13, 15, 16, 17]),
        (Values(column="word", allowed=["w1", "w2", "w3"]), [4, 5, 6, 10, 11]),
        (Pattern(column="word", regex="w[0-4]"), [5, 11, 17, 23, 29]),
        (Expression(sql="n < (SELECT max(n) - 5 FROM dataset)"), [7, 14, 21, 28, 35]),
        (Unique(columns=["word"]), [1, 2, 3, 4, 5]),
    ],
    ids=lambda value: getattr(value, "title", ""),
)
def test_of_many_failing_rows_the_first_are_shown_in_their_order(embedded, check, first):
    rows = range(1, 300_001)
    table = pa.table({"n": [None if n % 7 == 0 else n for n in rows], "word": [f"w{n % 6}" for n in rows]})
    embedded.datasets.add("t", table)
    (result,) = embedded.datasets.check("dataset:t", [check]).results
    assert [each["row"] for each in result.sample] == first


def test_a_missing_value_breaks_a_key_and_is_passed_over_elsewhere(embedded):
    embedded.datasets.add("t", pa.table({"id": [1, None], "other": [None, None]}), key="id")
    report = embedded.datasets.check("dataset:t", [Unique(), Unique(columns=["other"])])
    assert [(result.verdict, result.failing) for result in report.results] == [(Verdict.FAIL, 1), (Verdict.PASS, 0)]


def test_a_warning_warns_and_the_worst_verdict_counts(datasets):
    mild = Nulls(column="code", severity=Severity.WARNING)
    assert datasets.check("dataset:things", [mild, Nulls(column="id")]).verdict is Verdict.WARN
    assert datasets.check("dataset:things", [mild, Nulls(column="code")]).verdict is Verdict.FAIL


def test_checks_of_one_name_are_told_apart(datasets):
    report = datasets.check("dataset:things", [Nulls(column="id"), Nulls(column="id", max_share=0.5)])
    assert [result.check for result in report.results] == ["nulls(id)", "nulls(id) #2"]


def test_the_row_count_is_compared_with_the_version_before(datasets):
    rows = pa.table(ROWS).slice(0, 1)
    second = datasets.add("things", rows)
    (result,) = datasets.check(second.ref, [RowCount(min_ratio=0.5)]).results
    assert (result.verdict, result.observed) == (Verdict.FAIL, 1)
    assert "of 4 before, at least 2" in result.message


def test_nothing_personal_is_quoted_in_a_report(embedded):
    born = [date(1815, 12, 10), date(1815, 1, 1)]
    people = pa.table({"name": ["ada lovelace", "bob"], "age": [36, 40], "born": born})
    embedded.datasets.add("people", people, key="name", personal=["name", "born"])
    broken = [Pattern(column="name", regex="[a-z]+"), Expression(sql="name::INT > 0"), Range(column="age", maximum=36)]
    broken.append(Values(column="name", allowed=["ada lovelace"]))
    broken.append(Freshness(column="born", max_age="1d"))
    report = embedded.datasets.check("dataset:people", broken)
    (evidence,) = embedded.datasets.checks("dataset:people")
    stored = embedded.caller.blobs.read(evidence.report).decode()
    assert "ada" not in stored
    assert "bob" not in stored and not re.search(r"(?<![\w.])1815", stored)  # which fractions of a second may say
    assert report.results[2].sample == [{"row": 2, "age": 40}]


def test_no_checks_are_no_evidence(datasets):
    with pytest.raises(Invalid, match="no checks to run"):
        datasets.check("dataset:things", [])


def test_checks_are_read_from_toml(write):
    path = write(
        "checks.toml",
        """
        [[check]]
        kind = "range"
        column = "size"
        minimum = 0
        severity = "warning"
        [[check]]
        kind = "expression"
        name = "order"
        sql = "id > 0"
        """,
    )
    found = load_checks(path)
    assert found == [
        Range(column="size", minimum=0, severity=Severity.WARNING),
        Expression(name="order", sql="id > 0"),
    ]
    assert [check.title for check in found] == ["range(size)", "order"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "declares no checks"),
        ("[[check]", "is not TOML"),
        ('[[check]]\nkind = "nulls"\n', "check 1: .*column"),
        ('[[check]]\nkind = "nulls"\ncolumn = "a"\nmaxshare = 1\n', "check 1: .*maxshare"),
        ('[[check]]\nkind = "null"\n', "check 1: .*null"),
    ],
)
def test_a_wrong_declaration_is_named(write, text, said):
    with pytest.raises(Invalid, match=said):
        load_checks(write("checks.toml", text))


def test_a_field_that_a_check_has_not_is_told_with_those_that_it_has(write):
    with pytest.raises(Invalid) as caught:
        load_checks(write("checks.toml", '[[check]]\nkind = "pattern"\ncolumn = "a"\npattern = "x"\n'))
    assert "column, regex" in caught.value.mend


def test_suggested_checks_pass_on_what_they_were_made_of(embedded):
    rows = pa.table(
        {
            "id": list(range(200)),
            "kind": ["a", "b"] * 100,
            "size": [i / 7 for i in range(200)],
            "same": [2013] * 200,
            "gap": [None if i % 5 == 0 else i for i in range(200)],
            "parts": [[i] for i in range(200)],
        }
    )
    embedded.datasets.add("things", rows, key="id")
    suggested = embedded.datasets.suggest("dataset:things")
    assert embedded.datasets.check("dataset:things", suggested).verdict is Verdict.PASS
    assert Values(column="kind", allowed=["a", "b"]) in suggested
    assert Range(column="same", minimum=2013, maximum=2013, severity=Severity.WARNING) in suggested
    assert Nulls(column="gap", max_share=0.31) in suggested


def test_what_the_last_step_broke_is_not_suggested(embedded):
    for times in (1, 3):  # three times as many rows, and a key that repeats
        embedded.datasets.add("grown", pa.table({"id": list(range(150)) * times, "x": [1.0] * 150 * times}), key="id")
        suggested = embedded.datasets.suggest("dataset:grown")
        assert embedded.datasets.check("dataset:grown", suggested).verdict is Verdict.PASS
        kinds = {type(each) for each in suggested}
        assert (Unique in kinds, RowCount in kinds) == ((True, True) if times == 1 else (False, False))


def test_suggested_checks_refer_to_other_datasets_and_to_the_version_before(embedded):
    codes = [f"c{i:03}" for i in range(300)]
    embedded.datasets.add("shops", pa.table({"id": list(range(1, 301)), "code": codes}), key="id")
    embedded.datasets.add("codes", pa.table({"code": codes, "rank": list(range(300))}), key="code")
    embedded.datasets.add("sparse", pa.table({"code": codes[:299]}), key="code")

    def sales(spread):
        return pa.table(
            {
                "sale": list(range(2000)),
                "shop_id": [1 + i % 40 for i in range(2000)],
                "small": [1 + i % 5 for i in range(2000)],  # lies in shops.id, by accident
                "place": [codes[i % 300] for i in range(2000)],
                "price": [(i * 7 % 1999) * spread for i in range(2000)],
            }
        )

    for spread in (1.0, 3.0):
        embedded.datasets.add("sales", sales(spread), key="sale")
    suggested = embedded.datasets.suggest("dataset:sales")
    assert [each for each in suggested if isinstance(each, References)] == [
        References(columns=["place"], to=Ref.parse("dataset:codes"), to_columns=["code"]),
        References(columns=["shop_id"], to=Ref.parse("dataset:shops"), to_columns=["id"]),
    ]
    bounds = {each.column: each.max_distance for each in suggested if isinstance(each, Distribution)}
    assert bounds == dict.fromkeys(["shop_id", "small", "place"], LARGE)  # the price is not steady
    assert embedded.datasets.check("dataset:sales", suggested).verdict is Verdict.PASS


def test_a_part_is_told_from_what_is_none_by_its_sketch():
    def sketch(numbers):
        made = ColumnSketch()
        made.add(pa.array(numbers))
        return made

    few, many = range(100), range(50_000)
    assert may_lie_in(sketch(few), sketch(few)) and may_lie_in(sketch(few), sketch(many))
    assert may_lie_in(sketch(many[::2]), sketch(many))
    assert not may_lie_in(sketch(many), sketch(few)) and not may_lie_in(sketch([1, 101]), sketch(few))
    assert not may_lie_in(sketch(many), sketch(many[::2]))
    assert not may_lie_in(sketch(range(50_000, 50_900)), sketch(many))
