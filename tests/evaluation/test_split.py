from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.errors import Invalid
from modelwright.evaluation import split_by_share, split_by_time

START = datetime(2013, 1, 1, tzinfo=UTC)
DAYS = [START + timedelta(days=d) for d in range(100)]


def test_parts_follow_one_another_with_the_gap_left_out() -> None:
    split = split_by_time(DAYS, validation_from=DAYS[60], test_from=DAYS[80], gap=timedelta(days=2))
    assert list(split.train) == list(range(58))
    assert list(split.validation) == list(range(60, 78))
    assert list(split.test) == list(range(80, 100))
    assert split.record.dropped == 4
    assert [(p.name, p.rows) for p in split.record.parts] == [("train", 58), ("validation", 18), ("test", 20)]
    assert split.record.parts[0].last == DAYS[57] and split.record.parts[2].first == DAYS[80]


def test_a_row_whose_outcome_was_not_known_yet_is_not_trained_on() -> None:
    known = [day + timedelta(days=5) for day in DAYS]
    split = split_by_time(DAYS, test_from=DAYS[50], known_at=known)
    assert list(split.train) == list(range(45))
    assert split.record.dropped == 5


@given(
    st.lists(st.integers(0, 10_000), min_size=30, max_size=200, unique=True),
    st.integers(0, 50),
)
def test_nothing_trained_on_lies_within_the_gap_of_anything_tested(minutes: list[int], gap: int) -> None:
    times = [START + timedelta(minutes=m) for m in minutes]
    try:
        split = split_by_share(times, validation=0.3, test=0.3, gap=timedelta(minutes=gap))
    except Invalid as error:
        assert "No row falls into" in error.message
        return
    stamps = np.array(minutes)
    assert stamps[split.train].max() + gap < stamps[split.validation].min() + 1
    assert stamps[split.validation].max() < stamps[split.test].min()
    used = np.concatenate([split.train, split.validation, split.test])
    assert len(np.unique(used)) == len(used) == len(times) - split.record.dropped


def test_arrow_pandas_numpy_and_naive_times_split_alike() -> None:
    import pandas as pd

    naive = [day.replace(tzinfo=None) for day in DAYS]
    forms = [pa.chunked_array([pa.array(DAYS)]), pd.Series(DAYS), np.array(naive, dtype="datetime64[s]"), naive]
    for form in forms:
        assert len(split_by_time(form, test_from=DAYS[70]).train) == 70


def test_an_empty_part_says_what_times_there_are() -> None:
    with pytest.raises(Invalid, match=r"No row falls into the test part\. The rows run from 2013-01-01"):
        split_by_time(DAYS, test_from=datetime(2014, 1, 1, tzinfo=UTC))


def test_boundaries_out_of_order_and_missing_times_are_refused() -> None:
    with pytest.raises(Invalid, match="follow one another"):
        split_by_time(DAYS, validation_from=DAYS[50], test_from=DAYS[40])
    with pytest.raises(Invalid, match="misses 1 values"):
        split_by_time(np.array(["2013-01-01", "NaT"], dtype="datetime64[D]"), test_from=DAYS[1])
    with pytest.raises(Invalid, match="leave nothing to train on"):
        split_by_share(DAYS, validation=0.5, test=0.5)
