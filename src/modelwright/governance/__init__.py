"""Documents, figures and answers that are read from the record: model cards, value, inventory, what was live and why.

Nothing here keeps a second account. A card's field is computed from records that it names, or declared by somebody whom it
names, or missing, and then it says so.
"""

from modelwright.governance.records import (
    Answer,
    CardField,
    CardSection,
    Figure,
    InventoryEntry,
    LiveAnswer,
    ModelCard,
    Origin,
    Statement,
    ValueReport,
)
from modelwright.governance.service import Governance

__all__ = [
    "Answer",
    "CardField",
    "CardSection",
    "Figure",
    "Governance",
    "InventoryEntry",
    "LiveAnswer",
    "ModelCard",
    "Origin",
    "Statement",
    "ValueReport",
]
