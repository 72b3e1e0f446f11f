"""How a story is told on a terminal: an act, its beats, and what came of each."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class Teller:
    """Prints as the story goes on; keeps the time."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._begun = time.monotonic()
        self._act = 0

    @property
    def seconds(self) -> float:
        """Since the story began."""
        return time.monotonic() - self._begun

    def title(self, text: str, lede: str) -> None:
        """The story's name, and what it is about."""
        self.console.print()
        self.console.print(text, style="bold")
        self.console.print(lede, style="dim")

    def act(self, title: str) -> None:
        """A new act."""
        self._act += 1
        self.console.print()
        self.console.print(f"[bold cyan]{self._act}. {title}[/]  [dim]{self.seconds:.0f} s[/]")

    def beat(self, text: str) -> None:
        """Something happened."""
        self.console.print(f"   {text}", markup=False, highlight=False)

    def good(self, text: str) -> None:
        """Something was checked and held."""
        self.console.print("   [green]✓[/] ", end="")
        self.console.print(text, markup=False, highlight=False)

    def refused(self, text: str) -> None:
        """Something was refused, as it should be."""
        self.console.print("   [yellow]✗[/] ", end="")
        self.console.print(text, markup=False, highlight=False)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Figures."""
        from rich.box import SIMPLE_HEAD
        from rich.padding import Padding
        from rich.table import Table

        made = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
        for column in columns:
            made.add_column(column)
        for row in rows:
            made.add_row(*(str(cell) for cell in row))
        self.console.print(Padding(made, (0, 0, 0, 3)))

    def progress(self) -> Progress:
        """A bar for what takes a while."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        return Progress(
            TextColumn("   {task.description}"), BarColumn(), TextColumn("{task.fields[at]}"), TimeRemainingColumn(),
            console=self.console, transient=True, disable=not self.console.is_terminal,
        )  # fmt: skip
