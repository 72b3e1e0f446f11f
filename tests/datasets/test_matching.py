"""Texts that are matched without a query, beside those that DuckDB matches."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.core.refs import Ref
from modelwright.datasets import DatasetColumn, DatasetVersion, Pattern
from modelwright.datasets.checking import Grounds, run_checks
from modelwright.datasets.engine import quote
from modelwright.datasets.matching import MANY, count_unlike
from modelwright.datasets.records import CheckBasis

TEXTS = st.lists(st.one_of(st.none(), st.text("ab0-. \n\tä漢😀A\x00", max_size=4)), max_size=12)
ATOMS = [
    "a",
    "b",
    "0",
    ".",
    "[a-b]",
    "[^a]",
    r"\d",
    r"\w",
    r"\S",
    r"\b",
    "^",
    "$",
    "ä",
    "[ä-漢]",
    r"\x00",
    "[[:alpha:]]",
    r"\Qa.\E",
    "()",
]
ATOMS += [
    "a|b",
    "(a|ab)",
    "(?:a|)",
    "a{2}",
    ".*",
    r"\n",
    ")",
    "(",
    r"\Qa",
    r"\p{L}",
    "(?i)a",
    r"\C",
    "a**",
    "\\",
]  # also wrong ones
FORMS = st.lists(st.tuples(st.sampled_from(ATOMS), st.sampled_from(["", "", "", "*", "+", "?"])), max_size=4).map(
    lambda parts: "".join(atom + often for atom, often in parts)
)


def written(path, texts, *, listed=True, times=1, kind=None):
    table = pa.table({"n": pa.array(range(len(texts) * times)), "t": pa.array(texts * times, kind or pa.string())})
    pq.write_table(table, path, row_group_size=max(7, len(texts) * times // 3), use_dictionary=listed)
    return path


def asked(paths, form):
    """What the query says, or None where it stops."""
    files = ", ".join(quote(str(path)) for path in paths)
    try:
        return duckdb.sql(
            f"SELECT coalesce(count_if(NOT regexp_full_match(t, {quote(form)})), 0) FROM read_parquet([{files}])"
        ).fetchall()[0]
    except duckdb.Error:
        return None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(texts=TEXTS, more=TEXTS, form=FORMS, listed=st.booleans(), times=st.sampled_from([1, 200]))
def test_as_many_texts_do_not_match_as_in_a_query_or_it_is_left_to_that(tmp_path, texts, more, form, listed, times):
    names = (tmp_path / f"{number}.parquet" for number in count())
    paths = [
        written(next(names), texts, listed=listed, times=times),
        written(next(names), more, listed=not listed, kind=pa.large_string()),
    ]
    try:
        found = count_unlike(paths, "t", form, least=0)
    except ValueError:
        return
    assert found in (None, asked(paths, form))


@pytest.mark.parametrize("listed", [True, False])
def test_forms_as_people_write_them_are_matched_without_a_query(tmp_path, listed):
    path = written(tmp_path / "a.parquet", ["AB-12", "ab-1", None, "AB-12\n", "XAB-12"], listed=listed, times=50)
    for form, failing in [
        ("[A-Z]{2}-[0-9]+", 150),
        ("AB.*|ab.*", 100),
        ("[^@]+", 0),
        (r"\w+-\d+", 50),
        ("(?:X?AB|ab)-.+\n?", 0),
    ]:
        assert count_unlike([path], "t", form, least=0) == (failing,) == asked([path], form)


def test_few_rows_other_columns_and_forms_that_may_be_read_otherwise_are_left_to_the_query(tmp_path):
    path = written(tmp_path / "a.parquet", ["a", "b"])
    assert count_unlike([path], "t", "[a-z]") is None
    assert [count_unlike([path], "n", "1", least=0), count_unlike([path], "there", "1", least=0)] == [None, None]
    assert [count_unlike([path], "t", form, least=0) for form in (r"\p{Ll}", r"\PN+", r"\C", "(?i)A")] == [None] * 4
    for form in ("a)(", "a)\\", "a)|(?:b", r"\Qa"):
        with pytest.raises(ValueError, match="regular expression"):
            count_unlike([path], "t", form, least=0)
    nested = pa.table({"s": [{"t": "a", "u": 1}], "t": ["a"]})
    pq.write_table(nested, path)
    assert count_unlike([path], "t", "a", least=0) is None


@pytest.mark.parametrize("listed", [True, False])
def test_a_text_that_is_none_is_an_error_as_it_is_to_the_query(tmp_path, listed):
    broken = pa.array([b"ab", b"a\xff"] * 20, pa.binary()).view(pa.string())
    pq.write_table(pa.table({"t": broken}), tmp_path / "a.parquet", use_dictionary=listed)
    with pytest.raises(ValueError, match="UTF8"):
        count_unlike([tmp_path / "a.parquet"], "t", ".*", least=0)
    assert asked([tmp_path / "a.parquet"], ".*") is None


@pytest.mark.parametrize("words", [["north", "south"], [f"no{number}" for number in range(50_000)]], ids=["few", "many"])
def test_of_many_rows_a_check_counts_and_shows_those_that_do_not_match(tmp_path, words):
    texts = (words * (MANY // len(words) + 1))[:MANY]
    texts[-2:] = [None, "South"]
    path = written(tmp_path / "a.parquet", texts)
    now = datetime.now(UTC)
    version = DatasetVersion(
        ref=Ref.parse("dataset:t@1"),
        digest="",
        created_at=now,
        created_by="",
        changed_at=now,
        bytes=1,
        rows=MANY,
        columns=[DatasetColumn(name="n", type="int64"), DatasetColumn(name="t", type="string")],
    )
    checks = [Pattern(column="t", regex="[a-z]+[0-9]*"), Pattern(column="t", regex="[A-Za-z]+[0-9]*")]
    grounds = Grounds(CheckBasis(version=version, previous=None, now=now), [path], None, None)
    wrong, right = run_checks(checks, grounds).results
    assert (wrong.failing, wrong.sample, right.failing) == (1, [{"row": MANY, "t": "South"}], 0)
