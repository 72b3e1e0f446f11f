"""Searching experiments, and what their runs have read."""
