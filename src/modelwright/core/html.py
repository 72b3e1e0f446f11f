"""Small pieces of HTML for notebooks: everything escaped, nothing fetched, at home on light and on dark ground.

Colours are the notebook's own (inherited, or one middle tone that reads on both), so there is no theme to ask for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


class Html(str):
    """Markup that is safe as it stands. Everything else is text and gets escaped."""

    __slots__ = ()


TONE = "#3b82c4"  # contrast of 3 to 1 and more against white and against the dark of notebooks
TONES = {"good": "#2f9e5b", "warn": "#b7791f", "bad": "#d1495b", "": TONE}
_CELL = "padding:2px 12px 2px 0;text-align:{};vertical-align:top;background:transparent;border:0;color:inherit"
_BOX = "font:13px/1.5 system-ui,sans-serif;color:inherit;background:transparent;max-width:100%;overflow-x:auto"


def text(value: Any) -> Html:
    """A value as escaped text; markup passes through as it is."""
    return value if isinstance(value, Html) else Html(escape(_shown(value)))


def card(title: str, subtitle: str, *parts: Html) -> Html:
    """A title, a line below it, and what follows."""
    head = f'<div style="font-weight:600">{escape(title)}</div><div style="opacity:.7">{escape(subtitle)}</div>'
    return Html(f'<div style="{_BOX}">{head}{"".join(parts)}</div>')


def facts(rows: Iterable[tuple[str, Any]]) -> Html:
    """Names and values, a pair a line; what is empty is left out."""
    kept = [(name, value) for name, value in rows if value not in (None, "", [], {})]
    return table([], [[name, value] for name, value in kept]) if kept else Html("")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Iterable[int] = ()) -> Html:
    """A table; `right` are the positions of columns that are aligned to the right."""
    rights = set(right)

    def line(cells: Sequence[Any], tag: str) -> str:
        made = []
        for at, each in enumerate(cells):
            style = _CELL.format("right" if at in rights else "left")
            weight = ";font-weight:600;opacity:.7" if tag == "th" else ""
            made.append(f'<{tag} style="{style}{weight}">{text(each)}</{tag}>')
        return f'<tr style="background:transparent">{"".join(made)}</tr>'

    head = line(columns, "th") if columns else ""
    body = "".join(line(row, "td") for row in rows)
    return Html(f'<table style="border-collapse:collapse;margin:6px 0;color:inherit">{head}{body}</table>')


def badge(word: str, tone: str = "") -> Html:
    """A word in a coloured frame; the word itself says what the colour says."""
    colour = TONES[tone]
    style = f"border:1px solid {colour};border-radius:4px;padding:0 6px;color:{colour}"
    return Html(f'<span style="{style}">{escape(word)}</span>')


def sparkline(values: Sequence[float], *, width: int = 140, height: int = 28) -> Html:
    """A curve in a line of text, as inline SVG; gaps where there is no finite value. Nothing for less than two values."""
    finite = [value for value in values if math.isfinite(value)]
    if len(values) < 2 or not finite:
        return Html("")
    low, high = min(finite), max(finite)
    scale = high / 2 - low / 2  # halves, because the difference of the largest floats is none
    pad, pieces, current = 2.0, list[list[str]](), list[str]()
    for at, value in enumerate(values):
        if not math.isfinite(value):
            pieces, current = [*pieces, current], []
            continue
        x = pad + at * (width - 2 * pad) / (len(values) - 1)
        share = 0.5 if scale == 0 else (value / 2 - low / 2) / scale
        current.append(f"{x:.1f},{height - pad - share * (height - 2 * pad):.1f}")
    lines = "".join(
        f'<polyline points="{" ".join(piece if len(piece) > 1 else piece * 2)}" fill="none" stroke="{TONE}" '
        'stroke-width="1.5" stroke-linejoin="round" stroke-linecap="round"/>'
        for piece in [*pieces, current]
        if piece
    )
    label = f"from {_shown(values[0])} to {_shown(values[-1])}, lowest {_shown(low)}, highest {_shown(high)}"
    return Html(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(label)}"><title>{escape(label)}</title>{lines}</svg>'
    )


def bars(counts: Sequence[int], label: str, *, width: int = 120, height: int = 28) -> Html:
    """Counts as bars, one beside the other, as inline SVG; nothing where there are none."""
    top, step = max(counts, default=0), width / max(1, len(counts))
    if not top:
        return Html("")
    drawn = "".join(
        f'<rect x="{step * at:.2f}" y="{height - (tall := (height - 2) * count / top):.2f}" width="{step - 0.6:.2f}" '
        f'height="{tall:.2f}"/>'
        for at, count in enumerate(counts)
    )
    return Html(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="bars" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" fill="{TONE}" role="img" aria-label="{escape(label)}" '
        f'preserveAspectRatio="none"><title>{escape(label)}</title>{drawn}</svg>'
    )


def where_between(low: float, value: float, high: float, *, width: int = 90, height: int = 12) -> Html:
    """Where a value lies between its lowest and its highest, as a mark on a line."""
    if not all(map(math.isfinite, (low, value, high))) or high <= low:
        return Html("")
    x = 4 + (width - 8) * min(1.0, max(0.0, (value / 2 - low / 2) / (high / 2 - low / 2)))
    label = f"{_shown(value)} between {_shown(low)} and {_shown(high)}"
    return Html(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(label)}"><title>{escape(label)}</title>'
        f'<line x1="4" x2="{width - 4}" y1="{height / 2}" y2="{height / 2}" stroke="currentColor" stroke-opacity=".35"/>'
        f'<circle cx="{x:.1f}" cy="{height / 2}" r="3.5" fill="{TONE}"/></svg>'
    )


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e5 <= abs(value) < 1e9 else f"{value:.5g}"
    return "" if value is None else str(value)
