"""The ledger: an append-only, tamper-evident log of every change of state. `log.append` writes; `merkle` proves."""
