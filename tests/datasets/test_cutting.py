"""Where files are cut: by content, and at the borders of their formats."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile
from itertools import accumulate, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.datasets.cutting import LEAST, MOST, borders, cuts, pieces
from modelwright.datasets.pages import page_borders
from modelwright.datasets.parts import LEAST_ROWS, MOST_ROWS, group_ends, write_parquet


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def test_the_cuts_of_the_format_never_change():
    assert cuts(noise(12 << 20), final=True) == PINNED


PINNED = [
    1056570,
    2319950,
    3471320,
    4677374,
    4953806,
    6158553,
    7492661,
    8898115,
    11204871,
    12473399,
    12582912,
]


@pytest.mark.parametrize("place", [0, 3_000_000, 7_654_321])
def test_bytes_put_in_move_only_the_cuts_around_them(place):
    data = noise(16 << 20)
    before = cuts(data, final=True)
    after = cuts(data[:place] + b"something else" + data[place:], final=True)
    moved = {end if end < place else end + 14 for end in before}
    assert len(moved - set(after)) <= 3
    assert all(end - start <= MOST for start, end in pairwise([0, *after]))
    assert all(end - start >= LEAST for start, end in pairwise([0, *after][:-1]))


def test_a_file_is_the_same_chunks_however_long_the_pieces_that_are_read(tmp_path):
    data = noise(40 << 20)  # longer than what is read at once
    (tmp_path / "a.bin").write_bytes(data)
    found = [bytes(each) for each in pieces(tmp_path / "a.bin", ())]
    assert b"".join(found) == data
    assert list(accumulate(map(len, found))) == cuts(data, final=True)


@given(st.lists(st.integers(0, 300_000), max_size=20), st.integers(0, 300_000))
def test_whatever_the_borders_the_pieces_are_the_file(tmp_path_factory, places, size):
    path = tmp_path_factory.mktemp("cut") / "a"
    path.write_bytes(noise(size))
    found = [bytes(each) for each in pieces(path, [place for place in places if place <= size])]
    assert b"".join(found) == path.read_bytes()
    assert all(found)


def test_members_of_archives_are_found_again_in_another_one(tmp_path):
    members = {f"{name}.bin": noise(100_000, seed) for seed, name in enumerate("abcdef")}
    (tmp_path / "first.zip").touch()
    for name, wanted in (("first", "abcdef"), ("second", "bcxdef")):
        content = {f"{each}.bin": members.get(f"{each}.bin", noise(77_000, 99)) for each in wanted}
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for each, data in content.items():
                archive.writestr(zipfile.ZipInfo(each), data)
        with tarfile.open(tmp_path / f"{name}.tar", "w") as archive:
            for each, data in content.items():
                about = tarfile.TarInfo(each)
                about.size = len(data)
                archive.addfile(about, io.BytesIO(data))
        np.savez(tmp_path / f"{name}.npz", **{each: np.frombuffer(data, np.uint8) for each, data in content.items()})
    for form in ("zip", "tar", "npz"):
        first, second = (tmp_path / f"{name}.{form}" for name in ("first", "second"))
        old, new = ({bytes(each) for each in pieces(path, borders(path))} for path in (first, second))
        assert sum(map(len, new - old)) < 200_000 < sum(map(len, new)), form


def test_a_file_that_is_not_what_its_name_says_has_no_borders(tmp_path):
    for form in ("npy", "npz", "zip", "tar", "safetensors", "parquet"):
        for content in (b"", b"no", noise(10_000), b"\x93NUMPY\x01"):
            (tmp_path / f"a.{form}").write_bytes(content)
            assert list(borders(tmp_path / f"a.{form}")) in ([], [10]), (form, content[:10])


def rows(count: int) -> pa.Table:
    made = np.random.default_rng(0)
    return pa.table(
        {
            "id": np.arange(count),
            "x": made.normal(size=count),
            "word": pa.array(np.array(["some", "more", "", "words"])[made.integers(0, 4, count)]),
            "flag": pa.array(made.integers(0, 2, count).astype(bool)),
            "list": pa.array([[1], None, []] * (count // 3) + [[2]] * (count % 3)),
        }
    )


def test_the_borders_of_parquet_lead_from_its_first_page_to_its_footer(tmp_path):
    table = rows(200_000)
    write_parquet(table, tmp_path / "a.parquet", ["id"])
    found = page_borders(tmp_path / "a.parquet")
    about = pq.read_metadata(tmp_path / "a.parquet")
    assert found[0] == 4
    assert found[-1] == (tmp_path / "a.parquet").stat().st_size - 8 - about.serialized_size
    assert len(found) > about.num_row_groups * about.num_columns
    assert pq.read_table(tmp_path / "a.parquet").equals(table)


def test_rows_taken_out_change_the_row_groups_around_them():
    table = rows(1_000_000).select(["id", "x", "word"])
    for by in (["id"], ["word", "id"], []):
        before = group_ends(table, by)
        after = group_ends(pa.concat_tables([table.slice(0, 500_000), table.slice(500_700)]), by)
        assert len(set(before) & {end if end <= 500_000 else end + 700 for end in after}) >= len(before) - 4
        assert all(LEAST_ROWS <= end - start <= MOST_ROWS for start, end in pairwise([0, *before][:-1]))


def test_a_row_group_ends_by_values_not_by_how_they_are_laid_out():
    table = rows(300_000).select(["word", "flag", "x"])
    ends = group_ends(table)
    assert group_ends(pa.concat_tables([rows(7).select(table.column_names), table]).slice(7)) == ends
    large = table.set_column(0, "word", table["word"].cast(pa.large_string()))
    assert group_ends(large) == ends
    constant = pa.table({"same": pa.array(["x"] * 300_000)})
    assert group_ends(constant) == group_ends(constant)


def test_empty_and_short_tables_are_one_group():
    assert [group_ends(rows(count)) for count in (0, 1, LEAST_ROWS)] == [[0], [1], [LEAST_ROWS]]
