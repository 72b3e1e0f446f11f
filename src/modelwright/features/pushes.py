"""Rows that stream in: numbered in a journal, online at once, and offline in the next version of their dataset."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from msgspec.structs import replace

from modelwright.core.clock import SystemClock
from modelwright.core.errors import Conflict, Invalid, ModelwrightError, Unavailable
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.principals import OPERATOR
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert
from modelwright.datasets import Datasets
from modelwright.datasets.records import DatasetRecord
from modelwright.features import queries
from modelwright.features.definitions import FeatureView
from modelwright.features.durations import since_epoch
from modelwright.features.ports import Asked, Change, OnlineStore
from modelwright.features.records import Basis, Freshness, Lost, OnlineState, Push, PushedRows, ViewRecord
from modelwright.store import Transaction, acting_as, catalog, scopes

if TYPE_CHECKING:
    import pyarrow as pa

    from modelwright.features.timeline import Arrival

ATTEMPTS = 20  # at a view whose rows others are changing too
AHEAD = timedelta(minutes=1)  # of our clock, from which on a row's time is told to be in the future


class Pushes(Room):
    """Streams of rows into datasets: what was pushed is in every view of the dataset online, and offline too."""

    room, kind = "pushes", Kind.DATASET

    def __init__(
        self,
        caller: Caller,
        *,
        datasets: Datasets,
        online: OnlineStore | None = None,
        now: Callable[[], datetime] = SystemClock().now,
    ) -> None:
        super().__init__(caller)
        self._datasets = datasets
        self.online = online
        self._now = now
        self._records: dict[Ref, ViewRecord] = {}  # by pinned ref: versions never change

    # On the record

    @operation("write", on="source", data=True)
    def accept(self, tx: Transaction, source: Ref, *, id: str, data: str) -> Push:
        """Take rows (an Arrow stream in base64) into the journal, then into the views online; `push` is the way to here.

        An id that was seen before is that push again: nothing is written, and the views online are brought up to it. With
        other rows than that it is a `Conflict`, as far as can still be told.
        """
        if source.kind is not Kind.DATASET or source.selector is not None or not 0 < len(id) <= 200:
            raise Invalid(f"Rows are pushed to a dataset as a whole, under an id; not to {source} as {id[:200]!r}.")
        version = catalog.get(tx, source)
        record: DatasetRecord = convert(version.record, DatasetRecord)
        if record.lake is not None:
            raise Invalid(
                f"{version.ref} lies in place, at {record.lake.address}: no version can be made of what is pushed to it.",
                mend=f"Write the rows there, and register it again: mw data add {source.name} {record.source} --in-place",
            )
        rows, table = _received(data)
        if [(field.name, str(field.type)) for field in table.schema] != [(c.name, c.type) for c in record.columns]:
            raise Invalid(f"The rows have not the columns of {source}.", mend="Send them with `push`.")
        number, repeated = queries.add(tx, source, id, table.num_rows, rows)
        if repeated:
            _refuse_other(queries.one(tx, source, number), table)
        ahead = _ahead(table, record.time_column, tx.now)
        push = Push(number=number, id=id, rows=table.num_rows, pushed_at=tx.now, repeated=repeated, ahead=ahead)
        new = None if repeated else Opened(PushedRows(push=push, data=data), table)
        tx.committed.append(lambda: self._follow_up(push, source, new))
        return push

    @operation("write", on="source", data=True)
    def follow(self, tx: Transaction, source: Ref) -> int:
        """Bring every view of a dataset that stands online up to the newest push; returns that push's number."""
        tx.committed.append(lambda: self._follow(source))
        return queries.last(tx, source)

    @operation("read", on="source")
    def pending(self, tx: Transaction, source: Ref, *, after: int | None = None) -> list[PushedRows]:
        """The pushes that no version of a dataset holds yet, in order; of those, with `after`, the later ones.

        `Denied` where something of the dataset is masked for the caller: these are rows in clear.
        """
        found = queries.after(tx, source, after or 0)
        if found:
            self._datasets.require_clear(self._datasets.show(source))
        return [PushedRows(push=push, data=b64encode(data).decode()) for push, data in found]

    @operation("write", on="source", event="features.pushes.folded")
    def fold_in(
        self, tx: Transaction, source: Ref, *, base: Ref, record: DatasetRecord, number: int, first: int, reason: str = ""
    ) -> Ref:
        """Add the dataset version that holds the pushes up to `number`; `fold` is the way to here.

        `Conflict` where another version was added after `base`, or the journal no longer begins with push `first`.
        """
        newest = catalog.get(tx, source).ref
        waiting = queries.after(tx, source, 0, number)
        if newest != base or not waiting or waiting[0][0].number != first:
            raise Conflict(f"{source} has changed since its pushes were looked at.", mend="Fold again.")
        version = self._datasets.register(source.name, record=record, reason=reason)
        queries.fold(tx, version.ref, base, number)
        after = {"pushes": len(waiting), "rows": sum(push.rows for push, _ in waiting), "number": number}
        tx.note(resource=version.ref, inputs=[base], outputs=[version.ref], after=after)
        return version.ref

    @operation("read", on="view")
    def basis(self, tx: Transaction, view: Ref) -> Basis:
        """What a view's rows online were computed from, in such a way that it can be computed again.

        `Conflict` where that is gone: the pushes were folded into a version that does not descend from the one online.
        `Denied` where something of the dataset is masked for the caller: these are rows in clear.
        """
        state = self._state(catalog.resolve(tx, view))
        source, number = state.source, state.base
        self._datasets.require_clear(self._datasets.show(source))
        for version, held in queries.descent(tx, state.source):
            if held <= state.pushed:
                source, number = version, held
        found = queries.after(tx, source, number, state.pushed)
        if (found[0][0].number if found else state.pushed + 1) != number + 1:
            raise Conflict(
                f"What {state.view} was computed from is no longer in one piece.",
                mend=f"Materialise it anew: mw features materialise {state.view}",
            )
        return Basis(source=source, pushes=[PushedRows(push=push, data=b64encode(data).decode()) for push, data in found])

    @operation("read", on="view")
    def freshness(self, tx: Transaction, view: Ref) -> Freshness:
        """How fresh a view is online, and how many pushes and rows are on their way; `Unavailable` if it is not there."""
        state = self._state(catalog.resolve(tx, view))
        unfolded, _ = queries.count(tx, state.source.whole)
        return Freshness(
            view=state.view,
            source=state.source,
            until=state.until,
            fresh=state.fresh,
            age=max(0.0, (tx.now - state.fresh).total_seconds()),
            behind=queries.last(tx, state.source.whole) - state.pushed,
            unfolded=unfolded,
        )

    @operation("read", on="")
    def lost(self, tx: Transaction) -> Sequence[Lost]:
        """What should stand online and does not: the record says that it was put there, and nothing that it was taken away.

        The store was emptied, or another one is named in the settings. Materialised with these bounds it is there again.
        """
        states, may = self._online().states(), scopes.may_read(tx, Kind.FEATURES)
        return [each for each in queries.put_online(tx) if each.view not in states and may(each.view.name)]

    @operation("read", on="source")
    def settled(self, tx: Transaction, source: Ref) -> bool:
        """Whether the newest version of a dataset holds everything that was pushed, or never can, as a table in place."""
        return queries.count(tx, source.whole)[0] == 0 or _lies_in_place(tx, source.whole)

    @operation("read", on="")
    def streams(self, tx: Transaction) -> list[Ref]:
        """The datasets with pushes that no version holds yet and one could, of those that the caller may read."""
        may = scopes.may_read(tx, Kind.DATASET)
        found = [Ref(Kind.DATASET, name) for name in queries.waiting(tx) if may(name)]
        return [each for each in found if not _lies_in_place(tx, each)]

    # At the caller's side

    def push(self, source: Ref | str, rows: Any, *, id: str = "") -> Push:
        """Add rows to a dataset as they happen: every view of it that stands online has them when this returns.

        `rows` is a table (anything with the Arrow C stream) or a list of dicts, with the dataset's columns. Offline they
        are in the dataset's next version, which is made when somebody asks for it (`fold`, a training set), and by a
        running server within a minute. The same `id` again is the same push: whoever got no answer sends it once more.
        """
        from modelwright.core.ids import new_id

        whole = Ref.parse(source) if isinstance(source, str) else source
        if whole.selector is not None:
            raise Invalid(f"Rows are pushed to a dataset as a whole, not to {whole}.", mend=f"Name {whole.whole}.")
        table = self._datasets.shaped(whole, rows)
        return self.accept(whole, id=id or new_id(self._now()), data=b64encode(_stream(table)).decode())

    def fold(self, source: Ref | str, *, reason: str = "") -> Ref:
        """Put what was pushed to a dataset into a version of it, and return the newest; without pushes, do nothing.

        The views online are brought up to date first: what leaves the journal is in all of them.
        """
        whole = (Ref.parse(source) if isinstance(source, str) else source).whole
        for _ in range(ATTEMPTS):
            waiting = self.pending(whole)
            if not waiting:
                return self._datasets.show(whole).ref
            self.follow(whole)
            table = _together([each.data for each in waiting])
            base, record = self._datasets.extended(whole, table, label=f"{len(waiting)} pushes")
            first, number = waiting[0].push.number, waiting[-1].push.number
            try:
                made = self.fold_in(whole, base=base, record=record, number=number, first=first, reason=reason)
            except Conflict:
                continue
            self._datasets.hold(made)
            return made
        raise Conflict(f"{whole} changes faster than its pushes can be folded.", mend="Try again.")

    def rows_of(self, basis: Basis) -> pa.Table:
        """The table that a view's rows online were computed from."""
        table = self._datasets.read(basis.source)
        if not basis.pushes:
            return table
        import pyarrow as pa

        return pa.concat_tables([table, _together([each.data for each in basis.pushes]).cast(table.schema)])

    def close(self) -> None:
        """Give the online store's connections back."""
        if self.online is not None:
            self.online.close()

    # Inside, where the workspace is

    def _state(self, view: Ref) -> OnlineState:
        (found,) = self._online().read([Asked(view, ())])
        if found.state is None:
            raise Unavailable(f"{view} does not stand in the online store.", mend=f"mw features materialise {view}")
        return found.state

    def _online(self) -> OnlineStore:
        if self.online is None:
            raise RuntimeError("the body of an operation runs where the workspace is")
        return self.online

    def _follow_up(self, push: Push, source: Ref, new: Opened | None) -> None:
        """Bring the views up to a push that is in the journal by now: whoever is told otherwise would send it twice."""
        try:
            self._follow(source, new)
        except Unavailable as error:
            raise Unavailable(
                f"{source} has push {push.number} (id {push.id}), and it is not online yet. {error.message}",
                mend="It is kept, and comes online with the next push, or by mw features materialise. To try again, send it"
                f" under the same id: under another it would count twice. {error.mend}",
                details={"push": push.number, "id": push.id},
            ) from None

    def _follow(self, source: Ref, new: Opened | None = None) -> None:
        """Bring the views of a dataset up to date: for the pusher, but with nobody's rights to the views.

        `new` is the push that was just committed: where no view waits for another before it, the journal is not read.
        """
        if self.online is None:
            raise RuntimeError("the body of an operation runs where the workspace is")
        behind = {view: state for view, state in self.online.states().items() if state.source.whole == source.whole}
        if not behind:
            return
        with acting_as(OPERATOR), Folding() as folding:
            first = min(state.pushed for state in behind.values())
            if new is not None and new.rows.push.number == first + 1:
                folding.hold(new)
                found = [new.rows]
            else:
                found = self.pending(source.whole, after=first)
            wrong = list[Exception]()
            for view in self._left(behind, folding, found):
                try:
                    self._bring(view, folding, found)
                except (ValueError, ModelwrightError) as error:  # the others are brought up to it all the same
                    wrong.append(error)
            if wrong:
                raise wrong[0]

    def _left(self, behind: Mapping[Ref, OnlineState], folding: Folding, found: Sequence[PushedRows]) -> Sequence[Ref]:
        """Bring up to date what can be in one commit of the store; which views have to be looked at by themselves."""
        assert self.online is not None
        changes = []
        for view, state in behind.items():
            waiting = [each for each in found if each.push.number > state.pushed]
            record = self._record(view)
            follows = record.view.source.selector is None and waiting and waiting[0].push.number == state.pushed + 1
            with suppress(Unavailable):  # a function in Python that is not here: looked at by itself, it is told
                if follows and folding.fit(record, waiting):
                    changes.append(self._change(state, record, waiting, folding))
        try:
            told = self.online.update(changes) if changes else []
        except (ValueError, ModelwrightError):  # one of them holds up no other
            return list(behind)
        done = {each.view for each in told if each is not None}
        return [view for view in behind if view not in done]

    def bring(self, view: Ref, *, after: int | None = None) -> None:
        """Bring one view online up to the newest push. With `after`, look again at the pushes after that number.

        Rows know which pushes they hold, so looking twice does no harm.
        """
        with Folding() as folding:
            self._bring(view, folding, after=after)

    def _bring(
        self, view: Ref, folding: Folding, known: Sequence[PushedRows] | None = None, *, after: int | None = None
    ) -> None:
        """`known` are pushes that were read already, for every view of the dataset at once."""
        assert self.online is not None
        record: ViewRecord | None = None
        for _ in range(ATTEMPTS):
            (found,) = self.online.read([Asked(view, ())])
            state = found.state
            if state is None:
                return
            if record is None:
                record = self._record(view)
            if record.view.source.selector is not None:
                return
            begin = state.pushed if after is None else after
            read = self.pending(state.source.whole, after=begin) if known is None else known
            waiting, known = [each for each in read if each.push.number > begin], None  # another attempt looks anew
            if not waiting or waiting[0].push.number != begin + 1:  # some were folded: only a materialisation has them
                return
            if not folding.fit(record, waiting):  # their dataset has columns of other types by now
                return
            if self.online.update([self._change(state, record, waiting, folding)])[0] is not None:
                return
        raise Conflict(f"Too many change {view} online at once.", mend="Push again, with the same id.")

    def _change(self, state: OnlineState, record: ViewRecord, waiting: Sequence[PushedRows], folding: Folding) -> Change:
        from modelwright.features.timeline import merge

        view, now = record.view, waiting[-1].push.pushed_at
        number = max(state.pushed, waiting[-1].push.number)
        told = replace(state, pushed=number, pushed_at=max(now, state.pushed_at or now))
        if not state.waiting and now > state.until:  # nothing else was to be learned: the present moves with the pushes
            told = replace(told, until=now, since=now if state.since == state.until else state.since)
        found = folding.arrivals(view, waiting)
        rows = merge(view, state.base, since_epoch(told.since))
        return Change(told, list(found), lambda key, held: rows(held, found[key]))

    def _record(self, view: Ref) -> ViewRecord:
        from modelwright.store import Embedded

        if view in self._records:
            return self._records[view]
        assert isinstance(self.caller, Embedded)
        with self.caller.transaction(write=False) as tx:
            found: ViewRecord = convert(catalog.get(tx, view).record, ViewRecord)
        self._records[view] = found
        return found


class Opened(NamedTuple):
    """A push, and the table that its rows are."""

    rows: PushedRows
    table: pa.Table


class Folding:
    """One session, where one is needed, and each push opened once, for all the views that take it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._session: Any = None
        self._tables: dict[str, pa.Table] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def hold(self, push: Opened) -> None:
        """Take a push that was opened already."""
        self._tables[push.rows.push.id] = push.table

    def fit(self, record: ViewRecord, pushes: Sequence[PushedRows]) -> bool:
        """Whether a view has the types over the rows of pushes its version says; `Unavailable` without its functions."""
        from modelwright.features.engine import unlike

        for each in pushes:
            if each.push.id not in self._tables:
                self._tables[each.push.id] = _opened(b64decode(each.data))
        try:
            return not any(unlike(record, self._tables[each.push.id]) for each in pushes)
        except Invalid:  # a column that it needs is not there
            return False

    def arrivals(self, view: FeatureView, pushes: Sequence[PushedRows]) -> dict[str, list[Arrival]]:
        """The rows of pushes by the key of a view that they belong to, each with the number of its push."""
        from modelwright.features.materialise import arrivals

        for each in pushes:
            if each.push.id not in self._tables:
                self._tables[each.push.id] = _opened(b64decode(each.data))
        return arrivals(view, [(each.push.number, self._tables[each.push.id]) for each in pushes], self._opened_session)

    def _opened_session(self) -> Any:
        from modelwright.features.sessions import sessions

        if self._session is None:
            self._session = self._stack.enter_context(sessions())
        return self._session


def _lies_in_place(tx: Transaction, source: Ref) -> bool:
    """Whether the newest version of a dataset is a table that lies elsewhere: then pushes before it stay in the journal."""
    newest = catalog.latest(tx, source)
    return newest is not None and newest.record.get("lake") is not None


def _received(data: str) -> tuple[bytes, pa.Table]:
    try:
        rows = b64decode(data, validate=True)
    except ValueError as error:
        raise Invalid(f"The rows are not base64: {error}.") from None
    return rows, _opened(rows)


def _refuse_other(held: tuple[Push, bytes | None], table: pa.Table) -> None:
    """`Conflict` where rows are not those of the push that has their id already: they would count for nothing."""
    push, data = held
    before = None if data is None else _opened(data)
    comparable = before is not None and before.schema.equals(table.schema)
    if push.rows != table.num_rows or (comparable and before is not None and not _alike(before, table)):
        raise Conflict(
            f"The id {push.id!r} is that of push {push.number}, of {push.rows} other rows: these would not count.",
            mend="Give every push an id of its own, such as where its rows stand in their stream: kafka:7:1931.",
        )


def _alike(one: pa.Table, other: pa.Table) -> bool:
    return bool(one.equals(other)) or repr(one.to_pylist()) == repr(other.to_pylist())  # of NaN, too


def _stream(table: pa.Table) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _opened(data: bytes) -> pa.Table:
    import pyarrow as pa

    try:
        return pa.ipc.open_stream(data).read_all()
    except pa.ArrowInvalid as error:
        raise Invalid(f"The rows are no Arrow stream: {error}.") from None


def _together(streams: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(_opened(b64decode(each)) for each in streams)


def _ahead(table: pa.Table, column: str | None, now: datetime) -> int:
    """How many rows have a time that is still to come, by the dataset's time column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if (
        column is None
        or not pa.types.is_timestamp(table.schema.field(column).type)
        or not table.schema.field(column).type.tz
    ):
        return 0
    return pc.sum(pc.greater(table[column], pa.scalar(now + AHEAD, table.schema.field(column).type))).as_py() or 0
