"""Running checks: the aggregates of all of them in one query, and a look at failing rows only where there are some.

A check that cannot be asked (a column that is not there, SQL that DuckDB refuses, a value that makes it stop) has failed,
whatever its severity, and says why; the others are not kept from running.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from modelwright.core.errors import Invalid, ModelwrightError
from modelwright.datasets.checks import Check, Severity
from modelwright.datasets.engine import connect, identifier, row, rows
from modelwright.datasets.plans import Plan, plan_for
from modelwright.datasets.profile import scalar
from modelwright.datasets.records import CheckBasis, CheckReport, CheckResult
from modelwright.store.records import Verdict

SAMPLE = 5
_TABLE = "dataset"


def run_checks(checks: Sequence[Check], basis: CheckBasis, files: Sequence[Path]) -> CheckReport:
    """Run checks over a version's parts; `Invalid` if there are none to run."""
    if not checks:
        raise Invalid("There are no checks to run.", mend="Declare some; `datasets.suggest(ref)` proposes them.")
    connection = connect({_TABLE: files})
    plans, problems = _plans(checks, basis, connection)
    figures = _figures(connection, plans, problems, quoting=not any(c.personal for c in basis.version.columns))
    results = []
    for position, (check, title) in enumerate(zip(checks, _titles(checks), strict=True)):
        if position in problems:
            results.append(_not_run(title, problems[position]))
        else:
            results.append(_result(connection, check, title, plans[position], figures[position], basis))
    return CheckReport.of(basis.version.ref, results)


def _titles(checks: Sequence[Check]) -> list[str]:
    """A name for each, unlike the others'."""
    titles: list[str] = []
    for check in checks:
        count = sum(title == check.title or title.startswith(f"{check.title} #") for title in titles)
        titles.append(f"{check.title} #{count + 1}" if count else check.title)
    return titles


def _plans(checks: Sequence[Check], basis: CheckBasis, connection: Any) -> tuple[dict[int, Plan], dict[int, str]]:
    """The plans of checks that can be asked, by position, and of the others the reason why not."""
    plans: dict[int, Plan] = {}
    problems: dict[int, str] = {}
    for position, check in enumerate(checks):
        try:
            plan = plan_for(check, basis)
            _bind(connection, plan)
            plans[position] = plan
        except (ModelwrightError, duckdb.Error) as error:
            problems[position] = _said(error)
    return plans, problems


def _bind(connection: Any, plan: Plan) -> None:
    """Have DuckDB resolve names and types without running anything."""
    if plan.boolean:
        kind = str(connection.sql(f"SELECT {plan.boolean} FROM {_TABLE}").types[0])
        if kind != "BOOLEAN":
            raise Invalid(f"The expression is {kind}, not a condition that is true or false.")
    if plan.figures:
        connection.sql(f"SELECT {', '.join(plan.figures)} FROM {_TABLE}")


def _figures(connection: Any, plans: dict[int, Plan], problems: dict[int, str], *, quoting: bool) -> dict[int, list[Any]]:
    """The aggregates of every plan, in one query; if that stops, one by one, to find whose fault it is."""
    try:
        return _query(connection, plans)
    except duckdb.Error:
        found: dict[int, list[Any]] = {}
        for position, plan in plans.items():
            try:
                found |= _query(connection, {position: plan})
            except duckdb.Error as error:  # its words may quote the value that it stopped at
                withheld = f"{type(error).__name__} (withheld: the dataset has personal columns)"
                problems[position] = _said(error) if quoting else withheld
        return found


def _query(connection: Any, plans: dict[int, Plan]) -> dict[int, list[Any]]:
    wanted = [f"{sql} AS {identifier(f'{i}.{j}')}" for i, plan in plans.items() for j, sql in enumerate(plan.figures)]
    found = row(connection, f"SELECT {', '.join(wanted)} FROM {_TABLE}") if wanted else {}
    return {i: [found[f"{i}.{j}"] for j in range(len(plan.figures))] for i, plan in plans.items()}


def _result(connection: Any, check: Check, title: str, plan: Plan, figures: list[Any], basis: CheckBasis) -> CheckResult:
    finding, total = plan.judge(*figures), basis.version.rows
    bad = Verdict.FAIL if check.severity is Severity.ERROR else Verdict.WARN
    return CheckResult(
        check=title,
        verdict=Verdict.PASS if finding.holds else bad,
        message=finding.message,
        rows=total,
        failing=finding.failing,
        share=finding.failing / total if total and plan.breaks else 0.0,
        observed=finding.observed,
        sample=_sample(connection, plan, basis) if plan.breaks and not finding.holds else [],
    )


def _sample(connection: Any, plan: Plan, basis: CheckBasis) -> list[dict[str, Any]]:
    """Some failing rows: their number (from 1, in the order of the rows), key and telling values, nothing personal."""
    version = basis.version
    shown = [n for n in dict.fromkeys([*version.key, *plan.shows]) if not version.column(n).personal]
    listed = "".join(f", {identifier(name)}" for name in shown)
    numbered = f'SELECT row_number() OVER () AS "#row"{listed} FROM {_TABLE}'
    query = f'{numbered} QUALIFY {plan.breaks} ORDER BY "#row" LIMIT {SAMPLE}'
    found = rows(connection, query)
    return [{"row": each["#row"], **{name: scalar(each[name]) for name in shown}} for each in found]


def _not_run(title: str, problem: str) -> CheckResult:
    return CheckResult(
        check=title, verdict=Verdict.FAIL, message=f"The check could not run: {problem}", error=problem, failing=1
    )


def _said(error: Exception) -> str:
    return error.message if isinstance(error, ModelwrightError) else str(error).partition("\n")[0]
