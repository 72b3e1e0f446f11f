"""From the command line to a command: find it, import only it, run it, and turn errors into exit codes."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
from typing import Final, NoReturn

from modelwright.cli.registry import SECTIONS, command, names
from modelwright.cli.stopping import stopped

_COLLECTED_AFTER: Final = 50_000  # objects more than there were; with Python's 700 a fifth of a command's start is looking
USAGE = "Usage: mw COMMAND [OPTIONS]"
EXIT_CODES = """Exit codes: 0 done; 1 failed; 2 bad input; 3 not found; 4 conflict;
            5 not allowed; 6 not signed in; 7 corrupt; 8 unavailable;
            10 refused by a gate or rule."""


def main() -> NoReturn:
    """Run the command line; never returns."""
    # Arrow's own allocator gives back what is free at once, and the kernel clears it anew each time.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        from modelwright.cli.warm.asking import carried_out

        code = carried_out(sys.argv[1:])
    except KeyboardInterrupt:
        code = stopped()
    if code is not None:
        os._exit(code)
    carry_out()


def carry_out() -> NoReturn:
    """Carry out what `sys.argv` says, in this process, and end it."""
    gc.set_threshold(_COLLECTED_AFTER, *gc.get_threshold()[1:])  # what is imported stays, however often one looks
    try:
        if sys.argv[1:2] == ["data"] and sys.argv[2:3] in (["add"], ["checkout"]):
            from modelwright.cli.quick import begin

            begin(sys.argv[1:])
        code = typed(sys.argv[1:])
    except KeyboardInterrupt:  # while the command was still being imported
        code = stopped()
    _leave(code)
    raise SystemExit(code)


def typed(arguments: list[str]) -> int:
    """Do what was typed after `mw`; its exit code."""
    if not arguments or (arguments[0] in ("-h", "--help", "help") and len(arguments) == 1):
        sys.stdout.write(overview())
        return 0
    if arguments[0] in ("-V", "--version"):
        from modelwright import __version__

        sys.stdout.write(f"modelwright {__version__}\n")
        return 0
    return run(arguments)


def _leave(code: int) -> None:
    """End the process without taking every object apart, which takes longer than many a command.

    What was to be done at its end is done. It returns where a thread is still at work, or an output cannot be flushed:
    then the process ends as any other.
    """
    if any(not each.daemon for each in threading.enumerate() if each is not threading.main_thread()):
        return
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return
    os._exit(code)


def overview() -> str:
    """`mw --help`, from the table alone."""
    lines = [USAGE, "", "The whole life of a machine-learning model, on one record."]
    width = max(len(name) for name in names()) + 2
    for section, rows in SECTIONS.items():
        lines += ["", f"{section}:"]
        lines += [f"  {name:<{width}}{row.summary}" for name, row in rows.items()]
    lines += [
        "",
        "Every command has --help, --json for programs, and -w/--workspace for a folder",
        "or a server's address.",
        "Shell completion: mw completion bash|zsh|fish.",
        EXIT_CODES,
        "",
    ]
    return "\n".join(lines)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    name = arguments[0]
    if command(name) is None:
        import difflib

        near = difflib.get_close_matches(name, names(), n=2)
        hint = f"Did you mean {' or '.join(near)}?" if near else "See what there is: mw --help"
        from modelwright.cli.output import show_error
        from modelwright.core.errors import Invalid

        show_error(Invalid(f"There is no command {name!r}.", mend=hint), as_json="--json" in arguments)
        return 2
    if name == "data":
        from modelwright.cli.quick import answered

        if answered(arguments):
            return 0
    from modelwright.cli.app import invoke

    return invoke(arguments)
