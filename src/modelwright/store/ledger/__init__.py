"""The ledger: an append-only, tamper-evident log of every change of state.

`log` appends, in the transaction of the change; `merkle` and `tree` prove; `keys` sign; `export` writes it out; `verify` is
the verifier, which imports nothing of the rest.
"""
