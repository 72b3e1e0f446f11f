"""The nouns of datasets: a version and its parts, the profile of its columns, check results, differences. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from modelwright.core.errors import Gone, NotFound
from modelwright.core.refs import Ref
from modelwright.core.wire import convert
from modelwright.datasets.classes import ColumnClass, ColumnMask, Finding, Status
from modelwright.store.records import State, Verdict, Version

Scalar = int | float | str | bool | None  # a value of a cell as it travels; times as RFC 3339 text
PARQUET: Final = (".parquet", ".pq")
CSV: Final = (".csv", ".tsv", ".txt")


class CsvFormat(msgspec.Struct, frozen=True, kw_only=True):
    """How a CSV file is written. Fields are UTF-8 text, quoted with `"`; the first line names the columns."""

    missing: tuple[str, ...] = ("", "NA", "?")  # what stands for a missing value, quoted or not
    delimiter: str = ","
    decimal_point: str = "."


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that a database answers a statement with, as a source of a version."""

    database: str  # SQLAlchemy's URL: postgresql+psycopg://user:password@host/name, sqlite:///file.db
    sql: str

    @property
    def label(self) -> str:
        """What the record says of it: the place without user, password and options, and the statement."""
        return f"{self.statement.place}: {' '.join(self.sql.split())[:500]}"

    @property
    def statement(self) -> Statement:
        """What the record keeps of it."""
        scheme, _, rest = self.database.partition("://")
        place = rest.rpartition("@")[2].partition("?")[0]  # among the options may be both of them again
        return Statement(place=f"{scheme}://{place}", sql=self.sql)


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A query as it is kept: the database's address without user, password and options, and all of its text."""

    place: str
    sql: str

    @property
    def backend(self) -> str:
        """What kind of database it is, as SQLAlchemy says: `postgresql`."""
        return self.place.partition("://")[0].partition("+")[0]


# A version


class DatasetColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column. `type` is Arrow's name (`int64`, `double`, `string`, `timestamp[us, tz=UTC]`)."""

    name: str
    type: str
    nullable: bool = False  # whether this version holds a missing value in it
    personal: bool = False  # about a person: no example, sample or message quotes its values


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the rows: one Parquet file, by its digest; it lies in chunks if the version has a manifest, else as it is."""

    digest: str
    rows: int
    bytes: int


class LakeTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table of Delta Lake or Iceberg whose rows stay where they lie: which version of it, and how that is told again."""

    form: str  # "delta" | "iceberg"
    address: str  # a folder, or s3://bucket/prefix
    version: str  # Delta's number, Iceberg's snapshot
    digest: str  # of what its log says of that version
    log: str = ""  # digest of the file that made the version: Delta's commit, Iceberg's manifest list
    listing: str  # digest of the object that says what each file was when it was registered
    files: int


class TimeRange(msgspec.Struct, frozen=True, kw_only=True):
    """The first and the last event time, both included, as RFC 3339 in UTC; a time without a zone is read as UTC."""

    first: str
    last: str


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """What stands where the rows or files of a version were, after they were let go of."""

    deletion: str  # its id: what went, and the proof of it
    retention: str  # the class under which it went
    at: str  # RFC 3339


class DatasetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the catalog keeps of one version: of a table, whose rows are the rows of the parts, in order; or of files.

    Files have no columns, rows and parts; what they are stands in the manifest alone.
    """

    columns: list[DatasetColumn] = []
    rows: int = 0
    bytes: int  # of the parts, or files, together, before chunks they share with others are taken off
    parts: list[Part] = []
    files: int = 0  # how many there are, where these are the version
    lake: LakeTable | None = None  # where the rows lie, of a version that is read in place; then there are no parts
    manifest: str | None = None  # digest of the object that names the chunks of parts or files
    content: str = ""  # of files: a digest of their paths and contents
    stored: int | None = None  # bytes that had to be stored for it: what none before it had
    grouped_by: list[str] = []  # the columns that say where row groups end
    profile: str | None = None  # digest of the object that holds the `Profile` as JSON
    key: list[str] = []  # the columns that together name a row
    time_column: str | None = None  # when the row's event happened
    time_range: TimeRange | None = None
    source: str = ""  # where it came from, for people: a file's name, `pyarrow.Table`
    statement: Statement | None = None  # what a database was asked, of rows that are the answer
    parent: Ref | None = None  # the version that it was made from; where nobody said, the newest before it
    merged: Ref | None = None  # the version that was merged into `parent` to make it
    findings: list[Finding] = []  # what detectors said of the columns when it was added
    untyped: list[str] = []  # the columns that hold no value and whose type nobody said: the next version may say it
    tombstone: Tombstone | None = None  # its content is gone, and this says why; what else is here is what it was like

    @property
    def is_table(self) -> bool:
        """Whether it is a table, and not a folder of files."""
        return bool(self.columns)

    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""
        return [column.name for column in self.columns]

    def column(self, name: str) -> DatasetColumn:
        """One column by name, or `NotFound` with the names there are."""
        for column in self.columns:
            if column.name == name:
                return column
        raise NotFound(f"There is no column {name!r}; the columns are {', '.join(self.names)}.")


class DatasetVersion(DatasetRecord, frozen=True, kw_only=True):
    """One immutable version of a dataset."""

    ref: Ref
    digest: str
    created_at: datetime
    created_by: str
    description: str = ""
    state: State = State.ACTIVE
    successor: Ref | None = None
    tags: dict[str, str] = {}
    aliases: list[str] = []
    changed_at: datetime
    classes: list[ColumnClass] = []  # what its columns are about, by detectors and by people
    masks: list[ColumnMask] = []  # the columns that whoever asked reads masked
    said: list[str] | None = None  # the columns that were declared personal; None: those of which it stands in `columns`

    def _repr_html_(self) -> str:
        from modelwright.datasets.display import version

        return version(self)

    @property
    def unconfirmed(self) -> list[ColumnClass]:
        """The classes that were found and that nobody has confirmed or rejected."""
        return [each for each in self.classes if each.status is Status.UNCONFIRMED]

    @property
    def declared(self) -> set[str]:
        """The columns that were said to be personal when the version was added."""
        return {column.name for column in self.columns if column.personal} if self.said is None else set(self.said)

    @property
    def as_added(self) -> DatasetRecord:
        """The record as it was when the version was added: what its digest is made of."""
        record = DatasetRecord(**{name: getattr(self, name) for name in DatasetRecord.__struct_fields__})
        columns = [msgspec.structs.replace(column, personal=column.name in self.declared) for column in self.columns]
        return msgspec.structs.replace(record, columns=columns)

    def classed(self, classes: list[ColumnClass], masks: list[ColumnMask]) -> DatasetVersion:
        """The same with what is known of its columns: those that are masked for some count as personal.

        Its times are left out where the column that they come from is masked for whoever asked.
        """
        masked = {each.column for each in classes if each.masked}
        columns = [msgspec.structs.replace(column, personal=column.name in masked) for column in self.columns]
        times = None if any(each.column == self.time_column for each in masks) else self.time_range
        shown = msgspec.structs.replace(self, columns=columns, classes=classes, masks=masks, time_range=times)
        return msgspec.structs.replace(shown, said=sorted(self.declared))

    def classes_of(self, column: str) -> list[ColumnClass]:
        """The classes of one column that hold."""
        return [each for each in self.classes if each.column == column and each.holds]

    @property
    def there(self) -> DatasetVersion:
        """The same, or `Gone` where only its tombstone is left."""
        if self.tombstone is not None:
            raise Gone(
                f"{self.ref} was deleted on {self.tombstone.at[:10]} under the retention class {self.tombstone.retention}.",
                mend=f"What went, and the proof: mw retention verify {self.tombstone.deletion}",
                details={"deletion": self.tombstone.deletion},
            )
        return self

    @classmethod
    def of(cls, version: Version) -> DatasetVersion:
        """From the catalog's version."""
        about = {name: getattr(version, name) for name in version.__struct_fields__ if name != "record"}
        record = convert(version.record, DatasetRecord)
        return cls(**about, **{name: getattr(record, name) for name in record.__struct_fields__})


# The profile: what monitoring compares later


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """Counts in bins of equal width. Bin i holds `edges[i] <= x < edges[i + 1]`, the last one its upper edge too."""

    edges: list[float]
    counts: list[int]


class ValueCount(msgspec.Struct, frozen=True, kw_only=True):
    """A value and how many rows have it."""

    value: Scalar
    count: int


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What is in one column.

    `count` counts the values that are there; missing ones (nulls, and NaN in a column of floats) are in `missing`, and the
    two add up to the rows. Infinite values are counted but stand outside of moments, quantiles and histogram.
    """

    name: str
    type: str
    count: int
    missing: int
    distinct: int | None = None  # different values, without the missing; None: not known
    distinct_exact: bool = True  # False: HyperLogLog's estimate
    distinct_error: float = 0.0  # its standard error, as a share
    minimum: Scalar = None
    maximum: Scalar = None
    mean: float | None = None  # numbers only, like all below up to `top`
    sd: float | None = None  # of the sample, n - 1
    infinite: int = 0
    quantiles: dict[str, float] = {}  # by probability as text ("0.5"), linearly interpolated
    rank_error: float = 0.0  # how far off, as a share of the values, the rank of a quantile is at most, 99 times of 100
    histogram: Histogram | None = None
    top: list[ValueCount] = []  # the most frequent values, most frequent first, ties by value
    top_error: int = 0  # rows by which one of these counts is too low at most; none is too high
    examples: list[Scalar] = []  # some values, in the order of the rows
    personal: bool = False  # then it is shown without a value of any row

    def told(self, value: Scalar) -> Scalar:
        """One of its values as it is shown: JSON has no number for an infinite one, so that is None here."""
        return "infinite" if value is None and self.infinite and not self.personal else value

    @property
    def withheld(self) -> ColumnProfile:
        """The same without a value of any row, for a column about people.

        Mean and deviation are left out, too: of two versions of which one has a row more, they tell what it holds.
        """
        shown = msgspec.structs.replace(self, minimum=None, maximum=None, mean=None, sd=None, personal=True)
        return msgspec.structs.replace(shown, top=[], examples=[], quantiles={}, histogram=None)


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of rows that was profiled by itself; a later version that has it too does not read it again."""

    digest: str  # of the bytes of its rows
    rows: int
    sketch: str  # digest of the object that holds what is kept of it


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a table, column by column. Stored as JSON beside the version."""

    rows: int
    columns: list[ColumnProfile]
    segments: list[Segment] = []  # in the order of the rows

    def column(self, name: str) -> ColumnProfile:
        """One column by name, or `NotFound`."""
        for column in self.columns:
            if column.name == name:
                return column
        raise NotFound(f"The profile has no column {name!r}.")

    def _repr_html_(self) -> str:
        from modelwright.datasets.display import profile

        return profile(self)


# Checks

_SEVERITY = [Verdict.INFO, Verdict.PASS, Verdict.WARN, Verdict.FAIL]


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one check ended."""

    check: str  # its name
    verdict: Verdict
    message: str  # a sentence: what was found against what was asked
    rows: int = 0  # rows that were looked at
    failing: int = 0  # rows (or, for checks of the whole table, 1) that break it
    share: float = 0.0  # failing / rows
    observed: Scalar = None  # the figure that was compared, where there is one
    sample: list[dict[str, Any]] = []  # the key of some failing rows and the value in question
    error: str = ""  # why it could not run; it has then failed
    source: str = ""  # of a function: its name and the digest of its source
    against: Ref | None = None  # the version that it was compared with, or looked up in


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a run of checks on one version: the worst verdict of them is the verdict."""

    ref: Ref
    verdict: Verdict
    results: list[CheckResult]
    evidence: str | None = None  # the id of the evidence that says so on the record

    @classmethod
    def of(cls, ref: Ref, results: list[CheckResult]) -> CheckReport:
        """The report of some results."""
        return cls(ref=ref, verdict=max((r.verdict for r in results), key=_SEVERITY.index), results=results)

    @property
    def summary(self) -> str:
        """One sentence."""
        if not self.failed:
            return f"All of {len(self.results)} checks passed."
        return f"{len(self.failed)} of {len(self.results)} checks did not pass: {', '.join(r.check for r in self.failed)}."

    @property
    def failed(self) -> list[CheckResult]:
        """Those that did not pass, failures before warnings."""
        return sorted((r for r in self.results if r.verdict is not Verdict.PASS), key=lambda r: r.verdict is Verdict.WARN)


class CheckBasis(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of checks is measured against: the version, the one before it, and the workspace's time."""

    version: DatasetVersion
    previous: DatasetVersion | None
    now: datetime


# Differences


class ColumnChange(msgspec.Struct, frozen=True, kw_only=True):
    """A column that both versions have, with another type."""

    name: str
    before: str
    after: str


class RowChange(msgspec.Struct, frozen=True, kw_only=True):
    """A row that both versions have by key, with other values: only the columns that differ."""

    key: dict[str, Scalar]
    before: dict[str, Scalar]
    after: dict[str, Scalar]


class RowsDiff(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows differ. With a key: by key; without: rows as wholes, each as often as it occurs, and none `changed`."""

    by_key: bool
    added: int
    removed: int
    changed: int
    same: int
    added_sample: list[dict[str, Scalar]] = []
    removed_sample: list[dict[str, Scalar]] = []
    changed_sample: list[RowChange] = []
    changed_by_column: dict[str, int] = {}
    note: str = ""  # why rows were compared otherwise than by the key, or not at all


class DistributionChange(msgspec.Struct, frozen=True, kw_only=True):
    """How far a column's distribution moved. See `distance` in the room for the formulas."""

    name: str
    psi: float  # population stability index less its expectation when nothing changed; 0 and below: noise
    psi_raw: float
    distance: float  # numbers: Kolmogorov-Smirnov's largest gap; categories: total variation; both from 0 to 1
    measure: str  # "ks" | "tv"
    missing_before: float  # shares, 0 to 1
    missing_after: float
    mean_before: float | None = None
    mean_after: float | None = None
    level: str = "none"  # none | small | large: psi below 0.1, up to 0.25, from 0.25


class FilesDiff(msgspec.Struct, frozen=True, kw_only=True):
    """Which files differ, by path; `moved` are those whose content has another path now."""

    added: list[str] = []
    removed: list[str] = []
    changed: list[str] = []
    moved: dict[str, str] = {}
    same: int = 0
    bytes_before: int = 0
    bytes_after: int = 0


class DatasetFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a version of files."""

    path: str
    size: int
    digest: str
    executable: bool = False


class SaidChange(msgspec.Struct, frozen=True, kw_only=True):
    """The columns that make the key, or the one that tells the time, before and after; empty where it was not said."""

    what: Literal["key", "time column"]
    before: list[str]
    after: list[str]


class DatasetDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What changed from one version to another."""

    before: Ref
    after: Ref
    rows_before: int
    rows_after: int
    columns_added: list[DatasetColumn] = []
    columns_removed: list[DatasetColumn] = []
    columns_changed: list[ColumnChange] = []
    rows: RowsDiff
    distributions: list[DistributionChange] = []  # the furthest moved first
    time_before: TimeRange | None = None
    time_after: TimeRange | None = None
    said: list[SaidChange] = []  # what is said of the rows, where both hold the same ones this may be all that differs
    files: FilesDiff | None = None  # of versions of files; then all before it is empty

    @property
    def identical(self) -> bool:
        """Whether both hold the same rows in the same columns, or the same files."""
        if self.files is not None:
            return not (self.files.added or self.files.removed or self.files.changed or self.files.moved)
        schema = self.columns_added or self.columns_removed or self.columns_changed
        return not schema and self.rows.added == self.rows.removed == self.rows.changed == 0


# What is kept


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """A version, and why it has to stay; without a reason it may go."""

    ref: Ref
    reasons: list[str] = []
    bytes: int = 0


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """The objects that a version names, and how many bytes each has; none where it is not stored (any more)."""

    ref: Ref
    objects: dict[str, int]


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions went, or with a plan would go, and the objects that none of the others of the dataset needs."""

    gone: list[Keeping]
    kept: list[Keeping]
    objects: list[str]
    size: int  # bytes of these
    planned: bool = False


# Merges


class MergeConflict(msgspec.Struct, frozen=True, kw_only=True):
    """What both sides changed since their common ancestor, each in its own way."""

    what: str  # a sentence without its end: "changed in both", "removed in ours, changed in theirs"
    key: dict[str, Scalar] = {}  # of the row; without the columns that are personal
    path: str = ""  # of the file
    column: str = ""  # empty: the row, or the file, as a whole
    base: Scalar = None  # of files the digest; None where it is not there
    ours: Scalar = None
    theirs: Scalar = None
    hidden: bool = False  # the column is personal: its values are not quoted


class DatasetMerge(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge came to. The counts say what the other side brings into ours: rows, or files."""

    ours: Ref
    theirs: Ref
    base: Ref
    version: Ref | None = None  # what holds both; None: nothing was made
    added: int = 0
    removed: int = 0
    changed: int = 0
    changed_by_column: dict[str, int] = {}
    columns_added: list[str] = []
    columns_removed: list[str] = []
    conflicting: int = 0  # how many conflicts there are: cells, whole rows, columns, or files
    conflicts: list[MergeConflict] = []  # the first of them
    settled: str = ""  # "ours" | "theirs": which side was taken where they conflict
    note: str = ""
