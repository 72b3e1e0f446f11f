"""Making versions: of files, tables and queries, of folders, of rows added to a version, of two versions merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from modelwright.core.errors import Denied, Invalid, NotFound
from modelwright.core.folders import real
from modelwright.core.hashing import digest_value
from modelwright.core.refs import Kind, Ref, as_ref
from modelwright.datasets.checks import Check, load_checks
from modelwright.datasets.folderwork import Listing
from modelwright.datasets.lakes.access import refuse_in_place
from modelwright.datasets.linked import Linked
from modelwright.datasets.local.fetching import Fetching
from modelwright.datasets.records import CsvFormat, DatasetMerge, DatasetRecord, DatasetVersion
from modelwright.datasets.scans import is_scan

if TYPE_CHECKING:
    import pyarrow as pa


REMEMBERED = 100  # versions whose columns are held


class Adding(Fetching):
    """What is read, cut and stored where the caller is, and then registered."""

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

        `source` is the path of a CSV or Parquet file, a list of such, a `Query`, a table of a lake (a `Lake`, or its name,
        such as `delta:lake/flights@3`), of which the rows are copied, the address of CSV or Parquet files in a bucket
        (`s3://bucket/prefix/`), of which those are fetched that are new, or anything with the Arrow C stream. A
        broken row is `Invalid`, with file, line, column and row, and nothing is loaded. Types that are not given are those
        of the version before, then what all rows agree on. `key` names the columns of a row's key, `time_column` the one
        that says when its event happened, `personal` those that are about a person; not given, they are as before too.
        `parent` is the version of this dataset that it was made from, if that is not the newest: `merge` goes by it.
        `checks` (or a TOML file of them) are run on the new version and become evidence; a failing one does not undo the
        version, it stands in the way at gates. Who may not check it, or would read columns of it masked, is `Denied`, and
        nothing is added.
        """
        from modelwright.datasets.adding import prepare

        declared = load_checks(Path(checks)) if isinstance(checks, Path | str) else checks
        newest = self._newest(name)
        if newest is not None and not newest.is_table:
            raise Invalid(f"{newest.ref} holds files, not rows.", mend="Choose another name, or add files to it.")
        manner = digest_value([dict(types or {}), csv]) if types or csv != CsvFormat() else ""
        with self._at_hand(source, newest, manner) as at_hand, closing(self._known(newest)) as known:
            record = prepare(
                self.blobs,
                at_hand.source,
                known=known,
                before=newest,
                types=dict(types or {}),
                key=[key] if isinstance(key, str) else list(key or []),
                time_column=time_column,
                personal=list(personal),
                form=csv,
            )
            record = at_hand.told(record)
        record = replace(record, parent=as_ref(parent) if parent else None)
        about = {"inputs": [*inputs], "description": description, "tags": dict(tags or {}), "reason": reason}
        return self._register_rows(name, record, newest, declared, **about)

    def _register_rows(
        self,
        name: str,
        record: DatasetRecord,
        newest: DatasetVersion | None,
        declared: Sequence[Check] | None,
        **about: Any,
    ) -> DatasetVersion:
        """Register a version of a table, run its checks, and hold it to the contracts that are in force."""
        if declared:
            self._refuse_unseen(name, record)
        version = self.register(name, record=record, **about)
        if declared:
            self.check(version.ref, declared)
        if not version.masks and (newest is None or newest.ref != version.ref):
            self.hold(version.ref)
        return version

    def _refuse_unseen(self, name: str, record: DatasetRecord) -> None:
        """`Denied` where what is to be added and then checked would be masked for whoever does: before anything is."""
        masks = self._privacy.foresee(name, record=record)
        if masks:
            family = masks[0].tags[0].partition(".")[0]
            raise Denied(
                f"{', '.join(each.column for each in masks)} of dataset:{name} would be masked for you, and checks have to "
                "see them in clear: nothing was added.",
                mend="Add it without checks, and have it checked by who may see them: "
                f"mw who-can reveal.{family} dataset:{name}",
            )

    def add_files(
        self,
        name: str,
        source: Path | str,
        *,
        verify: bool = False,
        link: bool = False,
        parent: Ref | str | None = None,
        inputs: Sequence[Ref] = (),
        description: str = "",
        tags: Mapping[str, str] | None = None,
        reason: str = "",
        told: Callable[[float], None] = lambda done: None,
        linked: Callable[[Linked], None] = lambda found: None,
    ) -> DatasetVersion:
        """Make a version of all files below a folder or `s3://bucket/prefix/`, or of one file, whatever they are.

        Only content that no version holds yet is stored. A file that has the size, time and inode with which it was read
        before is not read again, nor an object of the size and ETag that it had, unless `verify` is set. Symbolic links,
        devices and names that lead elsewhere are `Invalid`; `Conflict` if a file changes while it is read; in either case
        nothing is added. `parent` is the version that it was made from: by default the one that was checked out there or
        added from there last, else the newest.
        `told` is called with the bytes that are done.

        With `link` the store takes over files from 4 MiB that are new to it instead of copying them: they share their
        blocks with it where the file system can do that, else they are hard links to it, and *read-only* from then on. A
        later version of such a file costs all of its size, as nothing of it is cut; and whoever makes one writable and
        changes it damages the version, which every reading notices by its digest (`Corrupt`). What cannot be linked (on
        another file system, of another owner, into a bucket or to a server) is copied; `linked` is called with what became
        of them.
        """
        newest = self._newest(name)
        if newest is not None and newest.is_table:
            raise Invalid(f"{newest.ref} is a table, not a folder of files.", mend="Choose another name.")
        if link and isinstance(source, str) and source.startswith("s3://"):
            raise Invalid(f"{source} is fetched, so there is nothing to link.", mend="Leave out link, or --link.")
        about: dict[str, Any] = {"inputs": [*inputs], "description": description, "tags": dict(tags or {})}
        about["reason"] = reason
        if isinstance(source, str) and source.startswith("s3://"):
            before = self._entries(newest) if newest is not None and newest.manifest is not None else []
            record = self._prefixed(source, before, verify=verify, told=told)
            record = replace(record, parent=as_ref(parent) if parent else None)
            return self.register(name, record=record, **about)
        work = self._work(real(source))
        last = Listing(str(newest.ref), newest.manifest) if newest is not None and newest.manifest is not None else None
        if link:
            self.admit(name)  # what is linked is read-only from then on
        added = work.add(last, verify=verify, link=link, told=told)
        if added.same and newest is not None:
            record = DatasetRecord(**{field: getattr(newest, field) for field in DatasetRecord.__struct_fields__})
        else:
            record = DatasetRecord(
                bytes=added.bytes,
                files=added.files,
                manifest=added.manifest,
                content=added.content,
                stored=added.stored,
                source=added.source,
            )
        record = replace(record, parent=as_ref(parent) if parent else self._begun_from(added.begun, newest))
        version = self.register(name, record=record, **about)
        if version.manifest is not None:
            work.remember(Listing(str(version.ref), version.manifest))
        if added.linked is not None:
            linked(added.linked)
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

    def extended(self, ref: Ref | str, rows: pa.Table, *, label: str = "") -> tuple[Ref, DatasetRecord]:
        """What `register` needs to add rows to a version: that version, exactly, and the record of the next.

        Costs the new rows and not the old. `Invalid` where the rows have not the columns of the version.
        """
        from modelwright.datasets.adding import extend

        version = self._holding_rows(self.show(as_ref(ref)))
        self.require_clear(version)
        refuse_in_place(version, "rows are added to it where it lies")
        files, entries = self._raw_files(version), self._entries(version) if version.manifest is not None else []
        shaped = self.shaped(version.ref, rows)
        with closing(self._known(version)) as known:
            record = extend(self.blobs, version, files, entries, shaped, label or "rows added", known=known)
        return version.ref, record

    def shaped(self, ref: Ref | str, rows: Any) -> pa.Table:
        """Rows (a table, or a list of dicts) with the columns and types of a version; `Invalid` says what does not fit."""
        from modelwright.datasets.rows import shape

        version = self._holding_rows(self.show(as_ref(ref)))
        return shape(version, self._schema_of(version), rows)

    def _schema_of(self, version: DatasetVersion) -> pa.Schema:
        """The columns of a version as they are stored. Those of the last few are remembered: they never change."""
        from modelwright.datasets.scans import schema_of

        held = self._schemas.get(version.digest)
        if held is not None:
            return held
        files = self._sources(version)  # all parts have the same columns, and of one not more is read than these
        found: pa.Schema = schema_of(files if is_scan(files) else files[:1])
        if version.lake is None:
            if len(self._schemas) >= REMEMBERED:
                self._schemas.clear()
            self._schemas[version.digest] = found
        return found

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

        mine, other = self.show(as_ref(ours)), self.show(as_ref(theirs))
        begun = self.show(as_ref(base)) if base is not None else self._ancestor(mine, other)
        versions = (begun, mine, other)
        for version in versions:
            self.require_clear(version)
            refuse_in_place(version, "it is merged where it lies")
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

    def _begun_from(self, ref: str, newest: DatasetVersion | None) -> Ref | None:
        """The version that a folder was made from, if it is an earlier one of the same dataset, and still there."""
        begun = Ref.parse(ref) if ref else None
        if begun is None or newest is None or begun == newest.ref or begun.whole != newest.ref.whole:
            return None
        try:
            return self.show(begun).ref
        except NotFound:
            return None

    def _ancestor(self, ours: DatasetVersion, theirs: DatasetVersion) -> DatasetVersion:
        from modelwright.datasets.ancestry import common_ancestor

        if ours.ref.whole != theirs.ref.whole:
            raise Invalid(f"{ours.ref} and {theirs.ref} are of two datasets.", mend="Name what both came from: --base REF.")
        found = common_ancestor(self.history(ours.ref.whole), ours.ref, theirs.ref)
        if found is None:
            raise NotFound(f"{ours.ref} and {theirs.ref} came from no common version.", mend="Name one: --base REF.")
        return self.show(found)
