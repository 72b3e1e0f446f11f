"""Lineage drawn: nodes in columns by how many steps they are from where one looks, as SVG that needs no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from markupsafe import Markup

from modelwright.core.refs import Ref
from modelwright.server.pages.render import path_of
from modelwright.store import Edge

WIDTH, HEIGHT, GAP_X, GAP_Y, PAD = 176, 42, 56, 14, 6
MOST = 60  # nodes drawn; more are counted in words


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


def draw(start: Ref, edges: Iterable[Edge]) -> Markup:
    """The picture, or a sentence where there is nothing to draw."""
    known = list(edges)
    if not known:
        return Markup('<p class="empty">Nothing on the record leads here or away yet.</p>')
    placed = columns(start, known)
    shown = dict(sorted(placed.items(), key=lambda item: (abs(item[1]), item[0]))[:MOST])
    first = min(shown.values())
    rows: dict[int, int] = {}
    at: dict[str, tuple[int, int]] = {}
    for node, column in sorted(shown.items(), key=lambda item: (item[1], item[0])):
        row = rows.get(column, 0)
        rows[column] = row + 1
        at[node] = (PAD + (column - first) * (WIDTH + GAP_X), PAD + row * (HEIGHT + GAP_Y))
    tallest = max(rows.values())
    for node, (x, y) in at.items():
        missing = tallest - rows[shown[node]]
        at[node] = (x, y + missing * (HEIGHT + GAP_Y) // 2)
    width = 2 * PAD + (max(shown.values()) - first + 1) * (WIDTH + GAP_X) - GAP_X
    height = 2 * PAD + tallest * (HEIGHT + GAP_Y) - GAP_Y
    lines = [_line(at[str(e.source)], at[str(e.target)], e) for e in known if str(e.source) in at and str(e.target) in at]
    boxes = [_box(node, x, y, here=node == str(start)) for node, (x, y) in at.items()]
    hidden = len(placed) - len(shown)
    note = f'<p class="small soft">and {hidden} more that are not drawn</p>' if hidden > 0 else ""
    return Markup(  # noqa: S704 - every text in it is escaped below
        f'<div class="lineage"><svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="group" '
        f'aria-label="Lineage of {escape(str(start))}">{"".join(dict.fromkeys(lines))}{"".join(boxes)}</svg></div>{note}'
    )


def _line(source: tuple[int, int], target: tuple[int, int], edge: Edge) -> str:
    x1, y1 = source[0] + WIDTH, source[1] + HEIGHT // 2
    x2, y2 = target[0], target[1] + HEIGHT // 2
    bend = max(24, abs(x2 - x1) // 2)
    title = escape(f"{edge.source} → {edge.target} ({edge.action})")
    return f'<path d="M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"><title>{title}</title></path>'


def _box(node: str, x: int, y: int, *, here: bool) -> str:
    ref = Ref.parse(node)
    name = ref.name if ref.selector is None else f"{ref.name}@{ref.selector}"
    shown = name if len(name) <= 24 else f"{name[:11]}…{name[-11:]}"
    return (
        f'<a href="{escape(path_of(ref), quote=True)}"><g class="node{" here" if here else ""}" '
        f'transform="translate({x} {y})"><title>{escape(node)}</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
        f'<text class="kind" x="11" y="16">{ref.kind.value}</text><text x="11" y="32">{escape(shown)}</text></g></a>'
    )
