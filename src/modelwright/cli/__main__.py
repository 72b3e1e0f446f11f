"""`python -m modelwright.cli` is `mw`."""

from modelwright.cli.entry import main

main()
