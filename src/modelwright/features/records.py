"""The nouns of the room: versions of views and their differences, training sets, what stands online, pushes. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.core.refs import Ref
from modelwright.core.signature import Column
from modelwright.features.definitions import FeatureView, Value
from modelwright.store.records import State

if TYPE_CHECKING:
    import pyarrow as pa

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
    compared: bool = True  # False: nothing was found to be compared, which counts as failing


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
    silent: str = ""  # why nobody knows how it stands online: the store does not answer
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
