"""What the journal holds of an answer: one frame for each part of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.core.clock import utc
from modelwright.core.later import later
from modelwright.serving.checks import Array
from modelwright.serving.plane import Answer, Part

if TYPE_CHECKING:
    import numpy as np
else:
    np = later("numpy")

INPUT, OUTPUT, KEY = "input.", "output.", "key."


class Logged(msgspec.Struct, frozen=True, array_like=True):
    """A frame: one part of one answer. Columns are (Arrow type by name, values)."""

    request_id: str
    endpoint: str
    model: str
    variant: str
    rescued: bool
    answered_at: int  # microseconds since 1970
    times: list[int]  # one for all rows, or one for each
    rows: list[int]
    units: list[str] | None
    columns: dict[str, tuple[str, list[Any]]]


def frame(answer: Answer, part: Part, now: int) -> Logged:
    columns = {INPUT + name: _packed(values) for name, values in part.inputs.items()}
    columns |= {KEY + name: _packed(values[part.rows]) for name, values in answer.keys.items()}
    columns |= {OUTPUT + name: _packed(values) for name, values in part.outputs.items()}
    return Logged(
        request_id=answer.call.request_id,
        endpoint=answer.call.endpoint,
        model=str(part.arm.model),
        variant=part.variant,
        rescued=part.rescued,
        answered_at=now,
        times=_times(answer, part, now),
        rows=part.rows.tolist(),
        units=part.units,
        columns=columns,
    )


def _times(answer: Answer, part: Part, now: int) -> list[int]:
    if answer.call.event_time is not None:
        return [micros(answer.call.event_time)]
    column = answer.times
    return [now] if column is None else [now if np.isnat(t) else int(t.astype(np.int64)) for t in column[part.rows]]


_ARROW = {"b": "bool", "i": "int64", "f": "double", "M": "timestamp[us]"}


def _packed(values: Array) -> tuple[str, list[Any]]:
    kind = values.dtype.kind
    if kind == "f" and values.dtype.itemsize == 4:
        return "float", values.tolist()
    if kind == "M":
        return "timestamp[us]", [None if np.isnat(v) else int(v.astype(np.int64)) for v in values.astype("datetime64[us]")]
    if kind == "O":
        plain = values.tolist()
        types = {type(value) for value in plain} - {type(None)}
        if types <= {int} and types:
            return "int64", plain
        if types <= {int, float} and types:
            return "double", plain
        return "string", [value if value is None else str(value) for value in plain]
    return _ARROW[kind], values.tolist()


def micros(moment: datetime) -> int:
    return (utc(moment) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
