"""The record and what it rests on: database, ledger, catalog, evidence, objects."""

from modelwright.store.database import Database, Transaction
from modelwright.store.embedded import Decision, Embedded, acting_as
from modelwright.store.records import AliasMove, Edge, Event, Evidence, State, Verdict, Version

__all__ = [
    "AliasMove",
    "Database",
    "Decision",
    "Edge",
    "Embedded",
    "Event",
    "Evidence",
    "State",
    "Transaction",
    "Verdict",
    "Version",
    "acting_as",
]
