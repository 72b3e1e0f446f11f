"""Signatures: what a model takes and gives goes through JSON and comes back the same."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.core.signature import Column, DataType, Signature
from modelwright.core.wire import convert, decode, encode, to_plain

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
columns = st.builds(
    Column,
    name=texts,
    dtype=st.sampled_from(DataType),
    nullable=st.booleans(),
    categories=st.none() | st.lists(texts, max_size=5),
)
signatures = st.builds(Signature, inputs=st.lists(columns, max_size=5), outputs=st.lists(columns, max_size=3))


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(signatures)
def test_a_signature_comes_back_from_json_as_it_was(signature: Signature) -> None:
    data = encode(signature)
    assert decode(data, Signature) == signature
    assert encode(decode(data, Signature)) == data
    assert convert(json.loads(data), Signature) == signature  # as a database column or another program's parser gives it
    assert convert(to_plain(signature), Signature) == signature


def test_what_is_easily_lost_is_not() -> None:
    signature = Signature(
        inputs=[
            Column(name="n", dtype=DataType.INT64, nullable=True),
            Column(name="day", dtype=DataType.DATETIME, nullable=True),
            Column(name="level", dtype=DataType.STRING, categories=["low", "", "high"]),
            Column(name="none", dtype=DataType.STRING, categories=[]),
            Column(name="any", dtype=DataType.STRING),
        ],
        outputs=[Column(name="label", dtype=DataType.BOOL)],
    )
    back = decode(encode(signature), Signature)
    assert [each.nullable for each in back.inputs] == [True, True, False, False, False]
    assert [each.categories for each in back.inputs] == [None, None, ["low", "", "high"], [], None]
    assert back == signature
