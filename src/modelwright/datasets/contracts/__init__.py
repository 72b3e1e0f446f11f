"""Contracts: what the producer of a dataset promises those who read it, version by version, and whether it is kept."""
