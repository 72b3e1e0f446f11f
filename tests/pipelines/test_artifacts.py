"""Results go to safe files and come back as they were."""

from __future__ import annotations

import dataclasses
import enum
import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Corrupt, NotFound
from modelwright.core.refs import Ref
from modelwright.pipelines.artifacts import Unsafe, digest_of, load, objects_in, part, refs_in, store
from modelwright.store.objects import Objects


class Colour(enum.Enum):
    RED = "red"


class Point(msgspec.Struct):
    x: int
    ref: Ref


@dataclasses.dataclass
class Pair:
    left: int
    right: str


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    return Objects.open(tmp_path_factory.mktemp("objects"))


MODEL = Ref.parse("model:delay@3")
MOMENT = datetime(2013, 7, 1, 12, tzinfo=UTC)
PLAIN = [
    None,
    True,
    3,
    "text",
    b"\x00bytes",
    [1, [2, "x"]],
    (1, (2,)),
    {"a": 1, "b": {"c": []}},
    {1: "one", (2, 3): "pair"},
    {"$ref": "not a ref, only a key"},
    {1, 2},
    math.inf,
    MODEL,
    MOMENT,
    date(2013, 7, 1),
    timedelta(minutes=3),
    Colour.RED,
    Point(x=1, ref=MODEL),
    Pair(1, "x"),
]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values_come_back_equal(value: Any, blobs: Blobs) -> None:
    found = load(store(value, blobs), blobs)
    assert found == value and type(found) is type(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
        max_leaves=20,
    )
)
def test_whatever_is_nested_comes_back_equal_and_equal_values_have_equal_digests(blobs: Blobs, value: Any) -> None:
    tree = store(value, blobs)
    assert load(tree, blobs) == value
    assert digest_of(tree) == digest_of(store(value, blobs))


def test_tables_frames_and_arrays_come_back_as_what_they_were(blobs: Blobs) -> None:
    table = pa.table({"a": pa.array([1, None], pa.int32()), "b": pa.array(["x", "y"]).dictionary_encode()})
    assert load(store(table, blobs), blobs).equals(table)
    frame = pd.DataFrame({"a": [1.5, 2.5]}, index=["p", "q"])
    pd.testing.assert_frame_equal(load(store(frame, blobs), blobs), frame)
    for array in (np.arange(6.0).reshape(2, 3), np.array(["a", "bc"]), np.array([], dtype=np.int8)):
        found = load(store(array, blobs), blobs)
        assert found.dtype == array.dtype and np.array_equal(found, array)
    assert load(store(np.float32(0.5), blobs), blobs) == 0.5


def test_an_estimator_predicts_as_it_did(blobs: Blobs) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.random.default_rng(1).normal(size=(80, 3))
    model = make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=5)).fit(x, x[:, 0] > 0)
    found = load(store({"model": model}, blobs), blobs)["model"]
    assert np.array_equal(found.predict_proba(x), model.predict_proba(x))


def test_what_could_only_be_pickled_is_refused_with_its_place(blobs: Blobs) -> None:
    for value, words in [
        ({"a": [object()]}, r"\['a'\]\[0\]"),
        (lambda: 1, "function"),
        (np.array([object()]), "pickling"),
        (Path("file"), "PosixPath"),
    ]:
        with pytest.raises(Unsafe, match=words):
            store(value, blobs, step="the result")


def test_a_stored_type_that_is_not_a_record_is_not_made(blobs: Blobs) -> None:
    for name in ("builtins:eval", "os:system", "subprocess:Popen", "modelwright.store.objects:Objects", "gone:Away"):
        with pytest.raises(NotFound):
            load({"$struct": {"type": name, "value": "true"}}, blobs)
    with pytest.raises(Corrupt):
        load({"$pickle": "gASV"}, blobs)


def test_parts_can_be_had_without_the_rest_also_of_a_large_result(blobs: Blobs) -> None:
    value = {"many": list(range(20_000)), "pair": (1, {"ref": MODEL})}
    tree = store(value, blobs)
    assert list(tree) == ["$object"]
    assert load(part(tree, ("pair", 1, "ref"), blobs), blobs) == MODEL
    assert refs_in(tree) == [MODEL] and len(objects_in(tree)) == 1
    with pytest.raises(NotFound, match="many, pair"):
        part(tree, ("single",), blobs)
