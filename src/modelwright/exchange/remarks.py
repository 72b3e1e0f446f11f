"""What a reader must be told of single things: what was left out or is not the same, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterator

SHOWN = 3  # of one kind that are told one by one: the rest are like them


class Remarks:
    """Remarks by their kind."""

    def __init__(self) -> None:
        self._told: dict[str, list[str]] = {}

    def add(self, kind: str, which: str) -> None:
        """Say of a thing what it has or is. What follows a colon in `which` is told after that."""
        told = self._told.setdefault(kind, [])
        if which not in told[-1:]:
            told.append(which)

    def lines(self) -> Iterator[str]:
        """A sentence for each of the first things of a kind, and how many more there are that are like them."""
        for kind, things in self._told.items():
            for each in things[:SHOWN]:
                thing, colon, rest = each.partition(": ")
                yield f"{thing} {kind}: {rest}" if colon else f"{thing} {kind}."
            if len(things) > SHOWN:
                yield f"The same holds for {len(things) - SHOWN:,} more; --json names them all."

    def all(self) -> dict[str, list[str]]:
        """Every thing, by what was remarked of it."""
        return {kind: list(things) for kind, things in self._told.items()}
