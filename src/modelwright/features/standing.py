"""What stands in the online store: how rows come there, what reads find, and whether it agrees with offline."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from modelwright.core.clock import isoformat, parse_time
from modelwright.core.errors import Conflict, Invalid, NotFound, Unavailable
from modelwright.core.hashing import digest_value
from modelwright.core.operations import operation
from modelwright.core.refs import Kind, Ref
from modelwright.features import discovery, queries
from modelwright.features.admission import Admitted
from modelwright.features.definitions import Value
from modelwright.features.durations import since_epoch
from modelwright.features.packing import check, head_size
from modelwright.features.ports import Asked, Change, refuse_older
from modelwright.features.pushes import ATTEMPTS
from modelwright.features.reading import OnlineReader
from modelwright.features.records import LoggedRead, OnlineRows, OnlineState, Order, Parity, ViewRecord, ViewUse
from modelwright.features.views import PARITY, Views, record_of, version_of
from modelwright.store import State, Transaction, Verdict, Version, catalog, evidence, scopes

REPLAYED = 5000  # logged reads in one comparison


def refuse_no_view(views: Sequence[Ref | str] | Ref) -> None:
    """`Invalid` where there is none to read."""
    if not views:
        raise Invalid("No view is named.", mend="Name some; mw features find shows which there are.")


class Standing(Views):
    """The online side of views: filled, published, read and found."""

    @operation("read")
    def plan(
        self,
        tx: Transaction,
        ref: Ref,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        source: Ref | None = None,
    ) -> OnlineState:
        """What a materialisation with these bounds would put online: everything pinned, no rows counted yet.

        `until` is by default the present and `since` the same; the dataset version is the one given, else the newest that
        the definition allows. The same plan has the same generation, so that a broken-off materialisation can go on.
        """
        version = catalog.get(tx, ref)
        if version.state is State.RETIRED:
            raise Conflict(f"{version.ref} is retired.", mend=f"Use {version.successor or version.ref.whole}.")
        end = until or tx.now
        begin = since or end
        if begin > end:
            raise Invalid(f"Nothing lies between {isoformat(begin)} and {isoformat(end)}.")
        wanted = record_of(version).view.source
        if source is not None and source.whole != wanted.whole:
            raise Invalid(f"{version.ref} is computed from {wanted}, not {source}.")
        pinned = catalog.resolve(tx, source or wanted)
        identity = [str(version.ref), str(pinned), since_epoch(begin), since_epoch(end)]
        generation = digest_value(identity)[:16]
        base = 0 if wanted.selector is not None else queries.folded(tx, pinned)
        return OnlineState(
            view=version.ref,
            source=pinned,
            since=begin,
            until=end,
            rows=0,
            generation=generation,
            base=base,
            pushed=base,
        )

    @operation("read")
    def growth(self, tx: Transaction, ref: Ref, *, source: Ref) -> int | None:
        """How many rows a dataset version has at its end that what stands online of a view was not computed from.

        None where that version is not the one online with rows added: then nothing less than all can be computed.
        """
        (found,) = self._online().read([Asked(catalog.resolve(tx, ref), ())])
        if found.state is None:
            return None
        descent = [found.state.source, *(version for version, _ in queries.descent(tx, found.state.source))]
        if source not in descent:
            return None
        held = queries.folded(tx, source)
        if found.state.pushed > held and not queries.unbroken(tx, source.whole, held):
            return None
        before, after = catalog.get(tx, found.state.source), catalog.get(tx, source)
        return int(after.record["rows"]) - int(before.record["rows"])

    @operation("write", data=True)
    def load(self, tx: Transaction, ref: Ref, *, generation: str, rows: OnlineRows) -> int:
        """Send rows of a materialisation to the online store, where nobody sees them yet; returns how many were sent."""
        view = self._pin(tx, ref)
        self._online().load(view, generation, self._packed(view, rows))
        return len(rows.keys)

    @operation("read")
    def arrived(self, tx: Transaction, ref: Ref, *, generation: str) -> int:
        """How many rows of a materialisation have arrived: one that was broken off goes on after them."""
        return self._online().held(self._pin(tx, ref), generation)

    @operation("write", data=True)
    def amend(self, tx: Transaction, ref: Ref, *, generation: str, rows: OnlineRows) -> int:
        """Put rows in place of those that reads see, in the generation that they see; returns how many entities there are.

        Of pushes that came later than what is in these rows, `advance` sees to it that they are there too.
        """
        view = self._pin(tx, ref)
        packed: dict[str, bytes] = dict(self._packed(view, rows))
        for _ in range(ATTEMPTS):
            (found,) = self._online().read([Asked(view, ())])
            if found.state is None or found.state.generation != generation:
                raise Conflict(f"Another materialisation of {view} stands online by now.", mend="Materialise again.")
            told = self._online().update([Change(found.state, list(packed), lambda key, held: packed[key])])[0]
            if told is not None:
                return told.rows
        raise Conflict(f"Too many change {view} online at once.", mend="Materialise again: it goes on from there.")

    @operation("write", event="features.view.materialised")
    def advance(self, tx: Transaction, ref: Ref, *, state: OnlineState, reason: str = "") -> OnlineState:
        """Say how far the rows that reads see go, after those that had changed were amended.

        `Conflict` where reads see another materialisation by now, or one that goes further.
        """
        view, source = catalog.resolve(tx, ref), catalog.resolve(tx, state.source)
        if view != state.view:
            raise Invalid(f"The materialisation is of {state.view}, not {view}.")
        for _ in range(ATTEMPTS):
            (found,) = self._online().read([Asked(view, ())])
            now = found.state
            if now is None or now.generation != state.generation:
                raise Conflict(f"Another materialisation of {view} stands online by now.", mend="Materialise again.")
            refuse_older(now, state)
            if now.pushed > state.base and not queries.unbroken(tx, source.whole, state.base):
                raise Conflict(f"Pushes were folded while {view} was materialised.", mend="Materialise again.")
            wanted = replace(state, pushed=max(now.pushed, state.base), pushed_at=now.pushed_at, rows=now.rows)
            told = self._online().update([Change(wanted, [], lambda key, held: held or b"")])[0]
            if told is not None:
                break
        else:
            raise Conflict(f"Too many change {view} online at once.", mend="Materialise again: it goes on from there.")
        tx.committed.append(lambda: self._pushes.bring(view, after=state.base))
        after = {"since": isoformat(told.since), "until": isoformat(told.until), "rows": told.rows}
        tx.note(resource=view, inputs=[source], outputs=[view], after={**after, "source": str(source)})
        return told

    @operation("write", event="features.view.materialised")
    def publish(self, tx: Transaction, ref: Ref, *, state: OnlineState, reason: str = "") -> OnlineState:
        """Let online reads see a materialisation whose rows have all arrived, in place of the one before.

        `Conflict` if rows are missing, or reads already see what was known later.
        """
        view, source = catalog.resolve(tx, ref), catalog.resolve(tx, state.source)
        if view != state.view:
            raise Invalid(f"The materialisation is of {state.view}, not {view}.")
        if not self._online().publish(state):
            tx.unchanged()
            (found,) = self._online().read([Asked(view, ())])
            return found.state or state
        tx.committed.append(lambda: self._pushes.bring(view))
        after = {"since": isoformat(state.since), "until": isoformat(state.until), "rows": state.rows}
        tx.note(resource=view, inputs=[source], outputs=[view], after={**after, "source": str(source)})
        return state

    @operation("read")
    def materialised(self, tx: Transaction, ref: Ref) -> OnlineState | None:
        """What of a view version stands in the online store, or None."""
        (found,) = self._online().read([Asked(catalog.resolve(tx, ref), ())])
        return found.state

    @operation("read", on="")
    def online(
        self,
        tx: Transaction,
        views: Sequence[Ref],
        keys: Sequence[dict[str, Any]],
        *,
        now: datetime | Sequence[datetime] | None = None,
        max_age: str | None = None,
        purpose: str = "",
    ) -> Sequence[dict[str, Value]]:
        """The features of several views for each key, as a training set would have them at `now` (one time, or one a key).

        `now` is by default the present. A key names every entity column of the views; a missing or unknown entity has null
        features and counts of 0, as offline. `Unavailable` where a view is not materialised, or (with `max_age`, such as
        `1h`) was materialised longer before `now`; `Invalid` for a time before what stands online. `Refused` where a column
        behind them does not permit `purpose`; what you may not read in clear is masked.
        """
        refuse_no_view(views)
        pinned = [self._pin(tx, view) for view in views]
        admitted = self._uses.admit(pinned, sources=self._standing_on(pinned), purpose=purpose)
        reader = self._reader([(ref, self._records[ref]) for ref in pinned], lambda: tx.now, admitted, purpose)
        return reader.rows(keys, now=now, max_age=max_age)

    @operation("read")
    def logged(
        self, tx: Transaction, ref: Ref, *, after: datetime | None = None, limit: int = REPLAYED
    ) -> Sequence[LoggedRead]:
        """Logged online reads of a view version, the oldest first; by default those after the last that were replayed."""
        view = catalog.resolve(tx, ref)
        self._datasets.require_clear(self._datasets.known(tx, record_of(catalog.get(tx, view)).source))
        if self._log is None:
            raise RuntimeError("the body of an operation runs where the workspace is")
        if after is None:
            said = (each.figures.get("replayed_until") for each in evidence.about(tx, view, PARITY))
            after = next((parse_time(text) for text in said if isinstance(text, str)), None)
        return self._log.read(view, after, limit)

    @operation("read", on="")
    def standing(self, tx: Transaction) -> Sequence[OnlineState]:
        """What stands online, of the views that the caller may read."""
        may = scopes.may_read(tx, Kind.FEATURES)
        return [each for each in self._online().states().values() if may(each.view.name)]

    @operation("read", on="")
    def parity(self, tx: Transaction) -> Sequence[Parity]:
        """What the last comparison of each view that stands online said, where there was one."""
        found, may = [], scopes.may_read(tx, Kind.FEATURES)
        for view in self._online().states():
            if not may(view.name):
                continue
            said = evidence.about(tx, view, PARITY)
            if said:
                names = said[0].figures.get("features") or []
                found.append(
                    Parity(
                        view=view,
                        at=said[0].created_at,
                        failing=said[0].verdict is Verdict.FAIL,
                        summary=said[0].summary,
                        features=[str(name) for name in names] if isinstance(names, Sequence) else [],
                        compared=said[0].figures.get("values") != 0,
                    )
                )
        return found

    @operation("read", on="")
    def find(
        self,
        tx: Transaction,
        text: str = "",
        *,
        unused: bool = False,
        order: Order = Order.CHANGED,
        only: Ref | None = None,
        limit: int | None = None,
    ) -> Sequence[ViewUse]:
        """Find views by words in their names, features, entities, sources, owners, tags or descriptions; all must occur.

        Each with who uses it, how much it matters to them, what it costs, how fresh it stands online, and whether that
        agrees with offline. `unused` leaves those of which at least one feature is taken by nothing that the caller may
        see: data that is perhaps not needed. `only` looks at one version of a view, whatever its words; `limit` are how
        many are told at most.
        """
        known, found, sizes = self._surroundings(), list[ViewUse](), dict[Ref, tuple[int, int]]()
        chosen = discovery.views(tx, text) if only is None else [catalog.get(tx, self._pin(tx, only))]
        for version in chosen:
            use = self._use(tx, version, *known, sizes)
            if use.unused or not unused:
                found.append(use)
            if len(found) == limit and order is Order.CHANGED:
                break
        ordered = found if order is Order.CHANGED else sorted(found, key=lambda use: -use.weight(order))
        return ordered[:limit]

    def _surroundings(self) -> tuple[Mapping[Ref, OnlineState] | str, Mapping[Ref, Parity], Mapping[Ref, float]]:
        """What is known of all views at once: how they stand online, whether they agree with offline, how they are read.

        A store that does not answer keeps nobody from finding a view: then it is said why that is not known.
        """
        daily = {} if self._log is None else self._log.per_day()
        try:
            return self._online().states(), {each.view: each for each in self.parity()}, daily
        except Unavailable as error:
            return error.message, {}, daily

    def _use(
        self,
        tx: Transaction,
        version: Version,
        states: Mapping[Ref, OnlineState] | str,
        parities: Mapping[Ref, Parity],
        daily: Mapping[Ref, float],
        sizes: dict[Ref, tuple[int, int]],
    ) -> ViewUse:
        known, state = version_of(version), None if isinstance(states, str) else states.get(version.ref)
        consumers = discovery.consumers(tx, version.ref, known.view.names)
        taken = {name for each in consumers for name in each.features}
        return ViewUse(
            version=known,
            consumers=consumers,
            unused=[name for name in known.view.names if name not in taken],
            online=state,
            silent=states if isinstance(states, str) else "",
            age=None if state is None else max(0.0, (tx.now - state.fresh).total_seconds()),
            behind=0 if state is None else max(0, queries.last(tx, state.source.whole) - state.pushed),
            parity=parities.get(version.ref),
            importance=max((each.share for each in consumers if each.share is not None), default=None),
            cost=discovery.cost(tx, known.view, version.ref, state, daily.get(version.ref), sizes),
        )

    def _standing_on(self, views: Sequence[Ref]) -> Sequence[Ref]:
        """The dataset versions that what stands online of some views was computed from."""
        states = self._online().states()
        return [states[view].source for view in views if view in states]

    def _reader(
        self,
        views: Sequence[tuple[Ref, ViewRecord]],
        now: Callable[[], datetime],
        admitted: Admitted,
        purpose: str,
    ) -> OnlineReader:
        known = [(ref, len(record.view.names)) for ref, record in views]
        noticed = None if self._log is None else self._log.noticing(known, admitted.personal)
        made = self._datasets.pseudonymizer(purpose) if admitted.masks else None
        return OnlineReader(self._online(), views, now, noticed, admitted.masks, made)

    def _packed(self, view: Ref, rows: OnlineRows) -> Sequence[tuple[str, bytes]]:
        definition, packed, begin = self._records[view].view, list[tuple[str, bytes]](), 0
        inputs, created = len(definition.inputs), definition.created_time is not None
        try:
            content = b64decode(rows.packed, validate=True)
        except ValueError as error:
            raise Invalid(f"The rows are no base64: {error}.") from None
        if len(rows.keys) != len(rows.sizes) or sum(rows.sizes) != len(content) or min(rows.sizes, default=0) < 0:
            raise Invalid(f"{len(rows.keys)} rows of {sum(rows.sizes)} bytes are said to be in {len(content)}.")
        alike, first = dict[bytes, int](), head_size(inputs)
        for key, size in zip(rows.keys, rows.sizes, strict=True):
            row = content[begin : begin + size]
            if alike.get(row[:first]) != size:
                try:
                    if check(row, inputs, created=created):
                        alike[row[:first]] = size
                except ValueError as error:
                    raise Invalid(f"The row of {key} is not a packed timeline: {error}.") from None
            packed.append((key, row))
            begin += size
        return packed

    def _pin(self, tx: Transaction, ref: Ref) -> Ref:
        """The version a ref stands for, its record at hand; `NotFound` too where the caller may not read it."""
        if not scopes.may_read(tx, Kind.FEATURES)(ref.name):
            raise NotFound(f"There is no {ref.kind.noun} named {ref.name!r}.")
        if ref in self._records:
            return ref
        version = catalog.get(tx, ref)
        self._records[version.ref] = record_of(version)
        return version.ref
