"""How fast Modelwright is, beside something whose speed everybody knows, in the same run on the same machine.

    python -m benchmarks                 every benchmark; a table, and .bench/results.json
    python -m benchmarks start objects   only these
    python -m benchmarks --quick         smaller and fewer, to see that they run; its figures are not to be quoted

A benchmark is one file in `entries/` with one generator of cases: see `cases.py`.
"""
