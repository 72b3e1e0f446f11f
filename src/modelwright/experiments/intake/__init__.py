"""The way in for runs that were tracked elsewhere: whole, with their ids, times and curves; and the way to count them."""

from modelwright.experiments.intake.records import (
    ForeignExperiment,
    ForeignFigure,
    ForeignLoggedModel,
    ForeignRun,
    Incoming,
    LoggedTally,
    Series,
    Tally,
)
from modelwright.experiments.intake.service import Intake

__all__ = [
    "ForeignExperiment",
    "ForeignFigure",
    "ForeignLoggedModel",
    "ForeignRun",
    "Incoming",
    "Intake",
    "LoggedTally",
    "Series",
    "Tally",
]
