"""Letting go of objects that were put out of reach, and saying for whose sake others stay."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from modelwright.core.blobs import Blobs
from modelwright.governance.retention.records import Finished, Marked
from modelwright.store import Transaction
from modelwright.store.keeping import keepers
from modelwright.store.objects import Objects

FEWEST_SECONDS_IN_A_BUCKET = 2 * 3600.0  # as for the collector: an object stored again is renewed once it is an hour old


class Shelf:
    """The objects of a workspace and the folder of cached copies beside it."""

    def __init__(self, blobs: Blobs, cache: Path | None, grace: float, known: dict[str, list[str]]) -> None:
        """`known` is what is remembered of what objects name."""
        self._known = known
        self._blobs = blobs
        self._cache = cache
        self._grace = grace

    def drop(self, tx: Transaction, marked: Marked) -> Finished:
        """Delete those that nothing refers to, with nobody writing meanwhile; copies of them go whatever refers to them.

        What was stored again a moment ago may be about to be referred to: then it is not over, and waits.
        """
        objects = self._objects()
        grace = self._grace if objects.in_folder else max(self._grace, FEWEST_SECONDS_IN_A_BUCKET)
        left = keepers(tx.connection, objects, marked.objects, self._known)
        gone, size, young = list[str](), 0, 0
        for digest in marked.objects:
            if digest in left:
                continue
            stored = objects.stored(digest)
            if stored is not None and time.time() - stored.at <= grace:
                young += 1
                continue
            if stored is not None:
                objects.delete(digest)
                size += stored.size
            gone.append(digest)
        for digest in marked.copies:
            if self._cache is not None:
                (self._cache / "parts" / f"{digest}.parquet").unlink(missing_ok=True)
        self._empty_links()
        waits = f"{young} objects were stored less than {grace:g} seconds ago" if young else ""
        return Finished(gone=gone, size=size, left=left, waits=waits)

    def _empty_links(self) -> None:
        """Let go of all files that checkouts share: which of them are this version's nobody need know, they come again.

        Their folders stay, since a checkout may be writing into one.
        """
        if self._cache is not None:
            for path in (self._cache / "files").glob("*/*"):
                path.unlink(missing_ok=True)

    def look(self, tx: Transaction, marked: Marked) -> None:
        """Read what `drop` has to know of other objects, so that it need not while nobody else can write."""
        if marked.objects:
            keepers(tx.connection, self._objects(), marked.objects, self._known)

    def there(self, marked: Marked, done: Finished) -> Sequence[str]:
        """The objects and copies that are there again."""
        objects = self._objects()
        found = [f"the object {digest} is there again" for digest in done.gone if objects.exists(digest)]
        copies = [self._cache / "parts" / f"{digest}.parquet" for digest in marked.copies] if self._cache else []
        kept = bool(done.left)
        if kept:
            return found  # a part that another version shares is cached for its sake
        return found + [f"a cached copy of {path.stem[:12]} is there again" for path in copies if path.exists()]

    def _objects(self) -> Objects:
        if not isinstance(self._blobs, Objects):
            raise RuntimeError("the body of an operation runs where the objects are")
        return self._blobs
