"""Legal holds: what nobody may delete, whatever a rule says, until the hold is lifted. Functions on an open transaction.

A hold stands on the data of a sort (`datasets`, `traces`, ...), below a path of names, perhaps on one version alone.
Whatever deletes asks here first, in its own transaction.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from modelwright.core.clock import parse_time
from modelwright.core.errors import Refused
from modelwright.core.refs import Kind, Ref
from modelwright.store.database import Transaction
from modelwright.store.records import Hold
from modelwright.store.scopes import lies_under
from modelwright.store.tables import retention_holds

SORTS: Final = {Kind.DATASET: "datasets", Kind.FEATURES: "features", Kind.MODEL: "models"}  # of what has versions
_h = retention_holds.c


def standing(tx: Transaction) -> list[Hold]:
    """The holds that were placed and not lifted, by name."""
    return [hold_of(row) for row in tx.execute(sa.select(retention_holds).where(_h.lifted_at.is_(None)).order_by(_h.name))]


def over(holds: list[Hold], sort: str, name: str, version: int | None = None) -> list[Hold]:
    """Those of the holds that stand on something."""
    return [
        each for each in holds if each.on in ("*", sort) and lies_under(name, each.path) and each.version in (None, version)
    ]


def refuse(tx: Transaction, sort: str, name: str, version: int | None = None) -> None:
    """`Refused` where a hold stands on what is about to be deleted."""
    found = over(standing(tx), sort, name, version)
    if found:
        what = name if version is None else f"{name}@{version}"
        raise Refused(
            f"The {sort} of {what} are held: {found[0].name}, placed by {found[0].placed_by}: {found[0].reason}",
            mend=f"It goes when the hold is lifted, by whoever has the right to: mw retention lift {found[0].name}",
            details={"holds": [each.name for each in found]},
        )


def refuse_version(tx: Transaction, ref: Ref) -> None:
    """The same for one version of a thing."""
    if ref.kind in SORTS:
        refuse(tx, SORTS[ref.kind], ref.name, ref.version)


def hold_of(row: Any) -> Hold:
    """A stored hold as a record."""
    return Hold(
        name=row.name,
        on=row.on_sort,
        path=row.path,
        version=row.version,
        reason=row.reason,
        placed_by=row.placed_by,
        placed_at=parse_time(row.placed_at),
        lifted_by=row.lifted_by or "",
        lifted_at=parse_time(row.lifted_at) if row.lifted_at else None,
        lifted_because=row.lifted_because or "",
    )
