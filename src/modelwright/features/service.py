"""The service: views on the record, training sets and materialisation at the caller's side, online reads."""

from __future__ import annotations

import contextlib
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from modelwright.core.clock import SystemClock, isoformat, parse_time
from modelwright.core.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from modelwright.core.hashing import digest_value
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.core.signature import Column
from modelwright.core.wire import convert, decode, encode, time_text, to_plain
from modelwright.datasets import Datasets
from modelwright.features import discovery, queries, sql
from modelwright.features.admission import about
from modelwright.features.diff import diff
from modelwright.features.durations import since_epoch
from modelwright.features.loading import load_views
from modelwright.features.origins import DROP, origins
from modelwright.features.ports import Asked, OnlineStore, refuse_older
from modelwright.features.pushes import ATTEMPTS, Pushes
from modelwright.features.reading import OnlineReader, not_online
from modelwright.features.reads import ReadLog
from modelwright.features.records import (
    Comparison,
    FeatureColumn,
    FeatureView,
    LoggedRead,
    OnlineRow,
    OnlineState,
    Parity,
    TrainingSet,
    Value,
    ViewDiff,
    ViewRecord,
    ViewUse,
    ViewVersion,
)
from modelwright.features.timeline import check, unpack
from modelwright.features.uses import Uses
from modelwright.store import State, Transaction, Verdict, Version, catalog, evidence, scopes

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FeatureSettings", "Features", "load_views"]

PARITY = "online-offline"  # the kind of evidence that a comparison becomes
REPLAYED = 5000  # logged reads in one comparison
TIMESTAMP = "event_timestamp"  # the column of request times, unless another is named


class FeatureSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[features]`: where the online store is, and how rows travel there."""

    online: str = ""  # redis://... or postgresql://...; empty: a file beside the workspace's database
    log_share: float = 0.01  # of the rows that are read online are logged, to be verified afterwards
    log_days: int = 7  # for which they are kept: they hold the keys that were asked for
    verify_every: float = 3600.0  # seconds between two comparisons of logged reads, while a server is up
    fold_every: float = 60.0  # seconds between two versions made of what was pushed, while a server is up
    batch_rows: int = 1000  # entities sent at a time when a view is materialised
    batch_bytes: int = 1_000_000  # and at most so much of them, but for a single larger entity


class Features(Room):
    """Feature views: their versions, training sets that are true to their time, and the same values online."""

    room, kind = "features", Kind.FEATURES

    def __init__(
        self,
        caller: Caller,
        *,
        datasets: Datasets,
        pushes: Pushes,
        uses: Uses,
        settings: FeatureSettings = FeatureSettings(),
        online: OnlineStore | None = None,
        log: ReadLog | None = None,
        now: Callable[[], datetime] = SystemClock().now,
    ) -> None:
        """`online` and `log` are where the workspace is; at a distance there are none. `now` is for readers."""
        super().__init__(caller)
        self._datasets = datasets
        self._pushes = pushes
        self._uses = uses
        self._settings = settings
        self._store = online
        self._log = log
        self._now = now
        self._records: dict[Ref, ViewRecord] = {}  # by pinned ref: versions never change

    # On the record

    @operation("write", event="features.view.registered")
    def register(
        self,
        tx: Transaction,
        name: str,
        *,
        view: FeatureView,
        source: Ref,
        keys: Sequence[Column],
        columns: Sequence[FeatureColumn],
        reason: str = "",
    ) -> ViewVersion:
        """Add a version of a view whose types were found from a dataset version; `apply` is the way to here.

        The same definition as the newest version's is that version again, and nothing is written.
        """
        if view.name != name or not source.whole == view.source.whole or source.version is None:
            raise Invalid(f"{name!r} from {source} does not go with the definition of {view.ref} from {view.source}.")
        if [c.name for c in keys] != view.entity or [c.name for c in columns] != view.names:
            raise Invalid(f"The types given for {view.ref} are not those of its entity and features.")
        digest = digest_value(to_plain(view))
        newest = catalog.latest(tx, view.ref)
        if newest is not None and newest.digest == digest and newest.state is State.ACTIVE:
            tx.unchanged()
            return _version(newest)
        pinned = catalog.resolve(tx, source)
        behind = origins(view, self._datasets.known(tx, pinned).names)
        version = catalog.add(
            tx,
            Kind.FEATURES,
            name,
            digest=digest,
            record=ViewRecord(view=view, source=pinned, keys=list(keys), columns=list(columns), origins=behind),
            description=view.description,
            tags=view.tags,
            needs=[pinned],
        )
        tx.note(resource=version.ref, inputs=[pinned], outputs=[version.ref], after={"digest": digest})
        return _version(version)

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> ViewVersion:
        """One version of a view: definition, types, the dataset version it was checked against, and what it is about."""
        version = _version(catalog.get(tx, ref))
        classes, masks = about(self._datasets, tx, version)
        return replace(version, classes=classes, masks=masks)

    @operation("read")
    def versions(self, tx: Transaction, ref: Ref, where: Filter = Filter()) -> Page[ViewVersion]:
        """The versions of one view, newest first."""
        page = catalog.list_versions(tx, ref, where)
        return Page(items=[_version(version) for version in page.items], next=page.next)

    @operation("read")
    def diff(self, tx: Transaction, ref: Ref, other: Ref) -> ViewDiff:
        """What changed in a view from version `ref` to version `other`, and whether it breaks models built on the first."""
        if ref.whole != other.whole:
            raise Invalid(f"{ref} and {other} are not versions of one view.")
        before, after = catalog.get(tx, ref), catalog.get(tx, other)
        return diff((before.ref, _record(before)), (after.ref, _record(after)))

    @operation("write", event="features.view.retired")
    def retire(self, tx: Transaction, ref: Ref, *, successor: Ref | None = None, reason: str = "") -> ViewVersion:
        """Take a version out of use for good: it leaves the online store, its definition stays readable."""
        version = catalog.retire(tx, ref, successor)
        after = {"state": version.state.value, "successor": str(version.successor or "")}
        tx.note(resource=version.ref, inputs=[version.ref], before={"state": State.ACTIVE.value}, after=after)
        tx.committed.append(lambda: self._online().drop(version.ref))
        return _version(version)

    @operation("validate", event="features.view.verified")
    def attest(self, tx: Transaction, ref: Ref, *, report: str, reason: str = "") -> Comparison:
        """Put a comparison of online with offline rows on the record, as evidence about the version of the view.

        `report` is the digest of the stored `Comparison`; verdict and figures are read from it, so that they agree. It
        passes when something was compared and nothing differed.
        """
        version = catalog.get(tx, ref)
        found = decode(self.blobs.read(report), Comparison)
        if found.view != version.ref:
            raise Invalid(f"The report is about {found.view}, not {version.ref}.")
        verdict = Verdict.PASS if found.equal else Verdict.FAIL
        tx.note(
            resource=version.ref, inputs=[version.ref, found.source], after={"verdict": verdict.value, "report": report}
        )
        attached = evidence.attach(
            tx,
            PARITY,
            version.ref,
            subject_digest=version.digest,
            verdict=verdict,
            figures={
                "rows": found.rows,
                "values": found.values,
                "mismatches": found.mismatches,
                "stale": found.stale,
                "features": sorted({each.feature for each in found.examples}),
                "replayed_until": time_text(found.replayed_until),
            },
            summary=f"{found.mismatches} of {found.values} values in {found.rows} rows differ between online and offline.",
            report=report,
            inputs=[version.ref, found.source],
        )
        return replace(found, evidence=attached.id)

    # The online store

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
        wanted = _record(version).view.source
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
    def load(self, tx: Transaction, ref: Ref, *, generation: str, rows: Sequence[OnlineRow]) -> int:
        """Send rows of a materialisation to the online store, where nobody sees them yet; returns how many were sent."""
        view = self._pin(tx, ref)
        self._online().load(view, generation, self._packed(view, rows))
        return len(rows)

    @operation("read")
    def arrived(self, tx: Transaction, ref: Ref, *, generation: str) -> int:
        """How many rows of a materialisation have arrived: one that was broken off goes on after them."""
        return self._online().held(self._pin(tx, ref), generation)

    @operation("write", data=True)
    def amend(self, tx: Transaction, ref: Ref, *, generation: str, rows: Sequence[OnlineRow]) -> int:
        """Put rows in place of those that reads see, in the generation that they see; returns how many entities there are.

        Of pushes that came later than what is in these rows, `advance` sees to it that they are there too.
        """
        view = self._pin(tx, ref)
        packed: dict[str, bytes] = dict(self._packed(view, rows))
        for _ in range(ATTEMPTS):
            (found,) = self._online().read([Asked(view, ())])
            if found.state is None or found.state.generation != generation:
                raise Conflict(f"Another materialisation of {view} stands online by now.", mend="Materialise again.")
            told = self._online().update(found.state, list(packed), lambda key, held: packed[key])
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
            told = self._online().update(wanted, [], lambda key, held: held or b"")
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
            return state
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
        pinned = [self._pin(tx, view) for view in views]
        masks = self._uses.admit(pinned, sources=self._standing_on(pinned), purpose=purpose).masks
        reader = self._reader([(ref, self._records[ref]) for ref in pinned], lambda: tx.now, masks, purpose)
        return reader.rows(keys, now=now, max_age=max_age)

    @operation("read")
    def logged(
        self, tx: Transaction, ref: Ref, *, after: datetime | None = None, limit: int = REPLAYED
    ) -> Sequence[LoggedRead]:
        """Logged online reads of a view version, the oldest first; by default those after the last that were replayed."""
        view = catalog.resolve(tx, ref)
        self._datasets.require_clear(self._datasets.known(tx, _record(catalog.get(tx, view)).source))
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
                    )
                )
        return found

    @operation("read", on="")
    def find(self, tx: Transaction, text: str = "", *, unused: bool = False) -> Sequence[ViewUse]:
        """Find views by words in their names, features, entities, sources, owners, tags or descriptions; all must occur.

        Each with who uses it, how fresh it stands online, and whether that agrees with offline. `unused` leaves those of
        which at least one feature is taken by nothing that the caller may see: data that is perhaps not needed.
        """
        parities = {each.view: each for each in self.parity()}
        states, found = self._online().states(), []
        for version in discovery.views(tx, text):
            known, state = _version(version), states.get(version.ref)
            names = known.view.names
            consumers = discovery.consumers(tx, version.ref, names)
            taken = {name for each in consumers for name in each.features}
            left = [name for name in names if name not in taken]
            if unused and not left:
                continue
            found.append(
                ViewUse(
                    version=known,
                    consumers=consumers,
                    unused=left,
                    online=state,
                    age=None if state is None else max(0.0, (tx.now - state.fresh).total_seconds()),
                    behind=0 if state is None else max(0, queries.last(tx, state.source.whole) - state.pushed),
                    parity=parities.get(version.ref),
                )
            )
        return found

    @operation("read", on="")
    def list(self, tx: Transaction, where: Filter = Filter()) -> Page[ViewVersion]:
        """The latest version of every view that the caller may read, the most recently changed first."""
        page = catalog.list_things(tx, Kind.FEATURES, where)
        return Page(items=[_version(version) for version in page.items], next=page.next)

    # At the caller's side

    def apply(self, view: FeatureView, *, reason: str = "") -> ViewVersion:
        """Check a definition against its source, find its types, and add it as a version; again without change, nothing.

        `Invalid` says what does not hold: a column that is not there, a time without a zone, SQL that is wrong.
        """
        from modelwright.features import engine

        source = self._datasets.show(view.source).ref
        keys, columns = engine.describe(view, self._datasets.head(source, 1))
        return self.register(view.name, view=view, source=source, keys=keys, columns=columns, reason=reason)

    def training(
        self,
        entities: Any,
        views: Sequence[Ref | str],
        *,
        timestamp: str = TIMESTAMP,
        sources: Sequence[Ref] = (),
        purpose: str = "",
    ) -> TrainingSet:
        """The rows of `entities`, each once and in order, with every feature as it was known at the time in `timestamp`.

        `entities` is a table (anything with the Arrow C stream) with the entity columns of the views, a column of moments
        with a time zone, and whatever else, such as a label. `sources` pins dataset versions; what is not pinned is read
        from the newest version that the definition allows. `TrainingSet.refs` says what was used, and used as `views` and
        `sources` again gives the same table.

        `purpose` says what it is for: `Refused` where a column behind the views does not permit that. Of datasets that are
        used on consent, the rows of subjects whose latest answer is no are left out. Features of columns that you may not
        read in clear are masked, those that are computed from them missing.
        """
        from modelwright.features import training
        from modelwright.features.admission import agreeing

        chosen = self._chosen(views, sources)
        admitted = self._uses.admit(
            [version.ref for version, _ in chosen], sources=[each for _, each in chosen], purpose=purpose
        )
        withheld = 0

        def read(source: Ref, views: Sequence[FeatureView]) -> pa.Table:
            nonlocal withheld
            consents = [each for each in admitted.consents if each.source == source]
            named = None if consents else self._named(source, views)  # whose consent it is, views need not name
            rows = self._datasets.read(source, named, purpose=purpose)
            kept = agreeing(rows, consents)
            withheld += rows.num_rows - kept.num_rows
            return kept

        hidden = {name for name, mask in admitted.masks.items() if mask == DROP}
        made = training.build(entities, chosen, read, timestamp, hidden)
        return replace(made, purpose=purpose, withheld=withheld)

    def materialise(
        self,
        view: Ref | str,
        until: datetime | None = None,
        *,
        since: datetime | None = None,
        source: Ref | None = None,
        whole: bool = False,
        reason: str = "",
    ) -> OnlineState:
        """Compute a view and put it online, to be read at times from `since` to `until` (both by default the present).

        Where the view stands online already and its dataset only grew, the rows of those entities alone are computed that
        changed, unless all are wanted (`whole`). Doing it again does no harm, and a broken-off one goes on where it
        stopped. Reads see the old rows until all of the new ones have arrived; where only some change, one by one.
        """
        from modelwright.features import engine, materialise

        ref = _ref(view)
        if source is None:
            self._settle(self.show(ref).view.source)
        state = self.plan(ref, since=since, until=until, source=source)
        self._datasets.require_clear(self._datasets.show(state.source))
        definition, table = self.show(state.view).view, self._datasets.read(state.source)
        arrived = self.arrived(state.view, generation=state.generation)
        standing = None if whole or arrived else self.materialised(state.view)
        added = self.growth(state.view, source=state.source) if standing and _goes_on(standing, state) else None
        begin, end = since_epoch(state.since), since_epoch(state.until)
        state = replace(state, waiting=engine.waits(definition, table, end))
        batched = partial(
            materialise.batches,
            definition,
            table,
            begin,
            end,
            rows=self._settings.batch_rows,
            size=self._settings.batch_bytes,
            mark=state.base,
        )
        if standing is not None and added is not None:
            if (standing.source, standing.since, standing.until) == (state.source, state.since, state.until):
                return standing
            for batch in batched(after=since_epoch(standing.until), added=added):
                self.amend(state.view, generation=standing.generation, rows=batch)
            return self.advance(state.view, state=replace(state, generation=standing.generation), reason=reason)
        packed = batched()
        rows = 0
        for batch in packed:
            fresh = batch[max(0, arrived - rows) :]
            rows += len(batch)
            if fresh:
                self.load(state.view, generation=state.generation, rows=fresh)
        return self.publish(state.view, state=replace(state, rows=rows), reason=reason)

    def verify(
        self,
        views: Sequence[Ref | str],
        sample: pa.Table | int = 200,
        *,
        timestamp: str = TIMESTAMP,
        purpose: str = "",
        reason: str = "",
    ) -> Sequence[Comparison]:
        """Read rows online, compute the same rows offline, and put on the record how many values differ, view by view.

        `sample` is a table of entities and times that the online store covers, or how many to draw from the source: evenly
        among the entities, at times spread over the interval and on the edges of rows and windows. The offline side reads
        the dataset version that was materialised.
        """
        from modelwright.features import training, verify

        compared = []
        for each in views:
            version = self.show(_ref(each))
            state = self.materialised(version.ref)
            if state is None:
                raise not_online(version.ref)
            basis = self._pushes.basis(version.ref)
            source = self._pushes.rows_of(basis)
            if isinstance(sample, int):
                asked = verify.draw(version.view, source, state, sample, timestamp)
            else:
                asked = training.as_table(sample).select([*version.view.entity, *version.view.request, timestamp])
            offline = training.build(asked, [(version, basis.source)], _given(source), timestamp).table
            rows = offline.to_pylist()
            for row in rows:
                if not state.since <= row[timestamp] <= state.until:
                    raise Invalid(f"{version.ref} stands online for {state.since} to {state.until}, not {row[timestamp]}.")
            keys = [{name: row[name] for name in (*version.view.entity, *version.view.request)} for row in rows]
            online = self.online([version.ref], keys, now=[row[timestamp] for row in rows], purpose=purpose)
            found = verify.unquoted(verify.compare(version.view, state, offline, online, timestamp), version.people)
            compared.append(self.attest(version.ref, report=self.blobs.put(encode(found)), reason=reason))
        return compared

    def replay(
        self, views: Sequence[Ref | str] = (), *, after: datetime | None = None, reason: str = ""
    ) -> Sequence[Comparison]:
        """Hold logged online reads against what a training set says today of the same keys at the same times.

        That is the whole of training/serving skew: rows that were not online yet when they were asked for, rows that came
        late, an online store that was not kept up. By default all views that stand online, and the reads since the last
        replay; a view without any is passed over. Each comparison becomes evidence.
        """
        from modelwright.features import training, verify

        refs = [self.show(_ref(each)).ref for each in views] or [state.view for state in self.standing()]
        compared = []
        for ref in refs:
            reads = self.logged(ref, after=after)
            if not reads:
                continue
            version = self.show(ref)
            asked = verify.asked_again(version, reads)
            made = training.build(asked, self._chosen([ref], []), self._read, TIMESTAMP)  # no use: a comparison
            found = verify.compare_reads(version.view, made.sources[0], made.table, reads, TIMESTAMP)
            found = verify.unquoted(replace(found, view=ref), version.people)
            compared.append(self.attest(ref, report=self.blobs.put(encode(found)), reason=reason))
        return compared

    def over(self, caller: Caller) -> Features:
        """The same room through another caller, for who wants to see what it calls."""
        return Features(
            caller,
            datasets=self._datasets,
            pushes=self._pushes,
            uses=Uses(caller, datasets=self._datasets),
            settings=self._settings,
            online=self._store,
            log=self._log,
            now=self._now,
        )

    def reader(self, views: Sequence[Ref | str], *, purpose: str = "") -> OnlineReader:
        """Something that reads these views online again and again, in this process and past the record: the hot path.

        Versions, the right to read, what is masked and the purpose are settled here, once. `Unavailable` at a distance:
        there, ask the server.
        """
        if self._store is None:
            raise Unavailable("The online store is not here.", mend="Use features.online, or POST /features/online.")
        versions = [self.show(_ref(each)) for each in views]
        pinned = [version.ref for version in versions]
        masks = self._uses.admit(pinned, sources=self._standing_on(pinned), purpose=purpose).masks
        return self._reader([(version.ref, version) for version in versions], self._now, masks, purpose)

    def close(self) -> None:
        """Write what the log of reads still holds."""
        if self._log is not None:
            self._log.flush()

    # Inside

    def _chosen(self, views: Sequence[Ref | str], sources: Sequence[Ref]) -> Sequence[tuple[ViewVersion, Ref]]:
        """Views with the dataset versions that they are computed from now."""
        pins, chosen = {source.whole: source for source in sources}, []
        for each in views:
            version = self.show(_ref(each))
            wanted = pins.get(version.view.source.whole, version.view.source)
            self._settle(wanted)
            chosen.append((version, self._datasets.show(wanted).ref))
        return chosen

    def _standing_on(self, views: Sequence[Ref]) -> Sequence[Ref]:
        """The dataset versions that what stands online of some views was computed from."""
        states = self._online().states()
        return [states[view].source for view in views if view in states]

    def _reader(
        self,
        views: Sequence[tuple[Ref, ViewRecord]],
        now: Callable[[], datetime],
        masks: Mapping[str, str],
        purpose: str,
    ) -> OnlineReader:
        noticed = None if self._log is None else self._log.noticed
        secret = self._datasets.pseudonym_key(purpose) if masks else b""
        return OnlineReader(self._online(), views, now, noticed, masks, secret)

    def _packed(self, view: Ref, rows: Sequence[OnlineRow]) -> Sequence[tuple[str, bytes]]:
        definition, packed = self._records[view].view, []
        for row in rows:
            try:
                check(unpack(data := b64decode(row.packed, validate=True)), definition)
            except (ValueError, msgspec.MsgspecError) as error:
                raise Invalid(f"The row of {row.key} is not a packed timeline: {error}.") from None
            packed.append((row.key, data))
        return packed

    def _read(self, source: Ref, views: Sequence[FeatureView]) -> pa.Table:
        return self._datasets.read(source, self._named(source, views))

    def _named(self, source: Ref, views: Sequence[FeatureView]) -> Sequence[str]:
        """The columns of a dataset version that some views can name."""
        names = self._datasets.show(source).names
        wanted = {name for view in views for name in sql.needed(view, names)}
        return [name for name in names if name in wanted]

    def _settle(self, source: Ref) -> None:
        """What was pushed goes into a version before the newest is read; who may not write reads what there is."""
        if source.selector is None and not self._pushes.settled(source):
            with contextlib.suppress(Denied):
                self._pushes.fold(source, reason="it is about to be read")

    def _pin(self, tx: Transaction, ref: Ref) -> Ref:
        """The version a ref stands for, its record at hand; `NotFound` too where the caller may not read it."""
        if not scopes.may_read(tx, Kind.FEATURES)(ref.name):
            raise NotFound(f"There is no {ref.kind.value} named {ref.name!r}.")
        if ref in self._records:
            return ref
        version = catalog.get(tx, ref)
        self._records[version.ref] = _record(version)
        return version.ref

    def _online(self) -> OnlineStore:
        if self._store is None:
            raise RuntimeError("the body of an operation runs where the workspace is")
        return self._store


def _ref(ref: Ref | str) -> Ref:
    return Ref.parse(ref) if isinstance(ref, str) else ref


def _goes_on(standing: OnlineState, state: OnlineState) -> bool:
    """Whether what stands online can be brought to a new state: nothing that was left out of it is asked for."""
    return standing.since <= state.since and standing.until <= state.until


def _given(table: pa.Table) -> Callable[[Ref, Sequence[FeatureView]], pa.Table]:
    return lambda ref, views: table


def _record(version: Version) -> ViewRecord:
    found: ViewRecord = convert(version.record, ViewRecord)
    return found


def _version(version: Version) -> ViewVersion:
    record = _record(version)
    left_out = ("record", "description", "changed_at")
    about = {name: getattr(version, name) for name in version.__struct_fields__ if name not in left_out}
    return ViewVersion(**about, **{name: getattr(record, name) for name in record.__struct_fields__})
