"""Small directed graphs drawn as SVG: nodes in columns, no script. Lineage and the steps of a pipeline use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from markupsafe import Markup

WIDTH, HEIGHT, GAP_X, GAP_Y, PAD = 176, 44, 52, 12, 4
LETTERS = 21  # that fit into a box


class Node(NamedTuple):
    """A box: what it says above and below, where it leads, how it looks, and all of it in words."""

    above: str
    text: str
    href: str = ""
    look: str = ""  # a class of the style sheet
    title: str = ""


class Arrow(NamedTuple):
    """A line from one node to another."""

    source: str
    target: str
    title: str = ""


def draw(nodes: Mapping[str, Node], arrows: Sequence[Arrow], columns: Mapping[str, int], label: str) -> Markup:
    """The picture of those nodes that have a column; columns may be any whole numbers, smaller ones stand further left."""
    at = _places(nodes, arrows, columns)
    width = max(x for x, _ in at.values()) + WIDTH + PAD
    height = max(y for _, y in at.values()) + HEIGHT + PAD
    ends = {(arrow.source, arrow.target): arrow for arrow in arrows if arrow.source in at and arrow.target in at}
    lines = [_line(at[source], at[target], arrow.title) for (source, target), arrow in ends.items() if source != target]
    boxes = [_box(nodes[key], x, y) for key, (x, y) in at.items()]
    return Markup(  # noqa: S704 - every text in it is escaped below
        f'<div class="graph" tabindex="0" role="region" aria-label="{escape(label, quote=True)}">'
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="group" '
        f'aria-label="{escape(label, quote=True)}">{"".join(lines)}{"".join(boxes)}</svg></div>'
    )


def depths(arrows: Sequence[Arrow], keys: Sequence[str]) -> dict[str, int]:
    """How far each node is from where nothing leads to: the longest way; a circle is cut off."""
    found = dict.fromkeys(keys, 0)
    for _ in keys:
        moved = False
        for arrow in arrows:
            if found[arrow.target] <= found[arrow.source] < len(keys):
                found[arrow.target] = found[arrow.source] + 1
                moved = True
        if not moved:
            break
    return found


def _places(nodes: Mapping[str, Node], arrows: Sequence[Arrow], columns: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Where each box stands. Within a column, boxes follow the mean height of those they are joined to."""
    ranks = sorted({columns[key] for key in nodes if key in columns})
    rows: dict[str, float] = {}
    placed: dict[str, tuple[int, int]] = {}
    groups = [[key for key in nodes if columns.get(key) == rank] for rank in ranks]
    tallest = max(map(len, groups))
    for number, group in enumerate(groups):
        ordered = sorted(group, key=lambda key: (_pull(key, arrows, rows), key))
        free = (tallest - len(ordered)) * (HEIGHT + GAP_Y) / 2
        for row, key in enumerate(ordered):
            rows[key] = free / (HEIGHT + GAP_Y) + row
            placed[key] = (PAD + number * (WIDTH + GAP_X), round(PAD + free + row * (HEIGHT + GAP_Y)))
    return placed


def _pull(key: str, arrows: Sequence[Arrow], rows: Mapping[str, float]) -> float:
    joined = [rows[a.source] for a in arrows if a.target == key and a.source in rows]
    joined += [rows[a.target] for a in arrows if a.source == key and a.target in rows]
    return sum(joined) / len(joined) if joined else 0.0


def _line(source: tuple[int, int], target: tuple[int, int], title: str) -> str:
    x1, y1 = source[0] + WIDTH, source[1] + HEIGHT // 2
    x2, y2 = target[0], target[1] + HEIGHT // 2
    bend = max(24, abs(x2 - x1) // 2)
    told = f"<title>{escape(title)}</title>" if title else ""
    return f'<path d="M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}">{told}</path>'


def _box(node: Node, x: int, y: int) -> str:
    shown = node.text if len(node.text) <= LETTERS else f"{node.text[:10]}…{node.text[-10:]}"
    box = (
        f'<g class="node {escape(node.look, quote=True)}" transform="translate({x} {y})">'
        f"<title>{escape(node.title or node.text)}</title>"
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="5"/>'
        f'<text class="above" x="11" y="17">{escape(node.above)}</text><text x="11" y="34">{escape(shown)}</text></g>'
    )
    named = escape(f"{node.above} {node.text}", quote=True)
    return f'<a href="{escape(node.href, quote=True)}" aria-label="{named}">{box}</a>' if node.href else box
