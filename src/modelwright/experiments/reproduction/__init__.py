"""Reproductions: a run done again, compared with itself. `mw reproduce` does it; what came of it is recorded here."""

from modelwright.experiments.reproduction.records import Report, Reproduction
from modelwright.experiments.reproduction.service import Reproductions

__all__ = ["Report", "Reproduction", "Reproductions"]
