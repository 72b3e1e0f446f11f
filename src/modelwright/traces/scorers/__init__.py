"""Scorers: how answers are judged, kept as versions of an experiment. They are stored and never run here.

`Scorers` is the service.
"""

from modelwright.traces.scorers.records import Scorer
from modelwright.traces.scorers.service import Scorers

__all__ = ["Scorer", "Scorers"]
