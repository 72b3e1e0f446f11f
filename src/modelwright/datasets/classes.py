"""What a column is about: classes found or declared, what a person decided of them, and how values are masked. Pure.

A class is `pii.<what>` (about a person), `special.<what>` (GDPR article 9) or `proxy` (is, or may stand in for, an
attribute that decisions must not depend on). The first two are masked for whoever has not the right to read them.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from modelwright.core.errors import Invalid

TAG: Final = re.compile(r"(pii|special)(\.[a-z][a-z0-9_]{0,40})?|proxy")
FAMILIES: Final = ("pii", "special")  # those that are masked; the right to read one is reveal.<family>
DECLARED: Final = "pii"  # the class of a column that was declared personal, without further words


class Status(StrEnum):
    """How sure it is that a column is of a class."""

    DECLARED = "declared"  # by whoever added the version: `personal`
    UNCONFIRMED = "unconfirmed"  # a detector says so
    CONFIRMED = "confirmed"  # a person says so
    REJECTED = "rejected"  # a person says that it is not


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector says of a column, and on what grounds. It holds no value of the column."""

    column: str
    tag: str
    detector: str  # `email`, `iban`, `name hint`; several are joined by ` + `
    share: float  # of the distinct values looked at, those that match; 0 where only the column's name says so
    sample: int  # distinct values looked at
    confidence: float  # 0 to 1


class ColumnClass(msgspec.Struct, frozen=True, kw_only=True):
    """One class of one column, with what was found and what was decided."""

    column: str
    tag: str
    status: Status
    finding: Finding | None = None
    mask: str = ""  # how it is masked, where somebody chose that; else as its class is by default
    by: str = ""
    at: datetime | None = None
    reason: str = ""

    @property
    def holds(self) -> bool:
        """Whether it is taken to be so: everything but what a person rejected."""
        return self.status is not Status.REJECTED

    @property
    def family(self) -> str:
        """`pii`, `special` or `proxy`."""
        return self.tag.partition(".")[0]

    @property
    def masked(self) -> bool:
        """Whether its values are for those alone who have the right to read the class."""
        return self.holds and self.family in FAMILIES


def passed_on(classes: list[ColumnClass], origin: str) -> list[Finding]:
    """What holds of columns, as findings about data that were made of them: for others to confirm anew."""
    return [
        Finding(
            column=each.column,
            tag=each.tag,
            detector=f"as in {origin}",
            share=0.0,
            sample=0,
            confidence=each.finding.confidence if each.finding and each.status is Status.UNCONFIRMED else 1.0,
        )
        for each in classes
        if each.holds
    ]


class ColumnMask(msgspec.Struct, frozen=True, kw_only=True):
    """How one column is masked for somebody."""

    column: str
    mask: str  # `vault` with the families that may be asked back: vault:pii
    tags: list[str]  # the classes that ask for it


_DEFAULTS: Final = {
    "pii": "token",
    "pii.birth_date": "truncate:year",
    "pii.ip": "truncate:net",
    "pii.location": "truncate:1",
    "pii.text": "drop",
    "pii.address": "drop",
    "special": "drop",
}
_STRENGTH: Final = ("drop", "vault", "token", "shift", "bucket", "truncate")  # what hides most comes first
_NOTHING_LEFT: Final = ("drop", "vault", "token")
_FORMS: Final = {
    "drop": re.compile(r"drop"),
    "vault": re.compile(r"vault"),
    "token": re.compile(r"token"),
    "truncate": re.compile(r"truncate:(year|month|net|[0-9]{1,2})"),
    "bucket": re.compile(r"bucket:(?=[0-9.]*[1-9])[0-9]+(\.[0-9]+)?"),
    "shift": re.compile(r"shift:[1-9][0-9]{0,3}"),
}


def check_tag(tag: str) -> str:
    """The class itself, or `Invalid` with how classes are written."""
    if not TAG.fullmatch(tag):
        raise Invalid(f"{tag!r} is no class of a column.", mend="Write pii.<what>, special.<what> or proxy.")
    return tag


def check_mask(mask: str) -> str:
    """The mask itself, or `Invalid` with those that there are."""
    form = _FORMS.get(mask.partition(":")[0])
    if form is None or not form.fullmatch(mask):
        raise Invalid(
            f"{mask!r} is no mask.",
            mend="Write drop, vault, token, truncate:<characters, decimals, year, month or net>, bucket:<width> "
            "or shift:<days>.",
        )
    return mask


def default_mask(tag: str) -> str:
    """How a class is masked unless somebody chose otherwise."""
    return _DEFAULTS.get(tag) or _DEFAULTS[tag.partition(".")[0]]


def masks_for(classes: list[ColumnClass], revealed: set[str]) -> list[ColumnMask]:
    """What is masked for somebody who may read the families in `revealed`; of several masks the one that hides most."""
    wanted: dict[str, list[ColumnClass]] = {}
    for each in classes:
        if each.masked and each.family not in revealed:
            wanted.setdefault(each.column, []).append(each)
    return [
        ColumnMask(column=column, mask=_hiding_most(each), tags=sorted(c.tag for c in each))
        for column, each in wanted.items()
    ]


def hides_no_less(mask: str, other: str) -> bool:
    """Whether a mask surely hides as much as another, whatever the values: only those that leave nothing of them do."""
    if mask == other:
        return True
    one, before = (_STRENGTH.index(each.partition(":")[0]) for each in (mask, other))
    return one <= before and _STRENGTH[one] in _NOTHING_LEFT


def _hiding_most(classes: list[ColumnClass]) -> str:
    masks = [each.mask or default_mask(each.tag) for each in classes]
    first = min(_STRENGTH.index(mask.partition(":")[0]) for mask in masks)
    if _STRENGTH[first] == "vault":
        return f"vault:{'+'.join(sorted({each.family for each in classes}))}"
    alike = {mask for mask in masks if mask.partition(":")[0] == _STRENGTH[first]}
    return alike.pop() if len(alike) == 1 else _most_of(alike)


def _most_of(masks: set[str]) -> str:
    """Of several masks of one sort the one that hides most; where that hangs on the values, nothing is left of them."""
    said = {mask.partition(":")[2]: mask for mask in masks}
    if said.keys() == {"year", "month"}:
        return said["year"]
    if next(iter(masks)).startswith("truncate"):  # of a text few characters say least, of whole numbers many digits
        return "drop"
    return said[max(said, key=float)]
