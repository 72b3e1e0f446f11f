"""How values travel: there and back unchanged, errors included."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core import errors
from modelwright.core.errors import BadRef, Invalid, ModelwrightError, error_for
from modelwright.core.hashing import digest_bytes, digest_chunks, digest_file, digest_value
from modelwright.core.refs import Ref
from modelwright.core.wire import convert, decode, encode, to_plain


class Inner(msgspec.Struct, frozen=True):
    ref: Ref
    at: datetime | None = None


class Outer(msgspec.Struct, frozen=True):
    inner: list[Inner]
    by_name: dict[str, Inner] = {}
    where: Path | None = None


VALUE = Outer(
    [Inner(Ref.parse("model:a@1"), datetime(2026, 1, 1, tzinfo=UTC))], {"x": Inner(Ref.parse("run:r"))}, Path("/x")
)


def test_nested_records_with_refs_times_and_paths_travel():
    assert decode(encode(VALUE), Outer) == VALUE
    assert convert(to_plain(VALUE), Outer) == VALUE
    assert convert(VALUE, Outer) is VALUE


def test_what_does_not_fit_is_said_with_its_place():
    with pytest.raises(Invalid, match=r"inner\[0\]"):
        decode(b'{"inner": [{"at": 3}]}', Outer)
    with pytest.raises(BadRef, match=r"\^"):
        decode(b'{"inner": [{"ref": "model:a b"}]}', Outer)
    with pytest.raises(Invalid):
        decode(b"{", Outer)


def test_not_a_number_travels_as_null():
    assert encode({"x": float("nan"), "y": float("inf")}) == b'{"x":null,"y":null}'


def test_a_numpy_scalar_travels_as_its_value():
    import numpy as np

    assert encode({"x": np.float64(0.5), "n": np.int64(3)}) == b'{"x":0.5,"n":3}'


def test_what_has_no_json_is_refused():
    with pytest.raises(TypeError):
        encode(object())


def _all(root: type[ModelwrightError]) -> list[type[ModelwrightError]]:
    kinds = [root] + [each for child in root.__subclasses__() for each in _all(child)]
    return [kind for kind in kinds if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", _all(ModelwrightError), ids=lambda kind: kind.code)
def test_an_error_comes_back_from_its_code(kind: type[ModelwrightError]):
    original = kind("what", mend="do this", details={"a": 1})
    again = error_for(original.code, original.message, mend=original.mend, details=original.details)
    assert type(again) is kind
    assert (str(again), again.details) == ("what do this", {"a": 1})


def test_every_error_has_a_code_of_its_own_and_stands_in_the_drawn_tree():
    kinds = _all(ModelwrightError)
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in kinds)


def test_an_error_without_a_code_of_its_own_does_not_stand_in_for_its_parent():
    class Special(Invalid):
        pass

    assert type(error_for(Special.code, "x", mend="", details={})) is Invalid


def test_an_unknown_code_is_still_an_error_of_ours():
    assert type(error_for("from-the-future", "x", mend="", details={})) is ModelwrightError


@given(st.binary(max_size=5000), st.integers(1, 700))
def test_one_content_has_one_digest_however_it_comes(data: bytes, size: int):
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert digest_chunks(pieces) == digest_bytes(data) == digest_bytes(memoryview(data))


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"abc" * 1_000_000)
    assert digest_file(tmp_path / "file") == digest_bytes(b"abc" * 1_000_000)
    assert digest_bytes(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=6))
def test_equal_values_have_equal_digests_whatever_their_order(value: dict[str, Any]):
    assert digest_value(value) == digest_value(dict(reversed(value.items())))
    assert digest_value(value) != digest_value({**value, "more and longer": 1})
