"""What an import or an export comes to: counts on both sides, and what had to be left out. Pure."""

from __future__ import annotations

import msgspec


class Counts(msgspec.Struct, kw_only=True):
    """How much there is of everything that is compared in the end."""

    experiments: int = 0
    experiments_deleted: int = 0
    experiment_tags: int = 0
    runs: int = 0
    runs_deleted: int = 0
    params: int = 0
    tags: int = 0
    metrics: int = 0
    points: int = 0
    dataset_inputs: int = 0
    model_links: int = 0
    artifacts: int = 0
    artifact_bytes: int = 0
    unreached: int = 0  # places whose files could not be had
    logged_models: int = 0
    logged_params: int = 0
    logged_tags: int = 0
    logged_figures: int = 0
    logged_files: int = 0
    registered_models: int = 0
    traces: int = 0
    spans: int = 0
    assessments: int = 0
    versions: int = 0
    version_tags: int = 0
    aliases: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})

    def __sub__(self, other: Counts) -> Counts:
        return Counts(**{name: getattr(self, name) - getattr(other, name) for name in self.__struct_fields__})


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the check at the end."""

    what: str
    there: int
    here: int

    @property
    def verdict(self) -> str:
        """Pass or fail."""
        return "pass" if self.there == self.here else "fail"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an import or an export."""

    source: str
    target: str
    dry_run: bool
    added: dict[str, int]  # what was new or had changed, by what it is
    same: dict[str, int]  # what was there already
    check: list[Line]
    notes: list[str]  # what a reader must know: what was left out and why
    remarks: dict[str, list[str]] = {}  # the same of single things, all of them, by what holds for them

    @property
    def agrees(self) -> bool:
        """Whether both sides have the same of everything."""
        return all(line.verdict == "pass" for line in self.check)


def compared(there: Counts, here: Counts) -> list[Line]:
    """Both sides, name by name."""
    return [
        Line(what=name.replace("_", " "), there=getattr(there, name), here=getattr(here, name))
        for name in there.__struct_fields__
    ]
