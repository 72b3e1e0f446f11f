"""The service of the room: the ledger in OpenLineage's words, and what others say in them."""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence, Sequence
from contextlib import nullcontext
from typing import ClassVar

import msgspec

from modelwright.core.clock import parse_time
from modelwright.core.errors import Invalid, ModelwrightError
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.paging import Page
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Experiments, Run
from modelwright.features import Columns
from modelwright.openlineage import columns, incoming, queries
from modelwright.openlineage.datasets import Known
from modelwright.openlineage.records import (
    BatchAnswer,
    ColumnLineage,
    Delivery,
    Failure,
    Party,
    PartyKind,
    Received,
    Stretch,
)
from modelwright.openlineage.telling import told
from modelwright.pipelines import Pipelines
from modelwright.pipelines.records import Execution
from modelwright.store import Direction, Embedded, Transaction, Version, catalog

MOST_TOLD = 1000  # events of the ledger in one stretch
MOST_TOGETHER = 1000  # events in one batch
TOGETHER = 50  # of these, in one transaction


class OpenLineageSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[openlineage]`: under which namespace things go outside, and who is told of them."""

    namespace: str = ""  # empty: modelwright://<the workspace's name>
    url: str = ""  # of a receiver, such as https://marquez.example; empty: nobody is told
    endpoint: str = "api/v1/lineage"  # below that URL
    api_key: str = ""  # sent as a bearer token
    timeout: float = 10.0  # seconds for one request

    @property
    def receiver(self) -> str:
        """The whole address that events are sent to; empty where nobody is told."""
        return f"{self.url.rstrip('/')}/{self.endpoint.lstrip('/')}" if self.url else ""


class OpenLineage(Room):
    """Lineage out and in: all that the ledger knows as OpenLineage events, and those of other producers on the record."""

    room: ClassVar[str] = "openlineage"
    kind: ClassVar[Kind] = Kind.WORKSPACE

    def __init__(
        self, caller: Caller, *, settings: OpenLineageSettings, name: str, experiments: Experiments, pipelines: Pipelines
    ) -> None:
        """`name` is the workspace's, after which its namespace is called unless the settings call it otherwise."""
        super().__init__(caller)
        self.settings = settings
        self.namespace = settings.namespace or f"modelwright://{name}"
        self._experiments = experiments
        self._pipelines = pipelines

    # Out

    @operation("audit.read", on="")
    def told(self, tx: Transaction, *, start: int = 0, limit: int = 200) -> Stretch:
        """Tell the ledger as OpenLineage events: `limit` of its own events from number `start` on, each as none or some."""
        if not 1 <= limit <= MOST_TOLD or start < 0:
            raise Invalid(f"A stretch is 1 to {MOST_TOLD} events of the ledger from 0 on, not {limit} from {start}.")
        events, known = queries.stretch(tx, start, limit), self._known(tx)
        said = [each for event in events for each in told(event, known)]
        return Stretch(events=said, next=events[-1].seq + 1 if len(events) == limit else None)

    def export(self) -> Iterator[dict[str, object]]:
        """All of it, from the beginning to the present."""
        start: int | None = 0
        while start is not None:
            found = self.told(start=start)
            yield from found.events
            start = found.next

    @operation("audit.read", on="")
    def delivery(self, tx: Transaction) -> Delivery | None:
        """How far the receiver that the settings name has been told, and what went wrong last; None where none is named."""
        url, head = self.settings.receiver, tx.head
        if not url:
            return None
        held = queries.target(tx, url)
        return Delivery(
            url=url,
            told=held.seen,
            events=0 if head is None else head.size,
            failures=held.failures,
            error=held.error,
            due=parse_time(held.due_at) if held.due_at else None,
        )

    # In

    @operation("write", event="openlineage.event.received")
    def receive(self, tx: Transaction, ref: Ref, event: str) -> Received:
        """Take an event of another producer onto the record; `ref` is the run, job or dataset that it is about.

        It is kept byte for byte. What a run read and wrote becomes lineage, whichever of its events says so; where an
        event states outright which input an output came from, that counts and not every input with every output. The
        same event again changes nothing. `Invalid` says what makes it no event.
        """
        said = incoming.read(event, self.namespace)
        if ref != said.subject.ref:
            raise Invalid(f"The event is about {said.subject.ref}, not {ref}.", mend="Send it to /api/v1/lineage.")
        named = [said.subject, *([said.job] if said.job else []), *said.inputs, *said.outputs]
        if not queries.keep(tx, event.encode(), said.time, named):
            tx.unchanged()
            return Received(ref=ref, repeated=True)
        for output, sources in said.stated.items():
            if sources:
                tx.record("openlineage.lineage.stated", output, inputs=sources, outputs=[output])
        made = [each.ref for each in said.outputs if each.ref not in said.stated]
        if made:
            tx.record("openlineage.output.written", ref, inputs=[ref], outputs=made)
        read = [each.ref for each in said.inputs]
        if said.job is not None:
            job = [] if said.job.ref == ref else [said.job.ref]
            tx.note(resource=ref, inputs=[*job, *read], outputs=[ref], after={"state": said.state, "time": said.time[:60]})
        else:
            tx.note(resource=ref, after={"time": said.time[:60]})
        return Received(ref=ref)

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> Party:
        """Show a dataset, job or run of another system, with the facets of all its events together."""
        return queries.shown(tx, ref)

    @operation("read")
    def events(self, tx: Transaction, ref: Ref) -> Sequence[str]:
        """Show the newest 1000 events that speak of something, byte for byte as they came, the oldest of them first."""
        queries.shown(tx, ref)
        return [body.decode() for body in queries.bodies(tx, ref)]

    @operation("read", on="")
    def list(
        self,
        tx: Transaction,
        *,
        kind: PartyKind | None = None,
        text: str | None = None,
        under: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Party]:
        """List datasets, jobs and runs of other systems, the last heard of first.

        `text` occurs in namespace or name, whatever the case; `under` is a path of refs: `dataset/s3/lake`.
        """
        return queries.list_parties(tx, kind, text, under, limit, after)

    # Columns

    @operation("read")
    def columns(
        self, tx: Transaction, ref: Ref, column: str, direction: Direction = Direction.BOTH, depth: int = 20
    ) -> ColumnLineage:
        """Follow one column: what it was made of, and the features and model inputs that were made of it.

        Known for feature views (read from their SQL), inputs of models, and what OpenLineage events say in the facet
        `columnLineage`. What the caller may not read is left out.
        """
        return columns.lineage(tx, ref, column, direction, depth, self.namespace)

    @operation("read")
    def origins(self, tx: Transaction, ref: Ref) -> Columns:
        """Say which columns of its source each feature of a view is made of, read from its SQL."""
        return columns.of_view(tx, ref)

    def take(self, content: bytes) -> Received:
        """Receive one event."""
        said = incoming.read(content, self.namespace)
        return self.receive(said.subject.ref, content.decode())

    def take_batch(self, content: bytes) -> BatchAnswer:
        """Receive a JSON array of events, each by itself: one that is refused keeps no other from being taken."""
        try:
            parts = msgspec.json.decode(content, type=list[msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid(f"The batch is no JSON array: {error}.") from None
        if len(parts) > MOST_TOGETHER:
            raise Invalid(f"{len(parts)} events in one batch; it takes {MOST_TOGETHER} at most.", mend="Send several.")
        return self.take_each([bytes(part) for part in parts])

    def take_each(self, contents: Sequence[bytes]) -> BatchAnswer:
        """Receive events, some at a time in one transaction; one that is refused keeps no other from being taken."""
        failed, start, repeated = list[Failure](), 0, 0
        while start < len(contents):
            some = contents[start : start + TOGETHER]
            taken, refusal = self._taken(some)
            if refusal is not None:
                place = start + len(taken)
                failed.append(Failure(index=place, reason=str(refusal), retriable=refusal.status >= 500))
                if isinstance(self.caller, Embedded):  # those before it were taken back with it
                    taken, _ = self._taken(some[: len(taken)])
            repeated += sum(each.repeated for each in taken)
            start += len(taken) + (refusal is not None)
        return BatchAnswer(received=len(contents), failed=failed, repeated=repeated)

    def _taken(self, contents: Sequence[bytes]) -> tuple[Sequence[Received], ModelwrightError | None]:
        """Receive events in one transaction, up to the one that is refused, and why; then nothing of the others is kept."""
        done: MutableSequence[Received] = []
        try:
            with self.caller.transaction(write=True) if isinstance(self.caller, Embedded) else nullcontext():
                for content in contents:
                    done.append(self.take(content))
        except ModelwrightError as error:
            return done, error
        return done, None

    def _known(self, tx: Transaction) -> Known:
        def run(ref: Ref) -> Run | None:
            try:
                return self._experiments.show(ref)
            except ModelwrightError:  # gone since, or not the reader's to see: then it is told by name alone
                return None

        def execution(ref: Ref) -> Execution | None:
            try:
                return self._pipelines.show(ref)
            except ModelwrightError:
                return None

        def version(ref: Ref) -> Version | None:
            return catalog.find(tx, ref) if ref.version is not None else None

        def origins(ref: Ref) -> Columns | None:
            try:
                return columns.of_view(tx, ref)
            except ModelwrightError:
                return None

        return Known(self.namespace, version, lambda ref: queries.party(tx, ref), run, execution, origins)
