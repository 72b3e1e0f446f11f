"""Coming from MLflow and going back to it, and coming from DVC: whole stores, read and written where they lie."""

from modelwright.exchange.bringing import Bringing
from modelwright.exchange.exporting import Exporting
from modelwright.exchange.records import Counts, Line, Outcome
from modelwright.exchange.sources import Source, open_source
from modelwright.exchange.sources.workspace import WorkspaceSource
from modelwright.exchange.targets import Target, open_target

__all__ = [
    "Bringing",
    "Counts",
    "Exporting",
    "Line",
    "Outcome",
    "Source",
    "Target",
    "WorkspaceSource",
    "open_source",
    "open_target",
]
