"""The nouns of the room: settings, what a dataset may be used for, the pseudonyms of a value. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

import msgspec

from modelwright.core.errors import Invalid

DEFAULT_PURPOSE: Final = "default"  # whose key pseudonyms are made with where no purpose is named
ALL: Final = "*"  # every column
ROTATED: Final = "privacy.key.rotated"  # the events of keys, and of vaults
FORGOTTEN: Final = "privacy.tokens.forgotten"
_PURPOSE: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}")
BASES: Final = (  # GDPR, article 6(1)
    "consent", "contract", "legal-obligation", "vital-interests", "public-task", "legitimate-interests",
)  # fmt: skip


class PrivacySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[privacy]`: how strict the door is, and where the keys of pseudonyms lie."""

    strict: bool = False  # no training set from columns whose classes nobody has confirmed or rejected
    keys: str = ""  # a folder for the keys; empty: `keys/purposes` in the workspace's own folder


class Permit(msgspec.Struct, frozen=True, kw_only=True):
    """What a column may be used for, and on which legal basis; of `*`, every column without a permit of its own."""

    column: str
    purposes: list[str]
    basis: str = ""  # one of BASES
    consent: str = ""  # a column of booleans of the same dataset: whether the subject of the row agreed
    subject: str = ""  # the column that says whose row it is: their latest answer holds for all of their rows
    by: str = ""
    at: datetime | None = None


class Pseudonyms(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of one value under one purpose, the present key's first, then those of the keys before it."""

    tokens: list[str]
    numbers: list[int] = []  # of a whole number: the same as columns of 64-bit numbers have them
    drawn: list[str] = []  # those of the vault, where it has the value


class Revealed(msgspec.Struct, frozen=True, kw_only=True):
    """What a token of a vault stands for; None where it is nobody's, or nobody's any more."""

    token: str
    value: str | None


def check_purpose(purpose: str) -> str:
    """The purpose itself, or `Invalid` with how purposes are written: each has a file of keys under its name."""
    if not _PURPOSE.fullmatch(purpose):
        raise Invalid(f"{purpose!r} cannot name a purpose.", mend="Use lower-case letters, digits, - and _.")
    return purpose
