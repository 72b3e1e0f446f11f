"""Reading protobuf's wire format: fields one after the other, each a number, a wire type and a value.

OTLP is five messages deep and a dozen fields wide. To read that takes this file; a protobuf library would be the base
install's largest dependency.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from modelwright.core.errors import Invalid

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT = 10  # bytes of a 64-bit number
_LOW, _WHOLE = 0x7F, (1 << 64) - 1


def fields(data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Number, wire type and value of each field of a message; `Invalid` where the bytes are none.

    A varint and a fixed value come as an unsigned integer, whatever is counted in bytes as a view of them.
    """
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if number == 0 or number >= 1 << 29:
            raise broken()
        if wire == VARINT:
            value, at = _varint(data, at)
            yield number, wire, value
        elif wire == BYTES:
            size, at = _varint(data, at)
            if size > end - at:
                raise broken()
            yield number, wire, data[at : at + size]
            at += size
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
            if size > end - at:
                raise broken()
            yield number, wire, int.from_bytes(data[at : at + size], "little")
            at += size
        else:
            raise broken()  # groups, which were given up before OTLP began, and what was never a wire type


def signed(value: int) -> int:
    """An int64, from the unsigned integer that travels."""
    return value - (1 << 64) if value >> 63 else value


def double(value: int) -> float:
    """A double, from its eight bytes as an integer."""
    return float(struct.unpack("<d", value.to_bytes(8, "little"))[0])


def broken() -> Invalid:
    """The error for bytes that are no message."""
    return Invalid("The body is no protobuf message of OTLP.", mend="Send an ExportTraceServiceRequest.")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    try:
        byte = data[at]
        if byte < 0x80:
            return byte, at + 1
        value, shift = byte & _LOW, 7
        for place in range(at + 1, at + MAX_VARINT):
            byte = data[place]
            value |= (byte & _LOW) << shift
            if byte < 0x80:
                return value & _WHOLE, place + 1
            shift += 7
    except IndexError:
        raise broken() from None
    raise broken()
