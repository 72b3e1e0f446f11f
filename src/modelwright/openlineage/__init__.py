"""OpenLineage, out and in: the ledger said in its words, and what other producers say taken onto the record.

`OpenLineage` is the service, `LineageTurn` the reconciler that delivers. Spec 2-0-2 (https://openlineage.io).
"""

from modelwright.openlineage.records import BatchAnswer, Party, PartyKind, Received, Stretch
from modelwright.openlineage.service import OpenLineage, OpenLineageSettings
from modelwright.openlineage.turn import LineageTurn

__all__ = [
    "BatchAnswer",
    "LineageTurn",
    "OpenLineage",
    "OpenLineageSettings",
    "Party",
    "PartyKind",
    "Received",
    "Stretch",
]
