"""The way in for models that were registered elsewhere, with the numbers of their versions."""

from modelwright.models.intake.records import ForeignModel, ForeignVersion, Registered
from modelwright.models.intake.service import ModelIntake

__all__ = ["ForeignModel", "ForeignVersion", "ModelIntake", "Registered"]
