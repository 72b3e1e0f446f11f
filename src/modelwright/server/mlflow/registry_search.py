"""MLflow's searches among registered models and versions, as searches of our models room."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from modelwright.core import search as grammar
from modelwright.core.hashing import digest_value
from modelwright.core.paging import MAX_LIMIT, Page
from modelwright.core.search import LISTS, NUMBERS, TEXTS, Clause, Entity, Field, Language
from modelwright.models import Compare, Condition, Every, Model, ModelVersion, Not, Order, Registry, Search, Some, Test
from modelwright.server.mlflow import prompts
from modelwright.server.mlflow.errors import invalid

MOST_MODELS, MOST_VERSIONS = 1000, 200_000  # results of one request
LONGEST = 20_000  # characters of a filter
LARGEST = 2**31 - 1  # number of a version

_WORDS = ("attribute", "attributes", "attr")
_TAGS = Entity("tag", ("tag", "tags"), any=Field(TEXTS, orders=False))
_MODELS = Language(Entity("", _WORDS, {"name": Field(TEXTS | LISTS)}), _TAGS)
_VERSIONS = Language(
    Entity(
        "",
        _WORDS,
        {
            "name": Field(TEXTS | LISTS),
            "run_id": Field(TEXTS | LISTS, orders=False),
            "source_path": Field(TEXTS, orders=False),
            "version_number": Field(NUMBERS, number=True),
        },
    ),
    _TAGS,
)
_FIELDS: Final = {"name": "name", "run_id": "run", "source_path": "source", "version_number": "version"}

_NOTHING: Final[frozenset[grammar.Op]] = frozenset()
_MODEL_ORDERS = {"name": "name", "timestamp": "changed_at", "last_updated_timestamp": "changed_at"}
_VERSION_ORDERS = {
    "name": "name",
    "version_number": "version",
    "creation_timestamp": "created_at",
    "last_updated_timestamp": "changed_at",
}
T = TypeVar("T")


class Found(msgspec.Struct, Generic[T]):
    """What a search found, and where it goes on."""

    items: list[T]
    token: str

    def answer(self, key: str, say: Callable[[T], Any]) -> dict[str, Any]:
        """In MLflow's JSON; nothing is said of nothing."""
        answer: dict[str, Any] = {key: [say(each) for each in self.items]} if self.items else {}
        return answer | ({"next_page_token": self.token} if self.token else {})


def search_models(registry: Registry, text: str, order_by: Sequence[str], most: int, token: str) -> Found[Model]:
    """The registered models that fit, which the caller may read; prompts only where they are asked for."""
    _check_most(most, MOST_MODELS)
    where = prompts.hide(_read(text, _MODELS))
    return _collect(registry.search, where, _orders(order_by, _MODEL_ORDERS), most, token)


def search_versions(registry: Registry, text: str, order_by: Sequence[str], most: int, token: str) -> Found[ModelVersion]:
    """The versions that fit, of any model that the caller may read."""
    _check_most(most, MOST_VERSIONS)
    where = prompts.hide(_read(text, _VERSIONS))
    return _collect(registry.search_versions, where, _orders(order_by, _VERSION_ORDERS), most, token)


def _collect(look: Callable[[Search], Page[T]], where: Condition, order: list[Order], most: int, token: str) -> Found[T]:
    """As many as are wanted: MLflow's pages may be larger than ours."""
    search = Search(where=where, order=order)
    query = digest_value([where, order])[:16]
    after = _opened(token, query) if token else None
    items: list[T] = []
    while True:
        page = look(msgspec.structs.replace(search, after=after, limit=min(most - len(items), MAX_LIMIT)))
        items += page.items
        after = page.next
        if after is None or len(items) >= most:
            return Found(items, _closed(after, query) if after is not None else "")


def _closed(after: str, query: str) -> str:
    return base64.urlsafe_b64encode(f"{query}{after}".encode()).decode()


def _opened(token: str, query: str) -> str:
    """Our own token within MLflow's, if it belongs to the same search."""
    try:
        text = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise invalid("Invalid page token, could not base64-decode") from None
    if not text.startswith(query):
        raise invalid("Invalid page token: it belongs to another filter or order.")
    return text[len(query) :]


def _read(text: str, language: Language) -> Condition:
    if len(text) > LONGEST:
        raise invalid(f"A filter has at most {LONGEST} characters, not {len(text)}.")
    condition = grammar.parse(text, language)
    return Every(of=[]) if condition is None else _meant(condition)


def _meant(condition: grammar.Condition) -> Condition:
    """What was read, in the terms of the models room."""
    match condition:
        case grammar.And(of=parts):
            return Every(of=[_meant(each) for each in parts])
        case grammar.Or(of=parts):
            return Some(of=[_meant(each) for each in parts])
        case grammar.Not(of=inner):
            return Not(of=_meant(inner))
        case Clause():
            return _test(condition)


def _test(clause: Clause) -> Test:
    value = clause.value
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > LARGEST):
        raise invalid(f"Invalid value for numeric attribute '{clause.key}': {value!r}")
    told = list(value) if isinstance(value, tuple) else value
    assert told is not None  # no field of these may be compared with NULL
    if clause.entity == "tag":
        return Test(field="tag", key=clause.key, how=Compare(clause.op.value), value=told)
    return Test(field=_FIELDS[clause.key], how=Compare(clause.op.value), value=told)


def _orders(order_by: Sequence[str], known: Mapping[str, str]) -> list[Order]:
    language = Language(Entity("", _WORDS, {key: Field(_NOTHING) for key in known}))
    orders: list[Order] = []
    for each in grammar.parse_order(order_by, language):
        order = Order(field=known[each.key], descending=each.descending)
        if any(other.field == order.field for other in orders):
            raise invalid(f"`order_by` contains duplicate fields: {[text[:80] for text in order_by[:10]]}")
        orders.append(order)
    return orders


def _check_most(most: int, limit: int) -> None:
    if most < 1:
        raise invalid(f"Invalid value for max_results. It must be a positive integer, but got {most}")
    if most > limit:
        raise invalid(f"Invalid value for request parameter max_results. It must be at most {limit}, but got value {most}")
