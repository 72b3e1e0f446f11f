"""`mw data contract` and `mw data hold`: promising something of a dataset, and seeing whether it is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from modelwright.cli.checks import exit_by, tell_checks
from modelwright.cli.kinds.contracts import ContractFace
from modelwright.cli.options import AsJson, Reason, RefArgument, Where, parse_ref, workspace
from modelwright.cli.output import aside, print_json, say
from modelwright.cli.progress import progress
from modelwright.core.refs import Kind


def contract(
    ref: RefArgument,
    file: Annotated[
        Path | None, typer.Argument(help="A TOML file to publish; by default, show what is in force.", show_default=False)
    ] = None,
    breaking: Annotated[bool, typer.Option("--breaking", help="It is meant to break what was promised before.")] = False,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Publish what is promised of a dataset, or show it; a change that breaks a promise needs --breaking."""
    from modelwright.datasets import load_contract

    dataset, face = parse_ref(ref, Kind.DATASET), ContractFace()
    with workspace(where) as rooms:
        if file is not None:
            made = rooms.contracts.publish(dataset.whole, load_contract(file), breaking=breaking, reason=reason)
            if as_json:
                print_json(made)
            else:
                say(f"{made.ref} is in force for {made.dataset}.")
                aside(f"Whether its newest version keeps it: mw data hold {made.dataset}")
            return
        found = rooms.contracts.of(dataset)
        if as_json:
            print_json(found)
        elif found is None:
            say(f"Nothing is promised of {dataset.whole}.")
        else:
            face.tell(rooms, found)


def hold(ref: RefArgument, reason: Reason = "", where: Where = None, as_json: AsJson = False) -> None:
    """Hold a version against the contract in force, and put on the record whether it is kept; exit code 10 if not."""
    parsed = parse_ref(ref, Kind.DATASET)
    with workspace(where) as rooms, progress(f"holding {parsed} against its contract"):
        report = rooms.datasets.hold(parsed, reason=reason)
    if as_json:
        print_json(report)
    elif report is None:
        say(f"Nothing is promised of {parsed.whole}.")
    else:
        tell_checks(report)
    exit_by(report)


COMMANDS: dict[str, Callable[..., None]] = {"contract": contract, "hold": hold}
