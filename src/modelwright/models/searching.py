"""What to look for among models and versions: conditions as data, in the terms of MLflow's searches and beyond. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec


class Compare(StrEnum):
    """How a field is compared. LIKE and ILIKE (whatever the case) know `%` and `_` and no way to escape them."""

    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    LIKE = "LIKE"
    ILIKE = "ILIKE"
    IN = "IN"
    NOT_IN = "NOT IN"


class Test(msgspec.Struct, frozen=True, kw_only=True, tag="test"):
    """One comparison.

    Fields of a model: `name` (its title), `tag` (with `key`), `created_at`, `changed_at`. Of a version besides:
    `run`, `source`, `logged_as`, `version` (a number), `stage`, `created_by`. A tag that is not set fits nothing, not
    even `!=`.
    """

    __test__ = False  # pytest takes every class of this name for one of its own

    field: str
    how: Compare
    value: str | int | list[str]
    key: str = ""


class Every(msgspec.Struct, frozen=True, kw_only=True, tag="every"):
    """All of these hold; of none, always."""

    of: list[Condition]


class Some(msgspec.Struct, frozen=True, kw_only=True, tag="some"):
    """At least one of these holds; of none, never."""

    of: list[Condition]


class Not(msgspec.Struct, frozen=True, kw_only=True, tag="not"):
    """This does not hold."""

    of: Condition


Condition: TypeAlias = Test | Every | Some | Not


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Sort by a field: `name`, `created_at`, `changed_at`, and for versions `version`."""

    field: str
    descending: bool = False


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search: what must hold, in which order, and which page. Ties are broken by name and version."""

    where: Condition = Every(of=[])
    order: list[Order] = []
    limit: int = 100  # 1 to 1000
    after: str | None = None  # the `next` of the page before
