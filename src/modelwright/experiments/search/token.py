"""Where the next page begins: the values that the last run was sorted by, bound to the search that gave them. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec

from modelwright.core.errors import Invalid
from modelwright.core.hashing import digest_value

_MARK = 12  # hexadecimal digits that tell searches apart


class BadToken(Invalid):
    """A token that no page of this search gave."""

    code = "bad-token"


def mark_of(*parts: Any) -> str:
    """What a search is told by."""
    return digest_value(parts)[:_MARK]


def write(mark: str, values: tuple[Any, ...]) -> str:
    """The token for the page after a run that was sorted by these values."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode([mark, *values])).decode().rstrip("=")


def read(token: str, mark: str, kinds: Sequence[type]) -> tuple[Any, ...]:
    """The values in a token; `BadToken` where it is of another search, or has values that are not of these kinds."""
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        given, *values = msgspec.msgpack.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=list[Any])
    except (binascii.Error, UnicodeError, msgspec.MsgspecError, ValueError):
        raise BadToken("Invalid page token, could not base64-decode.", mend="Give the token of the page before.") from None
    if given != mark or len(values) != len(kinds) or not all(map(_fits, values, kinds)):
        raise BadToken("Invalid page token: it is of another search.", mend="Begin again, without a token.")
    return tuple(values)


def _fits(value: Any, kind: type) -> bool:
    """Whether a database can compare it with values of that kind."""
    if isinstance(value, bool) or not isinstance(value, kind):
        return False
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    return not isinstance(value, str) or "\0" not in value
