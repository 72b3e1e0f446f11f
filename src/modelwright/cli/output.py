"""What commands print: tables and sentences for people, one JSON document for programs (`--json`)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from modelwright.core.errors import ModelwrightError
from modelwright.core.wire import encode

if TYPE_CHECKING:
    from rich.console import Console


def console(*, error: bool = False) -> Console:
    """A Rich console on standard output, or on the error stream."""
    from rich.console import Console

    return Console(stderr=error, highlight=False, soft_wrap=not sys.stdout.isatty())


def print_json(value: Any) -> None:
    """One JSON document, indented."""
    import msgspec

    sys.stdout.write(msgspec.json.format(encode(value), indent=2).decode() + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "", right: Iterable[str] = ()) -> None:
    """A table; columns named in `right` are aligned to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    made = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    rights = set(right)
    for column in columns:
        made.add_column(column, justify="right" if column in rights else "left", overflow="fold")
    for row in rows:
        made.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    console().print(made)


def say(text: str, *, style: str | None = None) -> None:
    """A line for a person."""
    console().print(text, style=style, markup=False)


def show_error(error: ModelwrightError, *, as_json: bool) -> None:
    """An error, on the error stream: what, which, why; then what to do."""
    if as_json:
        told = {"code": error.code, "message": error.message, "mend": error.mend, "details": error.details}
        sys.stderr.write(encode({"error": told}).decode() + "\n")
        return
    stream = console(error=True)
    stream.print(f"Error ({error.code}): {error.message}", style="red", markup=False)
    if error.mend:
        stream.print(error.mend, markup=False)
