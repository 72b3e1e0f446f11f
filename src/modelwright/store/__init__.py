"""The record and what it rests on: database, ledger, catalog, evidence, objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from modelwright.core.later import on_demand

if TYPE_CHECKING:
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

_HOMES: Final = {
    "audit.checkpoints": (
        "LedgerSettings",
        "due",
    ),
    "database": (
        "Database",
        "Transaction",
    ),
    "embedded": (
        "Decision",
        "Embedded",
        "acting_as",
    ),
    "leases": ("Leadership",),
    "records": (
        "AliasMove",
        "Direction",
        "Edge",
        "Event",
        "EventFilter",
        "Evidence",
        "Hold",
        "Lineage",
        "State",
        "Thing",
        "Verdict",
        "Version",
    ),
    "service": ("Record",),
}  # where each name is: a command pays only for what it uses


__getattr__ = on_demand(__name__, {name: home for home, names in _HOMES.items() for name in names})
