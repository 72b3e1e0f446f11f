"""What versions are made of, brought here: their files, chunks and manifests, in clear or masked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelwright.core.errors import Denied, Invalid, NotFound
from modelwright.core.folders import Indexes
from modelwright.core.operations import Caller, operation
from modelwright.core.paging import every
from modelwright.core.reading import noticed, pinned
from modelwright.core.refs import Kind, Ref, as_ref
from modelwright.core.wire import decode
from modelwright.datasets import ahead, display
from modelwright.datasets.classes import masks_for
from modelwright.datasets.folderwork import FolderWork, Here
from modelwright.datasets.lakes.access import DatasetSettings
from modelwright.datasets.objects import ObjectCache
from modelwright.datasets.privacy import Privacy
from modelwright.datasets.privacy.masking import Masking
from modelwright.datasets.privacy.queries import shown
from modelwright.datasets.records import DatasetVersion, Profile
from modelwright.datasets.scans import Rows
from modelwright.datasets.versions import Versions
from modelwright.store import Transaction, catalog

if TYPE_CHECKING:
    import pyarrow as pa

    from modelwright.datasets.chunks import KnownChunks
    from modelwright.datasets.manifest import Entry, Manifest
    from modelwright.store.buckets import S3Settings


class Content(Versions):
    """How the content of versions is reached from where the caller is."""

    def __init__(
        self,
        caller: Caller,
        *,
        cache: Path | None = None,
        indexes: Path | None = None,
        address: str = "",
        s3: S3Settings | None = None,
        privacy: Privacy | None = None,
        settings: DatasetSettings | None = None,
    ) -> None:
        """`cache` is a folder for files that were fetched and verified; without one, a temporary folder is used.

        `indexes` is where it is remembered how folders were found: names, times and digests of files, and no content; by
        default it is in the cache.

        `address` is what the workspace is called by whoever keeps account of what is read from it. `s3` is how buckets are
        reached; by default as the provider's own tools reach them. `privacy` has the keys of pseudonyms, where the
        workspace is, `settings` what it reads in place.
        """
        super().__init__(caller, privacy=privacy, s3=s3, settings=settings)
        self._address = address
        self._s3 = s3
        self._place = cache
        self._schemas: dict[str, pa.Schema] = {}  # the columns of versions, by their digests
        self._masking = Masking(caller.blobs, self._privacy)
        self._cache = ObjectCache(caller.blobs, cache and cache / "parts")
        self._indexes = Indexes(indexes or (cache and cache / "trees"))
        display.OPEN.add(self)

    def close(self) -> None:
        """Be asked no more for the profiles of versions that a notebook shows."""
        display.OPEN.discard(self)

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

    @property
    def address(self) -> str:
        """What the workspace is called; empty where it has no name beyond this process."""
        return self._address

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

    def history(self, ref: Ref | str) -> Sequence[DatasetVersion]:
        """Every version of a dataset, newest first, however many there are."""
        return list(every(partial(self.versions, as_ref(ref).whole)))

    def _newest(self, name: str) -> DatasetVersion | None:
        try:
            return self.show(Ref(Kind.DATASET, name))
        except NotFound:
            return None

    def _read(self, ref: Ref | str) -> DatasetVersion:
        """The version whose rows are about to be read: who keeps account of that is told."""
        return self._noticed(self.show(pinned(as_ref(ref))))

    def _noticed(self, version: DatasetVersion) -> DatasetVersion:
        noticed(version.ref, self._address)
        return version

    def _holding_rows(self, version: DatasetVersion) -> DatasetVersion:
        if not version.there.is_table:
            raise Invalid(
                f"{version.ref} holds files, not rows.", mend=f"mw data checkout {version.ref} FOLDER, or datasets.open."
            )
        return version

    def _holding_files(self, version: DatasetVersion) -> DatasetVersion:
        if version.there.is_table:
            raise Invalid(f"{version.ref} is a table, not files.", mend="Its rows: datasets.read, mw data export.")
        return version

    def _files(self, version: DatasetVersion, purpose: str = "") -> Rows:
        """The parts as files of their own, put together once; masked, where some of it is for the caller."""
        return self._masked_files(version, purpose) if version.masks else self._raw_files(version)

    def _masked_files(self, version: DatasetVersion, purpose: str, *, everything: bool = False) -> Sequence[Path]:
        """The parts as masked for the caller, made where the workspace is."""
        digests = self.masked(version.ref, purpose=purpose, everything=everything)
        return [self._cache.file(digest) for digest in digests]

    def _raw_files(self, version: DatasetVersion) -> Rows:
        """The parts as they are; or the table where it lies, verified."""
        self._holding_rows(version)
        if version.lake is not None:
            return self._lakes.rows(version.lake)
        if version.manifest is None:
            return [self._cache.file(part.digest) for part in version.parts]
        return [self._cache.assembled(entry) for entry in self._entries(version)]

    def _sources(self, version: DatasetVersion, purpose: str = "") -> Rows:
        """The parts as they are quickest read once: straight from the store."""
        from modelwright.datasets.chunkfile import ChunkFile

        if version.manifest is None or version.masks:
            return self._files(version, purpose)
        return [ChunkFile(self.blobs, entry) for entry in self._entries(self._holding_rows(version))]

    def _manifest(self, version: DatasetVersion) -> Manifest:
        from modelwright.datasets.manifest import read_manifest

        version = version.there
        if version.manifest is None:
            raise NotFound(f"{version.ref} was registered without a manifest.")
        return read_manifest(self.blobs, version.manifest)

    def _entries(self, version: DatasetVersion) -> Sequence[Entry]:
        from modelwright.datasets.manifest import entries_of

        return entries_of(self.blobs, self._manifest(version))

    def _profile(self, version: DatasetVersion) -> Profile:
        """As it was computed, less the values of columns about people."""
        version = version.there
        if version.profile is None:
            raise NotFound(f"{version.ref} was registered without a profile.")
        found: Profile = decode(self.blobs.read(version.profile), Profile)
        personal = {column.name for column in version.columns if column.personal}
        return replace(found, columns=[c.withheld if c.name in personal else c for c in found.columns])

    def _known(self, newest: DatasetVersion | None) -> KnownChunks:
        """Where chunks lie that need not be stored again."""
        known = self._chunks("chunks.db")
        if newest is not None and newest.manifest is not None and not newest.masks:  # else it is not for who adds to it
            known.meet(chunk for entry in self._entries(newest) for chunk in entry.chunks)
        return known

    def _work(self, root: Path) -> FolderWork:
        """The work on a folder; that which was begun already, where it is the same folder of the same workspace."""
        return ahead.taken(self.blobs, root, self._indexes, self._place) or Here(
            self.blobs, root, self._indexes, self._place
        )

    def _chunks(self, name: str) -> KnownChunks:
        from modelwright.datasets.chunks import KnownChunks

        place = self._place or self._indexes.place
        return KnownChunks(place and place / name)
