"""Identifiers that sort by time, and by order where that is one: ULIDs, made without a clock of their own."""

from __future__ import annotations

import re
import secrets
import threading
from datetime import datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(120, -1, -10)
_ID = re.compile(f"[0-7][{_ALPHABET}]{{25}}")


_made, _making = 0, threading.Lock()


def new_id(now: datetime) -> str:
    """A ULID (26 characters): 48 bits of milliseconds, then 80 random bits.

    Those that this process makes one after the other in one millisecond ascend: what is listed by them keeps its order.
    """
    global _made
    moment = int(now.timestamp() * 1000)
    with _making:
        again = _made >> 80 == moment
        value = _made = _made + 1 + secrets.randbits(40) if again else moment << 80 | secrets.randbits(80)
    return "".join([_PAIRS[value >> shift & 1023] for shift in _SHIFTS])


def is_id(text: str) -> bool:
    """Whether a text is a ULID as `new_id` writes it."""
    return _ID.fullmatch(text) is not None
