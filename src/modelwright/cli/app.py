"""The Typer application of one command, and what happens to its errors."""

from __future__ import annotations

import errno
import importlib
import sys
from typing import Any

import typer

from modelwright.cli.registry import command, names
from modelwright.cli.stopping import STOPPED, stopped
from modelwright.core.errors import Invalid, ModelwrightError, Unavailable

_OF_PATHS = (  # what whoever named a path can see to
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP,
)  # fmt: skip


class Usage(Invalid):
    """The options or arguments of a command are not such as it takes."""

    code = "usage"


def application(chosen: list[str], *, explained: bool = False) -> typer.Typer:
    """An application that holds the chosen commands; each module offers `register(app)`.

    `explained`: with the help of those commands that are one operation, for which the operations are imported.
    """
    app = typer.Typer(
        name="mw", rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True
    )
    app.callback()(lambda: None)
    modules = {row.module for name in chosen if (row := command(name))}
    for module in sorted(modules):
        importlib.import_module(f"modelwright.cli.{module}").register(app)
    if explained:
        from modelwright.cli.explain import explain

        explain(app)
    return app


def invoke(arguments: list[str]) -> int:
    """Run a command; an error becomes one clear message on the error stream and its exit code."""
    try:
        app = application([arguments[0]], explained="--help" in arguments or len(arguments) == 1)
        _narrow(app, arguments)
        result: Any = app(arguments, standalone_mode=False, prog_name="mw")
        code = result if isinstance(result, int) else 0
        return stopped() if code == STOPPED else code  # by Ctrl-C, of which the parser tells nothing
    except ModelwrightError as error:
        return _told(error, arguments)
    except typer.Exit as exit_:
        return exit_.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return stopped()
    except BrokenPipeError:  # whoever read the output, such as `head`, has seen enough
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123 - so that the exit does not fail to flush
        return 0
    except Exception as error:
        shown = getattr(error, "format_message", None)  # the errors of the option parser know how to say themselves
        if shown is None:
            unwell = _unwell(error)
            if unwell is None:
                raise
            return _told(unwell, arguments)
        message = str(shown())
        if type(error).__name__ == "NoArgsIsHelpError":  # a group without a subcommand: its message is its help
            sys.stderr.write(f"{message}\n")
            return Usage.exit_code
        path = getattr(getattr(error, "ctx", None), "command_path", f"mw {arguments[0]}")
        return _told(Usage(message, mend=f"See: {path} --help"), arguments)


def _unwell(error: Exception) -> ModelwrightError | None:
    """What is to be said of an error that is the disk's or the database's own, or a path's; None of others."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        named = f" at {error.filename}" if error.filename else ""
        return Unavailable(f"The disk is full{named}: {error.strerror}.", mend="Make room, then try again.")
    if isinstance(error, OSError) and error.errno in _OF_PATHS and error.filename:
        return Invalid(f"{error.filename} cannot be used: {error.strerror}.", mend="Name another path, or see to this one.")
    if type(error).__module__ == "sqlalchemy.exc" and type(error).__name__ == "OperationalError":
        said = str(getattr(error, "orig", error)).strip().partition("\n")[0]
        return Unavailable(
            f"The database does not do what is asked of it: {said}.",
            mend="See with `mw doctor` whether its disk is full or it is unwell, then try again.",
        )
    return None


def _narrow(app: typer.Typer, arguments: list[str]) -> None:
    """Leave only what is called, of a group the subcommand: the parser is built for whatever is there."""
    alone = [each for each in app.registered_commands if each.name == arguments[0]]
    if alone:
        app.registered_commands, app.registered_groups = alone, []
    for group in app.registered_groups:
        inner = group.typer_instance
        if group.name != arguments[0] or inner is None:
            continue
        called = [each for each in inner.registered_commands if each.name in arguments[1:2]]
        if called:
            app.registered_groups = [group]
            inner.registered_commands, inner.registered_groups = called, []


def complete() -> typer.Typer:
    """Every command, for completion."""
    return application(names(), explained=True)


def _told(error: ModelwrightError, arguments: list[str]) -> int:
    from modelwright.cli.output import show_error

    show_error(error, as_json="--json" in arguments)
    return error.exit_code
