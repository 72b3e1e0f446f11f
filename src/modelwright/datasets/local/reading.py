"""Reading versions: rows, columns, single files, profiles, and what changed between two of them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from modelwright.core.errors import NotFound
from modelwright.core.refs import Ref, as_ref
from modelwright.datasets.local.content import Content
from modelwright.datasets.records import DatasetDiff, DatasetFile, DatasetVersion, Profile
from modelwright.datasets.scans import Rows, is_scan

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from modelwright.datasets.segments import TableSketch


class Reading(Content):
    """What a caller reads of a version: straight from the store, masked where it has to be."""

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
            files: Rows = self._masked_files(version, purpose, everything=True)
        else:
            files = self._sources(version, purpose) if where is None else self._files(version, purpose)
        return read_rows(version, files, columns, where)

    def rows(self, version: DatasetVersion, columns: Sequence[str] | None = None, *, purpose: str = "") -> pa.Table:
        """The same of a version that was just shown to whoever reads, and so says what is masked."""
        from modelwright.datasets.rows import read_rows

        self._noticed(version)
        return read_rows(version, self._sources(version, purpose), columns, None)

    def head(self, ref: Ref | str, n: int = 10, *, purpose: str = "", masked: bool = False) -> pa.Table:
        """The first rows; see `read`."""
        from modelwright.datasets.rows import read_head

        version = self._read(ref)
        if masked:
            return read_head(self._masked_files(version, purpose, everything=True), n)
        return read_head(self._sources(version, purpose), n)

    def arrow(self, ref: Ref | str, *, purpose: str = "") -> Any:
        """The rows as an Arrow dataset, read straight from the store: what scans it fetches the columns it needs.

        DuckDB can query it too: `duckdb.sql("SELECT avg(delay) FROM flights")`, where `flights` is what this returns.
        """
        from modelwright.datasets.chunkfile import arrow_dataset

        version = self._holding_rows(self._read(ref))
        if version.manifest is None or version.masks:
            import pyarrow.dataset as pds

            files = self._files(version, purpose)
            return files if is_scan(files) else pds.dataset([str(file) for file in files])
        return arrow_dataset(self.blobs, self._entries(version))

    def relation(self, ref: Ref | str, *, purpose: str = "") -> duckdb.DuckDBPyRelation:
        """The rows as a DuckDB relation, to filter, join and aggregate without reading them all into memory."""
        from modelwright.datasets.engine import connect

        version = self._read(ref)
        return connect({"dataset": self._files(version, purpose)}).table("dataset")

    def files(self, ref: Ref | str, patterns: Sequence[str] = ()) -> Sequence[DatasetFile]:
        """The files of a version, in the order of their paths: all, or those that some paths or patterns mean."""
        from modelwright.datasets.checkout import choose

        found = choose(self._entries(self._holding_files(self.show(as_ref(ref)))), patterns)
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

    def profile(self, ref: Ref | str) -> Profile:
        """What is in a version, column by column, as it was computed when the version was added."""
        version = self.show(as_ref(ref)).there
        if version.profile is None:
            raise NotFound(f"{version.ref} was registered without a profile.")
        return self.described(version.ref) if version.masks else self._profile(version)

    def sketch(self, ref: Ref | str) -> TableSketch:
        """The mergeable sketches behind a profile: quantiles, different and frequent values, moments, by column.

        `merge` puts two of them together, `add` takes in further rows as they come.
        """
        from modelwright.datasets.segments import sketch_of

        version = self._holding_rows(self.show(as_ref(ref)))
        self.require_clear(version)
        return sketch_of(self.blobs, self.profile(version.ref), version.columns)

    def sketch_rows(self, tables: Iterable[pa.Table]) -> TableSketch:
        """The same of rows that are no version's, a table at a time; what a table has no column for is missing in it."""
        from modelwright.datasets.segments import TableSketch

        found = TableSketch([])
        for table in tables:
            found.grow(table)
        return found

    def keep_sketch(self, sketch: TableSketch) -> str:
        """Store a sketch among the objects; its digest, which keeps it wherever it is on record."""
        from modelwright.datasets.segments import keep_sketch

        return keep_sketch(self.blobs, sketch)

    def kept_sketch(self, digest: str) -> TableSketch:
        """A sketch that was stored; `Corrupt` where the object is none."""
        from modelwright.datasets.segments import kept_sketch

        return kept_sketch(self.blobs, digest)

    def diff(self, before: Ref | str, after: Ref | str) -> DatasetDiff:
        """What changed from one version to another: columns, rows, distributions, times; or which files."""
        from modelwright.datasets.diff import compare

        old, new = self.show(as_ref(before)), self.show(as_ref(after))
        if not (old.is_table or new.is_table):
            from modelwright.datasets.files import compare_files

            return compare_files(self.blobs, old, self._manifest(old), new, self._manifest(new))
        return compare(old, self._files(old), new, self._files(new))
