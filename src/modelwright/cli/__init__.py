"""The command, `modelwright` or short `mw`. `mw --help` answers from a table, before anything heavy is imported."""

from modelwright.cli.entry import main

__all__ = ["main"]
