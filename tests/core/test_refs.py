"""One grammar, one parser: what is written is what is read, and what is wrong is pointed at."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.errors import BadRef
from modelwright.core.refs import MAX_NAME, Kind, Ref

LETTERS = "abcXYZ0189"
segments = st.from_regex(r"[A-Za-z0-9_]([A-Za-z0-9_.\-]{0,10}[A-Za-z0-9_\-])?", fullmatch=True)
names = st.lists(segments, min_size=1, max_size=4).map("/".join)
aliases = st.from_regex(r"[0-9]{0,3}[A-Za-z_]([A-Za-z0-9_.\-]{0,10}[A-Za-z0-9_\-])?", fullmatch=True)
digests = st.text("0123456789abcdef", min_size=8, max_size=64).map(lambda digits: f"b3:{digits}")
selectors = st.none() | st.integers(1, 999_999_999) | aliases | digests
refs = st.builds(Ref, st.sampled_from(Kind), names, selectors)


@given(refs)
def test_a_ref_is_read_back_from_its_text(ref: Ref):
    again = Ref.parse(str(ref))
    assert again == ref
    assert hash(again) == hash(ref)
    assert (again.kind, again.name, again.selector) == (ref.kind, ref.name, ref.selector)
    assert type(again.selector) is type(ref.selector)
    assert pickle.loads(pickle.dumps(ref)) == ref


@given(refs)
def test_a_selector_is_exactly_one_of_version_alias_digest_or_none(ref: Ref):
    assert sum(each is not None for each in (ref.version, ref.alias, ref.digest)) == (ref.selector is not None)
    assert ref.whole.selector is None
    assert ref.whole.at(ref.selector) == ref


@given(st.text(max_size=40))
def test_any_text_is_a_ref_that_reads_back_or_an_error_that_points_into_it(text: str):
    try:
        ref = Ref.parse(text)
    except BadRef as error:
        assert error.mend
        assert 0 <= error.details["position"] <= len(error.details["text"])
    else:
        assert Ref.parse(str(ref)) == ref


@given(refs, st.integers(0, 60), st.sampled_from("/.:@ \t\n\x00é\u202e%\\~*?#"))
def test_a_strange_character_put_into_a_ref_never_gives_a_name_that_is_a_path_out(ref: Ref, at: int, strange: str):
    text = str(ref)
    try:
        found = Ref.parse(text[:at] + strange + text[at:])
    except BadRef:
        return
    parts = found.name.split("/")
    assert all(part and not part.startswith(".") and not part.endswith(".") and part.isascii() for part in parts)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("model", 5),
        ("modle:delay", 0),
        ("model:", 6),
        ("model:a//b", 8),
        ("model:a/../b", 8),
        ("model:.hidden", 6),
        ("model:dots.", 10),
        ("model:de lay", 8),
        ("model:delay@", 12),
        ("model:delay@0", 12),
        ("model:delay@01", 12),
        ("model:delay@-1", 12),
        ("model:delay@b3:12", 15),
        ("model:delay@b3:ABCDEF01", 15),
        ("model:delay@a@b", 13),
        ("model:délai", 7),
        ("models:/delay", 13),
    ],
)
def test_an_error_points_at_the_character(text: str, position: int):
    with pytest.raises(BadRef) as error:
        Ref.parse(text)
    assert error.value.details["position"] == position
    caret = error.value.message.splitlines()[-1]
    assert caret == "  " + " " * position + "^"


@pytest.mark.parametrize(
    ("uri", "ref"),
    [
        ("models:/delay/3", "model:delay@3"),
        ("models:/delay@champion", "model:delay@champion"),
        ("models:/delay/Latest", "model:delay@latest"),
        ("models:/pricing/delay/12", "model:pricing/delay@12"),
        ("runs:/01JD0ZK3T8V1M2N3P4Q5R6S7T8", "run:01JD0ZK3T8V1M2N3P4Q5R6S7T8"),
        ("runs:/abc123/model/weights", "run:abc123"),
    ],
)
def test_mlflow_uris_are_refs_too(uri: str, ref: str):
    assert Ref.parse(uri) == Ref.parse(ref)


def test_a_name_has_an_end():
    assert Ref.parse("model:" + "a" * MAX_NAME)
    with pytest.raises(BadRef):
        Ref.parse("model:" + "a" * (MAX_NAME + 1))


def test_a_number_given_as_text_is_not_taken_for_an_alias():
    with pytest.raises(BadRef, match="version number"):
        Ref(Kind.MODEL, "delay", "3")


def test_a_ref_cannot_be_changed():
    ref = Ref.parse("model:delay@3")
    with pytest.raises(AttributeError):
        ref.name = "other"
    with pytest.raises(AttributeError):
        ref.extra = 1


def test_refs_have_an_order_that_numbers_do_not_break():
    refs = [Ref.parse(text) for text in ("model:b", "dataset:z@1", "model:a@champion", "model:a@1")]
    assert [str(ref) for ref in sorted(refs)] == ["dataset:z@1", "model:a@1", "model:a@champion", "model:b"]
