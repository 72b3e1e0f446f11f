"""The nouns of tables that lie elsewhere: how one is named, what its log says of a version, what its files are. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from modelwright.core.errors import Invalid

DELTA: Final = "delta"
ICEBERG: Final = "iceberg"
TITLES: Final = {DELTA: "Delta table", ICEBERG: "Iceberg table"}
_NAMED: Final = re.compile(r"(?P<form>delta|iceberg):(?P<address>.+?)(?:@(?P<version>[0-9]+))?")


class Lake(msgspec.Struct, frozen=True, kw_only=True):
    """A table by its format, where it lies, and its own version: Delta's number, Iceberg's snapshot; empty: the newest."""

    form: str
    address: str  # a folder, or s3://bucket/prefix; of Iceberg also the address of a metadata file
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> Lake:
        """From `delta:lake/flights@3` or `iceberg:s3://bucket/flights@8123456`."""
        found = _NAMED.fullmatch(text)
        if found is None:
            raise Invalid(
                f"{text!r} names no table of a lake.",
                mend="Write delta:FOLDER, delta:FOLDER@3 or iceberg:s3://bucket/TABLE.",
            )
        return cls(form=found["form"], address=found["address"], version=found["version"] or "")

    def __str__(self) -> str:
        return f"{self.form}:{self.address}{f'@{self.version}' if self.version else ''}"


def names_lake(text: str) -> bool:
    """Whether a text is the name of a table of a lake."""
    return text.startswith((f"{DELTA}:", f"{ICEBERG}:"))


class DataFile(msgspec.Struct, frozen=True, kw_only=True):
    """One Parquet file of a version."""

    path: str  # below the table, with `/`
    size: int
    partition: dict[str, Any] = {}  # columns that have one value in the whole file, which it need not hold itself

    @property
    def said(self) -> list[Any]:
        """All of it, plain."""
        return [self.path, self.size, {name: str(value) for name, value in sorted(self.partition.items())}]


class Stamp(msgspec.Struct, frozen=True):
    """What a file was when it was looked at."""

    path: str
    size: int
    mark: str  # in a folder the digest of the last 64 KiB, where Parquet says what is in it; in a bucket the ETag


class TableState(msgspec.Struct, frozen=True, kw_only=True):
    """What a table's log says of one version."""

    form: str
    version: str
    digest: str  # of the table's identity, its schema, and the path and size of each file
    log: str  # digest of the file that made the version: Delta's commit, Iceberg's manifest list; empty: no longer there
    schema: Any  # an Arrow schema
    files: list[DataFile]  # in the order of their paths
