"""A batch that does not fit its signature is refused by the name of the column, and never repeats its values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.errors import Invalid
from modelwright.core.signature import Column, DataType, Signature
from modelwright.serving import Extras, check_batch


def one(dtype: DataType, **more: Any) -> Signature:
    return Signature(inputs=[Column(name="x", dtype=dtype, **more)], outputs=[])


@pytest.mark.parametrize(
    ("dtype", "values", "said"),
    [
        (DataType.INT64, [1, 1.5], "fraction"),
        (DataType.INT64, [1, True], "takes an integer, not a true or false"),
        (DataType.INT64, [2**63], "beyond INT64"),
        (DataType.INT32, [2**31], "beyond INT32"),
        (DataType.INT64, [None], "holds a null"),
        (DataType.FP64, ["7"], "takes a number, not a text"),
        (DataType.FP64, [True], "takes a number, not a true or false"),
        (DataType.FP64, [float("nan")], "holds a null"),
        (DataType.BOOL, [1], "takes true or false, not an integer"),
        (DataType.STRING, [3], "takes a text, not an integer"),
        (DataType.STRING, [["a"]], "not a list"),
        (DataType.DATETIME, ["yesterday"], "not an RFC 3339 time"),
        (DataType.DATETIME, [1.5], "not a number"),
        (DataType.INT64, np.array([1.5]), "fraction"),
        (DataType.INT32, np.array([2**40]), "beyond INT32"),
        (DataType.FP64, np.array([np.nan]), "holds a null"),
        (DataType.FP64, np.zeros((2, 2)), "2 dimensions"),
        (DataType.FP64, "12", "takes a number"),
    ],
)
def test_a_value_that_does_not_fit_names_its_column(dtype: DataType, values: Any, said: str) -> None:
    with pytest.raises(Invalid, match=f"Column 'x' .*{said}"):
        check_batch(one(dtype), {"x": values})


def test_the_row_is_told_and_the_value_is_not() -> None:
    with pytest.raises(Invalid) as caught:
        check_batch(one(DataType.STRING, categories=["AA", "UA"]), {"x": ["AA", "secret"]})
    assert "row 2" in caught.value.message
    assert "secret" not in str(caught.value)
    assert caught.value.details == {"column": "x", "row": 1}


def test_missing_extra_and_ragged_columns() -> None:
    signature = Signature(
        inputs=[Column(name="a", dtype=DataType.FP64), Column(name="b", dtype=DataType.STRING, nullable=True)], outputs=[]
    )
    with pytest.raises(Invalid, match="Column 'a' is missing"):
        check_batch(signature, {"b": ["x"]})
    with pytest.raises(Invalid, match="Column 'c' is not an input"):
        check_batch(signature, {"a": [1.0], "c": [1.0]})
    with pytest.raises(Invalid, match="differ in length"):
        check_batch(signature, {"a": [1.0], "b": []})
    with pytest.raises(Invalid, match="Column 'a' is not a list"):
        check_batch(signature, {"a": 1.0})
    checked = check_batch(signature, {"c": [9], "a": [1]}, extras=Extras.DROP)
    assert list(checked) == ["a", "b"]
    assert checked["b"].tolist() == [None]


def test_nullable_integers_are_floats_with_or_without_a_null() -> None:
    signature = one(DataType.INT64, nullable=True)
    assert check_batch(signature, {"x": [1, 2]})["x"].dtype == np.float64
    assert np.isnan(check_batch(signature, {"x": [1, None]})["x"][1])
    with pytest.raises(Invalid, match=r"beyond 2\^53"):
        check_batch(signature, {"x": [2**53 + 1]})


def test_times_are_utc_microseconds() -> None:
    checked = check_batch(one(DataType.DATETIME, nullable=True), {"x": ["2013-07-01T12:00:00+02:00", None]})
    assert checked["x"][0] == np.datetime64("2013-07-01T10:00:00", "us")
    assert np.isnat(checked["x"][1])


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_every_integer_survives_exactly(values: list[int]) -> None:
    assert check_batch(one(DataType.INT64), {"x": values})["x"].tolist() == values


@given(st.lists(st.floats(allow_nan=False) | st.integers(-(2**53), 2**53)))
def test_arrays_and_lists_of_numbers_agree(values: list[float]) -> None:
    from_list = check_batch(one(DataType.FP64), {"x": values})["x"]
    from_array = check_batch(one(DataType.FP64), {"x": np.array(values, dtype=np.float64)})["x"]
    assert from_list.tolist() == from_array.tolist()
