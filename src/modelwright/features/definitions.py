"""What a feature view is: its features, its source, its entity and times, as somebody writes it. Pure."""

from __future__ import annotations

import re
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from modelwright.core.errors import Invalid
from modelwright.core.refs import Kind, Ref
from modelwright.features.durations import microseconds
from modelwright.features.transformations import Transformation

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
Value = bool | int | float | str | list[float] | None  # a feature's value as it travels; moments as RFC 3339 text
REQUESTED: Final = ("bool", "int", "float", "text", "time")  # what a request can bring


class Aggregation(StrEnum):
    """How the events of a window become one value. Missing values are passed over by all of them."""

    COUNT = "count"  # of the values that are there, or of the events themselves; 0 where there are none
    MEAN = "mean"
    TOTAL = "total"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    DEVIATION = "deviation"  # of the sample, n - 1; missing with fewer than two values
    DISTINCT = "distinct"  # how many different values; 0 where there are none
    LAST = "last"  # the value with the latest event time; ties as for the newest row


ANY_TYPE: Final = {Aggregation.DISTINCT, Aggregation.LAST}  # the rest are of numbers
COUNTS: Final = {Aggregation.COUNT, Aggregation.DISTINCT}  # whole numbers that are never missing


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a view: an expression over a row of the source, or its aggregate over a window of rows.

    Made by `column`, `expression`, `mean`, `count`, `total`, `minimum`, `maximum`, `deviation`, `distinct` and `last`.
    """

    name: str
    sql: str  # over the columns of the source (or of `select`); empty: the row itself, for counting
    aggregation: Aggregation | None = None
    window: str | None = None
    tumbling: bool = False  # the last whole piece of time of the window's length, not the time up to the request
    description: str = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise Invalid(
                f"{self.name!r} cannot name a feature: letters (a to z), digits and _ do, with no digit first.",
                mend='Give it another one: expression("x_y", \'"x y"\').',
            )
        if (self.aggregation is None) != (self.window is None):
            raise Invalid(f"Feature {self.name!r} needs both an aggregation and a window, or neither.")
        if not self.sql.strip() and self.aggregation is not Aggregation.COUNT:
            raise Invalid(f"Feature {self.name!r} has no expression.", mend="Only count() does without one.")
        if self.window is not None:
            microseconds(self.window)
        if self.tumbling and self.window is None:
            raise Invalid(f"Feature {self.name!r} has no window that could tumble.")

    @property
    def span(self) -> int:
        """The window in microseconds."""
        return microseconds(self.window) if self.window else 0

    @property
    def reach(self) -> int:
        """How far before a request an event of its window may lie: a whole piece may have begun two lengths ago."""
        return self.span * 2 if self.tumbling else self.span

    def end(self, at: int) -> int:
        """Where the window of a request at `at` ends: there, or at the end of the last whole piece."""
        return at - at % self.span if self.tumbling else at


class FeatureView(msgspec.Struct, frozen=True, kw_only=True):
    """A definition: features of an entity, computed from one dataset, true at every point in time.

    - `entity`: the columns that together name what the features are of (text, whole numbers or booleans).
    - `source`: the dataset. Without a selector the newest version is used whenever the view is computed.
    - `select`: a SELECT over the table `source`; what it gives takes the place of the source's own columns.
    - `event_time`: the column that says when a row happened; None makes a table that is true at all times.
    - `created_time`: the column that says when the row became known; None where that was at its event time.
    - `ttl`: how long the newest row holds; None: until the next.
    - `features`: expressions of the newest known row, or aggregates over windows of known rows; not both in one view.
    - `functions`: what `vectorised` made of functions in Python, for `select` and expressions to call by name.
    - `request`: values that come with each request, by name and type (bool, int, float, text or time).
    - `on_demand`: expressions over the features and those values, computed when somebody asks.
    """

    name: str
    entity: list[str]
    source: Ref
    features: list[Feature]
    select: str | None = None
    event_time: str | None = None
    created_time: str | None = None
    ttl: str | None = None
    request: dict[str, str] = {}
    on_demand: list[Feature] = []
    functions: list[Transformation] = []
    description: str = ""
    owner: str = ""
    tags: dict[str, str] = {}

    if TYPE_CHECKING:  # what the constructor also takes; msgspec itself reads the annotations above

        def __init__(
            self,
            *,
            name: str,
            entity: list[str] | str,
            source: Ref | str,
            features: list[Feature | str] | list[Feature] | list[str],
            select: str | None = None,
            event_time: str | None = None,
            created_time: str | None = None,
            ttl: str | None = None,
            request: dict[str, str] = ...,
            on_demand: list[Feature] = ...,
            functions: list[Transformation] = ...,
            description: str = "",
            owner: str = "",
            tags: dict[str, str] = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        entity: Any = self.entity
        source: Any = self.source
        features: list[Any] = self.features
        _set(self, "entity", [entity] if isinstance(entity, str) else list(entity))
        _set(self, "source", Ref.parse(source) if isinstance(source, str) else source)
        _set(self, "features", [column(each) if isinstance(each, str) else each for each in features])
        Ref(Kind.FEATURES, self.name)
        self._check_parts()
        self._check_times()
        self._check_demand()

    def _check_parts(self) -> None:
        what = f"View {self.name!r}"
        if self.source.kind is not Kind.DATASET:
            raise Invalid(f"{what} reads {self.source}, which is no dataset.", mend="Write source='dataset:<name>'.")
        if not self.entity or not self.features:
            raise Invalid(f"{what} needs at least one entity column and one feature.")
        for name in self.entity:
            if not NAME.fullmatch(name):
                raise Invalid(
                    f"{what}: {name!r} cannot name an entity column: a name has letters (a to z), digits and _.",
                    mend="Rename it with `select`.",
                )
        twice = [name for name, times in Counter([*self.entity, *self.names, *self.request]).items() if times > 1]
        if twice:
            raise Invalid(f"{what} gives the name {twice[0]!r} twice.", mend="Give the feature another with name=...")
        called = [each.name.lower() for each in self.functions]
        if len(set(called)) < len(called):
            raise Invalid(f"{what} has two functions of one name.", mend="SQL calls them by it: rename one.")
        if self.select is not None and not self.select.strip():
            raise Invalid(f"{what} has an empty `select`.", mend="Leave it out, or write SELECT ... FROM source.")

    def _check_times(self) -> None:
        what = f"View {self.name!r}"
        aggregates = [feature.name for feature in self.features if feature.aggregation]
        if aggregates and len(aggregates) < len(self.features):
            raise Invalid(
                f"{what} mixes windows ({aggregates[0]}) with values of the newest row.", mend="Make two views of it."
            )
        if self.event_time is None and (self.created_time or self.ttl or aggregates):
            raise Invalid(f"{what} has no event_time, so it can have no created_time, ttl or window.")
        if self.ttl is not None:
            microseconds(self.ttl)
            if aggregates:
                raise Invalid(f"{what}: a window says itself how far back it looks.", mend="Leave ttl out.")

    def _check_demand(self) -> None:
        what = f"View {self.name!r}"
        for name, kind in self.request.items():
            if not NAME.fullmatch(name) or kind not in REQUESTED:
                raise Invalid(
                    f"{what}: a request cannot bring {name!r} as {kind!r}.", mend=f"Types: {', '.join(REQUESTED)}."
                )
        if self.request and not self.on_demand:
            raise Invalid(f"{what} asks for {', '.join(self.request)} and uses none of it.", mend="Leave `request` out.")
        for each in self.on_demand:
            if each.aggregation is not None:
                raise Invalid(f"{what}: {each.name!r} is computed on demand, from one row: it can have no window.")

    @property
    def ref(self) -> Ref:
        """The view as a whole."""
        return Ref(Kind.FEATURES, self.name)

    @property
    def names(self) -> list[str]:
        """The features' names, in order, those on demand last."""
        return [feature.name for feature in [*self.features, *self.on_demand]]

    @property
    def stored(self) -> list[str]:
        """The names of the features that are computed from the source."""
        return [feature.name for feature in self.features]

    @property
    def windowed(self) -> bool:
        """Whether its features are aggregates over windows."""
        return self.features[0].aggregation is not None

    @property
    def lifetime(self) -> int | None:
        """`ttl` in microseconds."""
        return None if self.ttl is None else microseconds(self.ttl)

    @property
    def reach(self) -> int:
        """How far back the longest window looks, in microseconds."""
        return max(feature.reach for feature in self.features)

    @property
    def inputs(self) -> list[str]:
        """The different expressions that are computed of each row, in order; features refer to them by position."""
        if not self.windowed:
            return [feature.sql for feature in self.features]
        return list(dict.fromkeys(feature.sql for feature in self.features if feature.sql))

    @property
    def measured(self) -> set[str]:
        """Those of the inputs that have to be numbers."""
        return {each.sql for each in self.features if each.aggregation and each.aggregation not in ANY_TYPE}


_set = msgspec.structs.force_setattr


# How features are written


def identifier(name: str) -> str:
    """A column's name, quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def column(name: str, *, description: str = "") -> Feature:
    """A column of the newest row, under its own name. A plain string in `features` says the same."""
    return Feature(name=name, sql=identifier(name), description=description)


def expression(name: str, sql: str, *, description: str = "") -> Feature:
    """A DuckDB expression over the columns of the newest row, for example `expression("age", "2013 - year")`."""
    return Feature(name=name, sql=sql, description=description)


def count(sql: str = "", *, window: str, name: str = "", tumbling: bool = False, description: str = "") -> Feature:
    """How many known events the window holds; with an expression, those where it has a value."""
    return _over(Aggregation.COUNT, sql, window, name, tumbling, description)


def mean(sql: str, *, window: str, name: str = "", tumbling: bool = False, description: str = "") -> Feature:
    """The mean over the window; missing without a value in it."""
    return _over(Aggregation.MEAN, sql, window, name, tumbling, description)


def total(sql: str, *, window: str, name: str = "", tumbling: bool = False, description: str = "") -> Feature:
    """The sum over the window; missing without a value in it."""
    return _over(Aggregation.TOTAL, sql, window, name, tumbling, description)


def minimum(sql: str, *, window: str, name: str = "", tumbling: bool = False, description: str = "") -> Feature:
    """The smallest value in the window; missing without one."""
    return _over(Aggregation.MINIMUM, sql, window, name, tumbling, description)


def maximum(sql: str, *, window: str, name: str = "", tumbling: bool = False, description: str = "") -> Feature:
    """The largest value in the window; missing without one."""
    return _over(Aggregation.MAXIMUM, sql, window, name, tumbling, description)


def deviation(sql: str, *, window: str, name: str = "", tumbling: bool = False, description: str = "") -> Feature:
    """The standard deviation over the window, of the sample (n - 1); missing with fewer than two values in it."""
    return _over(Aggregation.DEVIATION, sql, window, name, tumbling, description)


def distinct(sql: str, *, window: str, name: str = "", tumbling: bool = False, description: str = "") -> Feature:
    """How many different values the window holds, of any type."""
    return _over(Aggregation.DISTINCT, sql, window, name, tumbling, description)


def last(sql: str, *, window: str, name: str = "", tumbling: bool = False, description: str = "") -> Feature:
    """The latest value in the window, of any type; missing without one."""
    return _over(Aggregation.LAST, sql, window, name, tumbling, description)


def _over(aggregation: Aggregation, sql: str, window: str, name: str, tumbling: bool, description: str) -> Feature:
    microseconds(window)  # of which the name is made: a wrong one is told as what it is
    subject = sql if NAME.fullmatch(sql) else ""
    if not name and sql and not subject:
        raise Invalid(f"The {aggregation.value} of {sql!r} needs a name.", mend="Give it one with name=...")
    own = name or "_".join(part for part in (subject, aggregation.value, "whole" if tumbling else "", window) if part)
    return Feature(
        name=own,
        sql=identifier(sql) if subject else sql,
        aggregation=aggregation,
        window=window,
        tumbling=tumbling,
        description=description,
    )
