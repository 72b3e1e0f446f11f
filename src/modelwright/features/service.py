"""The service: views on the record and online, and, at the caller's side, training sets, materialisation, comparisons."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from modelwright.core.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from modelwright.core.operations import Caller
from modelwright.core.refs import Ref, as_ref, as_refs
from modelwright.core.wire import encode
from modelwright.datasets.records import DatasetVersion
from modelwright.features import sql
from modelwright.features.definitions import FeatureView
from modelwright.features.durations import since_epoch
from modelwright.features.loading import load_views
from modelwright.features.masks import DROP
from modelwright.features.pushes import ATTEMPTS
from modelwright.features.reading import OnlineReader, not_online
from modelwright.features.records import Comparison, Joining, OnlineState, TrainingSet, ViewVersion
from modelwright.features.standing import Standing, refuse_no_view
from modelwright.features.uses import Uses
from modelwright.features.views import FeatureSettings

if TYPE_CHECKING:
    import pyarrow as pa


__all__ = ["FeatureSettings", "Features", "load_views"]

Chosen = tuple[ViewVersion, DatasetVersion]  # a view and what it is computed from
TIMESTAMP = "event_timestamp"  # the column of request times, unless another is named


class Features(Standing):
    """Feature views: their versions, training sets that are true to their time, and the same values online.

    The operations are in `Views` and `Standing`; here is what runs where the caller is.
    """

    def apply(self, view: FeatureView, *, reason: str = "") -> ViewVersion:
        """Check a definition against its source, find its types, and add it as a version; again without change, nothing.

        `Invalid` says what does not hold: a column that is not there, a time without a zone, SQL that is wrong.
        """
        from modelwright.features import engine

        try:
            source = self._datasets.show(view.source).ref
        except NotFound as error:
            raise NotFound(
                f"View {view.name!r} is computed from {view.source}, which is not there: {error.message}",
                mend=f"Add it first, mw data add {view.source.name} FILE, or name another source.",
            ) from None
        keys, columns = engine.describe(view, self._datasets.head(source, 1))
        return self.register(view.name, view=view, source=source, keys=keys, columns=columns, reason=reason)

    def training(
        self,
        entities: Any,
        views: Sequence[Ref | str] | Ref,
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

        refuse_no_view(views)
        chosen = self._chosen(views, sources)
        datasets = {each.ref: each for _, each in chosen}
        admitted = self._uses.admit(
            [version.ref for version, _ in chosen], sources=[each.ref for _, each in chosen], purpose=purpose
        )
        withheld = 0

        def read(source: Ref, views: Sequence[FeatureView]) -> pa.Table:
            nonlocal withheld
            consents = [each for each in admitted.consents if each.source == source]
            named = None if consents else _named(datasets[source], views)  # whose consent it is, views need not name
            rows = self._datasets.rows(datasets[source], named, purpose=purpose)
            for version in (each for each, over in chosen if over.ref == source):
                refuse_unlike(version, source, rows)
            kept = agreeing(rows, consents)
            withheld += rows.num_rows - kept.num_rows
            return kept

        hidden = {name for name, mask in admitted.masks.items() if mask == DROP}
        made = training.build(entities, _pinned(chosen), read, timestamp, hidden)
        rows, seconds = made.table.num_rows, made.seconds
        self._uses.joined(
            [Joining(view=ref, rows=rows, seconds=took) for ref, took in zip(made.views, seconds, strict=True)]
        )
        return replace(made, purpose=purpose, withheld=withheld)

    def plan_sql(
        self,
        views: Sequence[Ref | str] | Ref,
        *,
        dialect: str = "spark",
        tables: Mapping[str, str] | None = None,
        requests: str = "requests",
        timestamp: str = TIMESTAMP,
    ) -> str:
        """A training set as one SELECT for whoever outgrows one machine: in the SQL of `spark`, or of `duckdb`.

        It gives each row of the table `requests` back once, with the features as they were known at its `timestamp`, by the
        rules of `training`. `tables` says where a dataset's rows are, by its name; else a table of that name is meant, with
        `_` for what is neither letter nor digit. Rights, purposes and masks end where the SQL is run. `Invalid` where a
        view's own SQL cannot be said in the dialect.
        """
        from modelwright.features import engine, portable

        chosen, named = [self.show(each) for each in as_refs(views)], dict(tables or {})
        if unknown := sorted(set(named) - {each.view.source.name for each in chosen}):
            raise Invalid(f"No view of these is computed from dataset {unknown[0]!r}.", mend="Name its dataset.")
        computed = []
        for each in chosen:
            keys, inputs = engine.types(each.view, self._datasets.head(each.source, 1))
            table = named.get(each.view.source.name) or portable.table_of(each.view.source.name)
            computed.append(portable.Computed(each.ref, each, keys, inputs, table))
        return portable.statement(computed, requests=requests, timestamp=timestamp, dialect=dialect)

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

        ref, began = as_ref(view), time.perf_counter()
        if source is None:
            self._settle(self.show(ref).view.source)
        state = self.plan(ref, since=since, until=until, source=source)
        self._datasets.require_clear(self._datasets.show(state.source))
        version = self.show(state.view)
        definition = version.view
        table = self._read(state.source, [definition])
        refuse_unlike(version, state.source, table)
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
            took = time.perf_counter() - began
            state = replace(state, generation=standing.generation, seconds=took)
            return self._unless_overtaken(
                state, until is None, lambda: self.advance(state.view, state=state, reason=reason)
            )
        packed = batched()
        rows = size = 0
        for batch in packed:
            rows += len(batch.keys)
            size += batch.size
            if rows > arrived:
                self.load(state.view, generation=state.generation, rows=batch)
        took = time.perf_counter() - began
        whole_of_it = replace(state, rows=rows, bytes=size, seconds=took)
        return self._unless_overtaken(
            state, until is None, lambda: self.publish(state.view, state=whole_of_it, reason=reason)
        )

    def verify(
        self,
        views: Sequence[Ref | str] | Ref,
        sample: pa.Table | int = 200,
        *,
        timestamp: str = TIMESTAMP,
        purpose: str = "",
        reason: str = "",
    ) -> Sequence[Comparison]:
        """Read rows online, compute the same rows offline, and put on the record how many values differ, view by view.

        `sample` is a table of entities and times that the online store covers, or how many to draw from the source: evenly
        among the entities, at times spread over the interval and on the edges of rows and windows. The offline side reads
        the dataset version that was materialised, and the pushes that came online since. Rows that others put online
        meanwhile are no difference: then it is compared anew; `Conflict` where that never ends.
        """
        from modelwright.features import training

        sample = sample if isinstance(sample, int) else training.as_table(sample)
        versions = [self.show(each) for each in as_refs(views)]
        compared = [self._compared(each, sample, timestamp, purpose) for each in versions]
        return [self.attest(each.view, report=self.blobs.put(encode(each)), reason=reason) for each in compared]

    def replay(
        self, views: Sequence[Ref | str] | Ref = (), *, after: datetime | None = None, reason: str = ""
    ) -> Sequence[Comparison]:
        """Hold logged online reads against what a training set says today of the same keys at the same times.

        That is the whole of training/serving skew: rows that were not online yet when they were asked for, rows that came
        late, an online store that was not kept up. By default all views that stand online, and the reads since the last
        replay; a view without any is passed over. Each comparison becomes evidence.
        """
        from modelwright.features import training, verify

        refs = [self.show(each).ref for each in as_refs(views)] or [state.view for state in self.standing()]
        compared = []
        for ref in refs:
            reads = self.logged(ref, after=after)
            if not reads:
                continue
            version = self.show(ref)
            asked = verify.asked_again(version, reads)
            made = training.build(asked, _pinned(self._chosen([ref], [])), self._read, TIMESTAMP)  # no use: a comparison
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

    def reader(self, views: Sequence[Ref | str] | Ref, *, purpose: str = "") -> OnlineReader:
        """Something that reads these views online again and again, in this process and past the record: the hot path.

        Versions, the right to read, what is masked and the purpose are settled here, once. `Unavailable` at a distance:
        there, ask the server.
        """
        if self._store is None:
            raise Unavailable("The online store is not here.", mend="Use features.online, or POST /features/online.")
        refuse_no_view(views)
        versions = [self.show(each) for each in as_refs(views)]
        pinned = [version.ref for version in versions]
        admitted = self._uses.admit(pinned, sources=self._standing_on(pinned), purpose=purpose)
        return self._reader([(version.ref, version) for version in versions], self._now, admitted, purpose)

    def close(self) -> None:
        """Write what the log of reads still holds."""
        if self._log is not None:
            self._log.flush()

    def _unless_overtaken(self, state: OnlineState, present: bool, publish: Callable[[], OnlineState]) -> OnlineState:
        """Put a materialisation of the present online; where another of a later present stands there by now, that one."""
        try:
            return publish()
        except Conflict:
            standing = self.materialised(state.view) if present else None
            if standing is None or standing.until <= state.until or standing.since > state.since != state.until:
                raise
            return standing

    def _compared(self, version: ViewVersion, sample: pa.Table | int, timestamp: str, purpose: str) -> Comparison:
        """One comparison of online with offline rows, between whose two readings nothing was put online.

        What differs is looked at once more, for rows are there a moment before the record says so.
        """
        differed = None
        for _ in range(ATTEMPTS):
            state = self.materialised(version.ref)
            if state is None:
                raise not_online(version.ref)
            try:
                found = self._compare(version, state, sample, timestamp, purpose)
            except Invalid:  # also where what stands online begins after the times asked for, since a push
                if self.materialised(version.ref) == state:
                    raise
                continue
            if self.materialised(version.ref) == state and (found.equal or differed == state):
                return found
            differed = state
        raise Conflict(f"{version.ref} changes faster online than it can be compared.", mend="Try again.")

    def _compare(
        self, version: ViewVersion, state: OnlineState, sample: pa.Table | int, timestamp: str, purpose: str
    ) -> Comparison:
        from modelwright.features import training, verify

        basis = self._pushes.basis(version.ref)
        source = self._pushes.rows_of(basis)
        if isinstance(sample, int):
            asked = verify.draw(version.view, source, state, sample, timestamp)
        else:
            wanted = [*version.view.entity, *version.view.request, timestamp]
            if missing := [name for name in wanted if name not in sample.column_names]:
                raise Invalid(
                    f"The rows to compare have no column {missing[0]!r}, with which {version.ref} is asked.",
                    mend=f"Give {', '.join(wanted)}.",
                )
            asked = sample.select(wanted)
        offline = training.build(asked, [(version, basis.source)], _given(source), timestamp).table
        rows = offline.to_pylist()
        for row in rows:
            if row[timestamp] is None or not state.since <= row[timestamp] <= state.until:
                raise Invalid(f"{version.ref} stands online for {state.since} to {state.until}, not {row[timestamp]}.")
        keys = [{name: row[name] for name in (*version.view.entity, *version.view.request)} for row in rows]
        online = self.online([version.ref], keys, now=[row[timestamp] for row in rows], purpose=purpose)
        return verify.unquoted(verify.compare(version.view, state, offline, online, timestamp), version.people)

    def _chosen(self, views: Sequence[Ref | str] | Ref, sources: Sequence[Ref]) -> Sequence[Chosen]:
        """Views with the dataset versions that they are computed from now."""
        pins, chosen = {source.whole: source for source in sources}, []
        for each in as_refs(views):
            version = self.show(each)
            wanted = pins.get(version.view.source.whole, version.view.source)
            self._settle(wanted)
            chosen.append((version, self._datasets.show(wanted)))
        return chosen

    def _read(self, source: Ref, views: Sequence[FeatureView]) -> pa.Table:
        version = self._datasets.show(source)
        return self._datasets.rows(version, _named(version, views))

    def _settle(self, source: Ref) -> None:
        """What was pushed goes into a version before the newest is read; who may not write reads what there is."""
        if source.selector is None and not self._pushes.settled(source):
            with contextlib.suppress(Denied):
                self._pushes.fold(source, reason="it is about to be read")


def _pinned(chosen: Sequence[Chosen]) -> Sequence[tuple[ViewVersion, Ref]]:
    return [(version, source.ref) for version, source in chosen]


def refuse_unlike(version: ViewVersion, source: Ref, rows: pa.Table) -> None:
    """`Conflict` where a dataset version gives a view's keys or features other types than the view version says."""
    from modelwright.features import engine

    if found := engine.unlike(version, rows):
        raise Conflict(
            f"{version.ref} over {source}: {found}.",
            mend="Apply the view again, and it is a version with these types: mw features apply. Or name a version of the "
            "dataset that has the others.",
        )


def _named(source: DatasetVersion, views: Sequence[FeatureView]) -> Sequence[str]:
    """The columns of a dataset version that some views can name."""
    wanted = {name for view in views for name in sql.needed(view, source.names)}
    return [name for name in source.names if name in wanted]


def _goes_on(standing: OnlineState, state: OnlineState) -> bool:
    """Whether what stands online can be brought to a new state: nothing that was left out of it is asked for."""
    return standing.since <= state.since and standing.until <= state.until


def _given(table: pa.Table) -> Callable[[Ref, Sequence[FeatureView]], pa.Table]:
    return lambda ref, views: table
