"""Tables in place as the datasets' service uses them: which of them may be registered, brought onto the record, read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Denied, Invalid
from modelwright.core.principals import Principal
from modelwright.datasets.lakes.records import DELTA, ICEBERG, Lake
from modelwright.datasets.records import DatasetRecord, DatasetVersion, LakeTable
from modelwright.datasets.scans import Rows
from modelwright.store.buckets import S3Settings

if TYPE_CHECKING:
    from modelwright.datasets.lakes.places import Place
    from modelwright.datasets.sources import Brought


class DatasetSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[datasets]`: what the workspace reads where it lies."""

    in_place: list[str] = []  # folders and s3:// prefixes below which others than its owner may register tables


class InPlace:
    """Tables of lakes, as they are reached from this process."""

    def __init__(self, blobs: Blobs, s3: S3Settings | None, settings: DatasetSettings) -> None:
        self._blobs = blobs
        self._s3 = s3 or S3Settings()
        self._settings = settings

    def admit(self, principal: Principal, record: DatasetRecord) -> None:
        """`Denied` for a place that this workspace would read for whoever asks, and its owner has not named."""
        from modelwright.datasets.lakes.places import lies_in, place_of

        assert record.lake is not None
        if record.lake.form not in (DELTA, ICEBERG) or record.parts or record.manifest is not None:
            raise Invalid("A table in place is of delta or iceberg, and has no parts and no manifest.")
        if not self._blobs.exists(record.lake.listing):
            raise Invalid("The list of the table's files is not stored.", mend="Put it first.")
        if principal.trusted:
            return
        root = place_of(record.lake.address, self._s3).root
        if root != record.lake.address or not lies_in(root, self._settings.in_place):
            raise Denied(
                f"{record.lake.address} is not among the places whose tables this workspace reads.",
                mend="Have whoever runs it name the place: in_place of [datasets] in modelwright.toml.",
            )

    def rows(self, lake: LakeTable) -> Rows:
        """The rows as an Arrow dataset, once its files were found to be what they were; see `reading.verified_rows`."""
        from modelwright.datasets.lakes.places import place_of
        from modelwright.datasets.lakes.reading import verified_rows

        return verified_rows(self._blobs, lake, place_of(lake.address, self._s3))

    def copied(self, lake: Lake) -> Brought:
        """The rows of a version of a table, to be a source as any other."""
        from modelwright.datasets.lakes.reading import dataset_of, open_table, stamped
        from modelwright.datasets.sources import Brought

        place, file = self._place(lake)
        state = open_table(lake.form, place, lake.version, file)
        stamped(state, place)
        rows = dataset_of(state.files, state.schema, place).scanner(use_threads=True).to_reader()
        return Brought(rows, f"{lake.form}:{place.root}@{state.version}")

    def prepare(
        self,
        lake: Lake,
        *,
        before: DatasetVersion | None,
        key: Sequence[str],
        time_column: str | None,
        personal: Sequence[str],
    ) -> DatasetRecord:
        """The record of a table's version, whose rows stay where they are."""
        from modelwright.datasets.lakes.registering import prepare_lake

        place, file = self._place(lake)
        return prepare_lake(
            self._blobs,
            lake,
            place,
            file,
            before=before,
            key=list(key),
            time_column=time_column,
            personal=list(personal),
        )

    def _place(self, lake: Lake) -> tuple[Place, str]:
        """Where a table lies, and which metadata file below that was named, if one was."""
        from modelwright.datasets.lakes.iceberg import table_root
        from modelwright.datasets.lakes.places import place_of, plain_address

        named = plain_address(lake.address)
        root = table_root(named)
        return place_of(root, self._s3), named[len(root) :].lstrip("/")


def refuse_in_place(version: DatasetVersion, what: str) -> None:
    """`Invalid` where something is asked of a table in place that needs rows of our own."""
    if version.lake is not None:
        raise Invalid(
            f"{version.ref} lies in place, at {version.lake.address}: {what}.",
            mend=f"Add its rows as a version of their own: mw data add NAME {version.source}",
        )
