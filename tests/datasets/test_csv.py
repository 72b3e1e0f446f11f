"""Strict reading: a broken row is named, and nothing is loaded."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.core.errors import Invalid, NotFound
from modelwright.datasets.csv import read_csv
from modelwright.datasets.records import CsvFormat
from modelwright.datasets.sources import open_source
from modelwright.datasets.types import TypePlan

NO_TYPES = TypePlan({}, {}, "")


def broken(path: Path, plan: TypePlan = NO_TYPES, form: CsvFormat = CsvFormat()) -> Invalid:
    with pytest.raises(Invalid) as caught:
        open_source(path, plan, form, path.parent)
    return caught.value


def test_a_row_with_a_field_too_few_names_line_and_column(write):
    error = broken(write("a.csv", "id,name,age\n1,ada,36\n2,bob\n3,eve,20\n"))
    assert error.details["line"] == 3
    assert error.details["column"] == "age"
    assert error.details["row"] == "2,bob"
    assert "line 3: has 2 fields where the header has 3; the first that is missing is 'age'" in error.message


def test_a_row_with_a_field_too_many_names_what_is_beyond(write):
    error = broken(write("a.csv", "id,name\n1,ada\n2,bob,x\n"))
    assert (error.details["line"], "'x' is beyond the last column" in error.message) == (3, True)


def test_a_value_that_is_not_of_the_declared_type_is_named(write):
    error = broken(write("a.csv", "id,age\n1,36\n2,old\n"), TypePlan({"age": "int"}, {}, ""))
    assert (error.details["line"], error.details["column"]) == (3, "age")
    assert "'old', which is not an int64" in error.message


def test_the_type_of_the_version_before_is_given_as_the_reason(write):
    error = broken(write("a.csv", "id,age\n1,old\n"), TypePlan({}, {"age": "int64"}, "dataset:people@3"))
    assert "(its type in dataset:people@3)" in error.message


def test_lines_are_counted_through_quoted_line_breaks_and_empty_lines(write):
    text = 'id,note\n1,"two\nlines"\n\n2,ok\nx,bad\n'
    error = broken(write("a.csv", text), TypePlan({"id": "int"}, {}, ""))
    assert error.details["line"] == 6


def test_a_stray_value_in_a_column_of_numbers_is_not_made_text(write):
    rows = "".join(f"{i},{i}\n" for i in range(100))
    error = broken(write("a.csv", f"id,age\n{rows}100,unknown\n"))
    assert (error.details["line"], error.details["column"]) == (102, "age")
    assert "100 of its 101 values are numbers" in error.message
    assert "types={'age': 'text'}" in error.mend


def test_what_stands_for_missing_can_be_said(write):
    path = write("a.csv", "id,age\n1,-\n2,7\n3,\n")
    assert read_csv(path, NO_TYPES, CsvFormat(missing=("", "-")))["age"].to_pylist() == [None, 7, None]
    assert read_csv(path, NO_TYPES, CsvFormat())["age"].to_pylist() == ["-", "7", None]


def test_a_long_broken_row_is_shortened(write):
    error = broken(write("a.csv", f"id,note\n1,{'x' * 5000},{'y' * 5000}\n"))
    assert len(error.details["row"]) <= 120


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("a,a\n1,2\n", "more than one column named 'a'"),
        ("a,A\n1,2\n", "differ only in case"),
        ("a,\n1,2\n", "column 2 has no name"),
    ],
)
def test_a_header_that_names_no_columns_is_refused(write, text, said):
    assert said in broken(write("a.csv", text)).message


def test_text_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("name\nMüller\n".encode("latin1"))
    assert "not UTF-8" in broken(path).message


def test_files_of_one_list_have_the_same_columns(write):
    one, two = write("a.csv", "id,age\n1,2\n"), write("b.csv", "id,size\n1,2\n")
    with pytest.raises(Invalid, match="do not have the same columns: age, size"):
        open_source([one, two], NO_TYPES, CsvFormat(), one.parent)


def test_types_are_agreed_on_over_all_files(write):
    one, two = write("a.csv", "id,size\n1,2\n"), write("b.csv", "size,id\n2.5,1\n")
    tables, _ = open_source([one, two], NO_TYPES, CsvFormat(), one.parent)
    assert {table.schema.field("size").type for table in tables} == {pa.float64()}
    assert tables[1].schema.names == ["id", "size"]


def test_what_is_no_source_is_refused(tmp_path):
    with pytest.raises(NotFound, match=r"no file .*nowhere\.csv"):
        open_source(tmp_path / "nowhere.csv", NO_TYPES, CsvFormat(), tmp_path)
    with pytest.raises(Invalid, match="int is no source of rows"):
        open_source(7, NO_TYPES, CsvFormat(), tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=st.lists(st.tuples(st.integers(-9, 9), st.text('ab,"\n x', max_size=4)), min_size=1, max_size=8), at=st.data())
def test_the_line_of_a_broken_row_is_where_it_begins(tmp_path, rows, at):
    import csv

    position = at.draw(st.integers(0, len(rows)))
    path = tmp_path / "any.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "note"])
        writer.writerows(rows[:position])
        file.flush()
        line = path.read_text().count("\n") + 1
        writer.writerow([1, 2, 3])
        writer.writerows(rows[position:])
    assert broken(path).details["line"] == line


def test_times_of_which_some_have_a_zone_are_told_with_their_lines(write):
    text = "id,at\n1,2026-01-01T00:00:00Z\n2,2026-01-01 00:00\n3,\n4,2026-01-01T00:00:00+01:00\n5,2026-01-01T00:00:00.5\n"
    error = broken(write("a.csv", text))
    assert (
        "times with a zone (2, such as '2026-01-01T00:00:00Z') and without (2, such as '2026-01-01 00:00')" in error.message
    )
    assert error.message.split("\n")[0].endswith("without one: lines 3, 6.")
    assert (error.details["line"], error.details["column"]) == (3, "at")
    assert "types={'at': 'text'}" in error.mend
    assert read_csv(write("a.csv", text), TypePlan({"at": "text"}, {}, ""), CsvFormat()).num_rows == 5


def test_a_stray_value_in_a_column_of_times_is_not_made_text(write):
    rows = "".join(f"{i},2026-01-01T00:00:{i % 60:02}Z\n" for i in range(100))
    error = broken(write("a.csv", f"id,at\n{rows}100,\n101,yesterday\n"))
    assert (error.details["line"], error.details["column"]) == (103, "at")
    assert "'yesterday', though 100 of its 101 values are dates or times" in error.message


def test_strays_are_found_far_down_a_long_column(write):
    rows = [f"{i},{i},2026-01-01T00:00:00Z,word" for i in range(30_000)]
    rows[20_000] = "20000,many,2026-01-01T00:00:00Z,word"
    assert "line 20002: column 'n' holds 'many'" in broken(write("a.csv", "\n".join(["id,n,at,w", *rows, ""]))).message
    rows[20_000] = "20000,20000,2026-01-01T00:00:00,word"
    assert "without one: line 20002." in broken(write("b.csv", "\n".join(["id,n,at,w", *rows, ""]))).message


def test_a_day_has_no_zone_either(write):
    error = broken(write("a.csv", "id,at\n1,2026-01-01T00:00:00Z\n2,2026-01-02\n3,2026-01-02T10:00:00+02:00\n"))
    assert "without (1, such as '2026-01-02'); without one: line 3." in error.message


def test_a_column_without_values_takes_its_type_from_the_first_version_that_has_some(embedded, write):
    first = embedded.datasets.add("readings", write("a.csv", "id,x,code\n1,,\n"), types={"code": "text"})
    assert first.untyped == ["x"]
    second = embedded.datasets.add("readings", write("b.csv", "id,x,code\n1,,\n2,,\n"))
    third = embedded.datasets.add("readings", write("c.csv", "id,x,code\n1,2.5,007\n"))
    assert (second.untyped, third.untyped) == (["x"], [])
    assert embedded.datasets.read(third.ref).to_pylist() == [{"id": 1, "x": 2.5, "code": "007"}]
    empty = embedded.datasets.add("later", write("d.csv", "id,x\n"), key="id")
    assert empty.untyped == ["id", "x"]
    assert embedded.datasets.read(embedded.datasets.add("later", write("e.csv", "id,x\n1,a\n")).ref)["id"].to_pylist() == [
        1
    ]


def test_notes_that_hold_a_few_times_are_text(write):
    path = write("a.csv", "id,note\n1,2026-01-01T00:00:00Z\n2,2026-01-01T00:00:00\n3,later\n4,\n")
    assert pa.types.is_string(read_csv(path, NO_TYPES, CsvFormat())["note"].type)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('id,name\n1,"a\n2,b\n3,c\n', 2),  # to the end of the file
        ('id,name\n1,a\n2,"b', 3),  # cut off
        ('id,name\n1,a\n2,"b\n3,c\n4,"d"\n5,e\n', 3),  # to the next quotation mark, which seems to close it
        ('id,name\n1,"' + "x" * 200_000 + "\n2,b\n", 2),
        ('id,name\n1,"' + "some text,\n" * 500_000, 2),  # longer than a block of Arrow's
    ],
)
def test_a_quotation_mark_that_nothing_closes_swallows_no_rows(write, content, line):
    error = broken(write("a.csv", content))
    assert f"line {line}: a quotation mark opens" in error.message
    assert len(error.message) < 400


def test_values_over_several_lines_and_with_quotation_marks_are_read(write):
    file = write("a.csv", 'id,name\n1,"a\nb"\n2,"say ""no"""\n3,5" pipe\n')
    assert read_csv(file, NO_TYPES, CsvFormat())["name"].to_pylist() == ["a\nb", 'say "no"', '5" pipe']


@pytest.mark.parametrize("other", [";", "\t", "|"])
def test_what_separates_fields_instead_of_the_comma_is_told(write, other):
    for rows in (("id", "price"), ("1", "15"), ("2", "25")), (("id", "price"), ("1", "1,5"), ("2", "2,5")):
        error = broken(write("a.csv", "".join(f"{other.join(row)}\n" for row in rows)))
        assert f"seem to be separated by {other!r}" in error.message and "--delimiter" in error.mend
    assert read_csv(write("b.csv", "text\none; two\nthree\n"), NO_TYPES, CsvFormat()).num_rows == 2


def test_text_of_two_bytes_a_letter_is_told(tmp_path):
    (tmp_path / "a.csv").write_bytes("id,name\n1,Müller\n".encode("utf-16"))
    error = broken(tmp_path / "a.csv")
    assert "UTF-16" in error.message and "iconv -f utf-16" in error.mend
