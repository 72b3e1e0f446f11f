"""What commands print: tables and sentences for people, one JSON document for programs (`--json`)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from modelwright.core.errors import ModelwrightError
from modelwright.core.texts import plain
from modelwright.core.wire import encode

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text
    from rich.tree import Tree

    from modelwright.core.paging import Page
    from modelwright.store.records import Event

NO_TERMINAL = 160  # characters on a line, where the output is no terminal that says how wide it is
GAP = 2  # characters between two columns of a table
LONG = 2000  # rows from which on a table is written line by line: Rich lays 100,000 out in 40 seconds
LEAST = 12  # characters that a column keeps when it must share the line
COLOURS = {
    "pass": "green",
    "succeeded": "green",
    "finished": "green",
    "done": "green",
    "promoted": "green",
    "production": "green",
    "better": "green",
    "cached": "cyan",
    "staging": "cyan",
    "waived": "yellow",
    "warn": "yellow",
    "pending": "yellow",
    "paused": "yellow",
    "waiting": "yellow",
    "analysing": "cyan",
    "running": "cyan",
    "inconclusive": "yellow",
    "fail": "red",
    "failed": "red",
    "unknown": "red",
    "firing": "red",
    "open": "red",
    "rolled_back": "red",
    "worse": "red",
    "retired": "dim",
    "not_applicable": "dim",
}


def console(*, error: bool = False) -> Console:
    """A Rich console on standard output, or on the error stream; as wide as the terminal, or as COLUMNS says."""
    import shutil

    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else shutil.get_terminal_size((NO_TERMINAL, 24)).columns
    return Console(stderr=error, highlight=False, width=width)


def print_json(value: Any) -> None:
    """One JSON document, indented."""
    import msgspec

    sys.stdout.write(msgspec.json.format(encode(value), indent=2).decode() + "\n")


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    right: Iterable[str] = (),
    copied: Iterable[str] = (),
) -> None:
    """A table; columns named in `right` are aligned to the right, a verdict or state has its colour.

    Narrow columns stay whole, so that refs and times can be read and copied, and those named in `copied` in any case; wide
    ones share what is left of the line. A long table is written as it comes: whole lines, without colours.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    rows = list(rows)
    if len(rows) >= LONG:
        _write_long(columns, rows, title, set(right))
        return
    here, rights = console(), set(right)
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(_width(each[at]) for each in [[_cell(name) for name in columns], *cells]) for at in range(len(columns))]
    whole = {at for at, name in enumerate(columns) if name in set(copied)}
    room = here.width - GAP * len(columns) - sum(widths[at] for at in whole)
    whole |= _whole([0 if at in whole else each for at, each in enumerate(widths)], room)
    made = Table(
        title=plain(title) or None,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for at, name in enumerate(columns):
        made.add_column(_cell(name), justify="right" if name in rights else "left", overflow="fold", no_wrap=at in whole)
    for row in cells:
        made.add_row(*row)
    _print(here, made)


def _write_long(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str, rights: set[str]) -> None:
    """A table line by line; what has several lines in a cell has them in one, so that a row is a line."""
    from rich.cells import cell_len

    lines = [[" ".join(_text(value).split("\n")) for value in row] for row in [columns, *rows]]
    measured = [[cell_len(cell) for cell in line] for line in lines]
    widths = [max(column) for column in zip(*measured, strict=True)]
    if title:
        sys.stdout.write(f"{plain(title)}\n")
    for number_of, (line, taken) in enumerate(zip(lines, measured, strict=True)):
        padded = [
            " " * (width - used) + cell if name in rights else cell + " " * (width - used)
            for name, cell, width, used in zip(columns, line, widths, taken, strict=True)
        ]
        sys.stdout.write((" " * GAP).join(padded).rstrip() + "\n")
        if not number_of:
            sys.stdout.write("─" * (sum(widths) + GAP * len(columns)) + "\n")


def fits(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> bool:
    """Whether a line has room for all columns of a table, the wide ones broken."""
    least = sum(min(LEAST, max(_width(_cell(each[at])) for each in [columns, *rows])) for at in range(len(columns)))
    return least + GAP * len(columns) <= console().width


def section(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Iterable[str] = ()) -> None:
    """A table as part of a longer output: after an empty line, and only if it has rows."""
    found = list(rows)
    if found:
        say("")
        table(columns, found, right=right)


def facts(title: str, pairs: Mapping[str, Any]) -> None:
    """A title, and below it what is known, a name and a value a line; what is empty is left out."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs.items():
        if value not in (None, "", [], {}):
            grid.add_row(f"  {name}", _cell(", ".join(map(str, value)) if isinstance(value, list) else value))
    here = console()
    here.print(plain(title), style="bold", markup=False, soft_wrap=True)
    _print(here, grid)


def show(what: RenderableType) -> None:
    """Something that Rich can draw, such as a tree."""
    _print(console(), what)


def tree(label: str) -> Tree:
    """The root of a tree to draw."""
    from rich.tree import Tree

    return Tree(_cell(label), guide_style="dim")


def say(text: str, *, style: str | None = None) -> None:
    """A line for a person. It is not broken, so that what is printed can be copied."""
    text = plain(text)
    if style is None:
        sys.stdout.write(f"{text}\n")  # without Rich, which takes a while to import
    else:
        console().print(text, style=style, markup=False, soft_wrap=True)


def paragraph(text: str) -> None:
    """A line of prose, broken at the width of the terminal; what is indented stays so."""
    import textwrap

    text = plain(text)
    indent = text[: len(text) - len(text.lstrip())]
    broken = textwrap.fill(text, console().width, subsequent_indent=f"{indent}  ", break_on_hyphens=False)
    sys.stdout.write(f"{broken}\n")


def aside(text: str) -> None:
    """A remark to a person, on the error stream, so that it is in nobody's pipe."""
    console(error=True).print(plain(text), style="dim", markup=False, soft_wrap=True)


def show_error(error: ModelwrightError, *, as_json: bool) -> None:
    """An error, on the error stream: what, which, why; then what to do."""
    if as_json:
        told = {"code": error.code, "message": error.message, "mend": error.mend, "details": error.details}
        sys.stderr.write(encode({"error": told}).decode() + "\n")
        return
    stream = console(error=True)
    stream.print(plain(f"Error ({error.code}): {error.message}"), style="red", markup=False, soft_wrap=True)
    if error.mend:
        stream.print(plain(error.mend), markup=False, soft_wrap=True)


def event_row(event: Event) -> list[Any]:
    """One event of the ledger: its number, time and actor, and in lines what happened, to what, and why."""
    outcome = "" if event.outcome == "ok" else f"  ({event.outcome})"
    lines = [event.action + outcome, event.resource, event.reason, event.error]
    return [event.seq, when(event.ts), event.actor.get("id", ""), "\n".join(line for line in lines if line)]


def tell_events(page: Page[Event]) -> None:
    """A page of the ledger's events, and how to see the next."""
    table(["event", "when", "who", "what"], [event_row(event) for event in page.items], right=("event",))
    if page.next:
        aside(f"There are more: --after {page.next}")


def when(moment: datetime | None) -> str:
    """A moment to the minute, in UTC."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def day(moment: datetime | None) -> str:
    """The day of a moment, in UTC."""
    return "" if moment is None else f"{moment:%Y-%m-%d}"


def counted(count: int, thing: str) -> str:
    """How many of something: `1 row`, `2,000 rows`."""
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def number(value: Any) -> str:
    """A figure to four places; whole numbers with thousands apart."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    if isinstance(value, int) or 1e4 <= abs(value) < 1e9:  # digits before the point are not left out: 178,600
        return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}"
    return f"{value:.4g}"


def span(seconds: float | None) -> str:
    """A duration in its largest fitting unit."""
    if seconds is None:
        return ""
    for limit, unit, name in ((90, 1, "s"), (90 * 60, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / 86400:.1f} d"


def short(digest: str) -> str:
    """The beginning of a digest, as a ref's selector."""
    return f"b3:{digest[:12]}"


def _cell(value: Any) -> Text:
    from rich.text import Text

    text = _text(value)
    return Text(text, style=COLOURS.get(text, ""))


def _text(value: Any) -> str:
    """What a value is in a table."""
    if isinstance(value, datetime):
        value = f"{value:%Y-%m-%d %H:%M:%S}"
    return plain("" if value is None else number(value) if isinstance(value, int | float) else str(value))


def _width(text: Text) -> int:
    return max((len(line) for line in text.plain.splitlines()), default=0)


def _whole(widths: Sequence[int], room: int) -> set[int]:
    """Which columns are printed unbroken: the narrowest first, as long as the others keep `LEAST` each."""
    whole: set[int] = set()
    for at in sorted(range(len(widths)), key=lambda each: widths[each]):
        others = sum(min(LEAST, width) for each, width in enumerate(widths) if each not in whole and each != at)
        if widths[at] + others > room:
            break
        whole.add(at)
        room -= widths[at]
    return whole


def _print(here: Console, what: RenderableType) -> None:
    """Draw; without the blanks that would fill every line, where no terminal needs them."""
    if here.is_terminal:
        here.print(what)
        return
    with here.capture() as drawn:
        here.print(what)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))
