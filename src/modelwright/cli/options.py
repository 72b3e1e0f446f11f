"""The options that every command shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from modelwright.workspace import Workspace

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Where = Annotated[
    str | None,
    typer.Option(
        "--workspace",
        "-w",
        envvar="MODELWRIGHT_WORKSPACE",
        help="A project folder or a server's URL.",
        show_default=False,
    ),
]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why: it goes on the record.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def workspace(where: str | None) -> Workspace:
    """The workspace that the options mean."""
    from modelwright.client import connect

    return connect(where)
