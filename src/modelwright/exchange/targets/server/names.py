"""Names of parameters, metrics and tags that our own clients take and MLflow's server refuses: they get others there."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from msgspec.structs import replace

from modelwright.core.hashing import digest_bytes
from modelwright.exchange.remarks import Remarks
from modelwright.experiments.intake import ForeignExperiment, ForeignRun, Series

MAX_NAME: Final = 250
OTHER: Final = "has a name there that MLflow takes"
_TAKEN: Final = re.compile(r"[/\w.\- :]+")
_ODD: Final = re.compile(r"[^\w.\- :]+")
_Kept = TypeVar("_Kept")


def taken(name: str) -> str:
    """The name; or where the server refuses it, what can be read of it and eight digits of its digest."""
    leads_elsewhere = posixpath.normpath(name) != name or name == "." or name.startswith(("/", ".."))
    if _TAKEN.fullmatch(name) and not leads_elsewhere:
        return name
    digits = digest_bytes(name.encode())[:8]
    return f"{_ODD.sub('_', name).strip('.')[: MAX_NAME - 9]}-{digits}"


class Names:
    """Gives what is written names that the server takes, the same each time, and remarks those that are others."""

    def __init__(self, remarks: Remarks) -> None:
        self._remarks = remarks
        self._told: set[str] = set()

    def experiment(self, each: ForeignExperiment) -> ForeignExperiment:
        """An experiment."""
        return replace(each, tags=self.pairs(each.tags))

    def run(self, each: ForeignRun) -> ForeignRun:
        """A run without its curves."""
        return replace(each, params=self.pairs(each.params), tags=self.pairs(each.tags))

    def series(self, curves: Sequence[Series]) -> list[Series]:
        """The curves of a run."""
        return [Series(self._name(each.metric), each.steps, each.times, each.values) for each in curves]

    def pairs(self, named: Mapping[str, _Kept]) -> dict[str, _Kept]:
        """Values by their names."""
        return {self._name(name): value for name, value in named.items()}

    def _name(self, name: str) -> str:
        found = taken(name)
        if found != name and name not in self._told:
            self._told.add(name)
            self._remarks.add(OTHER, f"{name!r}: {found}")
        return found
