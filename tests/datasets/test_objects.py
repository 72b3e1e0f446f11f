"""Parts as local files: fetched once, never trusted unverified."""

from __future__ import annotations

import pyarrow as pa

from modelwright.datasets import Datasets


def test_a_cached_file_that_was_changed_is_fetched_anew(embedded, flights, tmp_path):
    version = embedded.datasets.add("flights", flights)
    folder = tmp_path / "cache"
    expected = Datasets(embedded.caller, cache=folder).relation(version.ref).to_arrow_table()
    (file,) = (folder / "parts").iterdir()
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1])
    assert Datasets(embedded.caller, cache=folder).relation(version.ref).to_arrow_table() == expected


def test_a_part_is_fetched_once(embedded, flights, tmp_path):
    datasets = Datasets(embedded.caller, cache=tmp_path / "cache")
    version = datasets.add("flights", flights)
    datasets.relation(version.ref)
    (file,) = (tmp_path / "cache" / "parts").iterdir()
    fetched = file.stat().st_ino
    datasets.relation(version.ref)
    assert file.stat().st_ino == fetched


def test_equal_tables_have_equal_bytes(embedded, flights):
    datasets = embedded.datasets
    one, two = datasets.add("one", flights), datasets.add("two", datasets.read(datasets.add("one", flights).ref))
    assert one.parts == two.parts


def test_rows_that_were_read_are_the_same_version_when_added_again(embedded):
    datasets = embedded.datasets
    rows = pa.table({"tags": pa.array([["a"], None, []], pa.large_list(pa.string())), "x": [1.5, float("nan"), None]})
    version = datasets.add("things", rows)
    assert datasets.add("things", datasets.read(version.ref)).ref == version.ref
