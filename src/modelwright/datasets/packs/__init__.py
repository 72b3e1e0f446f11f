"""Packs: which of them hold little that a version still needs, and putting that anew, so that the rest can go."""

from modelwright.datasets.packs.records import Moved, Repacked, SparsePack, SparsePacks
from modelwright.datasets.packs.service import Packs

__all__ = ["Moved", "Packs", "Repacked", "SparsePack", "SparsePacks"]
