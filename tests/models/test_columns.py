from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from modelwright.core.errors import Invalid
from modelwright.core.signature import DataType, Signature
from modelwright.models.columns import as_batch, as_table, infer_columns
from modelwright.serving import check_batch


@pytest.mark.parametrize(
    ("found", "dtype"),
    [
        (pa.bool_(), DataType.BOOL),
        (pa.int8(), DataType.INT32),
        (pa.uint16(), DataType.INT32),
        (pa.int32(), DataType.INT32),
        (pa.uint32(), DataType.INT64),
        (pa.int64(), DataType.INT64),
        (pa.float32(), DataType.FP32),
        (pa.float64(), DataType.FP64),
        (pa.string(), DataType.STRING),
        (pa.large_string(), DataType.STRING),
        (pa.timestamp("ns", "UTC"), DataType.DATETIME),
        (pa.date32(), DataType.DATETIME),
        (pa.date64(), DataType.DATETIME),
    ],
)
def test_each_arrow_type_has_its_signature_type(found: pa.DataType, dtype: DataType) -> None:
    table = pa.table({"x": pa.array([None], type=found)})
    assert infer_columns(table)[0].dtype is dtype


def test_types_that_no_model_takes_are_named() -> None:
    with pytest.raises(Invalid, match=r"Column 'x' is a list<.*, which no model takes"):
        infer_columns(pa.table({"x": [[1]]}))
    with pytest.raises(Invalid, match="Column 'x' holds nothing but nulls"):
        infer_columns(pa.table({"x": pa.nulls(3)}))
    with pytest.raises(Invalid, match="Column 'x' is a uint64"):
        infer_columns(pa.table({"x": pa.array([1], pa.uint64())}))


def test_a_null_or_a_nan_makes_a_column_nullable_and_so_does_saying_so() -> None:
    table = as_table({"a": [1, None], "b": [1.0, float("nan")], "c": [1, 2], "d": ["x", "y"]})
    columns = infer_columns(table, nullable=["d"])
    assert [column.nullable for column in columns] == [True, True, False, True]
    assert columns[0].dtype is DataType.INT64  # an integer with a null stays an integer


def test_categories_come_from_the_column_or_from_the_caller() -> None:
    frame = pd.DataFrame({"a": pd.Categorical(["x", "y"], categories=["x", "y", "z"]), "b": ["p", "q"]})
    columns = infer_columns(as_table(frame), categories={"b": ["p", "q", "r"]})
    assert [column.categories for column in columns] == [["x", "y", "z"], ["p", "q", "r"]]


def test_a_declared_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(Invalid, match="no column 'z'"):
        infer_columns(as_table({"a": [1]}), nullable=["z"])


def test_an_index_of_a_data_frame_is_no_column() -> None:
    frame = pd.DataFrame({"a": [1, 2, 3]})
    assert as_table(frame[frame.a > 1]).column_names == ["a"]


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(Invalid, match="A int is not a table"):
        as_table(3)
    with pytest.raises(Invalid, match="Column 'a' does not hold values of one type"):
        as_table({"a": [1, "x"]})


def test_every_type_reaches_the_model_as_it_was() -> None:
    moment = datetime(2013, 7, 1, 12, tzinfo=UTC)
    table = pa.table(
        {
            "flag": [True, None],
            "count": pa.array([1, None], pa.int32()),
            "size": [0.5, None],
            "name": ["a", None],
            "at": pa.array([moment, None]),
            "level": pa.array(["x", "y"]).dictionary_encode(),
            "label": [0, 1],
        }
    )
    inputs = infer_columns(table.drop_columns(["label"]))
    batch = check_batch(Signature(inputs=inputs, outputs=[]), as_batch(table, Signature(inputs=inputs, outputs=[])))
    assert "label" not in batch
    assert batch["flag"][0] == 1.0 and np.isnan(batch["flag"][1])
    assert batch["count"][0] == 1.0 and np.isnan(batch["count"][1])
    assert np.isnan(batch["size"][1]) and batch["name"].tolist() == ["a", None]
    assert batch["at"][0] == np.datetime64("2013-07-01T12:00") and np.isnat(batch["at"][1])
    assert batch["level"].tolist() == ["x", "y"]


def test_a_date_is_the_moment_at_which_it_begins_and_one_may_be_missing() -> None:
    table = pa.table({"day": pa.array([date(2013, 7, 1), None])})
    signature = Signature(inputs=infer_columns(table), outputs=[])
    assert signature.inputs[0].nullable
    (days,) = check_batch(signature, as_batch(table, signature)).values()
    assert days[0] == np.datetime64("2013-07-01") and np.isnat(days[1])
