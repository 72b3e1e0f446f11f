"""The nouns of retention: classes, what they cover, what is due, what went, and whether a proof still holds. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from modelwright.core.errors import Invalid
from modelwright.core.refs import Kind, Ref

_KEEP: Final = re.compile(r"([1-9][0-9]{0,4})(h|d|w|y)")
_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1), "y": timedelta(days=365)}
LONGEST: Final = timedelta(days=365 * 100)


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[retention]`: how often the operator looks, and how young an object it leaves alone."""

    every: float = 3600.0  # seconds between two looks at what is due; 0: only whoever runs it by hand
    grace: float = 86_400.0  # seconds for which an object that was stored stays: whoever stored it may yet refer to it


class Covers(StrEnum):
    """The sorts of data that a class can cover. What each is named by stands behind it."""

    DATASETS = "datasets"  # versions of datasets: rows or files, chunks, profile, cached copies; by dataset
    PUSHES = "pushes"  # rows that were pushed and are in no version yet: features offline; by dataset
    FEATURES = "features"  # rows that stand online; by view
    READS = "reads"  # the log of online reads; by view
    PREDICTIONS = "predictions"  # the log of predictions; by endpoint
    TRACES = "traces"  # the bodies of traces: what went in and came out of each step; by experiment
    ARTIFACTS = "artifacts"  # the files of runs; by experiment


_SAID: Final = {
    Covers.DATASETS: "content",
    Covers.PUSHES: "pushed rows",
    Covers.FEATURES: "online rows",
    Covers.READS: "logged reads",
    Covers.PREDICTIONS: "logged predictions",
    Covers.TRACES: "bodies of traces",
    Covers.ARTIFACTS: "files",
}
_ONE: Final = {
    "rows": "row", "files": "file", "entities": "entity", "reads": "read", "predictions": "prediction", "traces": "trace",
}  # fmt: skip


class Scope(msgspec.Struct, frozen=True):
    """Data of a sort below a path of names, as `datasets:crm`, `traces:*`; for a hold also `datasets:crm@3` and `*`."""

    sort: str
    path: str = ""
    version: int | None = None

    @classmethod
    def parse(cls, text: str, *, hold: bool = False) -> Scope:
        """Read one; `Invalid` says how they are written."""
        if hold and text == "*":
            return cls("*")
        sort, colon, rest = text.partition(":")
        known = [each.value for each in Covers] + (["models"] if hold else [])
        if not colon or not rest or sort not in known:
            raise Invalid(
                f"{text!r} does not say which data.",
                mend=f"Write <sort>:<name>, or <sort>:* for all; the sorts are {', '.join(known)}.",
            )
        name, at, number = rest.partition("@")
        if at and not (hold and number.isdigit() and name != "*"):
            raise Invalid(f"{text!r}: a class covers all versions below a name.", mend=f"Write {sort}:{name}.")
        if name != "*":
            Ref(Kind.DATASET, name)  # the grammar of names
        return cls(sort, "" if name == "*" else name, int(number) if at else None)

    def __str__(self) -> str:
        name = f"{self.path or '*'}" + ("" if self.version is None else f"@{self.version}")
        return "*" if self.sort == "*" else f"{self.sort}:{name}"


def duration(text: str) -> timedelta:
    """How long data are kept, from `36h`, `90d`, `8w`, `7y` (of 365 days); `Invalid` where it is none of these."""
    found = _KEEP.fullmatch(text)
    length = int(found[1]) * _UNITS[found[2]] if found else timedelta(0)
    if not timedelta(0) < length <= LONGEST:
        raise Invalid(f"{text!r} is no time to keep data for.", mend="Write a number and h, d, w or y: 36h, 90d, 7y.")
    return length


class RetentionClass(msgspec.Struct, frozen=True, kw_only=True):
    """How long data are kept, and which."""

    name: str
    keep: str  # `90d`
    covers: list[str]  # scopes: `datasets:crm`, `predictions:*`
    about: list[str] = []  # of datasets: only versions with columns of these classes, or families of them; empty: all
    newest: bool = False  # of datasets: whether the newest version goes, too
    by: str = ""
    at: datetime | None = None
    reason: str = ""

    @property
    def ref(self) -> Ref:
        return Ref(Kind.RETENTION, self.name)

    def before(self, now: datetime) -> datetime:
        """What is from before that moment is due."""
        return now - duration(self.keep)


class Portion(msgspec.Struct, frozen=True, kw_only=True):
    """So much of something, and how that is said."""

    covers: Covers
    ref: Ref  # what it is, or belongs to: dataset:crm@3, features:risk@2, deployment:credit, experiment:support, run:...
    part: str = ""  # of what has days: the day
    count: int  # how many rows, files or traces
    unit: str

    @property
    def sort(self) -> str:
        """What of it, in a word."""
        return _SAID[self.covers]

    @property
    def what(self) -> str:
        """In a few words."""
        return f"{self.sort} of {self.ref}" + (f", {self.part}" if self.part else "")

    @property
    def counted(self) -> str:
        """How many, in words."""
        return counted(self.count, self.unit)


class Due(Portion, frozen=True, kw_only=True):
    """One thing that is older than its class allows: what would go, why, how much, and what keeps it."""

    retention: str  # the class
    since: datetime  # how old it is
    due: datetime  # since when it should be gone
    size: int = 0  # bytes, where that is known
    holds: list[str] = []  # what keeps it; without any, it goes
    affects: list[str] = []  # what was made from it and stays

    @property
    def goes(self) -> bool:
        """Whether nothing keeps it."""
        return not self.holds


class RetentionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is due at a moment: what would go, and what is kept by something."""

    at: datetime
    goes: list[Due] = []
    held: list[Due] = []


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """What was put out of reach, and is to go."""

    objects: list[str] = []  # digests of objects
    copies: list[str] = []  # digests that cached copies are named by
    pieces: dict[str, str] = {}  # digests of what is no object, by a name: a file, a trace, a push
    count: int = 0
    size: int = 0
    unreached: list[str] = []  # copies of which it is known that this does not reach them


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: what went, and what something else keeps."""

    gone: list[str] = []  # digests
    size: int = 0  # bytes of objects and files that went
    left: dict[str, str] = {}  # digests of objects that stay, each with what keeps it
    waits: str = ""  # why it is not over yet; then it is tried again


class Deletion(Portion, frozen=True, kw_only=True):
    """One thing that went, or is going: the tombstone, and where the proof stands in the ledger."""

    id: str
    retention: str
    begun_at: datetime
    begun_seq: int  # the event by which it was put out of reach
    finished_at: datetime | None = None
    proof_seq: int | None = None  # the event that says what went
    gone: int = 0  # how many digests
    size: int = 0
    left: dict[str, str] = {}
    unreached: list[str] = []


class ProofCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the proof of a deletion holds today."""

    deletion: Deletion
    holds: bool
    findings: list[str] = []  # what is not as it says


def counted(count: int, unit: str) -> str:
    """How many of something: `1 row`, `2,000 rows`."""
    return f"{count:,} {_ONE[unit] if count == 1 else unit}"
