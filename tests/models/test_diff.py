from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from modelwright.core.refs import Ref
from modelwright.core.signature import Column, DataType, Signature
from modelwright.models import ModelRecord, ModelVersion, Profile, Stage
from modelwright.models.diff import compatible, diff
from modelwright.serving import Format


def column(name: str = "a", dtype: DataType = DataType.FP64, **further: Any) -> Column:
    return Column(name=name, dtype=dtype, **further)


def signature(*inputs: Column, outputs: list[Column] | None = None) -> Signature:
    return Signature(inputs=list(inputs), outputs=outputs or [column("probability")])


LEVELS = {"dtype": DataType.STRING, "categories": ["x", "y"]}


@pytest.mark.parametrize(
    ("before", "after", "same_calls_work"),
    [
        (signature(column()), signature(column()), True),
        (signature(column()), signature(column(), column("b")), False),
        (signature(column()), signature(column(), column("b", nullable=True)), True),
        (signature(column(), column("b")), signature(column()), False),
        (signature(column()), signature(column(nullable=True)), True),
        (signature(column(nullable=True)), signature(column()), False),
        (signature(column()), signature(column(dtype=DataType.INT64)), False),
        (signature(column("a", **LEVELS)), signature(column("a", DataType.STRING)), True),
        (signature(column("a", **LEVELS)), signature(column("a", DataType.STRING, categories=["x"])), False),
        (signature(column("a", DataType.STRING)), signature(column("a", **LEVELS)), False),
        (signature(column()), signature(column(), outputs=[column("score")]), False),
    ],
)
def test_compatible_means_that_a_caller_need_not_change(before: Signature, after: Signature, same_calls_work: bool) -> None:
    assert compatible(before, after) is same_calls_work


def version(number: int, **further: Any) -> ModelVersion:
    record = {"format": Format.SKOPS, "files": {"m": "d"}, "signature": signature(column()), "size": 1}
    return ModelVersion(
        ref=Ref.parse(f"model:delay@{number}"),
        title="delay",
        digest=str(number),
        record=ModelRecord(**{**record, **further}),
        stage=Stage.CANDIDATE,
        profile=Profile(),
        created_at=datetime(2013, 1, 1, tzinfo=UTC),
        created_by="ada",
        changed_at=datetime(2013, 1, 1, tzinfo=UTC),
    )


def test_a_diff_names_each_change_and_nothing_else() -> None:
    before = version(1, params={"depth": 3, "seed": 1}, datasets=[Ref.parse("dataset:flights@1")])
    after = version(2, params={"depth": 4, "seed": 1}, datasets=[Ref.parse("dataset:flights@2")])
    found = diff(before, after)
    assert [(c.what, c.before, c.after) for c in found.changes] == [
        ("params.depth", 3, 4),
        ("made from.dataset:flights", "dataset:flights@1", "dataset:flights@2"),
    ]
    assert found.compatible


def test_a_version_does_not_differ_from_itself() -> None:
    assert diff(version(1), version(1)).changes == []


def test_a_column_that_changed_is_told_in_words() -> None:
    many = [f"level {number}" for number in range(40)]
    before = version(1, signature=signature(column(), column("b", DataType.STRING, categories=many)))
    after = version(2, signature=signature(column(nullable=True), column("b", DataType.STRING, categories=[*many, "new"])))
    a, b, c = diff(before, version(2, signature=signature(column(nullable=True), column("c")))).changes
    assert (a.what, a.sides) == ("inputs.a", ("FP64", "FP64, may be missing"))
    assert (b.what, b.sides[1]) == ("inputs.b", None) and b.sides[0].endswith("level 7 and 32 more")
    assert (c.what, c.sides) == ("inputs.c", (None, "FP64"))
    assert diff(before, after).changes[1].sides[1] == "STRING: new and 40 more"
