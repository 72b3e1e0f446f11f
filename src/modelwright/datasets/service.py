"""The service: what is done to datasets on the record, and, at the caller's side, how rows go in and come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.hashing import digest_value
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.paging import Filter, Page
from modelwright.core.reading import noticed, pinned
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import decode, encode
from modelwright.datasets.checks import Check, load_checks
from modelwright.datasets.objects import ObjectCache
from modelwright.datasets.records import (
    CheckBasis,
    CheckReport,
    CsvFormat,
    DatasetDiff,
    DatasetRecord,
    DatasetVersion,
    Profile,
)
from modelwright.store import Evidence, State, Transaction, catalog, evidence

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

CHECKS = "data-checks"  # the kind of evidence that a run of checks becomes


class Datasets(Room):
    """Versions of tables: their rows, profile, checks and differences."""

    room, kind = "datasets", Kind.DATASET

    def __init__(self, caller: Caller, *, cache: Path | None = None, address: str = "") -> None:
        """`cache` is a folder for files that were fetched and verified; without one, a temporary folder is used.

        `address` is what the workspace is called by whoever keeps account of what is read from it.
        """
        super().__init__(caller)
        self._address = address
        self._cache = ObjectCache(caller.blobs, cache)

    # On the record

    @operation("write", event="datasets.version.added")
    def register(
        self,
        tx: Transaction,
        name: str,
        *,
        record: DatasetRecord,
        inputs: list[Ref] | None = None,
        description: str = "",
        tags: dict[str, str] | None = None,
        reason: str = "",
    ) -> DatasetVersion:
        """Add a version made of parts that are already stored as objects; `add` is the way from a file to here.

        The same parts, columns, key and time column as the newest version's are that version again, and nothing is
        written. `inputs` are the refs it was computed from; they become its lineage. `parent` is set here, to the version
        that was the newest. `Invalid` if a part is not stored, or the record contradicts itself.
        """
        _check_consistent(record)
        for part in record.parts:
            if not self.blobs.exists(part.digest) or self.blobs.size(part.digest) != part.bytes:
                raise Invalid(f"The part {part.digest[:12]} is not stored with {part.bytes} bytes.", mend="Put it first.")
        whole, digest = Ref(Kind.DATASET, name), _content_digest(record)
        newest = catalog.latest(tx, whole)
        if newest is not None and newest.digest == digest and newest.state is State.ACTIVE:
            tx.unchanged()
            return DatasetVersion.of(newest)
        sources = [catalog.resolve(tx, ref) if ref.kind is Kind.DATASET else ref for ref in inputs or []]
        version = catalog.add(
            tx,
            Kind.DATASET,
            name,
            digest=digest,
            record=replace(record, parent=newest.ref if newest else None),
            description=description,
            tags=tags,
        )
        tx.note(
            resource=version.ref,
            inputs=sources,
            outputs=[version.ref],
            after={"digest": digest, "rows": record.rows, "source": record.source},
        )
        return DatasetVersion.of(version)

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> DatasetVersion:
        """One version: its columns, rows, parts, times, tags; without a selector the latest."""
        return DatasetVersion.of(catalog.get(tx, ref))

    @operation("read", on="")
    def list(self, tx: Transaction, where: Filter = Filter()) -> Page[DatasetVersion]:
        """The latest version of every dataset that the caller may read, the most recently changed first."""
        page = catalog.list_things(tx, Kind.DATASET, where)
        return Page(items=[DatasetVersion.of(version) for version in page.items], next=page.next)

    @operation("read")
    def versions(self, tx: Transaction, ref: Ref, where: Filter = Filter()) -> Page[DatasetVersion]:
        """The versions of one dataset, newest first."""
        page = catalog.list_versions(tx, ref, where)
        return Page(items=[DatasetVersion.of(version) for version in page.items], next=page.next)

    @operation("read")
    def checks(self, tx: Transaction, ref: Ref) -> Sequence[Evidence]:
        """The evidence of every run of checks on a version, newest first; its report object holds the `CheckReport`."""
        return evidence.about(tx, catalog.resolve(tx, ref), CHECKS)

    @operation("read")
    def basis(self, tx: Transaction, ref: Ref) -> CheckBasis:
        """What a run of checks is measured against: the version, the one before it, and the workspace's time."""
        version = DatasetVersion.of(catalog.get(tx, ref))
        before = None if version.parent is None else catalog.find(tx, version.parent)
        return CheckBasis(version=version, previous=DatasetVersion.of(before) if before else None, now=tx.now)

    @operation("validate", event="datasets.version.checked")
    def attach(self, tx: Transaction, ref: Ref, *, report: str, reason: str = "") -> Evidence:
        """Put the results of a run of checks on the record, as evidence about the exact version.

        `report` is the digest of the stored `CheckReport`; figures and verdict are read from it, so that the two agree.
        `Invalid` if it speaks of another version, or its verdict is not that of the worst of its results.
        """
        version = catalog.get(tx, ref)
        found = decode(self.blobs.read(report), CheckReport)
        if found.ref != version.ref:
            raise Invalid(f"The report is about {found.ref}, not {version.ref}.")
        if not found.results or found.verdict is not CheckReport.of(found.ref, found.results).verdict:
            raise Invalid(f"The report's verdict, {found.verdict}, does not follow from its results.")
        tx.note(resource=version.ref, inputs=[version.ref], after={"verdict": found.verdict.value, "report": report})
        return evidence.attach(
            tx,
            CHECKS,
            version.ref,
            subject_digest=version.digest,
            verdict=found.verdict,
            figures={r.check: {"verdict": r.verdict, "failing": r.failing, "share": r.share} for r in found.results},
            summary=found.summary,
            report=report,
            inputs=[version.ref],
        )

    @operation("write", event="datasets.version.retired")
    def retire(self, tx: Transaction, ref: Ref, *, successor: Ref | None = None, reason: str = "") -> DatasetVersion:
        """Take a version out of use for good; it stays readable, and its tombstone names the successor."""
        version = catalog.retire(tx, ref, successor)
        after = {"state": version.state.value, "successor": str(version.successor or "")}
        tx.note(resource=version.ref, inputs=[version.ref], before={"state": State.ACTIVE.value}, after=after)
        return DatasetVersion.of(version)

    @operation("erase", event="datasets.version.deleted")
    def delete(self, tx: Transaction, ref: Ref, *, reason: str = "") -> DatasetVersion:
        """Delete one version from the catalog; `InUse` names everything that depends on it, and then nothing happens."""
        version = catalog.delete(tx, ref)
        tx.note(resource=version.ref, before={"digest": version.digest})
        return DatasetVersion.of(version)

    # At the caller's side

    def add(
        self,
        name: str,
        source: Any,
        *,
        checks: Sequence[Check] | Path | str | None = None,
        key: Sequence[str] | str | None = None,
        time_column: str | None = None,
        types: Mapping[str, str] | None = None,
        personal: Sequence[str] = (),
        csv: CsvFormat = CsvFormat(),
        inputs: Sequence[Ref] = (),
        description: str = "",
        tags: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> DatasetVersion:
        """Make a version of a file, several files, or a table; the same content twice is the same version.

        `source` is the path of a CSV or Parquet file, a list of such, or anything with the Arrow C stream. A broken row
        is `Invalid`, with file, line, column and row, and nothing is loaded. Types that are not given are those of the
        version before, then what all rows agree on. `key` names the columns that identify a row, `time_column` the one
        that says when its event happened, `personal` those that are about a person; not given, they are as before too.
        `checks` (or a TOML file of them) are run on the new version and become evidence; a failing one does not undo the
        version, it stands in the way at gates.
        """
        from modelwright.datasets.adding import prepare

        declared = load_checks(Path(checks)) if isinstance(checks, Path | str) else checks
        newest = self._newest(name)
        record = prepare(
            self.blobs,
            source,
            before=newest,
            types=dict(types or {}),
            key=[key] if isinstance(key, str) else list(key or []),
            time_column=time_column,
            personal=list(personal),
            form=csv,
        )
        version = self.register(
            name,
            record=record,
            inputs=[*inputs],
            description=description,
            tags=dict(tags or {}),
            reason=reason,
        )
        if declared:
            self.check(version.ref, declared)
        return version

    def extended(self, ref: Ref | str, rows: pa.Table, *, label: str = "") -> tuple[Ref, DatasetRecord]:
        """What `register` needs to add rows to a version: that version, exactly, and the record of the next.

        Costs the new rows and not the old. `Invalid` where the rows have not the columns of the version.
        """
        from modelwright.datasets.adding import extend

        version = self.show(_ref(ref))
        files = self._files(version)
        return version.ref, extend(self.blobs, version, files, self.shaped(version.ref, rows), label or "rows added")

    def shaped(self, ref: Ref | str, rows: Any) -> pa.Table:
        """Rows (a table, or a list of dicts) with the columns and types of a version; `Invalid` says what does not fit."""
        from modelwright.datasets.rows import shape

        version = self.show(_ref(ref))
        return shape(version, self._files(version)[:1], rows)

    def read(self, ref: Ref | str, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
        """The rows of a version in their order: all or some columns, and only where a condition in SQL holds."""
        from modelwright.datasets.rows import read_rows

        version = self._read(ref)
        return read_rows(version, self._files(version), columns, where)

    def head(self, ref: Ref | str, n: int = 10) -> pa.Table:
        """The first rows."""
        from modelwright.datasets.rows import read_head

        version = self._read(ref)
        return read_head(version, self._files(version), n)

    def relation(self, ref: Ref | str) -> duckdb.DuckDBPyRelation:
        """The rows as a DuckDB relation, to filter, join and aggregate without reading them all into memory."""
        from modelwright.datasets.engine import connect

        version = self._read(ref)
        return connect({"dataset": self._files(version)}).table("dataset")

    def profile(self, ref: Ref | str) -> Profile:
        """What is in a version, column by column, as it was computed when the version was added."""
        version = self.show(_ref(ref))
        if version.profile is None:
            raise NotFound(f"{version.ref} was registered without a profile.")
        return decode(self.blobs.read(version.profile), Profile)

    def check(self, ref: Ref | str, checks: Sequence[Check] | Path | str, *, reason: str = "") -> CheckReport:
        """Run checks on a version and put the results on the record as evidence; returns them with samples of failing rows.

        A check that cannot run (a column that is not there, SQL that is wrong) has failed. Nothing is raised for a failing
        check: the verdict says it.
        """
        from modelwright.datasets.checking import run_checks

        declared = load_checks(Path(checks)) if isinstance(checks, Path | str) else checks
        basis = self.basis(_ref(ref))
        report = run_checks(declared, basis, self._files(basis.version))
        attached = self.attach(basis.version.ref, report=self.blobs.put(encode(report)), reason=reason)
        return replace(report, evidence=attached.id)

    def suggest(self, ref: Ref | str) -> Sequence[Check]:
        """Checks that this version passes and that a next one ought to, from its profile: to be read and then kept."""
        from modelwright.datasets.suggesting import suggest_checks

        version = self.show(_ref(ref))
        return suggest_checks(version, self.profile(version.ref))

    def diff(self, before: Ref | str, after: Ref | str) -> DatasetDiff:
        """What changed from one version to another: columns, rows, distributions, times."""
        from modelwright.datasets.diff import compare

        old, new = self.show(_ref(before)), self.show(_ref(after))
        return compare(old, self._files(old), new, self._files(new))

    def _files(self, version: DatasetVersion) -> Sequence[Path]:
        return [self._cache.file(part.digest) for part in version.parts]

    def _read(self, ref: Ref | str) -> DatasetVersion:
        """The version whose rows are about to be read: who keeps account of that is told."""
        version = self.show(pinned(_ref(ref)))
        noticed(version.ref, self._address)
        return version

    def _newest(self, name: str) -> DatasetVersion | None:
        try:
            return self.show(Ref(Kind.DATASET, name))
        except NotFound:
            return None


def _ref(ref: Ref | str) -> Ref:
    return Ref.parse(ref) if isinstance(ref, str) else ref


def _content_digest(record: DatasetRecord) -> str:
    """What makes two versions the same: their rows, and how the rows are to be understood."""
    return digest_value([record.columns, [part.digest for part in record.parts], record.key, record.time_column])


def _check_consistent(record: DatasetRecord) -> None:
    if not record.columns:
        raise Invalid("A dataset has at least one column.")
    for name in [*record.key, *([record.time_column] if record.time_column else [])]:
        if name not in record.names:
            raise Invalid(f"There is no column {name!r}.", mend=f"The columns are {', '.join(record.names)}.")
    if sum(part.rows for part in record.parts) != record.rows or sum(part.bytes for part in record.parts) != record.bytes:
        raise Invalid("The rows or bytes of the parts do not add up to those of the record.")
