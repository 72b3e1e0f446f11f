"""The rows of a version as somebody may read them: masked where the workspace is, kept as objects until collected.

Nothing refers to what is made here: the collector of objects lets it go after a day, and it is made again when asked for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from modelwright.core.blobs import Blobs
from modelwright.datasets.classes import ColumnMask
from modelwright.datasets.privacy.purposes import refuse_purpose
from modelwright.datasets.privacy.records import DEFAULT_PURPOSE
from modelwright.datasets.privacy.service import Privacy
from modelwright.datasets.records import DatasetVersion
from modelwright.datasets.scans import Rows, tables_of
from modelwright.store import Transaction

REMEMBERED = 1000
ROWS = 1 << 18  # of a masked part, where rows come from a table in place


class Masking:
    """Masks versions part by part, each once for the same masks and key."""

    def __init__(self, blobs: Blobs, privacy: Privacy) -> None:
        self._blobs = blobs
        self._privacy = privacy
        self._made: dict[tuple[object, ...], list[str]] = {}

    def parts(
        self,
        tx: Transaction,
        version: DatasetVersion,
        masks: Sequence[ColumnMask],
        purpose: str,
        files: Callable[[], Rows],
    ) -> list[str]:
        """The digests of the masked parts; `Refused` where the dataset may not be used for the purpose."""
        import pyarrow.parquet as pq

        from modelwright.datasets.privacy.masks import mask_table

        if purpose:
            refuse_purpose(tx, version.ref.name, [mask.column for mask in masks], purpose)
        number, made_with = self._privacy.making(purpose or DEFAULT_PURPOSE)
        forgotten = made_with.vault.changes if any(m.mask.startswith("vault") for m in masks) else 0
        which = (version.digest, version.ref, tuple((m.column, m.mask) for m in masks), purpose, number, forgotten)
        if (held := self._made.get(which)) is not None and all(self._blobs.exists(digest) for digest in held):
            return held
        subject = version.key[0] if version.key else None
        made = []
        with tempfile.TemporaryDirectory(prefix="modelwright-masked-") as folder:
            for table in tables_of(files(), ROWS):
                masked = mask_table(table, masks, made_with, subject)
                target = Path(folder) / "part.parquet"
                pq.write_table(masked, target, compression="zstd")
                made.append(self._blobs.put(target))
        if len(self._made) > REMEMBERED:
            self._made.clear()
        self._made[which] = made
        return made
