"""The ledger for those who check it: checkpoints, proofs, exports and verification, as operations."""
