"""Stores of MLflow's that can be read: a database, a folder, a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from modelwright.exchange.files import Place
from modelwright.exchange.records import Counts
from modelwright.exchange.sources.traces import ForeignTrace
from modelwright.experiments.intake import ForeignExperiment, ForeignLoggedModel, ForeignRun, Series
from modelwright.models.intake import ForeignModel, ForeignVersion


class Source(Protocol):
    """A store that can be read. Each part of it is given in an order that is the same the next time."""

    name: str  # where it is, without a password: the same store has the same name

    @property
    def notes(self) -> list[str]: ...

    def sizes(self) -> Counts:
        """How many experiments, runs, logged models and versions there are, as far as that is known at once."""
        ...

    def experiments(self) -> Iterator[ForeignExperiment]: ...
    def runs(self) -> Iterator[ForeignRun]: ...
    def series(self, runs: Sequence[str]) -> Iterator[tuple[str, Series]]: ...
    def logged_models(self) -> Iterator[ForeignLoggedModel]: ...
    def traces(self) -> Iterator[ForeignTrace]: ...
    def models(self) -> Iterator[ForeignModel]: ...
    def versions(self) -> Iterator[ForeignVersion]: ...

    def counts(self) -> Counts:
        """How much there is, counted without regard to what was read before."""
        ...

    def place(self, location: str) -> Place | None:
        """Where the files of a location can be had; None where it cannot be told from here."""
        ...

    def close(self) -> None: ...


def open_source(uri: str, *, artifacts: str | None = None, token: str = "") -> Source:
    """The store that an address means. `artifacts` is where its artifact root lies, if not where it says."""
    scheme = urlsplit(uri).scheme
    if scheme in ("http", "https"):
        from modelwright.exchange.sources.server import ServerSource

        return ServerSource(uri, root=artifacts, token=token)
    if scheme in ("", "file"):
        from modelwright.exchange.sources.folder import FolderSource

        return FolderSource(Path(unquote(urlsplit(uri).path) if scheme else uri), root=artifacts)
    from modelwright.exchange.sources.database import DatabaseSource

    return DatabaseSource(uri, root=artifacts)


__all__ = ["Source", "open_source"]
