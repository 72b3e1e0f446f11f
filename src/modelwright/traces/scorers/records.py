"""The noun of scorers. Pure."""

from __future__ import annotations

import msgspec

MAX_NAME = 250  # characters
MAX_SCORER = 2**20  # characters of what a client made of it


class Scorer(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a scorer."""

    id: str  # of the scorer, the same for all its versions
    experiment_id: int
    name: str
    version: int
    serialized: str  # JSON that MLflow's client reads; nobody here looks into it
    created: int  # milliseconds since 1970
    created_by: str
