"""From the command line to a command: find it, import only it, run it, and turn errors into exit codes."""

from __future__ import annotations

import sys
from typing import NoReturn

from modelwright.cli.registry import SECTIONS, command, names

USAGE = "Usage: mw COMMAND [OPTIONS]"
EXIT_CODES = """Exit codes: 0 done; 1 failed; 2 bad input; 3 not found; 4 conflict;
            5 not allowed; 6 not signed in; 7 corrupt; 8 unavailable;
            10 refused by a gate or rule."""


def main() -> NoReturn:
    """Run the command line; never returns."""
    arguments = sys.argv[1:]
    if not arguments or (arguments[0] in ("-h", "--help", "help") and len(arguments) == 1):
        sys.stdout.write(overview())
        raise SystemExit(0)
    if arguments[0] in ("-V", "--version"):
        from modelwright import __version__

        sys.stdout.write(f"modelwright {__version__}\n")
        raise SystemExit(0)
    raise SystemExit(run(arguments))


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
