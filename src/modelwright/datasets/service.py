"""The service: what is done to datasets on the record, and, at the caller's side, how rows go in and come out."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from modelwright.core.errors import Conflict, Denied, Invalid, NotFound
from modelwright.core.folders import Indexes, Standing
from modelwright.core.hashing import digest_value
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.paging import MAX_LIMIT, Filter, Page
from modelwright.core.reading import noticed, pinned
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import decode, encode
from modelwright.datasets.checks import Check, load_checks
from modelwright.datasets.classes import masks_for
from modelwright.datasets.contracts.service import Contracts
from modelwright.datasets.identity import content_digest
from modelwright.datasets.objects import ObjectCache
from modelwright.datasets.privacy import DEFAULT_PURPOSE, Permit, Privacy
from modelwright.datasets.privacy.masking import Masking
from modelwright.datasets.privacy.purposes import reasons_against
from modelwright.datasets.privacy.queries import permit_for, permitted, protect_version, shown
from modelwright.datasets.privacy.service import refuse_withheld
from modelwright.datasets.records import (
    CheckBasis,
    CheckReport,
    CheckResult,
    CsvFormat,
    DatasetDiff,
    DatasetFile,
    DatasetMerge,
    DatasetRecord,
    DatasetVersion,
    Keeping,
    Profile,
    Pruned,
)
from modelwright.store import Evidence, State, Transaction, catalog, evidence

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from modelwright.datasets.checkout import CheckedOut
    from modelwright.datasets.chunks import KnownChunks
    from modelwright.datasets.depot import Depot
    from modelwright.datasets.manifest import Entry, Manifest
    from modelwright.datasets.segments import TableSketch
    from modelwright.datasets.transfer import Transfer
    from modelwright.store.objects import S3Settings

CHECKS = "data-checks"  # the kind of evidence that a run of checks becomes


class Datasets(Room):
    """Versions of tables: their rows, profile, checks and differences."""

    room, kind = "datasets", Kind.DATASET

    def __init__(
        self,
        caller: Caller,
        *,
        cache: Path | None = None,
        indexes: Path | None = None,
        address: str = "",
        s3: S3Settings | None = None,
        privacy: Privacy | None = None,
    ) -> None:
        """`cache` is a folder for files that were fetched and verified; without one, a temporary folder is used.

        `indexes` is where it is remembered how folders were found: names, times and digests of files, and no content; by
        default it is in the cache.

        `address` is what the workspace is called by whoever keeps account of what is read from it. `s3` is how buckets are
        reached; by default as the provider's own tools reach them. `privacy` has the keys of pseudonyms, where the
        workspace is.
        """
        super().__init__(caller)
        self._address = address
        self._contracts = Contracts(caller)
        self._s3 = s3
        self._place = cache
        self._privacy = privacy or Privacy(caller)
        self._masking = Masking(caller.blobs, self._privacy)
        self._cache = ObjectCache(caller.blobs, cache and cache / "parts")
        self._indexes = Indexes(indexes or (cache and cache / "trees"))

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
        written. `inputs` are the refs it was computed from; they become its lineage. `parent` is the version that was the
        newest, unless the record names another of this dataset. `Invalid` if a part is not stored, or the record
        contradicts itself.
        """
        _check_consistent(record)
        refuse_withheld(tx, self._check_stored(record), unless=name)
        for part in record.parts if record.manifest is None else []:
            if not self.blobs.exists(part.digest) or self.blobs.size(part.digest) != part.bytes:
                raise Invalid(f"The part {part.digest[:12]} is not stored with {part.bytes} bytes.", mend="Put it first.")
        whole, digest = Ref(Kind.DATASET, name), content_digest(record)
        newest = catalog.latest(tx, whole)
        if newest is not None and newest.digest == digest and newest.state is State.ACTIVE:
            tx.unchanged()
            return shown(tx, [newest])[0]
        parent, merged = (_within(tx, whole, each) for each in (record.parent, record.merged))
        sources = [catalog.resolve(tx, ref) if ref.kind is Kind.DATASET else ref for ref in inputs or []]
        version = catalog.add(
            tx,
            Kind.DATASET,
            name,
            digest=digest,
            record=replace(record, parent=parent or (newest.ref if newest else None), merged=merged),
            description=description,
            tags=tags,
        )
        tx.note(
            resource=version.ref,
            inputs=sources,
            outputs=[version.ref],
            after={"digest": digest, **_extent(record), "source": record.source},
        )
        protect_version(tx, self.blobs, version)
        return shown(tx, [version])[0]

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> DatasetVersion:
        """One version: its columns, rows, parts, times, tags, and what of it is masked for you; by default the latest."""
        return shown(tx, [catalog.get(tx, ref)])[0]

    @operation("read", on="")
    def list(self, tx: Transaction, where: Filter = Filter()) -> Page[DatasetVersion]:
        """The latest version of every dataset that the caller may read, the most recently changed first."""
        page = catalog.list_things(tx, Kind.DATASET, where)
        return Page(items=shown(tx, page.items), next=page.next)

    @operation("read")
    def versions(self, tx: Transaction, ref: Ref, where: Filter = Filter()) -> Page[DatasetVersion]:
        """The versions of one dataset, newest first."""
        page = catalog.list_versions(tx, ref, where)
        return Page(items=shown(tx, page.items), next=page.next)

    @operation("read")
    def checks(self, tx: Transaction, ref: Ref) -> Sequence[Evidence]:
        """The evidence of every run of checks on a version, newest first; its report object holds the `CheckReport`."""
        return evidence.about(tx, catalog.resolve(tx, ref), CHECKS)

    @operation("read")
    def basis(self, tx: Transaction, ref: Ref) -> CheckBasis:
        """What a run of checks is measured against: the version, the one before it, and the workspace's time."""
        (version,) = shown(tx, [catalog.get(tx, ref)])
        before = None if version.parent is None else catalog.find(tx, version.parent)
        return CheckBasis(version=version, previous=shown(tx, [before])[0] if before else None, now=tx.now)

    @operation("read")
    def keeping(self, tx: Transaction, ref: Ref, *, last: int) -> Sequence[Keeping]:
        """The versions of a dataset, newest first, each with what keeps it: being one of the last, an alias, a use.

        A use is whatever depends on the version, and whatever was made from it on the record, but for later versions of
        the same dataset and evidence about it.
        """
        from modelwright.datasets.queries import keeping

        return keeping(tx, ref, last)

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
            figures={r.check: _figures(r) for r in found.results},
            summary=found.summary,
            report=report,
            inputs=[version.ref, *dict.fromkeys(r.against for r in found.results if r.against is not None)],
        )

    @operation("write", event="datasets.alias.set")
    def alias(self, tx: Transaction, ref: Ref, alias: str, *, reason: str = "") -> DatasetVersion:
        """Point an alias at a version: `dataset:flights@gold` is that version until the alias moves."""
        version = catalog.get(tx, ref)
        if alias in version.aliases:
            tx.unchanged()
            return shown(tx, [version])[0]
        if version.state is State.RETIRED:
            raise Conflict(f"{version.ref} is retired.", mend="Point the alias at a version that is in use.")
        catalog.set_alias(tx, version.ref, alias, reason=reason)
        tx.note(resource=version.ref, after={"alias": alias, "version": version.ref.version})
        return self.show(version.ref)

    @operation("write", event="datasets.alias.dropped")
    def drop_alias(self, tx: Transaction, ref: Ref, alias: str, *, reason: str = "") -> DatasetVersion:
        """Take an alias away; its history stays."""
        version = catalog.get(tx, ref.at(alias))
        catalog.drop_alias(tx, ref, alias, reason=reason)
        tx.note(resource=version.ref, before={"alias": alias, "version": version.ref.version})
        return self.show(version.ref)

    @operation("write", event="datasets.version.retired")
    def retire(self, tx: Transaction, ref: Ref, *, successor: Ref | None = None, reason: str = "") -> DatasetVersion:
        """Take a version out of use for good; it stays readable, and its tombstone names the successor."""
        version = catalog.retire(tx, ref, successor)
        after = {"state": version.state.value, "successor": str(version.successor or "")}
        tx.note(resource=version.ref, inputs=[version.ref], before={"state": State.ACTIVE.value}, after=after)
        return shown(tx, [version])[0]

    @operation("erase", event="datasets.version.deleted")
    def delete(self, tx: Transaction, ref: Ref, *, reason: str = "") -> DatasetVersion:
        """Delete one version from the catalog; `InUse` names everything that depends on it, and then nothing happens."""
        version = catalog.delete(tx, ref)
        tx.note(resource=version.ref, before={"digest": version.digest})
        return shown(tx, [version])[0]

    # For the rooms above

    def known(self, tx: Transaction, ref: Ref) -> DatasetVersion:
        """A version with the classes of its columns and what of it is masked for the caller, whatever they may read."""
        return shown(tx, [catalog.get(tx, ref)])[0]

    def reasons_against(self, tx: Transaction, ref: Ref, columns: Sequence[str], purpose: str) -> Sequence[str]:
        """Why columns of a version may not be used for a purpose; where the door is strict, also what is undecided."""
        version = self.known(tx, ref)
        against = reasons_against(tx, version.ref.name, columns, purpose)
        if self._privacy.settings.strict:
            against += [
                f"{each.column} of {version.ref} is perhaps {each.tag}, and nobody has confirmed or rejected that"
                for each in version.unconfirmed
                if each.column in columns
            ]
        return against

    def consents(self, tx: Transaction, ref: Ref, columns: Sequence[str]) -> Sequence[Permit]:
        """The permits by which some columns of a version may be used where their subjects agree, and only there."""
        held = permitted(tx, ref.name)
        found = {name: permit_for(held, name) for name in columns}
        return list({(p.consent, p.subject): p for p in found.values() if p is not None and p.consent}.values())

    def pseudonym_key(self, purpose: str) -> bytes:
        """The secret that pseudonyms of a purpose are made with, where the workspace is."""
        return self._privacy.key(purpose or DEFAULT_PURPOSE)[1]

    # In clear or masked

    @operation("read")
    def masked(self, tx: Transaction, ref: Ref, *, purpose: str = "", everything: bool = False) -> Sequence[str]:
        """The rows of a version with what the caller may not read in clear masked: digests of Parquet objects, in order.

        `everything` masks all that is masked for anybody, whoever asks: for handing it on. Pseudonyms are those of
        `purpose`, which must be one that the dataset may be used for.
        """
        (version,) = shown(tx, [catalog.get(tx, ref)])
        masks = masks_for(version.classes, set()) if everything else version.masks
        return self._masking.parts(tx, self._holding_rows(version), masks, purpose, lambda: self._raw_files(version))

    @operation("read")
    def described(self, tx: Transaction, ref: Ref) -> Profile:
        """The profile of a version, without a value of any column about people."""
        return self._profile(shown(tx, [catalog.get(tx, ref)])[0])

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
        parent: Ref | str | None = None,
        inputs: Sequence[Ref] = (),
        description: str = "",
        tags: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> DatasetVersion:
        """Make a version of a file, several files, or a table; the same content twice is the same version.

        `source` is the path of a CSV or Parquet file, a list of such, a `Query`, or anything with the Arrow C stream. A
        broken row is `Invalid`, with file, line, column and row, and nothing is loaded. Types that are not given are those
        of the version before, then what all rows agree on. `key` names the columns of a row's key, `time_column` the one
        that says when its event happened, `personal` those that are about a person; not given, they are as before too.
        `parent` is the version of this dataset that it was made from, if that is not the newest: `merge` goes by it.
        `checks` (or a TOML file of them) are run on the new version and become evidence; a failing one does not undo the
        version, it stands in the way at gates.
        """
        from modelwright.datasets.adding import prepare

        declared = load_checks(Path(checks)) if isinstance(checks, Path | str) else checks
        newest = self._newest(name)
        if newest is not None and not newest.is_table:
            raise Invalid(f"{newest.ref} holds files, not rows.", mend="Choose another name, or add files to it.")
        with closing(self._known(newest)) as known:
            record = prepare(
                self.blobs,
                source,
                known=known,
                before=newest,
                types=dict(types or {}),
                key=[key] if isinstance(key, str) else list(key or []),
                time_column=time_column,
                personal=list(personal),
                form=csv,
            )
        version = self.register(
            name,
            record=replace(record, parent=_ref(parent) if parent else None),
            inputs=[*inputs],
            description=description,
            tags=dict(tags or {}),
            reason=reason,
        )
        if declared:
            self.check(version.ref, declared)
        if not version.masks and (newest is None or newest.ref != version.ref):
            self.hold(version.ref)
        return version

    def history(self, ref: Ref | str) -> Sequence[DatasetVersion]:
        """Every version of a dataset, newest first, however many there are."""
        found: list[DatasetVersion] = []
        where = Filter(limit=MAX_LIMIT)
        while True:
            page = self.versions(_ref(ref).whole, where)
            found += page.items
            if page.next is None:
                return found
            where = replace(where, after=page.next)

    def extended(self, ref: Ref | str, rows: pa.Table, *, label: str = "") -> tuple[Ref, DatasetRecord]:
        """What `register` needs to add rows to a version: that version, exactly, and the record of the next.

        Costs the new rows and not the old. `Invalid` where the rows have not the columns of the version.
        """
        from modelwright.datasets.adding import extend

        version = self._holding_rows(self.show(_ref(ref)))
        self.require_clear(version)
        files, entries = self._raw_files(version), self._entries(version) if version.manifest is not None else []
        shaped = self.shaped(version.ref, rows)
        with closing(self._known(version)) as known:
            record = extend(self.blobs, version, files, entries, shaped, label or "rows added", known=known)
        return version.ref, record

    def shaped(self, ref: Ref | str, rows: Any) -> pa.Table:
        """Rows (a table, or a list of dicts) with the columns and types of a version; `Invalid` says what does not fit."""
        from modelwright.datasets.rows import shape

        version = self._holding_rows(self.show(_ref(ref)))
        return shape(version, self._files(version)[:1], rows)

    def add_files(
        self,
        name: str,
        source: Path | str,
        *,
        verify: bool = False,
        parent: Ref | str | None = None,
        inputs: Sequence[Ref] = (),
        description: str = "",
        tags: Mapping[str, str] | None = None,
        reason: str = "",
        told: Callable[[float], None] = lambda done: None,
    ) -> DatasetVersion:
        """Make a version of all files below a folder, or of one file, whatever they are.

        Only content that no version holds yet is stored. A file that has the size, time and inode with which it was read
        before is not read again, unless `verify` is set. Symbolic links, devices and names that lead elsewhere are
        `Invalid`; `Conflict` if a file changes while it is read; in either case nothing is added. `parent` is the version
        that it was made from: by default the one that was checked out there or added from there last, else the newest.
        `told` is called with the bytes that are done.
        """
        from modelwright.datasets.files import prepare_files
        from modelwright.datasets.manifest import entries_of, read_manifest

        root, newest = _folder(source), self._newest(name)
        if newest is not None and newest.is_table:
            raise Invalid(f"{newest.ref} is a table, not a folder of files.", mend="Choose another name.")
        index = self._indexes.load(root)
        before = entries_of(self.blobs, read_manifest(self.blobs, newest.manifest)) if newest and newest.manifest else []
        with closing(self._known(None)) as known:
            known.meet(chunk for entry in before for chunk in entry.chunks)
            record = prepare_files(self.blobs, root, known=known, index=index, before=before, verify=verify, told=told)
        record = replace(record, parent=_ref(parent) if parent else self._begun_from(index.ref, newest))
        version = self.register(
            name, record=record, inputs=[*inputs], description=description, tags=dict(tags or {}), reason=reason
        )
        index.ref = index.whole = str(version.ref)
        self._indexes.save(index)
        return version

    def add_listed(
        self,
        name: str,
        files: Mapping[str, Path],
        *,
        md5: Mapping[str, str] | None = None,
        source: str = "",
        description: str = "",
        tags: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> DatasetVersion:
        """Make a version of files that lie anywhere, each under the path that it is to have; as `add_files` otherwise.

        `md5` says what some of them must be: `Corrupt` names one that is not, and nothing is added.
        """
        from modelwright.datasets.files import prepare_listed

        newest = self._newest(name)
        if newest is not None and newest.is_table:
            raise Invalid(f"{newest.ref} is a table, not a folder of files.", mend="Choose another name.")
        if not files:
            raise Invalid("A version of files has at least one.")
        with closing(self._known(newest)) as known:
            record = prepare_listed(self.blobs, files, known=known, md5=md5 or {}, source=source)
        return self.register(name, record=record, description=description, tags=dict(tags or {}), reason=reason)

    def files(self, ref: Ref | str, patterns: Sequence[str] = ()) -> Sequence[DatasetFile]:
        """The files of a version, in the order of their paths: all, or those that some paths or patterns mean."""
        from modelwright.datasets.checkout import choose

        found = choose(self._entries(self._holding_files(self.show(_ref(ref)))), patterns)
        return [
            DatasetFile(path=each.path, size=each.size, digest=each.digest.hex(), executable=each.executable)
            for each in found
        ]

    def open(self, ref: Ref | str, path: str) -> io.BufferedReader:
        """One file of a version, to be read at any place: only the chunks that are touched are fetched, and verified."""
        from modelwright.datasets.chunkfile import ChunkFile

        version = self._holding_files(self._read(ref))
        for entry in self._entries(version):
            if entry.path == path:
                return io.BufferedReader(ChunkFile(self.blobs, entry), buffer_size=1 << 17)
        raise NotFound(f"{version.ref} has no file {path!r}.", mend="datasets.files says which it has.")

    def checkout(
        self,
        ref: Ref | str,
        folder: Path | str,
        patterns: Sequence[str] = (),
        *,
        copy: bool = False,
        force: bool = False,
        told: Callable[[float], None] = lambda done: None,
    ) -> CheckedOut:
        """Bring a folder to a version of files: all of them, or those that some paths or patterns mean.

        What is there already is left as it is, and what an earlier version put there and this one has not is removed.
        `Conflict` names files that somebody changed, and nothing is done, unless `force` is set. Large files share their
        blocks with a folder beside the workspace, or are read-only links to it, unless `copy` is set.
        """
        from modelwright.datasets.checkout import check_out, choose

        version = self._holding_files(self._read(ref))
        root = _folder(folder)
        entries = choose(self._entries(version), patterns)
        index = self._indexes.load(root)
        try:
            return check_out(
                self.blobs,
                root,
                entries,
                index,
                ref=str(version.ref),
                links=None if copy or self._place is None else self._place / "files",
                partial=bool(patterns),
                force=force,
                told=told,
            )
        finally:
            self._indexes.save(index)

    def status(
        self,
        folder: Path | str,
        ref: Ref | str | None = None,
        *,
        verify: bool = False,
        told: Callable[[float], None] = lambda done: None,
    ) -> Standing:
        """How a folder stands to a version; by default to the one that was added from it or checked out into it last.

        Files are told apart by size, time and inode, and read where that does not suffice; all of them with `verify`.
        """
        from modelwright.datasets.manifest import by_path
        from modelwright.datasets.trees import stand

        root = _folder(folder)
        index = self._indexes.load(root)
        if ref is None and not index.ref:
            raise NotFound(f"It is not known of which version {root} is.", mend="Name one: dataset:name@3.")
        version = self._holding_files(self.show(_ref(ref or index.ref)))
        entries = by_path(self._entries(version))
        standing = stand(root, entries, index, ref=str(version.ref), verify=verify, told=told)
        self._indexes.save(index)
        return standing

    def arrow(self, ref: Ref | str, *, purpose: str = "") -> Any:
        """The rows as an Arrow dataset, read straight from the store: what scans it fetches the columns it needs.

        DuckDB can query it too: `duckdb.sql("SELECT avg(delay) FROM flights")`, where `flights` is what this returns.
        """
        from modelwright.datasets.chunkfile import arrow_dataset

        version = self._holding_rows(self._read(ref))
        if version.manifest is None or version.masks:
            import pyarrow.dataset as pds

            return pds.dataset([str(file) for file in self._files(version, purpose)])
        return arrow_dataset(self.blobs, self._entries(version))

    def read(
        self,
        ref: Ref | str,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        *,
        purpose: str = "",
        masked: bool = False,
    ) -> pa.Table:
        """The rows of a version in their order: all or some columns, and only where a condition in SQL holds.

        Columns of a class that you may not read in clear are masked (`DatasetVersion.masks`), their pseudonyms made for
        `purpose`; with `masked` every column that is masked for anybody is. The condition sees what you see.
        """
        from modelwright.datasets.rows import read_rows

        version = self._read(ref)
        if masked:
            files: Sequence[Any] = self._masked_files(version, purpose, everything=True)
        else:
            files = self._sources(version, purpose) if where is None else self._files(version, purpose)
        return read_rows(version, files, columns, where)

    def head(self, ref: Ref | str, n: int = 10, *, purpose: str = "", masked: bool = False) -> pa.Table:
        """The first rows; see `read`."""
        from modelwright.datasets.rows import read_head

        version = self._read(ref)
        if masked:
            return read_head(self._masked_files(version, purpose, everything=True), n)
        return read_head(self._sources(version, purpose), n)

    def relation(self, ref: Ref | str, *, purpose: str = "") -> duckdb.DuckDBPyRelation:
        """The rows as a DuckDB relation, to filter, join and aggregate without reading them all into memory."""
        from modelwright.datasets.engine import connect

        version = self._read(ref)
        return connect({"dataset": self._files(version, purpose)}).table("dataset")

    def profile(self, ref: Ref | str) -> Profile:
        """What is in a version, column by column, as it was computed when the version was added."""
        version = self.show(_ref(ref))
        if version.profile is None:
            raise NotFound(f"{version.ref} was registered without a profile.")
        return self.described(version.ref) if version.masks else self._profile(version)

    def sketch(self, ref: Ref | str) -> TableSketch:
        """The mergeable sketches behind a profile: quantiles, different and frequent values, moments, by column.

        `merge` puts two of them together, `add` takes in further rows as they come.
        """
        from modelwright.datasets.segments import sketch_of

        version = self._holding_rows(self.show(_ref(ref)))
        self.require_clear(version)
        return sketch_of(self.blobs, self.profile(version.ref), version.columns)

    def check(self, ref: Ref | str, checks: Sequence[Check] | Path | str, *, reason: str = "") -> CheckReport:
        """Run checks on a version and put the results on the record as evidence; returns them with samples of failing rows.

        A check that cannot run (a column that is not there, SQL that is wrong) has failed. Nothing is raised for a failing
        check: the verdict says it.
        """
        declared = load_checks(Path(checks)) if isinstance(checks, Path | str) else checks
        report = self._run(_ref(ref), declared)
        attached = self.attach(report.ref, report=self.blobs.put(encode(report)), reason=reason)
        return replace(report, evidence=attached.id)

    def hold(self, ref: Ref | str, *, reason: str = "") -> CheckReport | None:
        """Hold a version against the contract in force, and put on the record whether it is kept; None where there is none.

        Versions that are added, merged or folded from pushes are held by themselves. A breach is evidence of kind
        `contract`, for gates, and an event that names the consumers; it undoes nothing.
        """
        version = self.show(_ref(ref))
        contract = self._contracts.of(version.ref)
        if contract is None:
            return None
        report = self._run(version.ref, contract.asked)
        stored = self.blobs.put(encode(report))
        attached = self._contracts.attest(version.ref, report=stored, contract=contract.ref, reason=reason)
        return replace(report, evidence=attached.id)

    def suggest(self, ref: Ref | str) -> Sequence[Check]:
        """Checks that this version passes and that a next one ought to, from its profile: to be read and then kept."""
        from modelwright.datasets.suggesting import suggest_checks

        version = self.show(_ref(ref))
        return suggest_checks(version, self.profile(version.ref))

    def diff(self, before: Ref | str, after: Ref | str) -> DatasetDiff:
        """What changed from one version to another: columns, rows, distributions, times; or which files."""
        from modelwright.datasets.diff import compare

        old, new = self.show(_ref(before)), self.show(_ref(after))
        if not (old.is_table or new.is_table):
            from modelwright.datasets.files import compare_files

            return compare_files(self.blobs, old, self._manifest(old), new, self._manifest(new))
        return compare(old, self._files(old), new, self._files(new))

    def merge(
        self,
        ours: Ref | str,
        theirs: Ref | str,
        *,
        base: Ref | str | None = None,
        into: str = "",
        settle: str = "",
        plan: bool = False,
        reason: str = "",
    ) -> DatasetMerge:
        """Bring what changed from the common ancestor to `theirs` into `ours`, as a version that names both.

        Rows are told apart by the key, files by their paths. `base` is that ancestor where the versions do not say it
        (`parent`); `into` another dataset that the result is a version of. Where both changed the same cell, row or file,
        no version is made and the conflicts are listed, unless `settle` says which side to take: `ours` or `theirs`.
        With `plan` nothing is made in any case.
        """
        from modelwright.datasets import merging

        mine, other = self.show(_ref(ours)), self.show(_ref(theirs))
        begun = self.show(_ref(base)) if base is not None else self._ancestor(mine, other)
        versions = (begun, mine, other)
        for version in versions:
            self.require_clear(version)
        merging.check_mergeable(*versions, settle)
        target = Ref(Kind.DATASET, into or mine.ref.name)
        if (done := merging.nothing_to_merge(*versions)) is not None and target == done.ours.whole:
            return done
        with closing(self._known(mine)) as known:
            if other.manifest is not None:
                known.meet(chunk for entry in self._entries(other) for chunk in entry.chunks)
            if mine.is_table:
                parts = self._files(begun), self._files(mine), self._files(other)
                found, record = merging.merge_tables(self.blobs, known, versions, parts, settle=settle, plan=plan)
            else:
                entries = self._entries(begun), self._entries(mine), self._entries(other)
                found, record = merging.merge_files(self.blobs, known, versions, entries, settle=settle, plan=plan)
        if record is None:
            return found
        parents = {"parent": mine.ref if mine.ref.whole == target else None}
        parents["merged"] = other.ref if other.ref.whole == target else None
        version = self.register(target.name, record=replace(record, **parents), inputs=[mine.ref, other.ref], reason=reason)
        if version.is_table and not version.masks:
            self.hold(version.ref)
        return replace(found, version=version.ref)

    def export(
        self,
        ref: Ref | str,
        target: Path | str,
        form: str = "",
        *,
        purpose: str = "",
        masked: bool = False,
        about: Mapping[str, str] | None = None,
    ) -> Path:
        """Write a version to a new file or folder, for others to read: what you may read of it, as you may read it.

        `form` is `parquet`, `csv`, `arrow`, `parts` (a folder of Parquet files), `delta`, `folder` (of a version of files),
        or `croissant`: a folder of the content with Croissant's metadata, for which `about` says `license`, and may say
        `url`, `creator` and `citation`. By default the target's suffix tells. With `masked` every column that is masked
        for anybody is masked. Where something is there already it is a `Conflict`; what appears is whole.
        """
        from modelwright.datasets import exporting
        from modelwright.datasets.checkout import write_files
        from modelwright.datasets.croissant import TABLE, write_croissant

        version, place = self._read(ref), Path(target).absolute()
        form = form or exporting.SUFFIXES.get(place.suffix.lower(), "parts" if version.is_table else "folder")
        if version.is_table:
            files = self._masked_files(version, purpose, everything=True) if masked else self._files(version, purpose)
            if form != "croissant":
                exporting.export_rows(files, place, form)
                return place
        elif form not in ("folder", "croissant"):
            self._holding_rows(version)

        def fill(folder: Path) -> None:
            if version.is_table:
                folder.mkdir()
                exporting.export_rows(files, folder / TABLE, "parquet")
            else:
                write_files(self.blobs, self._entries(version), folder)

        def described(folder: Path) -> None:
            write_croissant(version, folder, fill, about=about or {})

        exporting.appear(place, fill if form == "folder" else described)
        return place

    def push(
        self,
        ref: Ref | str,
        to: Datasets | str | Path,
        *,
        into: str = "",
        alone: bool = False,
        told: Callable[[float], None] = lambda done: None,
    ) -> Transfer:
        """Bring a version, and those it was made from, to another workspace or to a depot: a folder, or `s3://` a prefix.

        Only chunks that are not there travel, verified on the way; what is there already is left alone, so a push that was
        stopped goes on when it is started again. `into` is the name there, by default the same; `alone` leaves out the
        versions before it. `told` is called with the bytes that are done.
        """
        from modelwright.datasets.transfer import transfer

        self.require_clear(self.show(_ref(ref)))
        target = to if isinstance(to, Datasets) else self._depot(to)
        there = digest_value([target.address, "to"])[:16]
        with closing(self._chunks(f"sent-{there}.db")) as known:
            return transfer(self, target, _ref(ref), into=into, alone=alone, known=known, told=told)

    def pull(
        self,
        ref: Ref | str,
        source: Datasets | str | Path,
        *,
        into: str = "",
        alone: bool = False,
        told: Callable[[float], None] = lambda done: None,
    ) -> Transfer:
        """Bring a version from another workspace, or from a depot, to here: as `push`, the other way."""
        from modelwright.datasets.transfer import transfer

        origin = source if isinstance(source, Datasets) else self._depot(source)
        if isinstance(origin, Datasets):
            origin.require_clear(origin.show(_ref(ref)))
        with closing(self._chunks("chunks.db")) as known:
            return transfer(origin, self, _ref(ref), into=into, alone=alone, known=known, told=told)

    def prune(self, ref: Ref | str, *, last: int, plan: bool = False, reason: str = "") -> Pruned:
        """Delete the versions of a dataset that nothing keeps: not the last so many, not what has an alias or a use.

        Says which objects the rest of the dataset does not need; letting go of them is the storage's (`storage.remove`),
        which looks whether anything else does. With `plan` nothing is deleted.
        """
        from modelwright.datasets.pruning import objects_of

        if last < 1:
            raise Invalid(f"At least one version is kept, not {last}.")
        found = self.keeping(_ref(ref).whole, last=last)
        kept = {each.ref for each in found if each.reasons}
        versions = self.history(ref)
        left = objects_of(self.blobs, [each for each in versions if each.ref in kept])
        free = objects_of(self.blobs, [each for each in versions if each.ref not in kept]) - left
        size = sum(self.blobs.size(digest) for digest in free if self.blobs.exists(digest))
        gone = [each for each in found if not each.reasons]
        for each in [] if plan else gone:
            self.delete(each.ref, reason=reason)
        rest = [each for each in found if each.reasons]
        return Pruned(gone=gone, kept=rest, objects=sorted(free), size=size, planned=plan)

    @property
    def address(self) -> str:
        """What the workspace is called; empty where it has no name beyond this process."""
        return self._address

    def _depot(self, place: str | Path) -> Depot:
        from modelwright.datasets.depot import Depot
        from modelwright.store.objects import S3Settings

        return Depot(str(place), self._s3 or S3Settings())

    def _ancestor(self, ours: DatasetVersion, theirs: DatasetVersion) -> DatasetVersion:
        from modelwright.datasets.ancestry import common_ancestor

        if ours.ref.whole != theirs.ref.whole:
            raise Invalid(f"{ours.ref} and {theirs.ref} are of two datasets.", mend="Name what both came from: --base REF.")
        found = common_ancestor(self.history(ours.ref.whole), ours.ref, theirs.ref)
        if found is None:
            raise NotFound(f"{ours.ref} and {theirs.ref} came from no common version.", mend="Name one: --base REF.")
        return self.show(found)

    def _profile(self, version: DatasetVersion) -> Profile:
        """As it was computed, less what was found to be about people since."""
        if version.profile is None:
            raise NotFound(f"{version.ref} was registered without a profile.")
        found: Profile = decode(self.blobs.read(version.profile), Profile)
        personal = {column.name for column in version.columns if column.personal}
        if all(column.personal or column.name not in personal for column in found.columns):
            return found
        columns = [c.withheld if c.name in personal and not c.personal else c for c in found.columns]
        return replace(found, columns=columns)

    def _run(self, ref: Ref, checks: Sequence[Check]) -> CheckReport:
        from modelwright.datasets.checking import Grounds, run_checks

        basis = self.basis(ref)
        self.require_clear(basis.version)

        def other(to: Ref) -> tuple[DatasetVersion, Sequence[Path]]:
            version = self.show(to)
            self.require_clear(version)
            return version, self._files(version)

        return run_checks(checks, Grounds(basis, self._files(basis.version), other, functools.cache(self.sketch)))

    def require_clear(self, version: DatasetVersion) -> None:
        """`Denied` where something of a version is masked for the caller: what is computed of masks is wrong."""
        if version.masks:
            names, families = (
                ", ".join(m.column for m in version.masks),
                {m.tags[0].partition(".")[0] for m in version.masks},
            )
            raise Denied(
                f"{names} of {version.ref} would be masked for you, and this has to see them in clear.",
                mend=f"See who may: mw who-can reveal.{sorted(families)[0]} {version.ref.whole}",
            )

    def _masked_files(self, version: DatasetVersion, purpose: str, *, everything: bool = False) -> Sequence[Path]:
        """The parts as masked for the caller, made where the workspace is."""
        digests = self.masked(version.ref, purpose=purpose, everything=everything)
        return [self._cache.file(digest) for digest in digests]

    def _files(self, version: DatasetVersion, purpose: str = "") -> Sequence[Path]:
        """The parts as files of their own, put together once; masked, where some of it is for the caller."""
        return self._masked_files(version, purpose) if version.masks else self._raw_files(version)

    def _raw_files(self, version: DatasetVersion) -> Sequence[Path]:
        """The parts as they are."""
        self._holding_rows(version)
        if version.manifest is None:
            return [self._cache.file(part.digest) for part in version.parts]
        return [self._cache.assembled(entry) for entry in self._entries(version)]

    def _sources(self, version: DatasetVersion, purpose: str = "") -> Sequence[Any]:
        """The parts as they are quickest read once: straight from the store."""
        from modelwright.datasets.chunkfile import ChunkFile

        if version.manifest is None or version.masks:
            return self._files(version, purpose)
        return [ChunkFile(self.blobs, entry) for entry in self._entries(self._holding_rows(version))]

    def _manifest(self, version: DatasetVersion) -> Manifest:
        from modelwright.datasets.manifest import read_manifest

        if version.manifest is None:
            raise NotFound(f"{version.ref} was registered without a manifest.")
        return read_manifest(self.blobs, version.manifest)

    def _entries(self, version: DatasetVersion) -> Sequence[Entry]:
        from modelwright.datasets.manifest import entries_of

        return entries_of(self.blobs, self._manifest(version))

    def _known(self, newest: DatasetVersion | None) -> KnownChunks:
        """Where chunks lie that need not be stored again."""
        known = self._chunks("chunks.db")
        if newest is not None and newest.manifest is not None and not newest.masks:  # else it is not for who adds to it
            known.meet(chunk for entry in self._entries(newest) for chunk in entry.chunks)
        return known

    def _chunks(self, name: str) -> KnownChunks:
        from modelwright.datasets.chunks import KnownChunks

        place = self._place or self._indexes.place
        return KnownChunks(place and place / name)

    def _check_stored(self, record: DatasetRecord) -> Sequence[str]:
        """The objects it needs; `Invalid` unless the manifest is what the record says, and every pack of it is stored."""
        if record.manifest is None:
            return [part.digest for part in record.parts]
        from modelwright.datasets.manifest import entries_of, packs_of, read_manifest

        manifest = read_manifest(self.blobs, record.manifest)
        packs = list(packs_of(self.blobs, manifest))
        for pack in packs:
            if not self.blobs.exists(pack):
                raise Invalid(f"The pack {pack[:12]} is not stored.", mend="Add it again.")
        if record.files:
            if (manifest.count, manifest.bytes, manifest.content) != (record.files, record.bytes, record.content):
                raise Invalid("The manifest and the record do not say the same of the files.")
            return packs
        there = [(entry.digest.hex(), entry.size) for entry in entries_of(self.blobs, manifest)]
        if there != [(part.digest, part.bytes) for part in record.parts]:
            raise Invalid("A part is not stored: the manifest names others than the record.", mend="Add it again.")
        return packs

    def _holding_rows(self, version: DatasetVersion) -> DatasetVersion:
        if not version.is_table:
            raise Invalid(
                f"{version.ref} holds files, not rows.", mend=f"mw data checkout {version.ref} FOLDER, or datasets.open."
            )
        return version

    def _holding_files(self, version: DatasetVersion) -> DatasetVersion:
        if version.is_table:
            raise Invalid(f"{version.ref} is a table, not files.", mend="Read its rows: datasets.read, mw data head.")
        return version

    def _read(self, ref: Ref | str) -> DatasetVersion:
        """The version whose rows are about to be read: who keeps account of that is told."""
        version = self.show(pinned(_ref(ref)))
        noticed(version.ref, self._address)
        return version

    def _begun_from(self, ref: str, newest: DatasetVersion | None) -> Ref | None:
        """The version that a folder was made from, if it is an earlier one of the same dataset, and still there."""
        begun = Ref.parse(ref) if ref else None
        if begun is None or newest is None or begun == newest.ref or begun.whole != newest.ref.whole:
            return None
        try:
            return self.show(begun).ref
        except NotFound:
            return None

    def _newest(self, name: str) -> DatasetVersion | None:
        try:
            return self.show(Ref(Kind.DATASET, name))
        except NotFound:
            return None


def _ref(ref: Ref | str) -> Ref:
    return Ref.parse(ref) if isinstance(ref, str) else ref


def _within(tx: Transaction, whole: Ref, ref: Ref | None) -> Ref | None:
    """A version of the same dataset, exactly; `Invalid` for one of another."""
    if ref is None:
        return None
    if ref.whole != whole:
        raise Invalid(f"{ref} is no version of {whole}, so none of its versions can be made from it.", mend="Say inputs.")
    return catalog.resolve(tx, ref)


def _figures(result: CheckResult) -> dict[str, Any]:
    found = {"verdict": result.verdict, "failing": result.failing, "share": result.share}
    return {**found, "source": result.source} if result.source else found


def _folder(source: Path | str) -> Path:
    """A folder by the one name that it has, however it was called."""
    return Path(source).resolve()


def _extent(record: DatasetRecord) -> dict[str, int]:
    return {"files": record.files} if record.files else {"rows": record.rows}


def _check_consistent(record: DatasetRecord) -> None:
    if record.files:
        if record.columns or record.parts or record.key or record.manifest is None or not record.content:
            raise Invalid("Files have a manifest and a digest of their content, and no columns, parts and key.")
        return
    if not record.columns:
        raise Invalid("A dataset has at least one column, or one file.")
    for name in [*record.key, *([record.time_column] if record.time_column else [])]:
        if name not in record.names:
            raise Invalid(f"There is no column {name!r}.", mend=f"The columns are {', '.join(record.names)}.")
    if sum(part.rows for part in record.parts) != record.rows or sum(part.bytes for part in record.parts) != record.bytes:
        raise Invalid("The rows or bytes of the parts do not add up to those of the record.")
