"""What the objects hold that nothing refers to any more, and letting go of it.

An object is kept while a digest in any table that holds (see `holders`) leads to it, be it through another object: a record
names a report, the report names a file. What was stored lately is kept, too: whoever stored it may be about to refer to it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence, Set

import msgspec
import sqlalchemy as sa

from modelwright.core.errors import Invalid
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.refs import Kind, Ref
from modelwright.store.database import Transaction
from modelwright.store.holders import DIGEST, HOLDS, texts
from modelwright.store.keeping import names_in
from modelwright.store.objects import Objects, Stored

GRACE = 86_400.0  # seconds that an object to which nothing refers is left alone
SHORTEST_GRACE = 2 * 3600.0  # in a bucket: an object stored again is renewed once it is an hour old
BATCH = 10_000  # objects let go of in one step


class Unreachable(msgspec.Struct, frozen=True, kw_only=True):
    """Objects that nothing refers to."""

    objects: list[Stored]  # those that may go, the largest first; at most so many as were asked for
    count: int  # of all of them
    size: int  # bytes
    young: int  # further ones that nothing refers to, and that are too young to go
    kept: int  # objects that something refers to
    unfinished: int = 0  # files of killed writers, which are no objects yet
    unfinished_size: int = 0  # bytes
    looked_at: list[str]  # the tables in which a digest would have kept one

    @property
    def why(self) -> str:
        """The reason, the same for each."""
        where = self.looked_at[0] if len(self.looked_at) == 1 else f"{len(self.looked_at)} tables"
        return f"no digest in {where}, nor in an object that one of them keeps, leads to it"


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What was let go of."""

    count: int = 0
    size: int = 0
    spared: int = 0  # to which something refers by now, or which were stored again meanwhile
    unfinished: int = 0  # files of killed writers that went


class Storage(Room):
    """The objects as a whole: which of them nothing needs, and letting go of those."""

    room, kind = "storage", Kind.OBJECT

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller)
        self._named: dict[str, list[str]] = {}  # the digests in an object; objects do not change: each is read once

    def collect(self, *, grace: float = GRACE, reason: str = "") -> Collected:
        """Let go of everything that nothing refers to and that is older than `grace` seconds, step by step.

        It is found while others work, and looked for once more, with nobody writing, before it goes. What somebody began
        to store and left, because the process was killed, goes after a day.
        """
        gone = Collected()
        while True:
            found = self.unreachable(grace=grace, limit=BATCH)
            step = self.remove([each.digest for each in found.objects], grace=grace, reason=reason)
            gone = Collected(
                count=gone.count + step.count,
                size=gone.size + step.size,
                spared=gone.spared + step.spared,
                unfinished=gone.unfinished + step.unfinished,
            )
            if step.count == 0:
                return gone

    @operation("audit.read", on="")
    def unreachable(self, tx: Transaction, *, grace: float = GRACE, limit: int = 1000) -> Unreachable:
        """Say what nothing refers to, and what of it is old enough to go."""
        objects = self._objects(grace)
        here = list(objects.entries())
        kept = self._reached(tx.connection, {each.digest for each in here}, objects)
        return left_over(objects, here, kept, grace=grace, limit=limit, looked_at=sorted(HOLDS))

    @operation("erase", event="storage.objects.collected", on="")
    def remove(self, tx: Transaction, digests: list[str], *, grace: float = GRACE, reason: str = "") -> Collected:
        """Delete objects that nothing refers to; those to which something does, or that are younger than `grace`, stay.

        It holds the one write lock, so nothing begins to refer to one of them meanwhile; a digest that is referred to later
        is not stored any more, and whoever does is told so.
        """
        if len(digests) > BATCH:
            raise Invalid(f"At most {BATCH:,} objects are removed in one step, not {len(digests):,}.")
        objects, now = self._objects(grace), time.time()
        unfinished = objects.tidy(now - max(grace, GRACE))
        kept = self._reached(tx.connection, set(digests), objects, whole=True) if digests else set()
        if tx.tentative:  # what writers before it in this commit took away may yet come back; an object would not
            with tx.database.engine.connect() as settled:
                kept |= self._reached(settled, set(digests), objects, whole=True)
        found = objects.stored_each([digest for digest in dict.fromkeys(digests) if digest not in kept])
        gone = [each for each in found if each is not None and now - each.at > grace]
        objects.delete_each([each.digest for each in gone])
        if not gone:
            tx.unchanged()
        tx.note(
            resource=Ref(Kind.OBJECT, "all"),
            before={"objects": [each.digest for each in gone]},
            after={"count": len(gone), "bytes": sum(each.size for each in gone)},
        )
        return Collected(
            count=len(gone),
            size=sum(each.size for each in gone),
            spared=len(set(digests)) - len(gone),
            unfinished=unfinished,
        )

    def _objects(self, grace: float) -> Objects:
        if not isinstance(self.blobs, Objects):
            raise RuntimeError("the body of an operation runs where the objects are")
        refuse_short(self.blobs, grace)
        return self.blobs

    def _reached(self, connection: sa.Connection, among: object, objects: Objects, *, whole: bool = False) -> set[str]:
        """The digests that something leads to: from the tables, and from there through what the objects say."""
        reached = reached_from(texts(connection), objects, self._named)
        return reached if whole else {digest for digest in reached if digest in among}  # type: ignore[operator]


def reached_from(said: Iterable[str], objects: Objects, known: dict[str, list[str]]) -> set[str]:
    """The digests in some texts, and those to which the objects that they name lead; `known` as `names_in` has it."""
    reached: set[str] = set()
    ahead = list({digest for text in said for digest in DIGEST.findall(text)})
    while ahead:
        digest = ahead.pop()
        if digest in reached:
            continue
        reached.add(digest)
        ahead += names_in(objects, digest, known)
    return reached


def left_over(
    objects: Objects, here: Sequence[Stored], kept: Set[str], *, grace: float, limit: int, looked_at: list[str]
) -> Unreachable:
    """What of the objects that are `here` nothing needs, and what somebody began to store and left."""
    now = time.time()
    left = [each for each in here if each.digest not in kept]
    broken = [path.stat() for path in objects.unfinished(now - max(grace, GRACE)) if path.exists()]
    old = sorted((each for each in left if now - each.at > grace), key=lambda each: (-each.size, each.digest))
    return Unreachable(
        objects=old[:limit],
        count=len(old),
        size=sum(each.size for each in old),
        young=len(left) - len(old),
        kept=len(here) - len(left),
        unfinished=len(broken),
        unfinished_size=sum(each.st_size for each in broken),
        looked_at=looked_at,
    )


def refuse_short(objects: Objects, grace: float) -> None:
    """`Invalid` for a grace within which somebody may be about to refer to what he stored."""
    if grace < 0 or (grace < SHORTEST_GRACE and not objects.in_folder):
        raise Invalid(
            f"The grace of {grace:g} seconds is too short for a bucket, where a thing is renewed only after an hour.",
            mend=f"Give {SHORTEST_GRACE:g} seconds or more in a bucket (--older-than 2), and 0 or more in a folder.",
        )
