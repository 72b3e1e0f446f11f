"""What a caller may read, of things whose names are paths: as a question and as a condition. That rule stands here alone.

A scope is a path with everything below it; the empty one and `*` stand for all names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from modelwright.core.operations import Resource
from modelwright.core.refs import Kind
from modelwright.store.database import Transaction


def lies_under(name: str, path: str) -> bool:
    """Whether a name is a path or lies below it."""
    return path in ("", "*", name) or name.startswith(path.rstrip("/") + "/")


def under(column: Any, path: str) -> Any:
    """The same as a condition on a column of names."""
    if path in ("", "*"):
        return sa.true()
    return sa.or_(column == path, column.startswith(path.rstrip("/") + "/", autoescape=True))


def may(tx: Transaction, verb: str, kind: Kind, name: str) -> bool:
    """Whether the caller may do something beside what the running operation asked for: read what is masked for others."""
    return tx.allowed(verb, Resource(kind, name))


def may_read(tx: Transaction, kind: Kind) -> Callable[[str], bool]:
    """Tells of names whether the caller may read the things of a kind that have them."""
    scopes = tx.readable(kind)
    return lambda name: scopes is None or any(lies_under(name, scope) for scope in scopes)


def readable(tx: Transaction, kind: Kind, column: Any) -> Any:
    """The same as a condition on a column of names."""
    scopes = tx.readable(kind)
    return sa.true() if scopes is None else sa.or_(sa.false(), *(under(column, scope) for scope in scopes))
