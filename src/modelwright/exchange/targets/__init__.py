"""Stores of MLflow's that can be written: a folder with a database and artifacts, or a running server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from modelwright.core.errors import Invalid
from modelwright.exchange.records import Counts
from modelwright.experiments.intake import ForeignExperiment, ForeignLoggedModel, ForeignRun, Series
from modelwright.models.intake import ForeignModel, ForeignVersion

RunWithCurves = tuple[ForeignRun, Sequence[Series]]


class Target(Protocol):
    """A store that can be written. Writing the same again changes nothing, and what only it has stays.

    Things are named as they are here; files belong to a `location`, which is the ref of what has them here. Where a method
    returns a number or a verdict, that tells how many of the things were not there as they are here.
    """

    name: str
    shows_discarded: bool  # whether it can hold a logged model that is discarded

    @property
    def notes(self) -> list[str]: ...

    @property
    def remarks(self) -> dict[str, list[str]]:
        """Every single thing that is not there as it is here, by what holds for it."""
        ...

    def experiments(self, new: Sequence[ForeignExperiment]) -> int: ...

    def lacking(self, runs: Sequence[ForeignRun]) -> list[str]:
        """Which of some runs are not there as they are here, by their ids."""
        ...

    def runs(self, new: Sequence[RunWithCurves]) -> None: ...
    def logged_models(self, new: Sequence[ForeignLoggedModel]) -> int: ...

    def models(self, new: Sequence[ForeignModel]) -> int:
        """Models without versions and aliases."""
        ...

    def version(self, new: ForeignVersion, *, own_files: bool) -> bool:
        """A version. It has files of its own where they are not those of a run or a logged model that is there."""
        ...

    def aliases(self, model: ForeignModel) -> None: ...

    def held(self, location: str) -> dict[str, int]:
        """The files that a thing has there, by name with their sizes."""
        ...

    def put(self, location: str, path: str, content: Iterable[bytes], size: int) -> None:
        """Give a thing a file."""
        ...

    def finish(self, experiments: Sequence[ForeignExperiment], runs: Sequence[ForeignRun]) -> None:
        """Do what can only be done in the end: say which models runs made, delete what is deleted here."""
        ...

    def counts(self) -> Counts:
        """How much there is of what was written, counted anew."""
        ...

    def close(self) -> None: ...


def open_target(where: str, *, token: str = "") -> Target:
    """The store that an address means: a folder, or a server."""
    parts = urlsplit(where)
    if parts.scheme in ("http", "https"):
        from modelwright.exchange.targets.server import ServerTarget

        return ServerTarget(where, token=token)
    if parts.scheme not in ("", "file") or not where:
        raise Invalid(
            f"Nothing can be exported into {where!r}.",
            mend="Name a folder, which gets a database mlflow.db, or a running server: http://...",
        )
    from modelwright.exchange.targets.database import DatabaseTarget

    return DatabaseTarget(Path(unquote(parts.path) if parts.scheme else where))


__all__ = ["RunWithCurves", "Target", "open_target"]
