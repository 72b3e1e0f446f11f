"""Sizes in words: one way for the command, the pages and notebooks. In powers of 1024, as limits and chunks are set."""

from __future__ import annotations


def size(count: float) -> str:
    """Bytes, in the unit that reads well: `0 B`, `4.9 KiB`, `1.2 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if round(count, 0 if unit == "B" else 1) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
