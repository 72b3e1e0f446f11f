"""`mw up`: one process with the API, the pages, the inference endpoints and the operator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.options import Where
from modelwright.cli.output import say
from modelwright.cli.registry import check_commands
from modelwright.core.errors import Conflict, Invalid, Unavailable

if TYPE_CHECKING:
    import socket

    import uvicorn

    from modelwright.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    where: Where = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes a free one.", show_default=False)] = None,
    address_file: Annotated[
        Path | None, typer.Option(help="Write the server's URL to this file once it answers.", show_default=False)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings.")] = False,
) -> None:
    """Serve the workspace: API, pages, inference and the operator, in one process, on 127.0.0.1:7878."""
    import gc
    import logging

    gc.disable()  # until it listens: what is made till then stays
    from modelwright.server.app import create_app
    from modelwright.server.listening import check_address, listening, take, untroubled
    from modelwright.workspace import open_workspace

    if where and where.startswith("http"):
        raise Invalid(
            f"`mw up` serves a folder, not another server: {where} (from --workspace or MODELWRIGHT_WORKSPACE).",
            mend="Give --workspace FOLDER, which may be `.`.",
        )
    check_commands()
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    for noisy in ("httpx", "httpcore", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    with open_workspace(None if where is None else Path(where)) as workspace:
        assert workspace.home is not None
        settings = workspace.home.settings.server
        address, authentication = host or settings.host, settings.authentication == "required"
        check_address(address, authentication=authentication)
        with take(address, settings.port if port is None else port) as listener:
            config = listening(create_app(workspace, host=address))
            setup = _first_admin(workspace) if authentication else ""
            server = _announcing(config, workspace.home.settings.workspace.name, address_file, quiet=quiet, setup=setup)
            untroubled()
            server.run([listener])
        if not server.started:
            raise Unavailable("The server did not start; its log says why.")


def _first_admin(workspace: Workspace) -> str:
    """Where nobody can sign in as admin yet, the one-time token that lets somebody."""
    try:
        return workspace.access.first_admin().token
    except Conflict:
        return ""


def _announcing(config: uvicorn.Config, name: str, address_file: Path | None, *, quiet: bool, setup: str) -> uvicorn.Server:
    """A server that says where it listens once it does. Its class is made here, since its base is imported late."""
    import uvicorn

    from modelwright.server.listening import address_of

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if not self.started:
                return
            url = address_of(self.servers[0].sockets[0])
            if address_file is not None:
                part = address_file.with_suffix(".part")
                part.write_text(url, encoding="utf-8")
                part.replace(address_file)
            if not quiet:
                say(f"{name} is up at {url}   (Ctrl-C stops it)", style="bold")
            if setup:
                say("Nobody is admin here yet. Choose a password within 24 hours, with this token, shown only once:")
                say(f"  mw login {url} --setup {setup}")

    return Announcing(config)
