"""The registry: model versions with their files, signature and origin; the stages they pass; the champion among them.

This is the room to read first: records, tables and service are each what the others of the house look like.
"""

from modelwright.models.records import (
    CHAMPION,
    MOVES,
    Change,
    Model,
    ModelDiff,
    ModelRecord,
    ModelSettings,
    ModelVersion,
    Parity,
    Profile,
    SignatureStanding,
    Stage,
)
from modelwright.models.registry import Registry
from modelwright.models.searching import Compare, Condition, Every, Not, Order, Search, Some, Test
from modelwright.models.service import Models
from modelwright.models.signing import Signatures

__all__ = [
    "CHAMPION",
    "MOVES",
    "Change",
    "Compare",
    "Condition",
    "Every",
    "Model",
    "ModelDiff",
    "ModelRecord",
    "ModelSettings",
    "ModelVersion",
    "Models",
    "Not",
    "Order",
    "Parity",
    "Profile",
    "Registry",
    "Search",
    "SignatureStanding",
    "Signatures",
    "Some",
    "Stage",
    "Test",
]
