"""Reading features online, where the online store is: no record, no transaction, one trip to the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from modelwright.core.clock import isoformat
from modelwright.core.errors import Invalid, Unavailable
from modelwright.core.refs import Ref
from modelwright.core.signature import DataType
from modelwright.features.definitions import Value
from modelwright.features.durations import microseconds, since_epoch
from modelwright.features.keys import keys_of
from modelwright.features.packing import MANY, Wide, side_by_side
from modelwright.features.ports import Asked, OnlineStore, put_together
from modelwright.features.records import OnlineState, ViewRecord
from modelwright.features.timeline import Reading

if TYPE_CHECKING:
    import pyarrow as pa

    from modelwright.datasets.privacy import Pseudonymizer
    from modelwright.features.reads import Noticed

Key = Mapping[str, Any]


class _Seen:
    """What stood online of some views at a read, and since when it can be read, in microseconds since 1970."""

    def __init__(self, states: Sequence[OnlineState], since: Sequence[int]) -> None:
        self.states = states
        self.since = since
        self.latest = max(since, default=0)


def _refuse_twice(views: Sequence[tuple[Ref, ViewRecord]]) -> None:
    """`Invalid` where two features have one name: which of them is meant, or masked, could not be told."""
    owner: dict[str, Ref] = {}
    for ref, record in views:
        for name in record.view.names:
            if (other := owner.setdefault(name, ref)) != ref:
                raise Invalid(
                    f"{other} and {ref} both have a feature {name!r}.",
                    mend="Read them one by one, or give the feature another name with name=..., and apply the view again.",
                )


class OnlineReader:
    """Reads some view versions, pinned. Safe for several threads; a read sees each view as it is published at that time.

    A key names every entity column of the views, and brings what they want of each request. `now` is one time, or one a
    key, by default the present. A missing or unknown entity has null features and counts of 0, as offline. `Unavailable`
    if a view does not stand online, or (with `max_age`, such as `1h`) nothing was learned for longer before; `Invalid` for
    a time before what stands online.
    """

    def __init__(
        self,
        store: OnlineStore,
        views: Sequence[tuple[Ref, ViewRecord]],
        now: Callable[[], datetime],
        noticed: Noticed | None = None,
        masks: Mapping[str, str] | None = None,
        pseudonymizer: Pseudonymizer | None = None,
    ) -> None:
        """`masks` says which features are masked for whoever reads, and `pseudonymizer` makes their pseudonyms."""
        _refuse_twice(views)
        self._store = store
        self._views = [(ref, record, Reading(record.view, record.columns)) for ref, record in views]
        self._same = [  # the first view with the same keys
            next((at for at in range(place) if views[at][1].keys == record.keys), None)
            for place, (_, record) in enumerate(views)
        ]
        self._alike = bool(views) and all(same == 0 for same in self._same[1:])
        self._demanded = [bool(record.view.on_demand) for _, record in views]
        self._stored = not any(self._demanded) and not masks
        plain = [reading.plain for _, _, reading in self._views]
        self._plain = [each for each in plain if each is not None] if self._stored and None not in plain else []
        self._now = now
        self._noticed = noticed
        self.views = [ref for ref, _ in views]
        self.names = [name for _, record, _ in self._views for name in record.view.names]
        self._blank: dict[str, Value] = dict.fromkeys(self.names)
        columns = [column for _, record, _ in self._views for column in record.columns]
        self._masked = [
            (place, masks[column.name], column.dtype is DataType.DATETIME)
            for place, column in enumerate(columns)
            if masks and column.name in masks
        ]
        self._pseudonymizer = pseudonymizer
        self._seen: _Seen | None = None

    @property
    def near(self) -> bool:
        """Whether a read is over in microseconds."""
        return self._store.near and not any(self._demanded)

    def rows(
        self, keys: Sequence[Key], *, now: datetime | Sequence[datetime] | None = None, max_age: str | None = None
    ) -> list[dict[str, Value]]:
        """The features of each key by name."""
        found = []
        for row in self.values(keys, now=now, max_age=max_age):
            named = self._blank.copy()  # so large as it will be: one that grows is written anew again and again
            named.update(zip(self.names, row, strict=True))
            found.append(named)
        return found

    def columns(
        self, keys: Sequence[Key], *, now: datetime | Sequence[datetime] | None = None, max_age: str | None = None
    ) -> dict[str, list[Value]]:
        """Each feature by name with its values, one for each key: the quickest where there are many."""
        found = self._read(keys, now, max_age)
        if isinstance(found, Wide):
            return dict(zip(self.names, found.columns(), strict=True))
        if len(found) == 1:
            return {name: [value] for name, value in zip(self.names, found[0], strict=True)}
        columns = zip(*found, strict=True) if found else [()] * len(self.names)
        return {name: [*column] for name, column in zip(self.names, columns, strict=True)}

    def table(
        self, keys: Sequence[Key], *, now: datetime | Sequence[datetime] | None = None, max_age: str | None = None
    ) -> pa.Table:
        """The same as an Arrow table, one row for each key, with the types of a training set."""
        import pyarrow as pa

        from modelwright.features.engine import arrow_type, moments_of

        columns = self.columns(keys, now=now, max_age=max_age).values()
        kinds = [arrow_type(column) for _, record, _ in self._views for column in record.columns]
        made = [moments_of(each) if pa.types.is_timestamp(kind) else each
                for each, kind in zip(columns, kinds, strict=True)]  # fmt: skip
        return pa.table([pa.array(each, kind) for each, kind in zip(made, kinds, strict=True)], names=self.names)

    def values(
        self, keys: Sequence[Key], *, now: datetime | Sequence[datetime] | None = None, max_age: str | None = None
    ) -> list[list[Value]]:
        """The features of each key in the order of `names`."""
        found = self._read(keys, now, max_age)
        return found.rows() if isinstance(found, Wide) else found

    def _read(
        self, keys: Sequence[Key], now: datetime | Sequence[datetime] | None, max_age: str | None
    ) -> list[list[Value]] | Wide:
        ticks = _ticks(keys, now)
        present = since_epoch(self._now()) if ticks is None else 0
        if self._alike:
            states, rows = self._store.together(self.views, keys_of(self._views[0][1].keys, keys))
        else:
            asked = [Asked(ref, each) for ref, each in zip(self.views, self._named(keys), strict=True)]
            states, rows = put_together(self._store.read(asked))
        standing, times = self._standing(states, present)
        if ticks is None and max_age is None and self._stored:
            if len(keys) == 1:
                answer = self._newest(rows, times)
                if self._noticed is not None:
                    self._noticed(standing, times, keys, (answer,).__getitem__)
                return [answer]
            if len(keys) >= MANY and self._plain:
                wide = side_by_side(self._plain, rows, times)
                if wide is not None:
                    if self._noticed is not None:
                        self._noticed(standing, times, keys, wide.row)
                    return wide
        answers: list[list[Value]] = [[] for _ in keys]
        for place, (state, found, at) in enumerate(zip(standing, rows, times, strict=True)):
            for answer, row in zip(answers, self._one(place, state, found, keys, ticks, at, max_age), strict=True):
                answer += row
        if ticks is None and self._noticed is not None:
            self._noticed(standing, times, keys, answers.__getitem__)
        return self._hidden(answers) if self._masked else answers

    def _standing(self, states: Sequence[OnlineState | None], present: int) -> tuple[Sequence[OnlineState], Sequence[int]]:
        """What stands online of each view, and the present there: who pushed last may be a little ahead."""
        held = self._seen
        if held is None or held.states != states:  # they are the same from one read to the next
            standing = []
            for view, state in zip(self.views, states, strict=True):
                if state is None:
                    raise not_online(view)
                standing.append(state)
            held = self._seen = _Seen(standing, [since_epoch(state.since) for state in standing])
        if present > held.latest:
            return held.states, [present] * len(states)
        return held.states, [max(present, since) for since in held.since]

    def _newest(self, rows: Sequence[Sequence[bytes | None]], times: Sequence[int]) -> list[Value]:
        """The features of the one key that is read most often: of the present, as they lie there."""
        answer: list[Value] = []
        for (_, _, reading), (row,), at in zip(self._views, rows, times, strict=True):
            answer += reading.newest(row, at)
        return answer

    def _named(self, keys: Sequence[Key]) -> list[list[str | None]]:
        """The keys as each view knows them: written once for all views of the same entity."""
        found: list[list[str | None]] = []
        for (_, record, _), same in zip(self._views, self._same, strict=True):
            found.append(keys_of(record.keys, keys) if same is None else found[same])
        return found

    def _hidden(self, answers: list[list[Value]]) -> list[list[Value]]:
        """The answers with what is masked for whoever reads."""
        from modelwright.datasets.privacy import mask_values

        made = cast("Pseudonymizer", self._pseudonymizer)
        for place, mask, moment in self._masked:
            values = mask_values([row[place] for row in answers], mask, made, moment=moment)
            for row, value in zip(answers, values, strict=True):
                row[place] = cast("Value", value)
        return answers

    def _one(
        self,
        place: int,
        state: OnlineState,
        found: Sequence[bytes | None],
        keys: Sequence[Key],
        ticks: Sequence[int] | None,
        present: int,
        max_age: str | None,
    ) -> list[list[Value]]:
        ref, record, reading = self._views[place]
        live, times = ticks is None, [present] * len(keys) if ticks is None else ticks
        if not live or max_age is not None:
            _check(ref, state, since_epoch(state.since), times, max_age)
        rows = reading.packed(found, times)
        return _demanded(record, keys, rows) if self._demanded[place] else rows


def not_online(view: Ref) -> Unavailable:
    """What is said of a view version that was not materialised."""
    return Unavailable(f"{view} does not stand in the online store.", mend=f"Put it there: mw features materialise {view}")


def _check(ref: Ref, state: OnlineState, since: int, ticks: Sequence[int], max_age: str | None) -> None:
    if ticks and min(ticks) < since:
        raise Invalid(
            f"{ref} stands online from {isoformat(state.since)} on; the time asked for lies before.",
            mend=f"To read at earlier times: mw features materialise {ref} --since TIME",
        )
    if max_age is not None and ticks and max(ticks) - since_epoch(state.fresh) > microseconds(max_age):
        raise Unavailable(
            f"{ref} stands online as of {isoformat(state.fresh)}, more than {max_age} before.",
            mend=f"Bring it up to now: mw features materialise {ref}",
        )


def _ticks(keys: Sequence[Key], now: datetime | Sequence[datetime] | None) -> list[int] | None:
    if now is None:
        return None
    moments = list(now) if isinstance(now, Sequence) else [now] * len(keys)
    if len(moments) != len(keys):
        raise Invalid(f"There are {len(keys)} keys and {len(moments)} times.", mend="Give one time, or one for each key.")
    return [since_epoch(moment) for moment in moments]


def _demanded(record: ViewRecord, keys: Sequence[Key], rows: list[list[Any]]) -> list[list[Value]]:
    """The rows with the features on demand behind the others."""
    import pyarrow as pa

    from modelwright.features.engine import arrow_type, moments_of, on_demand
    from modelwright.features.verify import plain

    if not rows:
        return rows
    view = record.view
    for name in view.request:
        if any(name not in key for key in keys):
            raise Invalid(f"View {view.name!r} needs {name!r} with every key.", mend=f"Its type is {view.request[name]}.")
    kinds = [arrow_type(column) for column in record.columns]
    given = {}
    for name, kind, column in zip(view.stored, kinds, zip(*rows, strict=True), strict=False):
        given[name] = pa.array(moments_of(column) if pa.types.is_timestamp(kind) else list(column), kind)
    for name, kind in view.request.items():
        brought = [key[name] for key in keys]
        try:
            given[name] = pa.array(moments_of(brought) if kind == "time" else brought)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:  # of several types
            raise Invalid(f"View {view.name!r}: {name!r} is no {kind} in every key: {error}") from None
    made = [each.to_pylist() for each in on_demand(view, record.columns, pa.table(given))]
    return [[*row, *map(plain, more)] for row, more in zip(rows, zip(*made, strict=True), strict=True)]
