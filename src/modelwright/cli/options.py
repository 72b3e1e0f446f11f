"""The options and arguments that commands share, and how their text becomes values."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.core.errors import Invalid
from modelwright.core.refs import Kind, Ref

if TYPE_CHECKING:
    from modelwright.store.records import EventFilter
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
Environment = Annotated[str, typer.Option("--environment", "-e", help="Where: staging, production, ...")]
Moment = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="At that moment instead of now.", show_default=False)
]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="From that moment on.", show_default=False)]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Before that moment.", show_default=False)]
Limit = Annotated[int, typer.Option("--limit", "-n", help="How many at most, 1 to 1000.")]
After = Annotated[str | None, typer.Option(help="Go on after the page before.", show_default=False)]
Actor = Annotated[str | None, typer.Option(help="Only what this principal did.", show_default=False)]
Action = Annotated[
    str | None, typer.Option(help="Only such events: models.version.promoted, or models.", show_default=False)
]
RefArgument = Annotated[str, typer.Argument(metavar="REF", help="kind:name@selector, for example model:delay@champion.")]


def workspace(where: str | None) -> Workspace:
    """The workspace that the options mean."""
    from modelwright.client import connect

    return connect(where)


def parse_ref(text: str, *kinds: Kind) -> Ref:
    """A ref from an argument; `Invalid` unless it is of one of the kinds, where any are given.

    Where it can be of one kind only, the kind need not be said: `parcels@2` for `dataset:parcels@2`.
    """
    if len(kinds) == 1 and ":" not in text and not text.startswith("@"):
        text = f"{kinds[0].value}:{text}"
    ref = Ref.parse(text)
    if kinds and ref.kind not in kinds:
        wanted = " or ".join(kind.value for kind in kinds)
        raise Invalid(f"{text} is not of the kind {wanted}.", mend=f"See what there is: mw list {kinds[0]}")
    return ref


def named(text: str, kind: Kind) -> str:
    """The name of a thing that may be given as a name alone (`delay`) or as a ref (`deployment:delay`)."""
    return parse_ref(text, kind).name if ":" in text else Ref(kind, text).name


def experiment_of(text: str) -> str:
    """An experiment's name or title, which may be given as its ref."""
    return named(text, Kind.EXPERIMENT) if text.startswith("experiment:") else text


def parse_moment(text: str | None) -> datetime | None:
    """A time from an option: 2013-07-01 or 2013-07-01T12:00:00Z."""
    from modelwright.core.clock import parse_time

    return None if text is None else parse_time(text)


def chosen_events(
    since: str | None, until: str | None, actor: str | None, action: str | None, limit: int, after: str | None
) -> EventFilter:
    """Which events of the ledger the options mean."""
    from modelwright.store.records import EventFilter

    return EventFilter(
        since=parse_moment(since), until=parse_moment(until), actor=actor, action=action, limit=limit, after=after
    )


def pairs(texts: list[str] | None, *, option: str) -> dict[str, str]:
    """`NAME=VALUE` texts as a dict."""
    found = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Invalid(f"{option} {text!r} is not NAME=VALUE.")
        found[name] = value
    return found


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone; `Invalid` where nobody is there to be asked."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise Invalid(f"{question} Nobody is here to be asked.", mend="Say --yes if you are sure.")
    typer.confirm(question, abort=True, err=True)


def project_folder(rooms: Workspace) -> Path:
    """The project's folder: the workspace's own, or with a server the one around the working directory."""
    from modelwright.core.config import find_project

    if rooms.home is not None:
        return rooms.home.project
    found = find_project(Path.cwd())
    if found is None:
        raise Invalid("There is no project here.", mend="Go to its folder, or name the file.")
    return found
