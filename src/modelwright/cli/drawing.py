"""Lineage as a tree: what a thing came from above, what came from it below."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelwright.cli.output import tree
from modelwright.core.refs import Kind, Ref
from modelwright.core.texts import plain

if TYPE_CHECKING:
    from rich.tree import Tree

    from modelwright.openlineage.records import ColumnLineage, ColumnRef
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


def draw_columns(found: ColumnLineage) -> Tree:
    """One column as a tree: what it was made of above, what was made of it below."""
    up: dict[ColumnRef, dict[ColumnRef, list[str]]] = {}
    down: dict[ColumnRef, dict[ColumnRef, list[str]]] = {}
    for edge in found.edges:
        up.setdefault(edge.target, {}).setdefault(edge.source, []).append(edge.use)
        down.setdefault(edge.source, {}).setdefault(edge.target, []).append(edge.use)
    root = tree(f"{found.of.ref} {found.of.column}")
    for title, neighbours in (("made of", up), ("went into", down)):
        if found.of in neighbours:
            _grow_columns(root.add(title, style="italic", guide_style="dim"), found.of, neighbours, {found.of})
    if not found.edges:
        root.add("nothing is known of what it was made of or went into", style="dim")
    return root


def _grow_columns(
    branch: Tree, at: ColumnRef, neighbours: Mapping[ColumnRef, dict[ColumnRef, list[str]]], seen: set[ColumnRef]
) -> None:
    from rich.text import Text

    for each, uses in sorted(neighbours.get(at, {}).items(), key=lambda item: (str(item[0].ref), item[0].column)):
        label = Text.assemble(f"{each.ref} ", (plain(each.column), "bold"), "  ", (", ".join(uses).lower(), "dim"))
        grown = branch.add(label, style="not italic")
        if each not in seen:
            seen.add(each)
            _grow_columns(grown, each, neighbours, seen)
