"""The record and what it rests on: database, ledger, catalog, evidence, objects."""

from modelwright.store.audit.checkpoints import LedgerSettings, due
from modelwright.store.database import Database, Transaction
from modelwright.store.embedded import Decision, Embedded, acting_as
from modelwright.store.leases import Leadership
from modelwright.store.records import (
    AliasMove,
    Direction,
    Edge,
    Event,
    EventFilter,
    Evidence,
    Hold,
    Lineage,
    State,
    Thing,
    Verdict,
    Version,
)
from modelwright.store.service import Record

__all__ = [
    "AliasMove",
    "Database",
    "Decision",
    "Direction",
    "Edge",
    "Embedded",
    "Event",
    "EventFilter",
    "Evidence",
    "Hold",
    "Leadership",
    "LedgerSettings",
    "Lineage",
    "Record",
    "State",
    "Thing",
    "Transaction",
    "Verdict",
    "Version",
    "acting_as",
    "due",
]
