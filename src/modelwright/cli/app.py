"""The Typer application of one command, and what happens to its errors."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import typer

from modelwright.cli.registry import command, names
from modelwright.core.errors import ModelwrightError


def application(chosen: list[str]) -> typer.Typer:
    """An application that holds the chosen commands; each module offers `register(app)`."""
    app = typer.Typer(
        name="mw", rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True
    )
    app.callback()(lambda: None)
    modules = {row.module for name in chosen if (row := command(name))}
    for module in sorted(modules):
        importlib.import_module(f"modelwright.cli.{module}").register(app)
    return app


def invoke(arguments: list[str]) -> int:
    """Run a command; an error becomes one clear message on the error stream and its exit code."""
    try:
        result: Any = application([arguments[0]])(arguments, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except ModelwrightError as error:
        from modelwright.cli.output import show_error

        show_error(error, as_json="--json" in arguments)
        return error.exit_code
    except typer.Exit as exit_:
        return exit_.exit_code
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("Stopped.\n")
        return 130
    except Exception as error:
        shown = getattr(error, "format_message", None)  # the errors of the option parser know how to say themselves
        if shown is None:
            raise
        sys.stderr.write(f"{shown()}\nSee: mw {arguments[0]} --help\n")
        return 2


def complete() -> typer.Typer:
    """Every command, for completion."""
    return application(names())
