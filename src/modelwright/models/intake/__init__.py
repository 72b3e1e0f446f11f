"""The way in for models that were registered elsewhere, with the numbers of their versions."""

from modelwright.models.intake.records import ForeignModel, ForeignVersion, Registered
from modelwright.models.intake.service import ALIAS_TAG, STAGE_TAG, ModelIntake

__all__ = ["ALIAS_TAG", "STAGE_TAG", "ForeignModel", "ForeignVersion", "ModelIntake", "Registered"]
