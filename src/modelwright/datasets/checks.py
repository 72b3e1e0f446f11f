"""Checks as they are declared: in Python, or in TOML as a list of `[[check]]` tables with their `kind`.

    [[check]]
    kind = "range"
    column = "dep_delay"
    minimum = -60
    severity = "warning"

How they are run is in `checking`. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

import msgspec

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.hashing import digest_bytes
from modelwright.core.refs import Ref
from modelwright.core.wire import convert


class Severity(StrEnum):
    """What a broken check does to the verdict: an error fails it, a warning only warns."""

    ERROR = "error"
    WARNING = "warning"


class _Check(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    severity: Severity = Severity.ERROR
    name: str = ""  # how results call it; by default made of the kind and what it is about

    @property
    def subject(self) -> str:
        """What it is about."""
        return ""

    @property
    def title(self) -> str:
        """Its name, given or made."""
        kind = str(self.__struct_config__.tag)
        return self.name or (f"{kind}({self.subject})" if self.subject else kind)


class Types(_Check, frozen=True, kw_only=True, tag="types"):
    """The columns exist and have these types (Arrow's names, or int, float, text, bool, date, time)."""

    columns: dict[str, str]


class Nulls(_Check, frozen=True, kw_only=True, tag="nulls"):
    """At most this share of a column's values is missing."""

    column: str
    max_share: float = 0.0  # 0 to 1

    @property
    def subject(self) -> str:
        return self.column


class Unique(_Check, frozen=True, kw_only=True, tag="unique"):
    """No two rows agree in all of these columns; without any, the version's key. A key has no missing value either."""

    columns: list[str] = []

    @property
    def subject(self) -> str:
        return ", ".join(self.columns)


class Range(_Check, frozen=True, kw_only=True, tag="range"):
    """Values lie between two bounds, both included; a missing value is not looked at. Times are written as text."""

    column: str
    minimum: int | float | str | None = None
    maximum: int | float | str | None = None

    @property
    def subject(self) -> str:
        return self.column


class Values(_Check, frozen=True, kw_only=True, tag="values"):
    """Values are among those allowed; a missing value is not looked at."""

    column: str
    allowed: list[int | float | str | bool]

    @property
    def subject(self) -> str:
        return self.column


class Pattern(_Check, frozen=True, kw_only=True, tag="pattern"):
    """Text matches a regular expression (RE2) from its beginning to its end; a missing value is not looked at."""

    column: str
    regex: str

    @property
    def subject(self) -> str:
        return self.column


class Freshness(_Check, frozen=True, kw_only=True, tag="freshness"):
    """The newest event is at most so old, at `as_of` or, without it, at the workspace's time."""

    max_age: str  # a number and one of m, h, d, w: "36h", "7d"
    column: str | None = None  # by default the version's time column
    as_of: datetime | None = None

    @property
    def subject(self) -> str:
        return self.column or ""


class RowCount(_Check, frozen=True, kw_only=True, tag="row_count"):
    """The number of rows, absolute and as a multiple of the previous version's (a first version passes the latter)."""

    minimum: int | None = None
    maximum: int | None = None
    min_ratio: float | None = None  # 0.5: at least half of the rows of the version before
    max_ratio: float | None = None


class Expression(_Check, frozen=True, kw_only=True, tag="expression"):
    """A condition in SQL (DuckDB's) that holds for every row; where it is NULL it does not hold."""

    sql: str

    @property
    def subject(self) -> str:
        return self.sql if len(self.sql) <= 60 else self.sql[:59] + "…"


class References(_Check, frozen=True, kw_only=True, tag="references"):
    """The values of columns exist in columns of another dataset; a row without one of them is not looked at."""

    columns: list[str]
    to: Ref  # a version, or a dataset: then its latest version at the time of the run
    to_columns: list[str] = []  # by default of the same names

    @property
    def subject(self) -> str:
        return ", ".join(self.columns)


class Measure(StrEnum):
    """How far apart two distributions are; the formulas are in `distances`."""

    PSI = "psi"  # population stability index less what noise alone gives
    KS = "ks"  # the largest gap between cumulative distributions, 0 to 1: numbers
    TV = "tv"  # half the sum of the differences of shares, 0 to 1: categories


class Distribution(_Check, frozen=True, kw_only=True, tag="distribution"):
    """A column's distribution is not further than this from what it was, by the profiles of both versions.

    Missing values are left out. A first version, which has nothing to be compared with, passes.
    """

    column: str
    max_distance: float
    measure: Measure = Measure.PSI
    against: Ref | None = None  # by default the version before

    @property
    def subject(self) -> str:
        return self.column


class Function(_Check, frozen=True, kw_only=True, tag="function"):
    """A function in Python, called with a `pyarrow.RecordBatch` of these columns, gives True for every row that is right.

    It gives an array of truth values (of Arrow or NumPy), one for each row; null is not right. It runs where `check` is
    called, never on a server; on the record are its name and the digest of its source.
    """

    run: Callable[..., Any]
    columns: list[str]

    @property
    def subject(self) -> str:
        return getattr(self.run, "__qualname__", type(self.run).__qualname__)

    @property
    def source(self) -> str:
        """The function's full name and the digest of its source; of its compiled code where there is no source."""
        import inspect

        try:
            text = inspect.getsource(self.run).encode()
        except (OSError, TypeError):
            code = getattr(self.run, "__code__", None)
            text = repr((code.co_code, code.co_names, code.co_consts) if code else type(self.run)).encode()
        return f"{getattr(self.run, '__module__', '')}.{self.subject} {digest_bytes(text)}"


Declared = (
    Types | Nulls | Unique | Range | Values | Pattern | Freshness | RowCount | Expression | References | Distribution
)  # what can be written down in TOML
Check = Declared | Function


def load_checks(path: Path) -> list[Check]:
    """Read the `[[check]]` tables of a TOML file; `Invalid` says which of them is wrong and why."""
    import tomllib

    try:
        document = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.") from None
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{path} is not TOML: {error}.") from None
    tables = document.get("check", [])
    if not tables:
        raise Invalid(f"{path} declares no checks.", mend='Add a [[check]] table, such as kind = "nulls", column = "id".')
    if others := sorted(document.keys() - {"check"}):
        raise Invalid(f"{path} has {others[0]!r} beside its checks.", mend="Each check is a table named [[check]].")
    found: list[Check] = []
    for number, table in enumerate(tables, start=1):
        try:
            found.append(convert(table, Declared))
        except Invalid as error:
            raise Invalid(f"{path}, check {number}: {error.message}", mend=_fields_of(table)) from None
    return found


def _fields_of(table: Any) -> str:
    """What can be written in a check of its kind; or which kinds there are, where it is of none."""
    kinds = {str(each.__struct_config__.tag): each for each in get_args(Declared)}
    kind = table.get("kind") if isinstance(table, dict) else None
    if kind not in kinds:
        return f"The kinds are {', '.join(sorted(kinds))}."
    return f"A check of kind {kind!r} has {', '.join(kinds[kind].__struct_fields__)}."
