"""The command line: `python -m benchmarks [NAME ...] [--quick] [--json]`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from typing import Any

from benchmarks import report, runner


def main() -> int:
    """Run the benchmarks chosen; the exit code says nothing of their figures."""
    known = runner.load()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast Modelwright is, beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"by default all: {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="smaller and fewer: figures not to be quoted")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON document")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.names if name not in known]:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(known)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped, and what was found is kept
    about, results = report.machine(), []
    console = report.console(error=chosen.json)
    console.print(", ".join(f"{key} {value}" for key, value in about.items()))
    told: dict[str, Any] = report.document(results, about, quick=chosen.quick)
    for each in [known[name] for name in chosen.names or known]:
        found: list[runner.Result | runner.Skipped] = []
        try:
            with console.status(f"{each.name}: {each.what} ..."):
                for result in runner.run(each, quick=chosen.quick):
                    found.append(result)
                    told = report.document([*results, *found], about, quick=chosen.quick)
                    report.write(told)
        finally:
            console.print()
            console.print(report.table(each, found))
        results += found
    if chosen.json:
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        console.print(f"\nWritten to {report.RESULTS}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
