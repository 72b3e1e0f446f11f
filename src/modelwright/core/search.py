"""Filters and orders as text, read into data. The clauses are MLflow's; OR, NOT and parentheses are added to them. Pure.

    metrics.auc > 0.9 AND (params.depth = '6' OR tags.`my team` LIKE 'ops%') AND NOT status = 'FAILED'

A clause is a field, an operator and a value; a field is `entity.key`, or a bare key of the entity that has no name. A key
with other characters than letters, digits and `_ . - / :` stands in backticks or quotes, a text in single or double quotes
(a quote in it is doubled). Words are known in any case. Which entities there are, which keys they have and how each
may be compared is a `Language`; whoever searches states theirs and turns the result into a query.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, NoReturn, TypeAlias

from modelwright.core.errors import Invalid

FILTER, ORDER = "Invalid clause(s) in filter string", "Invalid order_by"  # how MLflow begins to complain
MAX_DEPTH = 50  # of parentheses and NOT
MAX_CLAUSES = 200
MAX_ORDERS = 50  # keys of an order: each may be a join, of which SQLite takes 64


class Op(StrEnum):
    """How a field is compared."""

    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    LIKE = "LIKE"  # `%` any text, `_` any character, and no way to escape them
    ILIKE = "ILIKE"  # whatever the case
    RLIKE = "RLIKE"  # a regular expression
    IN = "IN"
    NOT_IN = "NOT IN"
    IS_NULL = "IS NULL"
    IS_NOT_NULL = "IS NOT NULL"


NUMBERS: Final = frozenset({Op.EQUAL, Op.UNEQUAL, Op.LESS, Op.AT_MOST, Op.MORE, Op.AT_LEAST})
TEXTS: Final = frozenset({Op.EQUAL, Op.UNEQUAL, Op.LIKE, Op.ILIKE})
LISTS: Final = frozenset({Op.IN, Op.NOT_IN})
NULLS: Final = frozenset({Op.IS_NULL, Op.IS_NOT_NULL})


@dataclass(frozen=True)
class Field:
    """One key, or all keys, of an entity: how it may be compared, whether with numbers, whether it may order.

    With `either` a value is a number where it stands without quotes, and a text where it has them.
    """

    ops: frozenset[Op]
    number: bool = False
    orders: bool = True
    either: bool = False


@dataclass(frozen=True)
class Entity:
    """What may stand before the dot. `keys` are those it has, `aliases` other words for them; `any` is for every key."""

    name: str
    words: Sequence[str]
    keys: Mapping[str, Field] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    any: Field | None = None

    def find(self, key: str) -> tuple[str, Field] | None:
        """The key as it is meant, and what holds for it."""
        key = self.aliases.get(key, key)
        found = self.keys.get(key, self.any)
        return None if found is None else (key, found)


class Language:
    """The entities of one search; the first is the one whose keys need no word before them."""

    def __init__(self, *entities: Entity) -> None:
        self.bare = entities[0]
        self.by_word = {word.lower(): entity for entity in entities for word in entity.words}

    def locate(self, words: Sequence[str]) -> tuple[Entity, str, Field] | None:
        """The field that the parts of a name mean; None where there is none."""
        entity, key = self.bare, words[0]
        if len(words) > 1:
            known = self.by_word.get(words[0].lower())
            entity, key = (known, words[1]) if known is not None else (self.bare, ".".join(words))
        found = entity.find(key)
        return None if found is None else (entity, *found)


Value: TypeAlias = float | int | str | tuple[str, ...] | None


class Clause(NamedTuple):
    """One clause."""

    entity: str
    key: str
    op: Op
    value: Value = None


class And(NamedTuple):
    """All of these hold."""

    of: tuple[Condition, ...]


class Or(NamedTuple):
    """At least one of these holds."""

    of: tuple[Condition, ...]


class Not(NamedTuple):
    """This does not hold: also where a clause in it cannot, because there is nothing to compare."""

    of: Condition


Condition: TypeAlias = Clause | And | Or | Not


class Order(NamedTuple):
    """Sort by a field."""

    entity: str
    key: str
    descending: bool = False


class BadSearch(Invalid):
    """A filter or an order that cannot be read; points at the character."""

    code = "bad-search"


def parse(text: str, language: Language) -> Condition | None:
    """Read a filter; None stands for one that is empty and holds for everything. Raises `BadSearch`."""
    if not text.strip():
        return None
    return _Parser(text, language).all()


def parse_order(items: Sequence[str], language: Language) -> list[Order]:
    """Read the items of an order: a field, and ASC or DESC. Raises `BadSearch`."""
    if len(items) > MAX_ORDERS:
        raise BadSearch(f"{ORDER}: an order has at most {MAX_ORDERS} keys, not {len(items)}.")
    return [_Parser(item, language, ORDER).order() for item in items if item.strip()]


def clauses_of(condition: Condition | None) -> list[Clause]:
    """Every clause in a condition, from left to right."""
    match condition:
        case None:
            return []
        case Clause():
            return [condition]
        case Not(of=inner):
            return clauses_of(inner)
        case And(of=parts) | Or(of=parts):
            return [clause for part in parts for clause in clauses_of(part)]


class _Token(NamedTuple):
    kind: str  # word, key (in backticks), text, number, sign, end
    text: str
    at: int


_PATTERN: Final = re.compile(
    r"""\s*(?:
    (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<word>[^\W\d][\w.:/\-]*|\d[\w.:/\-]*)
    |`(?P<key>[^`]*)`
    |"(?P<double>(?:[^"]|"")*)"
    |'(?P<single>(?:[^']|'')*)'
    |(?P<sign><=|>=|!=|<>|==|[=<>(),.])
    )""",
    re.VERBOSE,
)
_SPACE: Final = re.compile(r"\s*")
_COMPARISONS: Final = {
    "=": Op.EQUAL,
    "==": Op.EQUAL,
    "!=": Op.UNEQUAL,
    "<>": Op.UNEQUAL,
    "<": Op.LESS,
    "<=": Op.AT_MOST,
} | {
    ">": Op.MORE,
    ">=": Op.AT_LEAST,
}


def _tokens(text: str, what: str) -> list[_Token]:
    found, at = [], 0
    while (at := _SPACE.match(text, at).end()) < len(text):  # type: ignore[union-attr]
        match = _PATTERN.match(text, at)
        if match is None:
            unclosed = text[at] in "'\"`"
            why = "this quote is never closed" if unclosed else f"{text[at]!r} cannot stand here"
            raise _bad(text, at, why, what)
        kind = str(match.lastgroup)
        value = match[kind]
        if kind in ("single", "double"):
            quote = "'" if kind == "single" else '"'
            value = value.replace(quote * 2, quote)
        found.append(_Token(kind, value, at))
        at = match.end()
    return [*found, _Token("end", "", len(text))]


class _Parser:
    """One text, read from left to right."""

    def __init__(self, text: str, language: Language, what: str = FILTER) -> None:
        self.text = text
        self.language = language
        self.what = what
        self.tokens = _tokens(text, what)
        self.position = 0
        self.clauses = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.position]

    def all(self) -> Condition:
        found = self._either(0)
        if self.token.kind != "end":
            self._fail("AND, OR or the end is expected here")
        return found

    def order(self) -> Order:
        entity, key, known = self._field()
        if not known.orders:
            self._fail(f"results cannot be ordered by {key[:80]!r}", self.tokens[0].at)
        descending = self._word("DESC")
        if not descending:
            self._word("ASC")
        if self.token.kind != "end":
            self._fail("ASC, DESC or the end is expected here")
        return Order(entity.name, key, descending)

    def _either(self, depth: int) -> Condition:
        parts = [self._both(depth)]
        while self._word("OR"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self, depth: int) -> Condition:
        parts = [self._one(depth)]
        while self._word("AND"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _one(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            self._fail(f"parentheses and NOT go no deeper than {MAX_DEPTH}")
        if self._word("NOT"):
            return Not(self._one(depth + 1))
        if self._sign("("):
            inner = self._either(depth + 1)
            if not self._sign(")"):
                self._fail("a closing parenthesis is expected here")
            return inner
        return self._clause()

    def _clause(self) -> Clause:
        self.clauses += 1
        if self.clauses > MAX_CLAUSES:
            self._fail(f"a filter has at most {MAX_CLAUSES} clauses")
        start = self.token.at
        entity, key, known = self._field()
        at = self.token.at
        op = self._operator()
        if op not in known.ops:
            names = ", ".join(sorted(known.ops))
            self._fail(f"{self.text[start:at].strip()[:80]} can be compared with {names}, not {op.value}", at)
        return Clause(entity.name, key, op, self._value(op, known))

    def _field(self) -> tuple[Entity, str, Field]:
        start, words, quoted = self.token, [], False
        while True:
            token = self.token
            if token.kind == "word":
                words.append(token.text)
            elif token.kind in ("key", "double") or (words and token.kind == "single"):
                words.append(token.text)
                quoted = True
            else:
                self._fail("the name of a field is expected here")
            self.position += 1
            joined = token.text.endswith(".") and token.kind == "word"
            if joined:
                words[-1] = words[-1][:-1]
            if not (joined or self._sign(".")):
                break
        name = ".".join(words)
        if words and not (quoted and len(words) == 1):
            head, _, rest = words[0].partition(".")
            tail = [part for part in (rest, *words[1:]) if part]
            words = [head, ".".join(tail)] if tail else [head]
        found = self.language.locate(words)
        if found is None:
            self._fail(f"there is no field {name[:80]!r}", start.at)
        return found

    def _operator(self) -> Op:
        token = self.token
        if token.kind == "sign" and token.text in _COMPARISONS:
            self.position += 1
            return _COMPARISONS[token.text]
        for op in (Op.LIKE, Op.ILIKE, Op.RLIKE, Op.IN):
            if self._word(op.value):
                return op
        if self._word("NOT"):
            if self._word("IN"):
                return Op.NOT_IN
            return self._fail("IN is expected after NOT")
        if self._word("IS"):
            negated = self._word("NOT")
            if self._word("NULL"):
                return Op.IS_NOT_NULL if negated else Op.IS_NULL
            return self._fail("NULL is expected here")
        return self._fail("an operator is expected here")

    def _value(self, op: Op, known: Field) -> Value:
        if op in NULLS:
            return None
        if op in LISTS:
            return self._list()
        token = self.token
        if known.number or (known.either and token.kind == "number"):
            if token.kind != "number":
                self._fail("a number without quotes is expected here")
            self.position += 1
            return _number(token.text)
        if token.kind not in ("single", "double"):
            self._fail("a text in quotes is expected here")
        self.position += 1
        return token.text

    def _list(self) -> tuple[str, ...]:
        if not self._sign("("):
            self._fail("a list of texts in parentheses is expected here")
        found = []
        while True:
            if self.token.kind not in ("single", "double"):
                self._fail("a text in quotes is expected here")
            found.append(self.token.text)
            self.position += 1
            if self._sign(")"):
                return tuple(found)
            if not self._sign(","):
                self._fail("a comma or a closing parenthesis is expected here")
            if self._sign(")"):
                return tuple(found)

    def _word(self, wanted: str) -> bool:
        found = self.token.kind == "word" and self.token.text.upper() == wanted
        self.position += found
        return found

    def _sign(self, wanted: str) -> bool:
        found = self.token.kind == "sign" and self.token.text == wanted
        self.position += found
        return found

    def _fail(self, why: str, at: int | None = None) -> NoReturn:
        raise _bad(self.text, self.token.at if at is None else at, why, self.what)


def _number(text: str) -> float | int:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _bad(text: str, at: int, why: str, what: str) -> BadSearch:
    first = max(0, at - 120)
    shown = text[first : first + 240].replace("\n", " ")
    return BadSearch(
        f"{what}: {why}.\n  {shown}\n  {' ' * (at - first)}^",
        details={"text": text[:1000], "position": at},
    )
