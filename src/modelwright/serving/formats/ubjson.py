"""Universal Binary JSON, as XGBoost writes it: read into plain values and arrays, strictly, before the library sees it.

The library's own reader ends the process at some malformed files, and believes the numbers of the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modelwright.core.errors import Invalid

DEEPEST = 32
_NUMBERS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}


def read(data: bytes) -> Any:
    """The value that the bytes hold, all of them; `Invalid` where they do not."""
    reader = _Reader(data)
    value = reader.value(reader.take(1), 0)
    if reader.at != len(data):
        raise Invalid("Something follows after the end of the file's content.")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.at = 0
        self._data = data

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self._data):
            raise Invalid("The file ends in the middle of a value.")
        self.at += count
        return self._data[self.at - count : self.at]

    def value(self, kind: bytes, depth: int) -> Any:
        if depth > DEEPEST:
            raise Invalid(f"The file is nested more than {DEEPEST} deep.")
        if kind in _NUMBERS:
            return self._number(kind)
        match kind:
            case b"{":
                return self._object(depth)
            case b"[":
                return self._array(depth)
            case b"S":
                return self._text()
            case b"T" | b"F":
                return kind == b"T"
            case b"Z":
                return None
        raise Invalid(f"The file holds the unknown marker {kind!r}.")

    def _number(self, kind: bytes) -> Any:
        width = np.dtype(_NUMBERS[kind]).itemsize
        return np.frombuffer(self.take(width), _NUMBERS[kind])[0].item()

    def _length(self) -> int:
        kind = self.take(1)
        if kind not in (b"i", b"U", b"I", b"l", b"L"):
            raise Invalid("A length is not a whole number.")
        return int(self._number(kind))

    def _text(self) -> str:
        try:
            return self.take(self._length()).decode()
        except UnicodeDecodeError:
            raise Invalid("A text is not UTF-8.") from None

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._data[self.at : self.at + 1] != b"}":
            name = self._text()
            if name in found:
                raise Invalid(f"The name {name[:80]!r} stands twice.")
            found[name] = self.value(self.take(1), depth + 1)
        self.take(1)
        return found

    def _array(self, depth: int) -> Any:
        ahead = self._data[self.at : self.at + 1]
        if ahead == b"$":
            self.take(1)
            kind = self.take(1)
            if kind not in _NUMBERS or self.take(1) != b"#":
                raise Invalid("A typed list is of no type that is known.")
            count, width = self._length(), np.dtype(_NUMBERS[kind]).itemsize
            return np.frombuffer(self.take(count * width), _NUMBERS[kind])
        if ahead == b"#":
            self.take(1)
            count = self._length()
            if count > len(self._data):
                raise Invalid("A list is longer than the file.")
            return [self.value(self.take(1), depth + 1) for _ in range(count)]
        values = []
        while self._data[self.at : self.at + 1] != b"]":
            values.append(self.value(self.take(1), depth + 1))
        self.take(1)
        return values
