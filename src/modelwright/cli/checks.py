"""What a run of checks found, for a person and for the shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from modelwright.cli.output import COLOURS, aside, say, section, table

if TYPE_CHECKING:
    from modelwright.datasets.records import CheckReport

CHECKS_FAILED = 10  # the exit code, as for a gate that refuses


def tell_checks(report: CheckReport) -> None:
    """Results, failing rows, and the verdict."""
    rows = [[r.check, r.verdict.value, r.failing or "", r.message or r.error] for r in report.results]
    table(["check", "verdict", "rows", "what was found"], rows, right=("rows",))
    samples = [[r.check, ", ".join(f"{k}={v}" for k, v in row.items())] for r in report.failed for row in r.sample[:3]]
    section(["failing", "for example"], samples)
    say("")
    say(f"{report.ref}: {report.verdict.value}. {report.summary}", style=COLOURS.get(report.verdict.value))


def exit_by(report: CheckReport | None) -> None:
    """Leave with the code for a check that failed, where one did."""
    if report is not None and report.verdict.value == "fail":
        aside("Nothing was undone: the version stays, and the gates will refuse what is made from it.")
        raise typer.Exit(CHECKS_FAILED)
