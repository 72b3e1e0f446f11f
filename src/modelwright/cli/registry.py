"""Every command: where its code is, what right it needs, and one line on what it does.

The table is data so that help and completion need not import the commands. `needs` is the verb that the command's
operation asks for, or `LOCAL` for one that only touches files the operating system already lets its user touch; a command
without it keeps the server from starting, as a route does.
"""

from __future__ import annotations

from typing import Final, NamedTuple

LOCAL: Final = "local"


class Command(NamedTuple):
    """One command, or a group of them (`mw audit verify`)."""

    module: str  # below modelwright.cli
    needs: str
    summary: str


SECTIONS: Final[dict[str, dict[str, Command]]] = {}


def command(name: str) -> Command | None:
    """A command by its name."""
    return next((rows[name] for rows in SECTIONS.values() if name in rows), None)


def names() -> list[str]:
    """Every command's name."""
    return [name for rows in SECTIONS.values() for name in rows]


def check_commands() -> None:
    """Raise if a command has no registered permission."""
    for rows in SECTIONS.values():
        for name, row in rows.items():
            if not row.needs:
                raise RuntimeError(f"The command mw {name} has no registered permission; give it one in cli/registry.py")
