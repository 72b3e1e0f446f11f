"""Lineage drawn: what a version came from on its left, what came of it on its right."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from modelwright.core.refs import Kind, Ref
from modelwright.server.pages import graph
from modelwright.server.pages.render import known, path_of
from modelwright.server.pages.words import shortened
from modelwright.store import Edge
from modelwright.workspace import Workspace

MOST = 40  # nodes drawn; more are counted in words
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
    placed = columns(start, edges)
    shown = dict(sorted(placed.items(), key=lambda item: (abs(item[1]), item[0]))[:MOST])
    nodes = {key: _node(Ref.parse(key), here=key == str(start)) for key in shown}
    arrows = [
        graph.Arrow(str(edge.source), str(edge.target), f"{edge.source} to {edge.target}: {edge.action}") for edge in edges
    ]
    picture = graph.draw(nodes, arrows, shown, f"Lineage of {start}")
    hidden = len(placed) - len(shown)
    if hidden > 0:
        picture += Markup('<p class="small soft">{} more are not drawn.</p>').format(hidden)
    return picture


def _node(ref: Ref, *, here: bool) -> graph.Node:
    name = shortened(ref.name if ref.selector is None else f"{ref.name}@{ref.selector}")
    return graph.Node(ref.kind.value, name, path_of(ref), "here" if here else "", str(ref))
