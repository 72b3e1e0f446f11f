"""Metric points in the database."""
