"""`mw run`: a pipeline of the project, with every step's reason for running or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from modelwright.cli.options import AsJson, Reason, Where, workspace
from modelwright.cli.output import console, print_json, say, table
from modelwright.core.errors import Invalid


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", "-s", metavar="NAME=VALUE", help="A parameter; may be repeated.")
    ] = None,
    params: Annotated[str, typer.Option(help="Parameters as one JSON object.")] = "{}",
    why: Annotated[bool, typer.Option("--why", help="Say of each step why it ran or did not.")] = False,
    reason: Reason = "",
    cause: Annotated[int | None, typer.Option(help="The ledger event that set it off.", hidden=True)] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Run a pipeline of the project; finished steps are not run again, and a killed run goes on where it was."""
    from modelwright.core.config import find_project
    from modelwright.pipelines import load_pipelines

    project = Path(where) if where and not where.startswith("http") else find_project(Path.cwd())
    if project is None:
        raise Invalid("There is no project here.", mend="Go to a folder with a modelwright.toml, or make one: mw init NAME")
    with workspace(where or str(project)) as rooms:
        home = rooms.home
        file = project / (home.settings.project.pipelines if home else "pipeline.py")
        known = load_pipelines(file)
        if pipeline not in known:
            raise Invalid(
                f"{file.name} has no pipeline {pipeline!r}.", mend=f"It has {', '.join(sorted(known)) or 'none'}."
            )
        given = _parameters(params, set_ or [])
        if as_json:
            result = rooms.pipelines.run(known[pipeline], params=given, reason=reason, cause=cause)
            print_json(result.execution)
            return
        with console(error=True).status(f"{pipeline} ...") as status:
            result = rooms.pipelines.run(
                known[pipeline],
                params=given,
                reason=reason,
                cause=cause,
                progress=lambda what, step, at, total: status.update(f"{pipeline}: {what} {step.key} ({at} of {total})"),
            )
    execution = result.execution
    rows = [[s.key, s.state, "" if s.seconds is None else f"{s.seconds:.1f} s", "; ".join(s.why)] for s in execution.steps]
    table(["step", "state", "took", "why"] if why else ["step", "state", "took"], [r if why else r[:3] for r in rows])
    say(f"{execution.ref} {execution.state}; its figures: mw show {execution.run}")
    for ref in result.made:
        say(f"  made {ref}")


def _parameters(text: str, pairs: list[str]) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise Invalid(f"--params is not JSON: {error}.") from None
    if not isinstance(given, dict):
        raise Invalid("--params must be a JSON object.")
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise Invalid(f"--set {pair!r} has no '='.", mend="Write --set rounds=100.")
        try:
            given[name] = json.loads(value)
        except json.JSONDecodeError:
            given[name] = value
    return given
