"""`mw warm`: keep the program loaded, so that commands start at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from modelwright.cli.options import AsJson
from modelwright.cli.output import facts, print_json, say, when
from modelwright.cli.warm.asking import said
from modelwright.cli.warm.speech import ASK, STOP
from modelwright.core.errors import Invalid, Unavailable
from modelwright.core.sizes import size

# Not by `-m`: no folder is to be looked into for modules, and `-P` would be another start than that of a command.
_MAIN: Final = (
    "import sys; del sys.path[0]; from modelwright.cli.entry import carry_out; "
    "from modelwright.cli.warm.keeping import main; main(carry_out)"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("warm")(warm)


def warm(
    idle: Annotated[float, typer.Option(help="Minutes without a command after which it ends.")] = 60,
    stop: Annotated[bool, typer.Option("--stop", help="End it.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Say how it is, and start none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Keep the program loaded, so that commands start at once.

    A process of yours stays and forks for each command that you call, from whichever terminal, on whichever workspace.
    `up`, `demo`, `run` and `reproduce` start by themselves, and so does every command with MODELWRIGHT_WARM=off.
    """
    if not sys.platform.startswith("linux"):
        raise Unavailable("Commands are kept warm on Linux only.", mend="Without it they do the same, and start slower.")
    if idle <= 0 or not idle < 1e6:
        raise Invalid(f"--idle is a number of minutes above 0, not {idle:g}.", mend="For a working day: mw warm --idle 600")
    if stop:
        ended = said(STOP) is not None
        if as_json:
            print_json({"stopped": ended})
        else:
            say("It has ended." if ended else "There is none.")
        return
    found = _state()
    began = found is None and not status
    if began:
        _start(idle * 60)
        found = _state()
    if as_json:
        print_json({"running": found is not None, **(found or {})})
    elif found is None:
        say("There is none. `mw warm` starts one.")
    else:
        if began:
            say("Commands start warm from now on. `mw warm --stop` ends it.")
        _show(found)


def _state() -> dict[str, Any] | None:
    told = said(ASK)
    return None if told is None else json.loads(told)


def _show(found: dict[str, Any]) -> None:
    facts(
        f"Process {found['process']}",
        {
            "began": when(datetime.fromtimestamp(found["began"], UTC)),
            "commands": found["carried_out"],
            "memory": size(found["bytes"]),
            "ends": f"after {found['idle'] / 60:g} minutes without a command",
        },
    )


def _start(idle: float) -> None:
    """Start the process, and wait until it listens."""
    hear, ready = os.pipe()
    with os.fdopen(hear) as answer:
        try:
            subprocess.Popen(  # noqa: S603 - our own interpreter, and words of our own
                [sys.executable, "-c", _MAIN, str(idle), str(ready)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[ready],
                start_new_session=True,
                cwd="/",
            )
        finally:
            os.close(ready)
        told = answer.readline().strip()
    if told != "ready":
        raise Unavailable(
            f"The program cannot be kept warm: {told or 'the process ended at once'}.",
            mend="Commands go on as before; see that folder, or set XDG_RUNTIME_DIR to one of yours.",
        )
