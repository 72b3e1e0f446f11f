"""Lineage as a tree: what a thing came from above, what came from it below."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelwright.cli.output import tree
from modelwright.core.refs import Kind, Ref

if TYPE_CHECKING:
    from rich.tree import Tree

    from modelwright.store import Lineage

MANY = 4  # versions of one thing, from which on they are drawn as one line
Neighbours = dict[Ref, dict[Ref, str]]  # to each ref its neighbours one step on, and the action that made the step


def draw_lineage(found: Lineage, *, evidence: bool = False) -> Tree:
    """A tree with a branch for either direction. A thing that occurs twice is opened up once.

    Pieces of evidence are counted, and drawn only where asked for: an evaluated model has a dozen.
    """
    up, down = Neighbours(), Neighbours()
    for edge in found.edges:
        up.setdefault(edge.target, {})[edge.source] = edge.action
        down.setdefault(edge.source, {})[edge.target] = edge.action
    root = tree(str(found.of))
    for title, neighbours in (("came from", up), ("went into", down)):
        if found.of in neighbours:
            branch = root.add(title, style="italic", guide_style="dim")
            _grow(branch, found.of, neighbours, {found.of}, evidence=evidence)
    if not found.edges:
        root.add("nothing is known of where it came from or what it went into", style="dim")
    return root


def _grow(branch: Tree, at: Ref, neighbours: Neighbours, seen: set[Ref], *, evidence: bool) -> None:
    from rich.text import Text

    hidden: Counter[str] = Counter()
    found = neighbours.get(at, {})
    many = _many_versions(found, neighbours)
    for (whole, action), versions in many.items():
        span = f"{whole}@{min(versions)} to @{max(versions)}, {len(versions)} versions"
        branch.add(Text.assemble((span, ""), "  ", (action, "dim")), style="not italic")
    for ref, action in sorted(found.items(), key=lambda each: (each[0].kind, each[0].name, each[0].version or 0)):
        if (ref.whole, action) in many:
            continue
        if ref.kind is Kind.EVIDENCE and not evidence:
            hidden[_about(action)] += 1
            continue
        label = Text.assemble((str(ref), ""), "  ", (action, "dim"))
        if ref in seen:
            if neighbours.get(ref):
                label.append("  (above)", style="dim")
            branch.add(label, style="not italic")
            continue
        seen.add(ref)
        _grow(branch.add(label, style="not italic"), ref, neighbours, seen, evidence=evidence)
    if hidden:
        counted = ", ".join(f"{kind} ({count})" if count > 1 else kind for kind, count in sorted(hidden.items()))
        branch.add(Text(f"evidence: {counted}", style="dim"))


def _many_versions(found: Mapping[Ref, str], neighbours: Neighbours) -> dict[tuple[Ref, str], list[int]]:
    """Versions of one thing that the same action joined, where there are many and nothing hangs on any of them."""
    grouped: dict[tuple[Ref, str], list[int]] = {}
    for ref, action in found.items():
        if ref.version is not None and ref not in neighbours:
            grouped.setdefault((ref.whole, action), []).append(ref.version)
    return {key: versions for key, versions in grouped.items() if len(versions) >= MANY}


def _about(action: str) -> str:
    """The kind of evidence that `evidence.<kind>.attached` made."""
    head, _, rest = action.partition(".")
    return rest.rpartition(".")[0] if head == "evidence" else action
