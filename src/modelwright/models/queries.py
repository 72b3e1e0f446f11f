"""Searches among models and versions: a condition becomes one SQL expression, a page one range of the order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from modelwright.core.clock import isoformat, parse_time
from modelwright.core.errors import Invalid
from modelwright.core.paging import MAX_LIMIT, Page
from modelwright.core.refs import Kind
from modelwright.core.wire import decode, encode_text
from modelwright.models.records import Model, ModelVersion, Stage
from modelwright.models.searching import Compare, Condition, Every, Not, Order, Search, Some, Test
from modelwright.models.tables import (
    models_origins,
    models_stages,
    models_titles,
    profiles_of,
    seals_of,
    stages_of,
    titles_of,
)
from modelwright.store import State, Thing, Transaction, Version, catalog, scopes, things
from modelwright.store.tables import catalog_tags, catalog_things, catalog_versions

_ESCAPE = "\x01"  # LIKE's own escape must be some character on SQLite, and a backslash is none in these searches
_DEPTH = 50  # conditions within conditions
_g = catalog_tags.c
_things, _versions = catalog_things.c, catalog_versions.c
_titles, _origins, _stages = models_titles.c, models_origins.c, models_stages.c


def search_models(tx: Transaction, search: Search) -> Page[Thing]:
    """The models that fit and that the caller may read, by default in order of their title."""
    title = sa.func.coalesce(_titles.title, _things.name)
    texts = {"name": title, "created_by": _things.created_by}
    moments = {"created_at": _things.created_at, "changed_at": _things.changed_at}
    fields = _Fields(texts, moments, {}, sa.literal("model:") + _things.name)
    rows = catalog_things.outerjoin(models_titles, _titles.name == _things.name)
    query = sa.select(catalog_things, title.label("title")).select_from(rows)
    query = query.where(
        _things.kind == Kind.MODEL, _things.gone_at.is_(None), scopes.readable(tx, Kind.MODEL, _things.name)
    )
    order = search.order or [Order(field="name")]
    page, following = _page(tx, query.where(fields.holds(search.where)), fields, [*order, Order(field="name")], search)
    return Page(items=things.things_of(tx, page), next=following)


def search_versions(tx: Transaction, search: Search) -> Page[Version]:
    """The versions that fit and that the caller may read, by default the last changed first."""
    title = sa.func.coalesce(_titles.title, _versions.name)
    stage = sa.case(
        (_versions.state == State.RETIRED, Stage.RETIRED.value),
        else_=sa.func.coalesce(_stages.stage, Stage.CANDIDATE.value),
    )
    texts = {
        "name": title,
        "run": sa.func.coalesce(_origins.run, ""),
        "source": sa.func.coalesce(_origins.source, ""),
        "logged_as": sa.func.coalesce(_origins.logged_as, ""),
        "stage": stage,
        "created_by": _versions.created_by,
    }
    moments = {"created_at": _versions.created_at, "changed_at": _versions.changed_at}
    ref = sa.literal("model:") + _versions.name + "@" + sa.cast(_versions.version, sa.String)
    fields = _Fields(texts, moments, {"version": _versions.version}, ref)
    rows = catalog_versions.outerjoin(models_titles, _titles.name == _versions.name)
    rows = rows.outerjoin(models_origins, sa.and_(_origins.name == _versions.name, _origins.version == _versions.version))
    rows = rows.outerjoin(models_stages, sa.and_(_stages.name == _versions.name, _stages.version == _versions.version))
    query = sa.select(catalog_versions, title.label("title")).select_from(rows)
    query = query.where(_versions.kind == Kind.MODEL, scopes.readable(tx, Kind.MODEL, _versions.name))
    order = search.order or [Order(field="changed_at", descending=True)]
    order = [*order, Order(field="name"), Order(field="version", descending=True)]
    page, following = _page(tx, query.where(fields.holds(search.where)), fields, order, search)
    return Page(items=catalog.versions_of(tx, page), next=following)


def complete(tx: Transaction, found: Sequence[Version]) -> list[ModelVersion]:
    """Versions as the registry shows them."""
    refs, names = [each.ref for each in found], [each.ref.name for each in found]
    stages, profiles = stages_of(tx, refs), profiles_of(tx, names)
    titles, seals = titles_of(tx, names), seals_of(tx, refs)
    return [
        ModelVersion.of(
            each, stages[each.ref], profiles[each.ref.name], title=titles[each.ref.name], seal=seals.get(each.ref)
        )
        for each in found
    ]


def models(tx: Transaction, found: Sequence[Thing]) -> list[Model]:
    """Models as the registry shows them."""
    names = [each.ref.name for each in found]
    newest = newest_by_stage(tx, names)
    profiles, titles = profiles_of(tx, names), titles_of(tx, names)
    return [
        Model(
            ref=each.ref,
            title=titles[each.ref.name],
            profile=profiles[each.ref.name],
            created_at=each.created_at,
            created_by=each.created_by,
            changed_at=each.changed_at,
            versions=each.versions,
            latest=complete(tx, newest[each.ref.name]),
            description=each.description,
            tags=each.tags,
            aliases=each.aliases,
        )
        for each in found
    ]


def newest_by_stage(tx: Transaction, names: Sequence[str]) -> dict[str, list[Version]]:
    """Of each model the newest version on each stage that has any; the newest of all first."""
    stage = sa.case(
        (_versions.state == State.RETIRED, Stage.RETIRED.value),
        else_=sa.func.coalesce(_stages.stage, Stage.CANDIDATE.value),
    )
    rows = catalog_versions.outerjoin(
        models_stages, sa.and_(_stages.name == _versions.name, _stages.version == _versions.version)
    )
    newest = (
        sa.select(_versions.name, sa.func.max(_versions.version).label("version"))
        .select_from(rows)
        .where(_versions.kind == Kind.MODEL, _versions.name.in_(names))
        .group_by(_versions.name, stage)
        .subquery()
    )
    both = sa.and_(_versions.name == newest.c.name, _versions.version == newest.c.version)
    query = sa.select(catalog_versions).join(newest, both).where(_versions.kind == Kind.MODEL)
    found: dict[str, list[Version]] = {name: [] for name in names}
    for each in catalog.versions_of(tx, tx.execute(query.order_by(_versions.version.desc())).all()):
        found[each.ref.name].append(each)
    return found


class _Fields:
    """What conditions and orders may speak of, as columns."""

    def __init__(self, texts: dict[str, Any], moments: dict[str, Any], numbers: dict[str, Any], ref: Any) -> None:
        self._texts, self._moments, self._numbers, self._ref = texts, moments, numbers, ref

    def holds(self, condition: Condition, depth: int = 0) -> Any:
        """The condition as SQL."""
        if depth > _DEPTH:
            raise Invalid(f"Conditions stand in one another more than {_DEPTH} deep.")
        if isinstance(condition, Every):
            return sa.and_(sa.true(), *(self.holds(each, depth + 1) for each in condition.of))
        if isinstance(condition, Some):
            return sa.or_(sa.false(), *(self.holds(each, depth + 1) for each in condition.of))
        if isinstance(condition, Not):
            return sa.not_(self.holds(condition.of, depth + 1))
        return self._test(condition)

    def column(self, field: str) -> Any:
        """The column to sort by."""
        known = self._texts | self._moments | self._numbers
        if field not in known:
            raise Invalid(f"There is no field {field!r} to sort by.", mend=f"There are {', '.join(sorted(known))}.")
        return known[field]

    def kind(self, field: str) -> type:
        """What the values of a field are, in the token of a page."""
        return int if field in self._numbers else str

    def _test(self, test: Test) -> Any:
        if test.field == "tag":
            fits = _text(test)(_g.value)
            return sa.exists().where(_g.ref == self._ref, _g.key == test.key, fits)
        if test.field in self._texts:
            return _text(test)(self._texts[test.field])
        if test.field in self._moments:
            return _ordered(test, isoformat(parse_time(str(test.value))))(self._moments[test.field])
        if test.field in self._numbers:
            if not isinstance(test.value, int):
                raise Invalid(f"{test.field} is a number and is not compared with {test.value!r}.")
            return _ordered(test, test.value)(self._numbers[test.field])
        known = sorted([*self._texts, *self._moments, *self._numbers, "tag"])
        raise Invalid(f"There is no field {test.field!r} to search by.", mend=f"There are {', '.join(known)}.")


def _text(test: Test) -> Callable[[Any], Any]:
    value = test.value
    if test.how in (Compare.IN, Compare.NOT_IN):
        if not isinstance(value, list):
            raise Invalid(f"{test.field} {test.how} takes a list of texts.")
        return lambda column: column.in_(value) if test.how is Compare.IN else column.not_in(value)
    if not isinstance(value, str):
        raise Invalid(f"{test.field} is a text and is not compared with {value!r}.")
    ways: dict[Compare, Callable[[Any], Any]] = {
        Compare.EQUAL: lambda column: column == value,
        Compare.UNEQUAL: lambda column: column != value,
        Compare.LIKE: lambda column: column.like(value, escape=_ESCAPE),
        Compare.ILIKE: lambda column: sa.func.lower(column).like(value.lower(), escape=_ESCAPE),
    }
    if test.how not in ways:
        raise Invalid(f"{test.field} is a text and is not compared by {test.how}.")
    return ways[test.how]


def _ordered(test: Test, value: str | int) -> Callable[[Any], Any]:
    ways: dict[Compare, Callable[[Any], Any]] = {
        Compare.EQUAL: lambda column: column == value,
        Compare.UNEQUAL: lambda column: column != value,
        Compare.LESS: lambda column: column < value,
        Compare.AT_MOST: lambda column: column <= value,
        Compare.MORE: lambda column: column > value,
        Compare.AT_LEAST: lambda column: column >= value,
    }
    if test.how not in ways:
        raise Invalid(f"{test.field} is not compared by {test.how}.", mend=f"It takes {', '.join(ways)}.")
    return ways[test.how]


def _page(
    tx: Transaction, query: Any, fields: _Fields, order: Sequence[Order], search: Search
) -> tuple[Sequence[Any], str | None]:
    """One page in an order that is total; the token of a page holds the keys of its last row."""
    if not 1 <= search.limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT} items, not {search.limit}.")
    named: dict[str, Order] = {}
    for each in order:
        named.setdefault(each.field, each)  # the first mention of a field counts
    order = list(named.values())
    keys = [fields.column(each.field) for each in order]
    if search.after is not None:
        kinds = [fields.kind(each.field) for each in order]
        query = query.where(_beyond(keys, order, _token(search.after, kinds)))
    for number, (each, key) in enumerate(zip(order, keys, strict=True)):
        query = query.add_columns(key.label(f"key_{number}"))
        query = query.order_by(key.desc() if each.descending else key.asc())
    rows = tx.execute(query.limit(search.limit + 1)).all()
    if len(rows) <= search.limit:
        return rows, None
    last = rows[search.limit - 1]
    return rows[: search.limit], encode_text([getattr(last, f"key_{number}") for number in range(len(keys))])


def _beyond(keys: Sequence[Any], order: Sequence[Order], last: Sequence[str | int]) -> Any:
    """What comes after the row with these keys: greater in the first key that differs."""
    ways = []
    for number, (key, each) in enumerate(zip(keys, order, strict=True)):
        further = key < last[number] if each.descending else key > last[number]
        ways.append(sa.and_(*(keys[i] == last[i] for i in range(number)), further))
    return sa.or_(*ways)


def _token(text: str, kinds: Sequence[type]) -> list[str | int]:
    try:
        keys = decode(text, list[str | int])
    except Invalid:
        keys = []
    if [type(key) for key in keys] != kinds:
        raise Invalid(f"{text[:80]!r} is not the `next` of a page of this search.")
    return keys
