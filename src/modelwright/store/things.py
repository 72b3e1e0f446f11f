"""What versions are versions of: made before its first version, described, tagged and deleted as a whole.

Functions on an open transaction, beside those of `catalog`. A thing that was deleted keeps its row and its count: should
it come again, its next version has a number that no other ever had, and a ref in the ledger never means two things.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from modelwright.core.clock import isoformat, parse_time
from modelwright.core.errors import Conflict, InUse, NotFound
from modelwright.core.refs import Ref
from modelwright.store import catalog
from modelwright.store.database import Transaction
from modelwright.store.records import Thing
from modelwright.store.tables import catalog_aliases, catalog_tags, catalog_things, catalog_versions

_t, _v, _a, _g = catalog_things.c, catalog_versions.c, catalog_aliases.c, catalog_tags.c


def create(tx: Transaction, ref: Ref, *, description: str = "") -> Thing:
    """Make a thing that has no version yet; `Conflict` where there is one of that name."""
    found = _row(tx, ref)
    if found is not None and found.gone_at is None:
        raise Conflict(f"There is a {ref.kind.noun} named {ref.name!r} already.")
    fresh = {"created_at": tx.stamp, "created_by": tx.principal.id, "changed_at": tx.stamp, "description": description}
    if found is None:
        row = {"kind": ref.kind, "name": ref.name, "versions": 0, "latest_at": tx.stamp, **fresh}
        tx.execute(catalog_things.insert().values(row))
    else:
        again = catalog_things.update().where(_t.kind == ref.kind, _t.name == ref.name)
        tx.execute(again.values(gone_at=None, **fresh))
    return get(tx, ref)


def count_from(tx: Transaction, ref: Ref, number: int) -> bool:
    """Let the next version have this number, as it had where it was made; False where one so high was given already."""
    row = _row(tx, ref)
    if row is None or row.versions >= number:
        return False
    counted = catalog_things.update().where(_t.kind == ref.kind, _t.name == ref.name)
    tx.execute(counted.values(versions=number - 1))
    return True


def date(tx: Transaction, ref: Ref, *, created: datetime, changed: datetime) -> None:
    """Say since when a thing, or a version of it, has been, if it was made elsewhere; the ledger says when it came."""
    values = {"created_at": isoformat(created), "changed_at": isoformat(changed)}
    if ref.version is None:
        tx.execute(catalog_things.update().where(_t.kind == ref.kind, _t.name == ref.name).values(**values))
    else:
        key = (_v.kind == ref.kind, _v.name == ref.name, _v.version == ref.version)
        tx.execute(catalog_versions.update().where(*key).values(**values))


def get(tx: Transaction, ref: Ref) -> Thing:
    """A thing as a whole, whether or not it has versions; `NotFound` if there is none, or it was deleted."""
    row = _row(tx, ref)
    if row is None or row.gone_at is not None:
        raise NotFound(f"There is no {ref.kind.value} named {ref.name!r}.", mend=f"See what there is: mw list {ref.kind}")
    return things_of(tx, [row])[0]


def exists(tx: Transaction, ref: Ref) -> bool:
    """Whether there is such a thing, with versions or without."""
    row = _row(tx, ref)
    return row is not None and row.gone_at is None


def things_of(tx: Transaction, rows: Sequence[Any]) -> list[Thing]:
    """Rows of `catalog_things`, all of one kind, as records."""
    refs = [Ref(row.kind, row.name) for row in rows]
    tags = catalog.tags_of(tx, refs) if refs else {}
    aliases: dict[str, dict[str, int]] = {}
    if refs:
        query = sa.select(catalog_aliases).where(_a.kind == refs[0].kind, _a.name.in_([ref.name for ref in refs]))
        for row in tx.execute(query.order_by(_a.alias)):
            aliases.setdefault(row.name, {})[row.alias] = row.version
    return [
        Thing(
            ref=ref,
            versions=row.versions,
            created_at=parse_time(row.created_at),
            created_by=row.created_by,
            changed_at=parse_time(row.changed_at),
            description=row.description,
            tags=tags[str(ref)],
            aliases=aliases.get(ref.name, {}),
        )
        for ref, row in zip(refs, rows, strict=True)
    ]


def delete(tx: Transaction, ref: Ref) -> list[Ref]:
    """Delete a thing with all its versions, which are returned; `InUse` names whatever holds any of them."""
    get(tx, ref)
    whole = ref.whole
    numbers = tx.execute(sa.select(_v.version).where(_v.kind == ref.kind, _v.name == ref.name).order_by(_v.version))
    pinned = [whole.at(number) for number in numbers.scalars()]
    held = _holders(tx, whole, pinned)
    if held:
        raise InUse(
            f"{whole} cannot be deleted: {', '.join(held)} depend{'s' if len(held) == 1 else ''} on it.",
            mend="Retire its versions instead, or delete what depends on them first.",
            details={"dependants": held},
        )
    for each in reversed(pinned):  # a later one may have been made from an earlier one
        catalog.delete(tx, each)
    tx.execute(catalog_tags.delete().where(_g.ref == str(whole)))
    gone = catalog_things.update().where(_t.kind == ref.kind, _t.name == ref.name)
    tx.execute(gone.values(gone_at=tx.stamp, description=""))
    return pinned


def _holders(tx: Transaction, whole: Ref, pinned: Sequence[Ref]) -> list[str]:
    """Aliases and dependants, other than the thing's own versions, which go with it."""
    query = sa.select(_a.alias).where(_a.kind == whole.kind, _a.name == whole.name).order_by(_a.alias)
    aliases = [f"alias @{alias}" for alias in tx.execute(query).scalars()]
    return aliases + [str(each) for each in catalog.dependants(tx, whole) if each not in pinned]


def _row(tx: Transaction, ref: Ref) -> Any:
    return tx.execute(sa.select(catalog_things).where(_t.kind == ref.kind, _t.name == ref.name)).first()
