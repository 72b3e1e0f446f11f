"""Searching runs and experiments, and reading many runs at once, without a record for each of their rows.

`language` says what a filter may name, `plan` chooses how to go about it, `queries` are the statements.
"""
