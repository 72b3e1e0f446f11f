"""Lengths of time as they are written in checks and contracts. Pure."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from modelwright.core.errors import Invalid

_LENGTH: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(text: str) -> timedelta:
    """A number and m, h, d or w: "36h"; `Invalid` for anything else."""
    match = _LENGTH.fullmatch(text.strip())
    if match is None:
        raise Invalid(f"{text!r} is no length of time.", mend="Write a number and m, h, d or w: 36h.")
    return timedelta(**{_UNITS[match[2]]: float(match[1])})
