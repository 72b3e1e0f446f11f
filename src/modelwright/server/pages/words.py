"""How values are written for a reader: times, figures, sizes, refs, verdicts, events."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from inspect import cleandoc
from typing import Any

import msgspec
from markupsafe import Markup

from modelwright.core import html, sizes
from modelwright.core.refs import Ref
from modelwright.core.texts import line
from modelwright.core.wire import to_plain
from modelwright.store.records import Event

THIN = "\u2009"
_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")  # a ULID
DASH = "–"
LARGE = 1e9  # from here on with an exponent
CELL = 80  # characters of a value in a row


def moment(at: datetime | None) -> Markup:
    """A time for a person, exact on hover."""
    if at is None:
        return Markup("")
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(at.isoformat(), f"{at:%-d %b %Y, %H:%M}")


def day(at: datetime | None) -> Markup:
    """A date for a person, exact on hover."""
    if at is None:
        return Markup("")
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(at.isoformat(), f"{at:%-d %b %Y}")


def count(n: int | None) -> str:
    """A number of things, from five digits on in groups of three."""
    if n is None:
        return DASH
    return _signed(f"{n:,}".replace(",", THIN) if abs(n) >= 10_000 else str(n))


def _signed(text: str) -> str:
    """With a minus sign that is as wide as a plus."""
    return text.replace("-", "\u2212", 1) if text.startswith("-") else text


_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)?(\.\d+)?Z")


def figure(value: Any, digits: int = 4) -> str:
    """A number for a person: as many digits as say something; so for a moment that travels as text."""
    if value is None:
        return DASH
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _moment(str(value))
    if isinstance(value, int):
        return count(value)
    if 10**digits <= abs(value) < LARGE:  # digits before the point are not left out: 178600 and not 1.786e+05
        return count(round(value))
    return _signed(f"{value:.{digits}g}" if abs(value) < LARGE else f"{value:.3e}")


def _moment(text: str) -> str:
    if (found := _MOMENT.fullmatch(text)) is None:
        return text
    day, minute, second, part = found[1], found[2], found[3] or ":00", (found[4] or "").rstrip("0.")
    return f"{day} {minute}" + (f"{second}{part}" if part or second != ":00" else "")


def cell(value: Any) -> str:
    """A value of a row as it is, shortened where it is long; a missing one is said to be."""
    if value is None:
        return "missing"
    return line(_moment(str(value)), CELL)


def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage."""
    return DASH if share is None else f"{100 * share:.{digits}f}\u202f%"


def human_bytes(size: int | None) -> str:
    """Bytes in the unit that a person would choose."""
    return DASH if size is None else sizes.size(size)


def duration(seconds: float | timedelta | None) -> str:
    """A length of time in the unit that a person would choose."""
    if seconds is None:
        return DASH
    left = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
    if left < 0.001:
        return "under 1 ms"
    for limit, size, unit in ((1, 0.001, "ms"), (120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if left < limit:
            return f"{_three(left / size)} {unit}"
    return f"{_three(left / 86_400)} days"


def _three(value: float) -> str:
    """Three digits, and more only where the whole part has more: never an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def short(digest: str | None) -> Markup:
    """The beginning of a digest, whole on hover."""
    if not digest:
        return Markup("")
    return Markup('<span class="digest" title="{0}">{1}</span>').format(digest, str(digest)[:12])


def link(ref: Ref | str | None, place: Callable[[Ref | str], str], text: str | None = None) -> Markup:
    """A ref as a link to its page."""
    if ref is None or ref == "":
        return Markup("")
    return Markup('<a class="ref" href="{}" title="{}">{}</a>').format(place(ref), ref, text or shortened(str(ref)))


def shortened(text: str) -> str:
    """A ref or name whose long id is cut to its last characters, which tell ids of one day apart."""
    return _ID.sub(lambda found: f"…{found[0][-8:]}", text)


def told(events: Sequence[Event]) -> list[tuple[Event, int]]:
    """Events for a list: those that repeat the one before are counted with it."""
    lines: list[tuple[Event, int]] = []
    for event in events:
        before = lines[-1][0] if lines else None
        if before is not None and _same(before, event):
            lines[-1] = (before, lines[-1][1] + 1)
        else:
            lines.append((event, 1))
    return lines


def _same(one: Event, other: Event) -> bool:
    parts = ("action", "resource", "actor", "reason", "environment", "outcome")
    return all(getattr(one, part) == getattr(other, part) for part in parts)


def chip(value: Any, kind: str = "") -> Markup:
    """A state or verdict as a coloured chip; the word says it too, so colour is never alone."""
    text = str(getattr(value, "value", value))
    tone = kind or text.replace(" ", "_").lower()
    return Markup('<span class="chip {}">{}</span>').format(tone, text.replace("_", " "))


def happened(event: Event) -> str:
    """What an event says, in words: `models.version.registered` is `version registered`."""
    _, _, rest = event.action.partition(".")
    return (rest or event.action).replace(".", " ").replace("_", " ")


def pretty(value: Any) -> str:
    """Plain values as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(to_plain(value)), indent=2).decode()


def chart(name: str, spec: dict[str, Any] | None, description: str) -> Markup:
    """A chart's place and its Vega-Lite specification, as wide as its place; a screen reader says `description`."""
    if spec is None:
        return Markup("")
    text = json.dumps({**spec, "width": "container"}, default=str).replace("<", "\\u003c")
    body = Markup(text)  # noqa: S704 - without "<" the text cannot leave its element
    return Markup(
        '<div class="chart" role="img" aria-label="{1}" data-chart="spec-{0}"></div>'
        '<script type="application/json" id="spec-{0}">{2}</script>'
    ).format(name, description, body)


def bars(counts: Sequence[int], label: str) -> Markup:
    """Counts as bars, as a notebook has them; the page's own style colours them."""
    return Markup(html.bars(counts, label))  # noqa: S704 - the label is escaped there, and all else are numbers


FILTERS: dict[str, Callable[..., Any]] = {
    "bars": bars,
    "cell": cell,
    "line": line,
    "moment": moment,
    "day": day,
    "figure": figure,
    "count": count,
    "bytes": human_bytes,
    "percent": percent,
    "duration": duration,
    "dedent": cleandoc,
    "shell": shlex.quote,
    "short": short,
    "shortened": shortened,
    "told": told,
    "chip": chip,
    "happened": happened,
    "plain": to_plain,
    "pretty": pretty,
}
