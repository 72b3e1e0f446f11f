"""Lists share one page and one filter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from modelwright.core.errors import Invalid

T = TypeVar("T")
MAX_LIMIT = 1000


class Filter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to list. Every field narrows; an empty filter lists everything, newest first."""

    under: str | None = None  # a name, or the path that names begin with
    text: str | None = None  # occurs in the name or the description, whatever the case
    tags: dict[str, str] = {}
    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50  # 1 to 1000
    after: str | None = None  # the `next` of the page before


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list; `next` is None on the last."""

    items: list[T]
    next: str | None = None


def every(listing: Callable[[Filter], Page[T]], where: Filter = Filter()) -> Iterator[T]:
    """All that a list has, page after page; what comes while they are asked for may be among it or not."""
    where = replace(where, limit=MAX_LIMIT)
    while True:
        page = listing(where)
        yield from page.items
        if page.next is None:
            return
        where = replace(where, after=page.next)


def number_after(after: str) -> int:
    """The `next` of a page whose items are numbered; `Invalid` if it is none."""
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise Invalid(f"{after[:80]!r} is not the `next` of a page.")
    return int(after)
