"""Lineage drawn: what a version came from on its left, what came of it on its right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from modelwright.core.refs import Kind, Ref
from modelwright.server.pages import graph
from modelwright.server.pages.render import known, path_of
from modelwright.server.pages.words import shortened
from modelwright.store import Edge
from modelwright.workspace import Workspace

MOST = 40  # nodes drawn; more are counted in words
ALIKE = 3  # versions of one thing drawn in one column; of more, one box stands for all
KNOWLEDGE = frozenset({Kind.EVIDENCE, Kind.ALERT})  # what is known about a thing: pages list it, pictures leave it out


def lineage_of(workspace: Workspace, ref: Ref) -> Markup:
    """The picture of a version's lineage, or nothing where the record does not know it."""
    found = known(lambda: workspace.record.lineage(ref, depth=12))
    if found is None:
        return draw(ref, [])
    return draw(found.of, [edge for edge in found.edges if _drawn(edge.source, ref) and _drawn(edge.target, ref)])


def _drawn(node: Ref, start: Ref) -> bool:
    return node.kind not in KNOWLEDGE or node.kind is start.kind


def columns(start: Ref, edges: Sequence[Edge]) -> dict[str, int]:
    """The column of each node: 0 for where one looks, negative for what it came from, positive for what came of it.

    A node stands as far from the start as the longest way to it, so no edge points backwards.
    """
    found = {str(start): 0}
    for step in (-1, 1):
        side = _distances(str(start), [_ends(edge, step) for edge in edges])
        for node, distance in side.items():
            found.setdefault(node, step * distance)
    return found


def _ends(edge: Edge, step: int) -> tuple[str, str]:
    """(near, far) as one walks up (-1) or down (1)."""
    return (str(edge.target), str(edge.source)) if step < 0 else (str(edge.source), str(edge.target))


def _distances(start: str, ways: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The longest way from the start to each node that can be reached; a circle is cut off after `MOST` steps."""
    side = {start: 0}
    for _ in range(len(ways)):
        moved = False
        for near, far in ways:
            if near in side and far != start and side.get(far, 0) <= side[near] < MOST:
                side[far] = side[near] + 1
                moved = True
        if not moved:
            break
    return side


def draw(start: Ref, edges: Sequence[Edge]) -> Markup:
    """The picture, or a sentence where there is nothing to draw."""
    if not edges:
        return Markup('<p class="empty">The record names nothing that this came from, and nothing that came of it.</p>')
    found = columns(start, edges)
    groups = _gathered(found, str(start))
    placed = {key: found[members[0]] for key, members in groups.items()}
    shown = dict(sorted(placed.items(), key=lambda item: (abs(item[1]), item[0]))[:MOST])
    nodes = {key: _node(key, groups[key], here=key == str(start)) for key in shown}
    home = {member: key for key, members in groups.items() for member in members}
    arrows = [
        graph.Arrow(home[str(edge.source)], home[str(edge.target)], f"{edge.source} to {edge.target}: {edge.action}")
        for edge in edges
    ]
    picture = graph.draw(nodes, arrows, shown, f"Lineage of {start}")
    hidden = len(placed) - len(shown)
    if hidden > 0:
        picture += Markup('<p class="small soft">{} more are not drawn.</p>').format(hidden)
    return picture


def _gathered(found: Mapping[str, int], start: str) -> dict[str, list[str]]:
    """Boxes and what each stands for: where a column holds many versions of one thing, or many runs, one box does."""
    alike: dict[tuple[int, str], list[str]] = defaultdict(list)
    for key, column in found.items():
        ref = Ref.parse(key)
        alike[column, key if key == start else f"{ref.kind}:" if ref.version is None else str(ref.whole)].append(key)
    boxes: dict[str, list[str]] = {}
    for members in alike.values():
        ordered = sorted(members, key=lambda key: (Ref.parse(key).version or 0, key))
        if len(members) > ALIKE:
            boxes[ordered[-1]] = ordered
        else:
            boxes |= {key: [key] for key in ordered}
    return boxes


def _node(key: str, members: Sequence[str], *, here: bool) -> graph.Node:
    ref = Ref.parse(key)
    look = "here" if here else ""
    if len(members) == 1 and ref.kind is Kind.EXTERNAL:  # what it is, and its name without the digest at its end
        what, _, name = ref.name.partition("/")
        return graph.Node(f"external {what}", name.rpartition("-")[0][-graph.LETTERS :], path_of(ref), look, key)
    if len(members) == 1:
        name = ref.name if ref.selector is None else f"{ref.name}@{ref.selector}"
        return graph.Node(ref.kind.value, shortened(name), path_of(ref), look, key)
    first = Ref.parse(members[0])
    name = shortened(ref.name) if ref.version is None else f"{ref.name}@{first.version}…{ref.version}"
    return graph.Node(f"{len(members)} × {ref.kind.value}", name, path_of(ref), look, ", ".join(members))
