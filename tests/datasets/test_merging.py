"""Three-way merges: of tables by key, of folders by path, with the ancestor that the versions name."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.refs import Ref
from modelwright.datasets.rowmerge import MergedTable, Side
from modelwright.datasets.service import Datasets

STOCK = [{"id": 1, "n": 10, "where": "A"}, {"id": 2, "n": 20, "where": "B"}, {"id": 3, "n": 30, "where": "C"}]


def rows(workspace, ref) -> list[dict]:
    return workspace.datasets.read(ref).to_pylist()


def both(datasets: Datasets, base: list[dict], ours: list[dict], theirs: list[dict], **about):
    """Three versions: the second and the third made from the first."""
    first = datasets.add("stock", pa.Table.from_pylist(base), key="id", **about)
    mine = datasets.add("stock", pa.Table.from_pylist(ours))
    return first, mine, datasets.add("stock", pa.Table.from_pylist(theirs), parent=first.ref)


def test_what_either_side_changed_is_in_the_merge_of_both(workspace):
    ours = [STOCK[0] | {"n": 11}, *STOCK[1:], {"id": 5, "n": 50, "where": "E"}]
    theirs = [STOCK[0] | {"where": "Z"}, STOCK[2], {"id": 4, "n": 40, "where": "D"}]
    base, mine, other = both(workspace.datasets, STOCK, ours, theirs)
    assert (mine.parent, other.parent) == (base.ref, base.ref)

    merged = workspace.datasets.merge(mine.ref, other.ref, reason="together")

    assert (merged.base, str(merged.version), merged.conflicting) == (base.ref, "dataset:stock@4", 0)
    assert (merged.added, merged.removed, merged.changed, merged.changed_by_column) == (1, 1, 1, {"where": 1})
    assert rows(workspace, merged.version) == [
        {"id": 1, "n": 11, "where": "Z"},
        {"id": 3, "n": 30, "where": "C"},
        {"id": 5, "n": 50, "where": "E"},
        {"id": 4, "n": 40, "where": "D"},
    ]
    version = workspace.datasets.show(merged.version)
    assert (version.parent, version.merged, version.key) == (mine.ref, other.ref, ["id"])
    events = workspace.record.history(version.ref).items
    assert set(events[0].inputs) == {str(mine.ref), str(other.ref)}
    assert workspace.datasets.profile(version.ref).column("n").maximum == 50


def test_what_both_changed_is_listed_and_nothing_is_made_until_it_is_settled(embedded):
    ours = [STOCK[0] | {"n": 11}, STOCK[1] | {"where": "Q"}, {"id": 9, "n": 1, "where": "X"}]
    theirs = [STOCK[0] | {"n": 12}, STOCK[2] | {"n": 33}, {"id": 9, "n": 2, "where": "X"}]
    _, mine, other = both(embedded.datasets, STOCK, ours, theirs)

    found = embedded.datasets.merge(mine.ref, other.ref)

    assert (found.version, found.conflicting) == (None, 4)
    told = [(c.key["id"], c.column, c.what, c.base, c.ours, c.theirs) for c in found.conflicts]
    assert told == [
        (1, "n", "changed in both", 10, 11, 12),
        (2, "", "changed in ours, removed in theirs", None, None, None),
        (3, "", "removed in ours, changed in theirs", None, None, None),
        (9, "n", "added in both", None, 1, 2),
    ]
    assert len(embedded.datasets.history("dataset:stock")) == 3
    own = embedded.datasets.merge(mine.ref, other.ref, settle="ours")
    assert rows(embedded, own.version) == ours
    foreign = embedded.datasets.merge(mine.ref, other.ref, settle="theirs")
    assert sorted(rows(embedded, foreign.version), key=lambda row: row["id"]) == theirs


def test_a_plan_counts_and_makes_nothing(embedded):
    _, mine, other = both(embedded.datasets, STOCK, STOCK[:2], [*STOCK, {"id": 4, "n": 4, "where": "D"}])
    found = embedded.datasets.merge(mine.ref, other.ref, plan=True)
    assert (found.added, found.version) == (1, None)
    assert len(embedded.datasets.history("dataset:stock")) == 3


def test_columns_are_merged_too(embedded):
    ours = [row | {"price": 1.5} for row in STOCK]
    theirs = [{"id": row["id"], "n": float(row["n"]) + 0.5} for row in STOCK] + [{"id": 4, "n": 4.5}]
    _, mine, other = both(embedded.datasets, STOCK, ours, theirs)
    merged = embedded.datasets.merge(mine.ref, other.ref)
    version = embedded.datasets.show(merged.version)
    assert [(c.name, c.type) for c in version.columns] == [("id", "int64"), ("n", "double"), ("price", "double")]
    assert (merged.columns_removed, merged.columns_added) == (["where"], [])
    assert rows(embedded, version.ref)[-1] == {"id": 4, "n": 4.5, "price": None}
    assert version.column("price").nullable


def test_a_column_that_one_side_took_away_and_the_other_changed_is_a_conflict(embedded):
    ours = [row | {"where": "moved"} for row in STOCK]
    theirs = [{"id": row["id"], "n": row["n"]} for row in STOCK]
    _, mine, other = both(embedded.datasets, STOCK, ours, theirs)
    found = embedded.datasets.merge(mine.ref, other.ref)
    assert [(c.column, c.what) for c in found.conflicts] == [
        ("where", "changed in ours, removed in theirs: the whole column")
    ]
    assert "where" in embedded.datasets.show(embedded.datasets.merge(mine.ref, other.ref, settle="ours").version).names
    assert (
        "where" not in embedded.datasets.show(embedded.datasets.merge(mine.ref, other.ref, settle="theirs").version).names
    )


def test_personal_values_are_not_quoted(embedded):
    ours, theirs = [STOCK[0] | {"where": "mine"}], [STOCK[0] | {"where": "theirs"}]
    _, mine, other = both(embedded.datasets, STOCK[:1], ours, theirs, personal=["where", "id"])
    (conflict,) = embedded.datasets.merge(mine.ref, other.ref).conflicts
    assert (conflict.hidden, conflict.key, conflict.ours, conflict.column) == (True, {}, None, "where")
    merged = embedded.datasets.show(embedded.datasets.merge(mine.ref, other.ref, settle="ours").version)
    assert merged.column("where").personal


def test_a_version_that_came_from_the_other_is_the_merge_of_both(embedded):
    first = embedded.datasets.add("stock", pa.Table.from_pylist(STOCK), key="id")
    second = embedded.datasets.add("stock", pa.Table.from_pylist(STOCK[:2]))
    for one, other in ((first, second), (second, first)):
        found = embedded.datasets.merge(one.ref, other.ref)
        assert (found.version, found.base) == (second.ref, first.ref)
        assert "came from dataset:stock@1" in found.note


def test_the_ancestor_of_a_merge_is_the_version_merged_last(embedded):
    _, mine, other = both(embedded.datasets, STOCK, STOCK[:2], [*STOCK, {"id": 4, "n": 4, "where": "D"}])
    merged = embedded.datasets.merge(mine.ref, other.ref)
    later = embedded.datasets.add("stock", pa.Table.from_pylist([{"id": 7, "n": 7, "where": "G"}]), parent=other.ref)
    assert embedded.datasets.merge(merged.version, later.ref, plan=True).base == other.ref


def test_versions_of_two_datasets_need_a_base_and_may_go_into_a_third(embedded):
    first, mine, other = both(embedded.datasets, STOCK, STOCK[:2], [*STOCK, {"id": 4, "n": 4, "where": "D"}])
    apart = embedded.datasets.add("apart", embedded.datasets.read(other.ref), key="id")
    with pytest.raises(Invalid, match="two datasets"):
        embedded.datasets.merge(mine.ref, apart.ref)
    merged = embedded.datasets.merge(mine.ref, apart.ref, base=first.ref, into="together")
    version = embedded.datasets.show(merged.version)
    assert (str(version.ref), version.parent, version.merged) == ("dataset:together@1", None, None)
    assert [row["id"] for row in rows(embedded, version.ref)] == [1, 2, 4]


def test_a_key_that_does_not_name_rows_alone_is_refused(embedded):
    twice = pa.Table.from_pylist([STOCK[0], STOCK[0]])
    first = embedded.datasets.add("stock", pa.Table.from_pylist(STOCK), key="id")
    mine = embedded.datasets.add("stock", twice)
    other = embedded.datasets.add("stock", pa.Table.from_pylist(STOCK[1:]), parent=first.ref)
    with pytest.raises(Invalid, match="does not name the rows of dataset:stock@2 alone"):
        embedded.datasets.merge(mine.ref, other.ref)
    keyless = embedded.datasets.add("keyless", pa.Table.from_pylist(STOCK))
    with pytest.raises(Invalid, match="has no key"):
        embedded.datasets.merge(keyless.ref, mine.ref, base=first.ref)


def test_a_parent_is_a_version_of_the_same_dataset(embedded):
    embedded.datasets.add("stock", pa.Table.from_pylist(STOCK), key="id")
    with pytest.raises(Invalid, match="no version of dataset:other"):
        embedded.datasets.add("other", pa.Table.from_pylist(STOCK), parent="dataset:stock@1")
    with pytest.raises(NotFound):
        embedded.datasets.add("stock", pa.Table.from_pylist(STOCK[:1]), parent="dataset:stock@7")


def test_both_sides_with_types_that_nobody_had_before_conflict(embedded):
    ours = [row | {"n": str(row["n"])} for row in STOCK]
    theirs = [row | {"n": row["n"] > 10} for row in STOCK]
    _, mine, other = both(embedded.datasets, STOCK, ours, theirs)
    with pytest.raises(Conflict, match="'n' is string in ours and bool in theirs"):
        embedded.datasets.merge(mine.ref, other.ref)


def test_a_part_that_nothing_changed_is_not_stored_again(embedded, tmp_path):
    parts = []
    for number in range(3):
        table = pa.table({"id": range(number * 1000, number * 1000 + 1000), "n": [float(number)] * 1000})
        parts.append(tmp_path / f"{number}.parquet")
        pq.write_table(table, parts[-1])
    first = embedded.datasets.add("many", parts, key="id")
    pq.write_table(pa.table({"id": range(2000, 2999), "n": [2.0] * 999}), parts[2])
    mine = embedded.datasets.add("many", parts)
    pq.write_table(pa.table({"id": range(1000), "n": [5.0] * 1000}), parts[0])
    pq.write_table(pa.table({"id": range(2000, 3000), "n": [2.0] * 1000}), parts[2])
    other = embedded.datasets.add("many", parts, parent=first.ref)
    merged = embedded.datasets.show(embedded.datasets.merge(mine.ref, other.ref).version)
    assert [part.digest for part in merged.parts] == [
        other.parts[0].digest,
        first.parts[1].digest,
        mine.parts[2].digest,
    ]


def test_folders_are_merged_by_path(workspace, tmp_path):
    def version(files: dict[str, str], **about):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        return workspace.datasets.add_files("notes", folder, **about)

    base = version({"a": "1", "b": "2", "c/d": "3", "e": "4"})
    mine = version({"a": "1x", "b": "2", "c/d": "3", "e": "ours"})
    other = version({"a": "1", "c/d": "3y", "e": "theirs", "f": "new"}, parent=base.ref)

    found = workspace.datasets.merge(mine.ref, other.ref)
    assert found.version is None
    assert [(c.path, c.what) for c in found.conflicts] == [("e", "changed in both")]
    merged = workspace.datasets.merge(mine.ref, other.ref, settle="theirs")
    assert (merged.added, merged.removed, merged.changed) == (1, 1, 2)
    version_ = workspace.datasets.show(merged.version)
    assert (version_.parent, version_.merged) == (mine.ref, other.ref)
    workspace.datasets.checkout(merged.version, tmp_path / "out")
    held = {str(p.relative_to(tmp_path / "out")): p.read_text() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert held == {"a": "1x", "c/d": "3y", "e": "theirs", "f": "new"}


def test_a_folder_that_was_checked_out_is_a_version_of_what_was_checked_out(embedded, tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a").write_text("1")
    first = embedded.datasets.add_files("notes", folder)
    (folder / "b").write_text("2")
    embedded.datasets.add_files("notes", folder)
    embedded.datasets.checkout(first.ref, tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "c").write_text("3")
    assert embedded.datasets.add_files("notes", tmp_path / "elsewhere").parent == first.ref


def test_files_and_rows_cannot_be_merged(embedded, tmp_path):
    (tmp_path / "a").write_text("1")
    files = embedded.datasets.add_files("notes", tmp_path / "a")
    table = embedded.datasets.add("stock", pa.Table.from_pylist(STOCK), key="id")
    with pytest.raises(Invalid, match="dataset:stock@1 is a table, and the rest are files"):
        embedded.datasets.merge(files.ref, table.ref, base=files.ref)


SMALL = st.dictionaries(st.integers(0, 6), st.tuples(st.one_of(st.none(), st.integers(0, 2)), st.sampled_from("xyz")))


def expected(base: dict, ours: dict, theirs: dict, settle: str) -> tuple[dict, int]:
    """The rule, row by row and cell by cell, in so many words."""
    result, conflicts = {}, 0
    for key in {*base, *ours, *theirs}:
        b, o, t = base.get(key), ours.get(key), theirs.get(key)
        if o is None or t is None:
            left = o if t is None else t
            if b is None:
                taken = left
            elif left is None or left == b:
                taken = None
            else:
                conflicts += 1
                keeps = settle == ("theirs" if o is None else "ours")
                taken = left if keeps else None
            if taken is not None:
                result[key] = taken
            continue
        cells = []
        for i in range(2):
            was = None if b is None else b[i]
            if o[i] == was:
                cells.append(t[i])
            elif t[i] in (was, o[i]):
                cells.append(o[i])
            else:
                conflicts += 1
                cells.append(t[i] if settle == "theirs" else o[i])
        result[key] = tuple(cells)
    return result, conflicts


@settings(max_examples=15)
@given(base=SMALL, ours=SMALL, theirs=SMALL, settle=st.sampled_from(["ours", "theirs"]))
def test_every_row_and_cell_is_merged_by_the_rule(tmp_path_factory, base, ours, theirs, settle):
    folder: Path = tmp_path_factory.mktemp("merge")
    schema = pa.schema([("k", pa.int64()), ("n", pa.int64()), ("s", pa.string())])
    sides = []
    for number, side in enumerate((base, ours, theirs), 1):
        table = pa.Table.from_pylist([{"k": k, "n": n, "s": s} for k, (n, s) in side.items()], schema)
        pq.write_table(table, folder / f"{number}.parquet")
        sides.append(Side(version_of(number, table), [folder / f"{number}.parquet"]))
    merged = MergedTable(*sides, settle=settle, spill=folder / "spill")
    wanted, conflicts = expected(base, ours, theirs, settle)
    found = pa.concat_tables([table for _, table in merged.parts(folder, ["k"])]).to_pylist()
    assert {row["k"]: (row["n"], row["s"]) for row in found} == wanted
    assert len(found) == len(wanted)
    assert merged.conflicting == conflicts == len(merged.conflicts)


def version_of(number: int, table: pa.Table):
    from datetime import UTC, datetime

    from modelwright.datasets import DatasetColumn, DatasetVersion

    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return DatasetVersion(
        ref=Ref.parse(f"dataset:stock@{number}"),
        digest="0" * 64,
        created_at=moment,
        created_by="ada",
        changed_at=moment,
        columns=[DatasetColumn(name=field.name, type=str(field.type)) for field in table.schema],
        rows=table.num_rows,
        bytes=1,
        key=["k"],
    )


@pytest.mark.parametrize("swapped", [False, True])
def test_a_file_on_one_side_and_a_folder_on_the_other_are_a_conflict(embedded, tmp_path, swapped):
    def folder(name, files):
        for path, content in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(content)
        return tmp_path / name

    base = embedded.datasets.add_files("tree", folder("base", {"keep": "k", "place/a": "a"}))
    file = embedded.datasets.add_files("tree", folder("file", {"keep": "k", "place": "one"}), parent=base.ref)
    deep = {"keep": "k", "place/a": "a", "place/b": "b"}
    more = embedded.datasets.add_files("tree", folder("more", deep), parent=base.ref)
    ours, theirs = (more, file) if swapped else (file, more)
    found = embedded.datasets.merge(ours.ref, theirs.ref)
    assert found.version is None and [(each.path, each.what) for each in found.conflicts] == [
        ("place", "a folder in ours, a file in theirs" if swapped else "a file in ours, a folder in theirs")
    ]
    kept = {}
    for settle in ("ours", "theirs"):
        made = embedded.datasets.merge(ours.ref, theirs.ref, settle=settle).version
        kept[settle] = [each.path for each in embedded.datasets.files(made)]
    as_file, as_folder = ["keep", "place"], ["keep", "place/b"]
    assert (kept["theirs"], kept["ours"]) == ((as_file, as_folder) if swapped else (as_folder, as_file))
