"""The service of packs: what holds little that is needed, and putting that anew."""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec.structs import replace

from modelwright.core.errors import Conflict, ModelwrightError
from modelwright.core.operations import Room, operation
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert
from modelwright.datasets.chunks import Chunk
from modelwright.datasets.packs import queries, rewriting
from modelwright.datasets.packs.records import Moved, Repacked, SparsePack, SparsePacks
from modelwright.datasets.privacy.queries import protect_version
from modelwright.datasets.records import DatasetRecord
from modelwright.store import Transaction, catalog
from modelwright.store.objects import Objects
from modelwright.store.storage import GRACE

AT_ONCE = 64 << 20  # bytes that are needed of packs that are put anew in one step: they are read once more under the lock


class Packs(Room):
    """Packs of chunks as a whole. What no version needs at all is the collector's: see `Storage`."""

    room, kind = "packs", Kind.OBJECT

    def repack(self, *, grace: float = GRACE, reason: str = "") -> Repacked:
        """Put what is needed of sparse packs into new ones, step by step; the old ones then wait for the collector.

        Whoever reads or writes meanwhile goes on: an old pack is left alone for `grace` seconds from now, and a version
        that is made of it in that time keeps it.
        """
        done = Repacked()
        while True:
            found = self.sparse(grace=grace)
            chosen = _step(found.packs)
            if not chosen:
                return done
            digests = [each.digest for each in chosen]
            moved = self.prepare(digests)
            written = self.move(digests, moved=list(moved), reason=reason)
            done = Repacked(
                packs=done.packs + len(chosen),
                versions=done.versions + len(moved),
                written=done.written + written,
                freed=done.freed + sum(each.size for each in chosen),
            )

    @operation("audit.read", on="")
    def sparse(self, tx: Transaction, *, grace: float = GRACE) -> SparsePacks:
        """Say which packs hold less than half of their bytes for any version, and are older than `grace` seconds.

        A pack that a damaged manifest may need is none of them.
        """
        objects, survey, doubtful = self._objects(), rewriting.Survey(self._objects()), False
        naming = queries.manifests(tx)
        for manifest in naming:
            try:
                survey.add(manifest)
            except ModelwrightError:  # `mw doctor` speaks of it
                doubtful = True
        if doubtful:
            return SparsePacks()
        now, found, young, full = time.time(), list[SparsePack](), 0, 0
        for pack, needed in survey.needed.items():
            stored = objects.stored(pack.hex())
            if stored is None or needed.size * 2 >= stored.size:
                full += 1
            elif now - stored.at <= grace:
                young += 1
            else:
                versions = sum(len(naming[each]) for each in needed.manifests)
                found.append(SparsePack(digest=pack.hex(), size=stored.size, live=needed.size, versions=versions))
        return SparsePacks(packs=sorted(found, key=lambda each: (-each.dead, each.digest)), young=young, full=full)

    @operation("erase", on="")
    def prepare(self, tx: Transaction, packs: list[str]) -> Sequence[Moved]:
        """Store what versions need of some packs in new ones, and manifests that say so; no version knows of it yet."""
        without = {bytes.fromhex(each) for each in packs}
        survey, naming = rewriting.Survey(self._objects()), queries.manifests(tx)
        for manifest in naming:
            survey.add(manifest)
        wanted = {each for pack in without & survey.needed.keys() for each in survey.needed[pack].manifests}
        made, _ = rewriting.rewrite(self._objects(), [each for each in naming if each in wanted], without)
        return [Moved(ref=ref, before=old, after=new) for old, new in made.items() for ref in naming[old]]

    @operation("erase", event="datasets.packs.rewritten", on="")
    def move(self, tx: Transaction, packs: list[str], *, moved: list[Moved], reason: str = "") -> int:
        """Let versions name the manifests that were prepared, all in one step; gives the bytes of the new packs.

        Content and digest of the versions stay. Everything that lies elsewhere now is read once more before. The old packs
        and manifests become as young as if they were stored now, so that the collector leaves them to whoever uses them.
        `Conflict` where a version has another manifest by now; `Invalid` where a manifest does not say the same.
        """
        objects, verified, old, new = self._objects(), set[Chunk](), set[str](packs), set[str]()
        for before, after in dict.fromkeys((each.before, each.after) for each in moved):
            new |= rewriting.check_same(objects, before, after, verified)
            old |= rewriting.left_behind(objects, before, after)
        for each in moved:
            version = catalog.get(tx, each.ref)
            if each.ref.kind is not Kind.DATASET or version.record.get("manifest") != each.before:
                raise Conflict(f"{each.ref} has another manifest by now.", mend="Run mw gc again.")
            record: DatasetRecord = convert(version.record, DatasetRecord)
            catalog.amend(tx, version.ref, replace(record, manifest=each.after))
            protect_version(tx, objects, catalog.get(tx, version.ref))
        for digest in sorted(old):
            objects.renew(digest)
        tx.note(
            resource=Ref(Kind.OBJECT, "all"),
            before={"packs": packs, "manifests": sorted({each.before for each in moved})},
            after={"packs": sorted(new), "versions": [str(each.ref) for each in moved]},
        )
        if not moved:
            tx.unchanged()
        return sum(objects.size(each) for each in new)

    def _objects(self) -> Objects:
        if not isinstance(self.blobs, Objects):
            raise RuntimeError("the body of an operation runs where the objects are")
        return self.blobs


def _step(packs: Sequence[SparsePack]) -> list[SparsePack]:
    """So many of them as are put anew at once: at least one, if there is any."""
    chosen, live = list[SparsePack](), 0
    for each in packs:
        if chosen and live + each.live > AT_ONCE:
            break
        chosen.append(each)
        live += each.live
    return chosen
