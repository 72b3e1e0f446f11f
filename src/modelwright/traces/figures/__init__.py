"""Figures over many traces: which there are, and what is asked of the database for them."""
