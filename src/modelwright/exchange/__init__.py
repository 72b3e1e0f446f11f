"""Coming from MLflow and going back to it: whole stores, read and written where they lie."""

from modelwright.exchange.bringing import Bringing
from modelwright.exchange.records import Counts, Line, Outcome
from modelwright.exchange.sources import Source, open_source

__all__ = ["Bringing", "Counts", "Line", "Outcome", "Source", "open_source"]
