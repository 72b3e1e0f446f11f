"""Columns of types that few have: what is added can be read, described, masked and written elsewhere, or is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest

from modelwright.core.errors import Invalid
from modelwright.datasets import Values
from modelwright.features import FeatureView
from modelwright.workspace import Workspace

PAIRS = pa.list_(pa.float32(), 2)
MOMENT = pa.timestamp("us", "UTC")


def test_arrays_of_one_length_of_which_one_is_missing_can_be_read_back(embedded: Workspace) -> None:
    rows = [{"id": 1, "v": [1.0, 2.0]}, {"id": 2, "v": None}]
    made = embedded.datasets.add("pairs", pa.table({"id": [1, 2], "v": pa.array([[1.0, 2.0], None], PAIRS)}))
    assert made.column("v").type == "list<element: float>"
    assert embedded.datasets.read(made.ref).to_pylist() == rows
    whole = embedded.datasets.add("whole", pa.table({"id": [1], "v": pa.array([[1.0, 2.0]], PAIRS)}))
    assert whole.column("v").type.startswith("fixed_size_list")
    for pushed in ([{"id": 2, "v": None}], pa.table({"id": [2], "v": pa.array([None], PAIRS)})):
        with pytest.raises(Invalid, match=r"'v' is .*one of its arrays is missing"):
            embedded.pushes.push("dataset:whole", pushed)
    embedded.privacy.classify(whole.ref, "v", "special.biometric")
    assert embedded.datasets.read(whole.ref, masked=True)["v"].to_pylist() == [None]


def test_halves_of_floats_are_stored_as_whole_ones(embedded: Workspace) -> None:
    made = embedded.datasets.add("halves", pa.table({"x": pa.array([1.5, None]).cast(pa.float16())}))
    assert (made.column("x").type, embedded.datasets.read(made.ref)["x"].to_pylist()) == ("float", [1.5, None])
    assert embedded.datasets.profile(made.ref).column("x").maximum == 1.5


def test_what_delta_has_no_place_for_is_told(embedded: Workspace, tmp_path) -> None:
    pytest.importorskip("deltalake")
    for name, column, said in (
        ("span", pa.array([1, None], pa.duration("us")), r"no type for x \(duration"),
        ("time", pa.array([1, None], pa.time32("s")), r"no type for x \(time32"),
        ("large", pa.array([2**64 - 1, None], pa.uint64()), "does not take these rows"),
    ):
        made = embedded.datasets.add(name, pa.table({"x": column}))
        with pytest.raises(Invalid, match=said) as caught:
            embedded.datasets.export(made.ref, tmp_path / name, "delta")
        assert "<unknown>" not in str(caught.value) and not (tmp_path / name).exists()


def test_people_are_found_within_lists_structs_and_maps(embedded: Workspace) -> None:
    mails = ["ada@example.org", "bob@example.org", "cyd@example.org"]
    table = pa.table(
        {
            "to": [mails, []],
            "who": [{"mail": mails[0], "at": [1]}, None],
            "map": pa.array([[("a", mails[0])], []], pa.map_(pa.string(), pa.string())),
            "deep": [[{"contact": {"e-mail": mails[1]}}], None],
            "plain": [[1, 2], None],
        }
    )
    made = embedded.datasets.add("letters", table)
    assert [(each.column, each.tag) for each in made.classes] == [
        (name, "pii.email") for name in ("to", "who", "map", "deep")
    ]
    masked = embedded.datasets.read(made.ref, masked=True)
    assert [masked[name].to_pylist() for name in ("to", "who", "map", "deep")] == [[None, None]] * 4


def test_days_that_would_be_moved_out_of_the_calendar_are_missing(embedded: Workspace) -> None:
    edges = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)] * 20
    made = embedded.datasets.add("edges", pa.table({"who": range(40), "at": pa.array(edges, MOMENT)}), key="who")
    embedded.privacy.classify(made.ref, "at", "pii.birth_date", mask="shift:300")
    assert None in embedded.datasets.read(made.ref, masked=True)["at"].cast(pa.int64()).to_pylist()


def test_rows_of_json_fit_decimals_and_moments_are_written_as_text(embedded: Workspace) -> None:
    kinds = {"at": MOMENT, "price": pa.decimal128(10, 2), "n": pa.uint8()}
    embedded.datasets.add("prices", pa.schema(list(kinds.items())).empty_table())
    good = {"at": "2026-03-01T08:00:00+01:00", "price": 1.25, "n": 1}
    embedded.pushes.push("dataset:prices", [good, {**good, "price": "3.5", "at": "2026-03-01"}, {**good, "price": None}])
    made = embedded.pushes.fold("dataset:prices")
    read = embedded.datasets.read(made).to_pylist()
    assert [each["price"] for each in read] == [Decimal("1.25"), Decimal("3.50"), None]
    assert [each["at"].isoformat() for each in read][:2] == ["2026-03-01T07:00:00+00:00", "2026-03-01T00:00:00+00:00"]
    for wrong, said in (
        ({"at": 1_700_000_000}, "write a moment as text"),
        ({"at": "2026-03-01 08:00"}, "has no time zone"),
        ({"price": "much"}, "'much' is no number"),
        ({"price": 1.255}, "'price' is decimal"),
        ({"n": -1}, "'n' is uint8"),
    ):
        with pytest.raises(Invalid, match=said):
            embedded.pushes.push("dataset:prices", [{**good, **wrong}])


def test_times_outside_of_the_calendar_are_kept_and_told_as_text(embedded: Workspace) -> None:
    far = pa.table(
        {
            "id": [1, 2, 3],
            "at": pa.array([-(10**17), 10**18, None], MOMENT),
            "day": pa.array([-800_000, 5_000_000, 0], pa.date32()),
            "ends": pa.array([2**63 - 1, 0, None], MOMENT),
            "deep": pa.array([[10**18], [], None], pa.list_(MOMENT)),
        }
    )
    made = embedded.datasets.add("far", far, key="id")
    assert embedded.datasets.read(made.ref).column("at").cast(pa.int64()).to_pylist() == [-(10**17), 10**18, None]
    at, day = (embedded.datasets.profile(made.ref).column(name) for name in ("at", "day"))
    assert (at.minimum, at.maximum) == ("-1199-02-15T14:13:20Z", "33658-09-27T01:46:40Z")
    assert (day.minimum, day.maximum) == ("-221-09-04", "15659-07-15")
    later = embedded.datasets.add("far", far.set_column(1, "at", pa.array([0, 2 * 10**18, None], MOMENT)))
    found = embedded.datasets.diff(made.ref, later.ref)
    assert [row.before["at"] for row in found.rows.changed_sample] == ["-1199-02-15T14:13:20Z", "33658-09-27T01:46:40Z"]
    with pytest.raises(Invalid, match=r"time column 'at' holds -1199.*years 1 to 9999"):
        embedded.datasets.add("by-time", far, time_column="at")


def test_names_of_any_signs_are_profiled_compared_merged_and_checked(embedded: Workspace) -> None:
    names = ["a b", 'q"uote', "it's", "do.t", "new\nline", "<b>x</b>", "ünïcode 🙂", "select", "x`y", "c,d"]
    first = pa.table({"id": [1, 2, 3], **{name: [1.5, None, 2.5] for name in names}})
    base = embedded.datasets.add("odd", first, key="id")
    assert [each.name for each in embedded.datasets.profile(base.ref).columns] == ["id", *names]
    mine = embedded.datasets.add("odd", first.set_column(1, names[0], pa.array([9.0, None, 2.5])), parent=base.ref)
    changed = first.set_column(5, names[4], pa.array([1.5, None, 7.0]))
    theirs = embedded.datasets.add("odd", changed, parent=base.ref)
    (row,) = embedded.datasets.diff(base.ref, theirs.ref).rows.changed_sample
    assert (row.before, row.after) == ({"new\nline": 2.5}, {"new\nline": 7.0})
    merged = embedded.datasets.merge(mine.ref, theirs.ref).version
    rows = embedded.datasets.read(merged).to_pylist()
    assert (rows[0]["a b"], rows[2]["new\nline"]) == (9.0, 7.0)
    report = embedded.datasets.check(merged, embedded.datasets.suggest(base.ref))
    assert report.verdict.value == "pass"


def test_tables_of_no_row_and_of_one_are_compared_and_merged(embedded: Workspace) -> None:
    one = pa.table({"id": [1], "x": [1.5], "s": ["a"]})
    none = embedded.datasets.add("few", one.slice(0, 0), key="id")
    first = embedded.datasets.add("few", one, parent=none.ref)
    found = embedded.datasets.diff(none.ref, first.ref)
    assert (found.rows.added, found.distributions) == (1, [])
    two = pa.table({"id": [2], "x": [float("inf")], "s": [None]}, one.schema)
    other = embedded.datasets.add("few", two, parent=none.ref)
    merged = embedded.datasets.merge(first.ref, other.ref)
    assert (merged.added, merged.conflicts) == (1, [])
    assert embedded.datasets.read(merged.version)["x"].to_pylist() == [1.5, float("inf")]
    back = embedded.datasets.diff(first.ref, none.ref)
    assert back.rows.removed == 1


def test_parquet_that_arrow_cannot_read_back_says_which_and_what_to_do(embedded: Workspace, tmp_path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"v": pa.array([[1.0, 2.0], None], PAIRS)}), tmp_path / "pairs.parquet")
    with pytest.raises(Invalid, match=r"pairs\.parquet has arrays of one length of which one is missing"):
        embedded.datasets.add("pairs", tmp_path / "pairs.parquet")


def test_what_differs_by_infinities_and_last_digits_is_told_as_such(embedded: Workspace) -> None:
    kind, long = pa.decimal128(38, 0), pa.decimal256(76, 0)

    def rows(x: float, d: str, far: str) -> pa.Table:
        return pa.table({"id": [1], "x": [x], "d": pa.array([Decimal(d)], kind), "far": pa.array([Decimal(far)], long)})

    digits = "1234567890123456789012345678901234567{}"
    first = embedded.datasets.add("digits", rows(float("inf"), digits.format(8), "1" * 70), key="id")
    second = embedded.datasets.add("digits", rows(float("-inf"), digits.format(9), "2"))
    found = embedded.datasets.diff(first.ref, second.ref).rows
    (row,) = found.changed_sample
    assert (row.before["x"], row.after["x"]) == ("inf", "-inf")
    assert (row.before["d"], row.after["d"]) == (digits.format(8), digits.format(9))
    assert found.note.startswith("far: ")
    with pytest.raises(Invalid, match="far of dataset:digits@2 holds decimals of more than 38 digits"):
        embedded.datasets.merge(second.ref, first.ref)


def test_long_texts_are_no_set_of_values_and_a_sentence_quotes_their_beginning(embedded: Workspace) -> None:
    table = pa.table({"id": range(200), "text": ["x" * 5000, "y" * 5000] * 100, "kind": ["a", "b"] * 100})
    made = embedded.datasets.add("texts", table, key="id")
    sets = [each for each in embedded.datasets.suggest(made.ref) if isinstance(each, Values)]
    assert [each.column for each in sets] == ["kind"]
    (found,) = embedded.datasets.check(made.ref, [Values(column="text", allowed=["x" * 5000, "z" * 39])]).results
    assert found.failing == 100 and f"{'x' * 39}…, {'z' * 39}" in found.message


def test_runs_are_stored_as_what_they_stand_for_and_unions_are_refused(embedded):
    runs = pa.table({"word": pa.RunEndEncodedArray.from_arrays([2, 3, 4], ["a", None, "b"])})
    version = embedded.datasets.add("runs", runs)
    assert embedded.datasets.read(version.ref)["word"].to_pylist() == ["a", "a", None, "b"]
    assert embedded.datasets.add("runs", pa.table({"word": ["a", "a", None, "b"]})).ref == version.ref
    several = pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["x", "y"])])
    with pytest.raises(Invalid, match="column 'several': values of several types"):
        embedded.datasets.add("unions", pa.table({"several": several}))


def test_what_parquet_has_no_place_for_is_refused_by_name(embedded: Workspace) -> None:
    interval = pa.array([pa.MonthDayNano([1, 2, 3])])
    for column in (interval, pa.array([{}], pa.struct([])), pa.array([[{}]], pa.list_(pa.struct([])))):
        with pytest.raises(Invalid, match=r"column 'x': .* has no place in Parquet"):
            embedded.datasets.add("homeless", pa.table({"id": [1], "x": column}))


def test_a_value_that_does_not_survive_its_type_comes_with_one_that_holds_it(embedded: Workspace) -> None:
    fine = pa.table({"at": pa.array([1_711_848_600_000_000_001]).cast(pa.timestamp("ns"))})
    with pytest.raises(Invalid, match="would lose data") as caught:
        embedded.datasets.add("fine", fine)
    assert caught.value.mend == "Declare another type: types={'at': 'int64'} would hold it."
    made = embedded.datasets.add("fine", fine, types={"at": "int64"})
    assert embedded.datasets.read(made.ref)["at"].to_pylist() == [1_711_848_600_000_000_001]


def test_csv_refuses_by_name_what_is_no_text(embedded: Workspace, tmp_path) -> None:
    for name, column in (
        ("uuid", pa.array([b"0123456789abcdef"], pa.uuid())),
        ("json", pa.array(["{}"], pa.json_())),
        ("bytes", pa.array([b"\xff\xfe"], pa.binary(2))),
    ):
        made = embedded.datasets.add(name, pa.table({"x": column}))
        with pytest.raises(Invalid, match="CSV has no place for x"):
            embedded.datasets.export(made.ref, tmp_path / f"{name}.csv")


def test_the_index_of_a_filtered_frame_is_no_column(embedded: Workspace) -> None:
    frame = pd.DataFrame({"id": [1, 2, 3], "at": pd.to_datetime(["2024-01-01"] * 3, utc=True)}, index=[5, 5, 9])
    chosen = frame[frame.id != 2]
    made = embedded.datasets.add("frames", chosen)
    assert made.names == ["id", "at"]
    embedded.pushes.push("dataset:frames", chosen, id="one")
    embedded.features.apply(FeatureView(name="seen", entity="id", source="dataset:frames", features=["at"]))
    asked = chosen.rename(columns={"at": "event_timestamp"})
    assert embedded.features.training(asked, ["features:seen"]).table.column_names == ["id", "event_timestamp", "at"]
    assert embedded.datasets.add("named", frame.set_index("id")).names == ["at", "id"]


def test_no_encodings_are_stored_at_any_depth(embedded: Workspace) -> None:
    """Equal rows are equal versions however they were made: views, large offsets and dictionaries lie in others, too."""
    plain = pa.struct([("a", pa.list_(pa.struct([("c", pa.string())]))), ("at", pa.timestamp("us"))])
    odd = pa.struct([("a", pa.large_list(pa.struct([("c", pa.string_view())]))), ("at", pa.timestamp("ns"))])
    rows = [{"a": [{"c": "x"}, None], "at": datetime(2024, 1, 1)}, None, {"a": None, "at": None}]
    for name, kinds, values in (
        ("deep", (plain, odd), rows),
        ("maps", (pa.map_(pa.string(), pa.string()), pa.map_(pa.large_string(), pa.large_string())), [[("k", "v")], None]),
        ("pairs", (pa.struct([("a", pa.list_(pa.float32()))]), pa.struct([("a", PAIRS)])), [{"a": [1.0, 2.0]}, None]),
        ("views", (pa.list_(pa.int32()), pa.list_view(pa.int32())), [[1], [2, 3], None, []]),
    ):
        made = [embedded.datasets.add(name, pa.table({"x": pa.array(values, kind)})) for kind in kinds]
        assert made[0].digest == made[1].digest and "view" not in made[1].column("x").type
        assert embedded.datasets.read(made[0].ref)["x"].to_pylist() == values


def test_identifiers_have_no_place_in_delta(embedded: Workspace, tmp_path) -> None:
    pytest.importorskip("deltalake")
    made = embedded.datasets.add("ids", pa.table({"x": pa.array([b"0123456789abcdef"], pa.uuid())}))
    with pytest.raises(Invalid, match="no type for x"):  # it wrote a table that nobody could read
        embedded.datasets.export(made.ref, tmp_path / "ids", "delta")
