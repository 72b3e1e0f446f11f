"""A running server of MLflow's that is written into: how it is asked, and what it has of what is here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from modelwright.core.errors import Invalid
from modelwright.exchange.files import File
from modelwright.exchange.remarks import Remarks
from modelwright.exchange.sources.server import Api, ServerSource
from modelwright.exchange.targets.server.names import Names
from modelwright.experiments.records import ModelRole
from modelwright.models.intake import ForeignModel, ForeignVersion

EXPERIMENT_TAG: Final = "modelwright.experiment"  # the number that an experiment has here: an export made it
RUN_TAG: Final = "modelwright.run"  # the id that a run has here
MODEL_TAG: Final = "modelwright.logged-model"
VERSION_TAG: Final = "modelwright.version"  # of a version, and of the logged model that it stands on
WRITTEN_TAG: Final = "modelwright.written"  # set last: what was written, as a digest


class There(msgspec.Struct):
    """What the server has of a run or a logged model."""

    id: str
    location: str
    deleted: bool = False
    written: str = ""
    params: set[str] = set()  # of a logged model: the names of those that it has
    links: set[tuple[ModelRole, str]] = set()  # of a run: the logged models that it took in and made, by their ids there
    tags: frozenset[str] | None = None  # of what is exported, and so is counted: the names of the tags that it has here


class Server:
    """What is known of a server, and asked of it; the classes above write."""

    def __init__(self, address: str, *, token: str = "") -> None:
        self._api = Api(address, token=token)
        self._source = ServerSource(address, token=token)
        self.name = self._api.address
        if self._source.major() < 3:
            raise Invalid(
                f"{self.name} is no server of MLflow's of version 3 or later.",
                mend="Name one, or export into a folder and start a newer server over it.",
            )
        self._remarks = Remarks()
        self._names = Names(self._remarks)
        self._numbers: dict[str, str] = {}  # of experiments: the id there by the id here
        self._tags: dict[str, frozenset[str]] = {}  # of experiments: the names of tags that were written
        self._made: set[str] = set()  # experiments that an export made, by their ids there
        self._runs: dict[str, There] = {}  # by the id here
        self._logged: dict[str, There] = {}
        self._stands: dict[str, There] = {}  # by name and number of the version
        self._standing: dict[str, str] = {}  # name and number by the location here
        self._models: dict[str, ForeignModel] = {}  # as they are there, aliases too
        self._versions: dict[str, dict[int, ForeignVersion]] = {}  # as they are there
        self._written: dict[tuple[str, int], frozenset[str]] = {}  # versions, with the names of their tags

    def close(self) -> None:
        """Hang up."""
        self._api.close()
        self._source.close()

    @property
    def notes(self) -> list[str]:
        """What is not as it is here."""
        return [
            "What is new there has ids of its own; the tags modelwright.run and modelwright.logged-model say those here.",
            *self._remarks.lines(),
        ]

    @property
    def remarks(self) -> dict[str, list[str]]:
        """Every single thing that is not as it is here."""
        return self._remarks.all()

    def _files(self, place: str) -> Sequence[File]:
        """What lies at a place, as far as it can be seen from here."""
        found = self._source.place(place)
        return [] if found is None else found.files()

    def _place(self, location: str) -> str:
        """Where the server says that the files of a thing lie."""
        kind, _, name = location.partition(":")
        if kind == "run":
            there = self._runs[name]
        elif kind == "logged-model":
            there = self._logged[name]
        else:
            there = self._stands[self._standing[location]]
        return there.location

    def _post(self, path: str, **body: Any) -> Any:
        return self._api.ask("POST", path, body=body)


def pairs(values: dict[str, str]) -> list[dict[str, str]]:
    """Names and values as MLflow writes them."""
    return [{"key": key, "value": value} for key, value in values.items()]


def parts(things: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """The things, no more than so many in one call."""
    for start in range(0, len(things), size):
        yield things[start : start + size]
