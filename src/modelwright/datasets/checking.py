"""Running checks: the aggregates of all of them in one query, and a look at failing rows only where there are some.

A check that cannot be asked (a column that is not there, SQL that DuckDB refuses, a value that makes it stop) has failed,
whatever its severity, and says why; the others are not kept from running.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from msgspec.structs import replace

from modelwright.core.errors import Invalid, ModelwrightError
from modelwright.core.refs import Ref
from modelwright.datasets.checks import Check, Distribution, Expression, Function, References, Severity
from modelwright.datasets.engine import connect, identifier, row, rows
from modelwright.datasets.kinds import quoted
from modelwright.datasets.plans import TABLE, Plan, plan_for
from modelwright.datasets.records import CheckBasis, CheckReport, CheckResult, DatasetVersion
from modelwright.datasets.scans import Rows, is_scan
from modelwright.store.records import Verdict

if TYPE_CHECKING:
    from modelwright.datasets.functions import Tally
    from modelwright.datasets.segments import TableSketch

SAMPLE = 5


@dataclass(frozen=True)
class Grounds:
    """Where a run of checks finds what it looks at: the version's files, those of other versions, and their sketches."""

    basis: CheckBasis
    files: Rows
    other: Callable[[Ref], tuple[DatasetVersion, Rows]]
    sketch: Callable[[Ref], TableSketch]


def run_checks(checks: Sequence[Check], grounds: Grounds) -> CheckReport:
    """Run checks over a version's parts; `Invalid` if there are none to run.

    One query answers all that SQL can, one pass over the rows all functions; distributions are compared by their sketches.
    """
    if not checks:
        raise Invalid("There are no checks to run.", mend="Declare some; `datasets.suggest(ref)` proposes them.")
    basis, titles = grounds.basis, _titles(checks)
    found: dict[int, CheckResult] = {}
    problems: dict[int, str] = {}
    others = _others(checks, grounds, problems)
    views = {view: files for view, _, files in others.values()}
    plans = _plans(checks, basis, others, problems)
    with (
        tempfile.TemporaryDirectory(prefix="modelwright-check-") as spill,
        ThreadPoolExecutor(1) as beside,  # one thread counts while those of DuckDB do the rest
    ):
        counting = beside.submit(_counted, dict(plans), grounds.files)
        guarded = any(isinstance(check, Expression) for check in checks)  # SQL of somebody else's
        connection = connect({TABLE: grounds.files, **views}, guarded=guarded, spill=Path(spill))
        _leave_out(connection, plans, problems)
        quoting = not any(column.personal for version in _looked_at(basis, others) for column in version.columns)
        asked = {position: plan for position, plan in plans.items() if plan.counted is None}
        figures = _figures(connection, asked, problems, quoting=quoting) | counting.result()
        asked = {position: plan for position, plan in plans.items() if position not in figures.keys() | problems.keys()}
        figures |= _figures(connection, asked, problems, quoting=quoting)
        for position in plans.keys() - problems.keys():
            about = others[position][1].ref if position in others else None
            check, title = checks[position], titles[position]
            found[position] = _result(connection, check, title, plans[position], figures[position], basis, about)
        connection.close()
    functions = {position: check for position, check in enumerate(checks) if isinstance(check, Function)}
    if functions:
        from modelwright.datasets.functions import run_functions

        for position, tally in run_functions(functions, basis.version, grounds.files, SAMPLE).items():
            found[position] = _of_function(tally, titles[position], basis.version.rows)
    for position, check in enumerate(checks):
        if isinstance(check, Distribution):
            try:
                found[position] = _of_distribution(check, titles[position], grounds)
            except ModelwrightError as error:
                problems[position] = error.message
    for position, problem in problems.items():
        found[position] = _not_run(titles[position], problem)
    return CheckReport.of(basis.version.ref, [found[position] for position in range(len(checks))])


_Others = dict[int, tuple[str, DatasetVersion, Sequence[Path]]]


def _others(checks: Sequence[Check], grounds: Grounds, problems: dict[int, str]) -> _Others:
    """The versions that columns refer to, each with the view its rows are in."""
    found: _Others = {}
    for position, check in enumerate(checks):
        if isinstance(check, References):
            try:
                version, files = grounds.other(check.to)
                found[position] = (f"other{position}", version, files)
            except ModelwrightError as error:
                problems[position] = error.message
    return found


def _looked_at(basis: CheckBasis, others: _Others) -> list[DatasetVersion]:
    return [basis.version, *(version for _, version, _ in others.values())]


def _titles(checks: Sequence[Check]) -> list[str]:
    """A name for each, unlike the others'."""
    titles: list[str] = []
    for check in checks:
        count = sum(title == check.title or title.startswith(f"{check.title} #") for title in titles)
        titles.append(f"{check.title} #{count + 1}" if count else check.title)
    return titles


def _plans(checks: Sequence[Check], basis: CheckBasis, others: _Others, problems: dict[int, str]) -> dict[int, Plan]:
    """The plans of checks that can be asked in SQL, by position; `problems` gets the reasons why others cannot."""
    plans: dict[int, Plan] = {}
    for position, check in enumerate(checks):
        if position in problems or isinstance(check, Function | Distribution):
            continue
        try:
            plans[position] = plan_for(check, basis, others[position][:2] if position in others else None)
        except ModelwrightError as error:
            problems[position] = _said(error)
    return plans


def _leave_out(connection: Any, plans: dict[int, Plan], problems: dict[int, str]) -> None:
    """Take away the plans that DuckDB does not understand; `problems` gets the reasons."""
    try:
        _bind(connection, list(plans.values()))
    except (ModelwrightError, duckdb.Error):  # one of them is not to be asked: which?
        for position, plan in [*plans.items()]:
            try:
                _bind(connection, [plan])
            except (ModelwrightError, duckdb.Error) as error:
                problems[position] = _said(error)
                del plans[position]


def _bind(connection: Any, plans: Sequence[Plan]) -> None:
    """Have DuckDB resolve names and types without running anything."""
    conditions = [plan.boolean for plan in plans if plan.boolean]
    if conditions:
        for kind in connection.sql(f"SELECT {', '.join(conditions)} FROM {TABLE}").types:
            if str(kind) != "BOOLEAN":
                raise Invalid(f"The expression is {kind}, not a condition that is true or false.")
    if figures := [figure for plan in plans for figure in plan.figures]:
        connection.sql(f"SELECT {', '.join(figures)} FROM {TABLE}")


def _counted(plans: dict[int, Plan], files: Rows) -> dict[int, list[Any]]:
    """The figures that can be had without a query."""
    found: dict[int, list[Any]] = {}
    if is_scan(files):
        return found
    for position, plan in plans.items():
        if plan.counted is None:
            continue
        with suppress(OSError, ValueError, KeyError, NotImplementedError):  # the query says it better
            if (figures := plan.counted(files)) is not None:
                found[position] = list(figures)
    return found


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
    found = row(connection, f"SELECT {', '.join(wanted)} FROM {TABLE}") if wanted else {}
    return {i: [found[f"{i}.{j}"] for j in range(len(plan.figures))] for i, plan in plans.items()}


def _result(
    connection: Any, check: Check, title: str, plan: Plan, figures: list[Any], basis: CheckBasis, against: Ref | None
) -> CheckResult:
    finding, total = plan.judge(*figures), basis.version.rows
    return CheckResult(
        check=title,
        verdict=_verdict(check, holds=finding.holds),
        message=finding.message,
        rows=total,
        failing=finding.failing,
        share=finding.failing / total if total and plan.breaks else 0.0,
        observed=finding.observed,
        sample=_sample(connection, plan, basis) if plan.breaks and not finding.holds else [],
        against=against,
    )


def _of_function(tally: Tally, title: str, rows: int) -> CheckResult:
    check = tally.check
    if tally.problem:
        return replace(_not_run(title, tally.problem), source=check.source)
    said = f"{check.subject} is content with every row."
    if tally.failing:
        said = f"{check.subject} is not content with {tally.failing} of {rows} rows."
    return CheckResult(
        check=title,
        verdict=_verdict(check, holds=not tally.failing),
        message=said,
        rows=rows,
        failing=tally.failing,
        share=tally.failing / rows if rows else 0.0,
        observed=tally.failing,
        sample=tally.sample,
        source=check.source,
    )


def _of_distribution(check: Distribution, title: str, grounds: Grounds) -> CheckResult:
    from modelwright.datasets.shifts import shift

    version, before = grounds.basis.version, grounds.basis.previous
    column, against = version.column(check.column), check.against or (before.ref if before else None)
    if not check.max_distance >= 0:
        raise Invalid(f"max_distance is at least 0, not {check.max_distance}.")
    if against is None:
        said = f"There is no version before to compare {check.column} with."
        return CheckResult(check=title, verdict=Verdict.PASS, message=said, rows=version.rows)
    old, new = grounds.sketch(against), grounds.sketch(version.ref)
    if check.column not in old.columns:
        raise Invalid(f"{against} has no column {check.column!r}.")
    distance = shift(column, old.columns[check.column], new.columns[check.column], check.measure)
    if distance is None:
        raise Invalid(f"{check.column} has no value at all in one of the two versions.")
    holds = distance <= check.max_distance
    said = (
        f"{check.column} is {max(distance, 0.0):.4f} ({check.measure.value}) from what it is in {against}; "
        f"at most {check.max_distance:g} is allowed."
    )
    return CheckResult(
        check=title,
        verdict=_verdict(check, holds=holds),
        message=said,
        rows=version.rows,
        failing=int(not holds),
        observed=distance,
        against=against,
    )


def _verdict(check: Check, *, holds: bool) -> Verdict:
    if holds:
        return Verdict.PASS
    return Verdict.FAIL if check.severity is Severity.ERROR else Verdict.WARN


def _sample(connection: Any, plan: Plan, basis: CheckBasis) -> list[dict[str, Any]]:
    """Some failing rows: their number (from 1, in the order of the rows), key and telling values, nothing personal."""
    version = basis.version
    shown = [n for n in dict.fromkeys([*version.key, *plan.shows]) if not version.column(n).personal]
    listed = "".join(f", {identifier(name)}" for name in shown)
    numbered = f'SELECT row_number() OVER () AS "#row"{listed} FROM {TABLE}'
    sorting = (
        'ORDER BY "#row" ' if plan.joins else ""
    )  # else they come in their order, and the last needed is the last read
    found = rows(connection, f"{numbered} QUALIFY {plan.breaks} {sorting}LIMIT {SAMPLE}")
    return [{"row": each["#row"], **{name: quoted(each[name]) for name in shown}} for each in found]


def _not_run(title: str, problem: str) -> CheckResult:
    return CheckResult(
        check=title, verdict=Verdict.FAIL, message=f"The check could not run: {problem}", error=problem, failing=1
    )


def _said(error: Exception) -> str:
    return error.message if isinstance(error, ModelwrightError) else str(error).partition("\n")[0]
