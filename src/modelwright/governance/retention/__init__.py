"""Retention: how long data are kept, what goes when, what must stay, and the proof of what went.

A class says how long data of some sorts are kept, below some names. The operator lets go of what is due, in two steps:
first it is out of reach, with a tombstone where it was; then its bytes go, and an event says which. A legal hold beats
everything.
"""

from modelwright.governance.retention.records import (
    Covers,
    Deletion,
    Due,
    ProofCheck,
    RetentionClass,
    RetentionPlan,
    RetentionSettings,
    Scope,
)
from modelwright.governance.retention.service import Places, Retention
from modelwright.governance.retention.turn import RetentionTurn

__all__ = [
    "Covers",
    "Deletion",
    "Due",
    "Places",
    "ProofCheck",
    "Retention",
    "RetentionClass",
    "RetentionPlan",
    "RetentionSettings",
    "RetentionTurn",
    "Scope",
]
