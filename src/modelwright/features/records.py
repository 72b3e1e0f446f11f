"""The nouns of the room: views and their features, versions, differences, training sets, what stands online. Pure."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from modelwright.core.errors import Invalid
from modelwright.core.refs import Kind, Ref
from modelwright.core.signature import Column
from modelwright.features.durations import microseconds
from modelwright.store.records import State

if TYPE_CHECKING:
    import pyarrow as pa

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


# Versions and what is said about them


class FeatureColumn(Column, frozen=True, kw_only=True):
    """A feature with its type. `length` is set where a value is an array of so many numbers: an embedding."""

    length: int | None = None


class ViewRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the catalog keeps of one version of a view."""

    view: FeatureView
    source: Ref  # the dataset version that the definition was checked against
    keys: list[Column]  # the entity columns with their types
    columns: list[FeatureColumn]  # the features with their types
    origins: dict[str, list[str]] = {}  # the columns of the source behind each feature and entity column


class OnlineState(msgspec.Struct, frozen=True, kw_only=True):
    """What of a view version stands in the online store.

    Reads at a time from `since` to `until` give exactly what a training set over `source` gives at that time. Later reads
    answer from what was known at `until`; earlier ones are refused.
    """

    view: Ref
    source: Ref  # the dataset version it was computed from
    since: datetime
    until: datetime
    rows: int  # entities
    generation: str
    base: int = 0  # the last push that is in `source`
    pushed: int = 0  # the last push that is online
    pushed_at: datetime | None = None
    waiting: bool = True  # whether `source` may hold rows that become visible after `until`
    bytes: int = 0  # of keys and packed rows, before what the store adds to each
    seconds: float | None = None  # that the last materialisation took where it ran

    @property
    def fresh(self) -> datetime:
        """When something was last learned of the world: the materialisation, or a later push."""
        return self.until if self.pushed_at is None else max(self.until, self.pushed_at)


class ViewVersion(ViewRecord, frozen=True, kw_only=True):
    """One immutable version of a view."""

    ref: Ref
    digest: str
    created_at: datetime
    created_by: str
    state: State = State.ACTIVE
    successor: Ref | None = None
    tags: dict[str, str] = {}
    aliases: list[str] = []
    classes: dict[str, list[str]] = {}  # what features are about, as far as the columns behind them are
    masks: dict[str, str] = {}  # the features that whoever asked reads masked

    @property
    def people(self) -> set[str]:
        """The features and entity columns that are about people: no report quotes their values."""
        return {name for name, tags in self.classes.items() if any(tag != "proxy" for tag in tags)}


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the definition that differs; a feature's is written `feature.field`. None: it was not there."""

    field: str
    before: Any
    after: Any


class ViewDiff(msgspec.Struct, frozen=True, kw_only=True):
    """How two versions of a view differ, as seen from `before`."""

    before: Ref
    after: Ref
    added: list[str]  # features
    removed: list[str]
    changes: list[FieldChange]

    @property
    def breaking(self) -> bool:
        """Whether a model built on `before` could not be fed from `after`."""
        return bool(self.removed) or any(c.field == "entity" or c.field.endswith(".dtype") for c in self.changes)


class OnlineRows(msgspec.Struct, frozen=True, kw_only=True):
    """Packed rows on their way to the online store: the entities' keys as JSON text, and their rows one after the other."""

    keys: list[str]
    sizes: list[int]  # bytes of each row
    packed: str  # all of them, in base64

    @property
    def size(self) -> int:
        """Bytes of keys and rows as they are stored."""
        return sum(len(key.encode()) for key in self.keys) + sum(self.sizes)


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """What was put online of a view version and is not there: its bounds and rows, and when it was put there last."""

    view: Ref
    source: Ref
    since: datetime
    until: datetime
    rows: int
    at: datetime


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of rows that was pushed, by its number in the journal of its dataset."""

    number: int
    id: str
    rows: int
    pushed_at: datetime
    repeated: bool = False  # it was there already, and nothing was written
    ahead: int = 0  # rows whose time is more than a minute in the future: until then no read sees them


class PushedRows(msgspec.Struct, frozen=True, kw_only=True):
    """A push with its rows, as they travel: an Arrow stream in base64."""

    push: Push
    data: str


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows of a view online were computed from: a dataset version and pushes that are not in it yet."""

    source: Ref
    pushes: list[PushedRows] = []


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """How fresh a view is online, and how far what was pushed has come."""

    view: Ref
    source: Ref
    until: datetime
    fresh: datetime  # when something was last learned of the world
    age: float  # seconds since then
    behind: int  # pushes that are not online yet
    unfolded: int  # rows that no dataset version holds yet


class TrainingSet(msgspec.Struct, frozen=True, kw_only=True):
    """Features joined to the rows asked for, and exactly what they came from."""

    table: pa.Table
    features: list[str]  # the columns that were added, in order
    views: list[Ref]  # pinned
    sources: list[Ref]  # the dataset versions, pinned
    purpose: str = ""  # what it was declared to be for
    seconds: list[float] = []  # that the join of each view took, its source once read
    withheld: int = 0  # rows of the sources that were left out, since their subjects do not agree, or no longer

    @property
    def refs(self) -> list[Ref]:
        """All that it was made from, for the inputs of a run."""
        return [*self.views, *self.sources]


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """A value that differs between the online read and the point-in-time join."""

    entity: dict[str, Value]
    at: datetime
    feature: str
    online: Value
    offline: Value


class LoggedRead(msgspec.Struct, frozen=True, kw_only=True):
    """What one key was answered online."""

    view: Ref
    key: dict[str, Any]
    at: datetime
    values: list[Value]  # in the order of the view's features
    fresh: datetime  # how far the online store went at that time


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """What the last comparison of a view said."""

    view: Ref
    at: datetime
    failing: bool
    summary: str
    features: list[str]  # those that differed


class Mattering(msgspec.Struct, frozen=True, kw_only=True):
    """How much a feature matters to one model, by the newest evidence of the kind `importance` about it."""

    metric: str = ""
    value: float | None = None  # what the metric loses when the feature is shuffled
    low: float | None = None
    high: float | None = None
    share: float | None = None  # of what is lost by all inputs of the model
    gain: float | None = None  # the share of the gain of its splits in training, where the model's format keeps it

    @property
    def idle(self) -> bool:
        """Whether nothing was seen to be lost without it."""
        return self.low is not None and self.high is not None and self.low <= 0 <= self.high


class Consumer(msgspec.Struct, frozen=True, kw_only=True):
    """What depends on a view: a version of a model, mostly."""

    ref: Ref
    features: list[str]  # those that it takes
    aliases: list[str] = []
    importance: dict[str, Mattering] = {}  # of those, as far as somebody measured it

    @property
    def share(self) -> float | None:
        """How much of all that the model would lose by its inputs it would lose by these together."""
        shares = [each.share for each in self.importance.values() if each.share is not None]
        return sum(shares) if shares else None


class Joining(msgspec.Struct, frozen=True, kw_only=True):
    """The last training set that was joined with a view."""

    view: Ref
    rows: int  # that were asked for
    seconds: float  # of the join where it ran, the source once read
    at: datetime | None = None


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a view costs. None: it is not known, since it was not done yet or is not logged."""

    source_rows: int = 0  # of the dataset version that it is computed from
    source_bytes: int = 0  # of that as it is stored, which other views and versions may share
    online_rows: int | None = None
    online_bytes: int | None = None
    materialised: float | None = None  # seconds
    joined: Joining | None = None
    reads_per_day: float | None = None  # rows read online at the present time, over the last days

    @property
    def bytes(self) -> int:
        """Stored for it, offline and online."""
        return self.source_bytes + (self.online_bytes or 0)

    @property
    def seconds(self) -> float:
        """Spent at the last materialisation and the last training set."""
        return (self.materialised or 0.0) + (self.joined.seconds if self.joined else 0.0)


class Order(StrEnum):
    """In which order views are found."""

    CHANGED = "changed"  # the most recently changed first
    IMPORTANCE = "importance"  # those first of which one model's answers depend most
    BYTES = "bytes"  # what is stored for them
    SECONDS = "seconds"  # what their last materialisation and training set took
    READS = "reads"  # online, per day


class ViewUse(msgspec.Struct, frozen=True, kw_only=True):
    """A view, who uses it, and how it stands online."""

    version: ViewVersion
    consumers: list[Consumer] = []
    unused: list[str] = []  # features that nothing takes: data that nobody needs
    online: OnlineState | None = None  # of its newest version
    age: float | None = None  # seconds since something was last learned online
    behind: int = 0  # pushes that are not online yet
    parity: Parity | None = None
    importance: float | None = None  # the greatest share of it in one model's; None where nobody measured it
    cost: Cost = Cost()

    def weight(self, order: Order) -> float:
        """What views are ordered by, the greatest first; what is not known comes last."""
        found = {
            Order.IMPORTANCE: self.importance,
            Order.BYTES: self.cost.bytes,
            Order.SECONDS: self.cost.seconds,
            Order.READS: self.cost.reads_per_day,
        }.get(order)
        return -1.0 if found is None else found


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The online rows of a view held against its offline rows, for the same entities at the same times."""

    view: Ref
    source: Ref
    rows: int
    values: int
    mismatches: int
    examples: list[Mismatch] = []  # the first few
    stale: int = 0  # of the mismatches, those in reads after what the online store knew of
    replayed_until: datetime | None = None  # of logged reads: the time of the last
    evidence: str | None = None  # the id of the evidence on the record

    @property
    def equal(self) -> bool:
        """Whether there was something to compare and all of it agreed."""
        return self.rows > 0 and self.mismatches == 0
