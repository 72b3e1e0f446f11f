"""Identifiers that sort by time: ULIDs, made without a clock of their own."""

from __future__ import annotations

import re
import secrets
from datetime import datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(120, -1, -10)
_ID = re.compile(f"[0-7][{_ALPHABET}]{{25}}")


def new_id(now: datetime) -> str:
    """A ULID (26 characters): 48 bits of milliseconds, then 80 random bits."""
    value = int(now.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "".join([_PAIRS[value >> shift & 1023] for shift in _SHIFTS])


def is_id(text: str) -> bool:
    """Whether a text is a ULID as `new_id` writes it."""
    return _ID.fullmatch(text) is not None
