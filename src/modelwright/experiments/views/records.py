"""The nouns of saved views. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

MAX_NAME = 80
MAX_QUERY = 8000  # characters of an address


class Page(StrEnum):
    """Which page a view is of."""

    RUNS = "runs"
    COMPARE = "compare"

    @property
    def path(self) -> str:
        """Its address."""
        return "/runs" if self is Page.RUNS else "/runs/compare"


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A page of runs as somebody set it up: the filter, the columns, the order, the runs chosen and their baseline."""

    experiment: str
    name: str
    page: Page
    query: str  # the query of the page's address: `where=metrics.auc+%3E+0.7&order=-metrics.auc`
    created_at: datetime
    created_by: str

    @property
    def address(self) -> str:
        """Where to look at it, on the server's pages."""
        return f"{self.page.path}?{self.query}" if self.query else self.page.path
