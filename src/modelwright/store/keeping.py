"""Who keeps an object: for a proof that says not only that something stayed, but for whose sake."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import sqlalchemy as sa

from modelwright.core.errors import Corrupt, NotFound
from modelwright.store.holders import DIGEST, HOLDS, columns_of, refuse_strange, tables_that_hold
from modelwright.store.objects import Objects

_REMEMBERED = 1_000_000  # objects of which it is kept what they name
READ_INTO = 4 << 20  # bytes of an object that is read for the digests in it, as the collector does


def keepers(
    connection: sa.Connection, objects: Objects, digests: Collection[str], known: dict[str, list[str]]
) -> dict[str, str]:
    """Of some objects those that something refers to, each with what does: a version, or the table that names it.

    The same is asked as by the collector: a digest in any table that holds, or in an object that one of them keeps. `known`
    is kept by the caller: the digests in objects, which do not change, so that each is read once. Who asks before they take
    the write lock holds it for the tables alone.
    """
    wanted, found, seen = set(digests), dict[str, str](), set[str]()
    ahead = list(_named(connection))
    while ahead:
        digest, label = ahead.pop()
        if digest in seen:
            continue
        seen.add(digest)
        if digest in wanted:
            found[digest] = label
        ahead += [(each, label) for each in names_in(objects, digest, known)]
    return found


def _named(connection: sa.Connection) -> Iterator[tuple[str, str]]:
    refuse_strange(connection)
    for table in tables_that_hold(connection):
        name, columns = table.name, columns_of(table)
        also = [table.c[each] for each in ("kind", "name", "version") if name == "catalog_versions"]
        for row in connection.execute(sa.select(*also, *columns).execution_options(yield_per=1000)):
            values: tuple[Any, ...] = tuple(row)
            label = f"{values[0]}:{values[1]}@{values[2]}" if also else HOLDS[name]
            for text in values[len(also) :]:
                for digest in DIGEST.findall(text) if isinstance(text, str) else ():
                    yield digest, label


def names_in(objects: Objects, digest: str, known: dict[str, list[str]]) -> list[str]:
    """The digests that an object names, if it is a document of ours: JSON of a moderate size.

    `known` is kept by the caller: objects do not change, so each is read once. A damaged one still names what can be read
    in it, so that it is of use once it is restored. `Unavailable` where the objects cannot be reached: then nobody knows
    what is needed, and nothing may go.
    """
    if digest in known:
        return known[digest]
    try:
        stored = objects.stored(digest)
        if stored is None:
            return []  # and it may be stored yet: that is not remembered
        document = 0 < stored.size <= READ_INTO and b"".join(objects.part(digest, 0, 1)) in (b"{", b"[")
        content = objects.read(digest) if document else b""
    except NotFound:  # it went this very moment
        return []
    except Corrupt:
        return _found_in(b"".join(objects.part(digest, 0, READ_INTO)))
    if len(known) > _REMEMBERED:
        known.clear()
    known[digest] = _found_in(content)
    return known[digest]


def _found_in(content: bytes) -> list[str]:
    return DIGEST.findall(content.decode("ascii", "ignore"))
