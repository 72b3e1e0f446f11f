"""What became of files that were to be linked; apart from `linking`, as whoever begins a command needs no more."""

from __future__ import annotations

import msgspec


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the large files of a version that was to be made of links."""

    linked: int = 0  # files that are the store's, too, and read-only
    cloned: int = 0  # files that share their blocks with the store, and may be written to
    bytes: int = 0  # of both
    copied: int = 0  # files that could not be taken over, and were stored as any other
    first: str = ""  # one of them, and why
    why: str = ""
