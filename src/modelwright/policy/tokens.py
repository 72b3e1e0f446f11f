"""Tokens: `mw_<kind>_<id>_<secret><check>`.

The prefix lets secret scanners find one that leaked; the id finds its row; the secret is 32 random bytes of which only
the SHA-256 is stored; the check (CRC-32) tells a slip of the pen from a wrong token without asking the database. Digits
are base 62, so a token is one word to a double click and needs no quoting in a shell or a URL.
"""

from __future__ import annotations

import hashlib
import secrets
import string
import zlib
from enum import StrEnum

import msgspec

from modelwright.core.errors import Unauthenticated

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
SECRET_BYTES, SECRET_DIGITS, CHECK_DIGITS = 32, 43, 6  # 62^43 > 2^256, 62^6 > 2^32


class TokenKind(StrEnum):
    """Whose token it is, or what it opens."""

    USER = "user"
    SERVICE = "svc"
    SESSION = "sess"
    SETUP = "setup"  # sets a first password, once


class Token(msgspec.Struct, frozen=True):
    """A token taken apart. Its secret shows in no `repr`, hence in no log and no traceback."""

    kind: TokenKind
    id: str
    secret: str

    @property
    def text(self) -> str:
        """The token as its owner sees it, once."""
        body = f"mw_{self.kind.value}_{self.id}_{self.secret}"
        return body + _check(body)

    @property
    def digest(self) -> str:
        """What is stored of the secret."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    def matches(self, stored: str) -> bool:
        """Whether its secret is the one of which `stored` is the digest; takes as long for a near miss as for a far one."""
        return secrets.compare_digest(self.digest, stored)

    def __repr__(self) -> str:
        return f"Token({self.kind.value}, {self.id}, ***)"


def issue(kind: TokenKind, identity: str) -> Token:
    """A fresh token."""
    return Token(kind, identity, _digits(secrets.token_bytes(SECRET_BYTES), SECRET_DIGITS))


def read(text: str) -> Token:
    """Take a token apart; `Unauthenticated` if it is not one or was copied wrongly. The text never shows in the error."""
    parts = text.split("_")
    tail = SECRET_DIGITS + CHECK_DIGITS
    if len(parts) == 4 and parts[0] == "mw" and parts[1] in set(TokenKind) and len(parts[3]) == tail and text.isascii():
        body, check = text[:-CHECK_DIGITS], text[-CHECK_DIGITS:]
        if secrets.compare_digest(_check(body), check):
            return Token(TokenKind(parts[1]), parts[2], parts[3][:SECRET_DIGITS])
    raise Unauthenticated("That is not a token, or a character of it is wrong.", mend="Copy it again, whole.")


def _check(body: str) -> str:
    return _digits(zlib.crc32(body.encode()).to_bytes(4, "big"), CHECK_DIGITS)


def _digits(data: bytes, length: int) -> str:
    value, found = int.from_bytes(data, "big"), []
    for _ in range(length):
        value, digit = divmod(value, 62)
        found.append(_DIGITS[digit])
    return "".join(reversed(found))
