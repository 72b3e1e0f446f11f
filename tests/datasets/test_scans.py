"""Rows as whoever computes gets them, a batch at a time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from modelwright.datasets.scans import batches_of


def test_a_file_is_read_as_it_is_needed_and_not_as_a_whole(tmp_path):
    made = np.random.default_rng(0)
    table = pa.table({"n": made.integers(0, 2**60, 1_000_000), "x": made.normal(size=1_000_000)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=20_000, use_dictionary=False)
    before = pa.total_allocated_bytes()
    batches = batches_of([tmp_path / "a.parquet"])
    first = next(batches)
    assert pa.total_allocated_bytes() - before < table.nbytes / 2
    assert len(first) + sum(len(each) for each in batches) == len(table)
