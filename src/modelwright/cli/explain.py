"""Where a command is one operation, it is explained once: by the operation.

Its docstring is fetched when help is asked for; a command that only runs does not import a room for the sake of its help.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import typer

from modelwright.core.operations import Operation

F = TypeVar("F", bound=Callable[..., Any])

ROOMS: Final = {
    "record": "modelwright.store:Record",
    "access": "modelwright.policy:Access",
    "policy": "modelwright.policy:Policy",
    "models": "modelwright.models:Models",
    "signatures": "modelwright.models:Signatures",
    "deployments": "modelwright.deployments:Deployments",
    "monitoring": "modelwright.monitoring:Monitoring",
    "governance": "modelwright.governance:Governance",
    "minimisation": "modelwright.governance.minimisation:Minimisation",
    "retention": "modelwright.governance.retention:Retention",
    "webhooks": "modelwright.webhooks:Webhooks",
}


def carries_out(operation: str) -> Callable[[F], F]:
    """Say which operation a command is, as `room.operation`."""

    def note(command: F) -> F:
        vars(command)["operation"] = operation
        return command

    return note


def operation_of(command: Callable[..., Any]) -> str:
    """The operation that a command is, or an empty text."""
    return str(vars(command).get("operation", ""))


def find(operation: str) -> Operation[Any, Any, Any, Any]:
    """An operation by its `room.operation`."""
    room, _, name = operation.partition(".")
    module, _, service = ROOMS[room].partition(":")
    found: Operation[Any, Any, Any, Any] = getattr(importlib.import_module(module), service).operations[name]
    return found


def add_commands(app: typer.Typer, commands: Mapping[str, Callable[..., None]]) -> None:
    """Add commands under their names."""
    for name, command in commands.items():
        app.command(name, short_help=_first_sentence(command.__doc__))(command)


def add_group(app: typer.Typer, name: str, about: str, commands: Mapping[str, Callable[..., None]]) -> None:
    """Add a group of subcommands under its name."""
    group = typer.Typer(help=about, no_args_is_help=True)
    add_commands(group, commands)
    app.add_typer(group, name=name)


def _first_sentence(text: str | None) -> str | None:
    """What a group's help says of a command: a whole sentence, which is broken into lines and not cut off."""
    return None if not text else " ".join(text.split("\n\n")[0].split()).partition(". ")[0].rstrip(".") + "."


def explain(app: typer.Typer) -> None:
    """Give every command that is one operation the operation's words as help."""
    for each in app.registered_commands:
        if each.callback is not None and (operation := operation_of(each.callback)):
            each.help = (find(operation).__doc__ or "").replace("`", "")
            each.short_help = _first_sentence(each.help)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            explain(group.typer_instance)
