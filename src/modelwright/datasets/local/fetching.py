"""Sources that lie elsewhere, brought to where rows are read: tables of lakes, and what is under a prefix of a bucket."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from modelwright.core.errors import Invalid
from modelwright.datasets.lakes.records import Lake, names_lake
from modelwright.datasets.local.quality import Quality
from modelwright.datasets.records import CSV, PARQUET, DatasetRecord, DatasetVersion
from modelwright.store.buckets import S3Settings

if TYPE_CHECKING:
    from modelwright.datasets.manifest import Entry


class AtHand(NamedTuple):
    """What rows are read from, and what is done with the record that is made of them."""

    source: Any
    told: Callable[[DatasetRecord], DatasetRecord]


class Fetching(Quality):
    """What is fetched before it is read."""

    @contextmanager
    def _at_hand(self, source: Any, newest: DatasetVersion | None, manner: str) -> Iterator[AtHand]:
        """A source as something that lies here, as long as the block runs; `manner` says how it will be read."""
        if isinstance(source, Lake) or (isinstance(source, str) and names_lake(source)):
            yield AtHand(
                self._lakes.copied(Lake.parse(source) if isinstance(source, str) else source), lambda record: record
            )
        elif isinstance(source, str) and source.startswith("s3://"):
            with self._fetched(source, newest, manner) as at_hand:
                yield at_hand
        else:
            yield AtHand(source, lambda record: record)

    @contextmanager
    def _fetched(self, address: str, newest: DatasetVersion | None, manner: str) -> Iterator[AtHand]:
        """The CSV and Parquet files under a prefix; of one that is as it was, and was read so, the part made of it."""
        from modelwright.datasets.prefixes import Memory, Prefix

        prefix = Prefix(address, self._s3 or S3Settings())
        memory = Memory(self._indexes.place, prefix.address, manner)
        listed = [each for each in prefix.listed() if not Path(each.path).name.startswith(("_", "."))]
        strange = [each.path for each in listed if not each.path.lower().endswith(CSV + PARQUET)]
        if strange or not listed:
            raise Invalid(
                f"{prefix.address} holds what are no rows, such as {(strange or ['nothing else'])[0]}.",
                mend="Add it as files: mw data add --files, datasets.add_files.",
            )
        clear = newest is not None and newest.manifest is not None and not newest.masks
        parts = {entry.digest: entry for entry in self._entries(newest)} if newest is not None and clear else {}
        with tempfile.TemporaryDirectory(prefix="modelwright-fetch-") as folder:
            paths = []
            for number, each in enumerate(listed):
                held = parts.get(memory.digest(each) or b"")
                target = Path(folder) / f"{number:06}" / Path(each.path).name
                if held is None:
                    target.parent.mkdir()
                    prefix.fetch(each, target)
                paths.append(self._cache.assembled(held) if held is not None else target)

            def told(record: DatasetRecord) -> DatasetRecord:
                made = [bytes.fromhex(part.digest) for part in record.parts]
                memory.keep(dict(zip(listed, made, strict=True)))
                return replace(record, source=prefix.address)

            yield AtHand(paths, told)

    def _prefixed(
        self, address: str, before: Sequence[Entry], *, verify: bool, told: Callable[[float], None]
    ) -> DatasetRecord:
        """The record of what lies under a prefix, as files."""
        from modelwright.datasets.prefixes import Memory, Prefix, prepare_prefix

        prefix = Prefix(address, self._s3 or S3Settings())
        memory = Memory(self._indexes.place, prefix.address)
        with closing(self._known(None)) as known:
            known.meet(chunk for entry in before for chunk in entry.chunks)
            return prepare_prefix(self.blobs, prefix, memory, known=known, before=before, verify=verify, told=told)
