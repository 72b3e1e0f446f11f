"""Progress of long work, on the error stream; silent where that is no terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.core.operations import Caller, Operation, Room

if TYPE_CHECKING:
    from modelwright.core.blobs import Blobs
    from modelwright.core.principals import Principal

Told = Callable[[float], None]
LOOK_EVERY = 0.2  # seconds


@contextmanager
def progress(what: str, total: float | None = None, *, bytes_: bool = False) -> Iterator[Told]:
    """Draw a bar (without a `total`, a moving line with the time taken) while the block runs; yields how to advance it."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich import progress as rich

    from modelwright.cli.output import console

    amount = [rich.DownloadColumn(binary_units=True)] if bytes_ else [rich.MofNCompleteColumn()] if total else []
    columns = [rich.TextColumn("{task.description}"), rich.BarColumn(), *amount, rich.TimeElapsedColumn()]
    with rich.Progress(*columns, console=console(error=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def growing(what: str, total: float, folder: Path) -> Iterator[None]:
    """Progress of work that fills a folder with so many bytes."""
    stop = threading.Event()
    with progress(what, total, bytes_=True) as told:

        def look() -> None:
            while not stop.wait(LOOK_EVERY):
                told(min(total, folder_size(folder)))

        watcher = threading.Thread(target=look, name="progress", daemon=True)
        if sys.stderr.isatty():
            watcher.start()
        try:
            yield
        finally:
            stop.set()
            if watcher.is_alive():
                watcher.join()


def folder_size(folder: Path) -> int:
    """The bytes of all files below a folder, of which some may vanish meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


class Telling:
    """A caller that tells of each operation when it is done, to show how far a long method has come."""

    def __init__(self, caller: Caller, told: Callable[[str, Any], None]) -> None:
        """`told` gets the operation's path (`record/export_events`) and its result."""
        self._caller = caller
        self._told = told

    @property
    def blobs(self) -> Blobs:
        """See `Caller`."""
        return self._caller.blobs

    @property
    def principal(self) -> Principal:
        """See `Caller`."""
        return self._caller.principal

    def call(self, room: Room, operation: Operation[Any, Any, Any, Any], arguments: dict[str, Any]) -> Any:
        """See `Caller`."""
        result = self._caller.call(room, operation, arguments)
        self._told(operation.path, result)
        return result
