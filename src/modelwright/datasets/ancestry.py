"""Which version two versions both came from, by the parents that they name. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from modelwright.core.refs import Ref
from modelwright.datasets.records import DatasetVersion


def common_ancestor(versions: Iterable[DatasetVersion], ours: Ref, theirs: Ref) -> Ref | None:
    """The newest version that both came from (or are), or None. `versions` are those of their dataset, in any order."""
    parents = {each.ref: [ref for ref in (each.parent, each.merged) if ref is not None] for each in versions}
    shared = ancestors(parents, ours) & ancestors(parents, theirs)
    above = {older for ref in shared for older in ancestors(parents, ref) - {ref}}
    return max(shared - above, key=lambda ref: ref.version or 0, default=None)


def ancestors(parents: Mapping[Ref, Iterable[Ref]], ref: Ref) -> set[Ref]:
    """A version and all that it came from. What is not there any more has no ancestors, but is one."""
    found: set[Ref] = set()
    ahead = [ref]
    while ahead:
        each = ahead.pop()
        if each not in found:
            found.add(each)
            ahead += parents.get(each, ())
    return found
