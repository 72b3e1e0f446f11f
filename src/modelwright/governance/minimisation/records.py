"""The nouns of minimisation: what is found, and the report of it. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from modelwright.core.refs import Ref


class Concern(StrEnum):
    """What a finding is about; the gravest first."""

    PERSONAL_INPUT = "personal-input"  # a live model takes what is about people
    WEIGHTLESS = "weightless"  # a live model takes what does not matter to it: the interval of its importance includes 0
    OVERDUE = "overdue"  # kept longer than a class allows
    UNLIMITED = "unlimited"  # about people, and no class says how long it is kept
    UNUSED_FEATURE = "unused-feature"  # no live model takes it
    UNREAD_COLUMN = "unread-column"  # neither a view nor a model takes it


class MinimisationFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is perhaps not needed, with why that is thought and what could be done."""

    concern: Concern
    ref: Ref
    names: list[str] = []  # of columns, features or inputs
    classes: list[str] = []  # what they are about
    why: str
    mend: str = ""


class MinimisationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is found at a moment, of what whoever asks may read."""

    at: datetime
    looked_at: dict[str, int] = {}  # how many live models, views, datasets
    findings: list[MinimisationFinding] = []

    def of(self, concern: Concern) -> list[MinimisationFinding]:
        """The findings of one sort."""
        return [each for each in self.findings if each.concern is concern]


class PersonalInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input of a model that comes of columns about people."""

    name: str
    classes: list[str]
    sources: list[str]  # the columns, as `dataset:people@2 email`
    permitted: bool  # whether every one of these has a permit that says for what
