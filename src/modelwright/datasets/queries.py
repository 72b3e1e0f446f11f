"""Long reads: which versions of a dataset something keeps."""

from __future__ import annotations

from modelwright.core.errors import Invalid
from modelwright.core.paging import MAX_LIMIT, Filter
from modelwright.core.refs import Ref
from modelwright.datasets.records import DatasetVersion, Keeping
from modelwright.store import Transaction, catalog, queries
from modelwright.store.records import Direction

SHOWN = 3  # uses that are told of one version


def keeping(tx: Transaction, ref: Ref, last: int) -> list[Keeping]:
    """Every version of a dataset, newest first, with what keeps it."""
    if last < 0:
        raise Invalid(f"The last {last} versions are none.")
    found: list[Keeping] = []
    where = Filter(limit=MAX_LIMIT)
    while True:
        page = catalog.list_versions(tx, ref.whole, where)
        for version in map(DatasetVersion.of, page.items):
            reasons = [f"one of the last {last}"] if len(found) < last else []
            reasons += [f"alias @{alias}" for alias in version.aliases]
            found.append(Keeping(ref=version.ref, reasons=reasons + _uses(tx, version.ref), bytes=version.bytes))
        if page.next is None:
            return found
        where = Filter(limit=MAX_LIMIT, after=page.next)


def _uses(tx: Transaction, ref: Ref) -> list[str]:
    """What depends on a version, or was made from it; of what the caller may not read, only that it is."""
    lineage = queries.lineage(tx, ref, Direction.DOWN, 1, None)
    made = [edge.target for edge in lineage.edges if edge.target.whole != ref.whole]
    users = list(dict.fromkeys([*catalog.dependants(tx, ref), *made]))
    shown = queries.readable(tx, users)
    told = [f"used by {each}" for each in shown[:SHOWN]]
    more = len(users) - len(told)
    return told + ([f"used by {more} more"] if more else [])
