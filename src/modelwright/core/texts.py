"""Texts of others as they may be shown: a name or a value may hold anything, also what is obeyed instead of shown."""

from __future__ import annotations

from typing import Final

# What a terminal obeys instead of showing it, or what is shown elsewhere than where it stands.
_OBEYED: Final = (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SHOWN: Final = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in _OBEYED}
_ENDS: Final = {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


def plain(text: str) -> str:
    """A text for a terminal: characters that would steer it are spelled out (`\\x1b`), ends of lines and tabs stay."""
    return text.replace("\r\n", "\n").translate(_SHOWN)


def line(text: str, most: int = 200) -> str:
    """A text on one line: ends of lines and tabs are spelled out, too, and of a long one it is the beginning.

    What begins or ends with a blank, or is none at all, stands in quotation marks.
    """
    told = text.translate(_ENDS).translate(_SHOWN)
    if len(told) > most:
        told = f"{told[: most - 1]}…"
    return told if told.strip() == told != "" else f'"{told}"'
