"""The service of the room: what can be done with traces, and with what somebody judged of them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import sqlalchemy as sa

from modelwright.core.errors import Conflict, Denied, Invalid, NotFound
from modelwright.core.operations import Caller, Resource, Room, operation
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import encode_text
from modelwright.experiments import Experiment, Experiments, Lifecycle
from modelwright.store import Transaction, holds, scopes
from modelwright.traces import queries, writing
from modelwright.traces.figures import queries as summed
from modelwright.traces.figures.metrics import MAX_LIMIT
from modelwright.traces.records import (
    MAX_KEY,
    NAME_TAG,
    Assessment,
    AssessmentChange,
    AssessmentKind,
    Correlation,
    FigurePage,
    FigureQuery,
    PromptUse,
    SpanBatch,
    Trace,
    TraceGiven,
    TraceInfo,
    TracePage,
)
from modelwright.traces.tables import assessment_of, assessments, prompts, runs

MOST_LINKED = 100  # traces linked to a run at once, as MLflow has it
MAX_RATIONALE = 64 * 1024  # characters
MAX_ASSESSMENT = 256 * 1024  # characters of its value, error and metadata as JSON
PROMPTS_TAG = "mlflow.linkedPrompts"


class Traces(Room):
    """Traces of what a program did to answer: their spans, and what people, programs and models judged of them.

    The right to a trace is asked on its experiment, as it is for a run. Spans, tags and assessments are data and leave no
    event; deleting traces is one.
    """

    room: ClassVar[str] = "traces"
    kind: ClassVar[Kind] = Kind.RUN

    def __init__(self, caller: Caller, *, experiments: Experiments) -> None:
        super().__init__(caller)
        self._experiments = experiments

    def resource_of(self, tx: Any, ref: Ref) -> Resource:
        """The experiment that a trace belongs to stands for the trace."""
        if ref.kind is not Kind.TRACE:
            return self._experiments.resource_of(tx, ref)
        return Resource(Kind.RUN, queries.home_of(tx, ref))

    @operation("write", data=True)
    def start(self, tx: Transaction, ref: Ref, given: TraceGiven) -> TraceInfo:
        """Write what is known of a trace of an experiment. Telling it again changes what is said anew."""
        key = writing.put(tx, self._open(ref).id, _given(tx, given))
        return queries.info(tx, key)

    @operation("write", data=True)
    def log(self, tx: Transaction, ref: Ref, batches: Sequence[SpanBatch], *, run: str | None = None) -> list[str]:
        """Write spans to an experiment, in any order and as often as they come; returns the ids of their traces.

        A span that is there already is replaced. `run` links the traces to a run of the same experiment.
        """
        keys = writing.add_spans(tx, self._open(ref).id, batches)
        found = list(keys)
        if run is not None:
            for at in range(0, len(found), MOST_LINKED):
                self.link(Ref(Kind.RUN, run), found[at : at + MOST_LINKED])
        return found

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> Trace:
        """Show one trace with its spans and assessments."""
        row = queries.row(tx, ref)
        return Trace(info=queries.info(tx, row.key), spans=queries.spans_of(tx, {row.key: row.id})[row.id])

    @operation("read")
    def info(self, tx: Transaction, ref: Ref) -> TraceInfo:
        """Show one trace without its spans."""
        return queries.info(tx, queries.row(tx, ref).key)

    @operation("read", on="")
    def batch(self, tx: Transaction, ids: Sequence[str], *, spans: bool = False) -> list[Trace]:
        """Show several traces at once, in the order asked for; those that are not there (or not yours) are left out."""
        if len(ids) > queries.MAX_LIMIT:
            raise Invalid(f"At most {queries.MAX_LIMIT} traces are shown at once, not {len(ids)}.")
        return queries.batch(tx, ids, with_spans=spans)

    @operation("read", on="")
    def search(
        self,
        tx: Transaction,
        experiments: Sequence[Ref],
        *,
        where: str = "",
        order_by: Sequence[str] = (),
        limit: int = 100,
        after: str | None = None,
    ) -> TracePage:
        """Find traces of some experiments, newest first or in another order; see docs/traces.md for the filters."""
        return queries.search(tx, experiments, where, order_by, limit, after)

    @operation("read", on="")
    def correlate(
        self, tx: Transaction, experiments: Sequence[Ref], first: str, second: str, *, where: str = ""
    ) -> Correlation:
        """Say how two filters go together over the traces that a third leaves."""
        return queries.correlate(tx, experiments, first, second, where)

    @operation("read", on="")
    def figures(
        self,
        tx: Transaction,
        experiments: Sequence[Ref],
        asked: FigureQuery,
        *,
        limit: int = MAX_LIMIT,
        after: str | None = None,
    ) -> FigurePage:
        """Sum up traces, spans or assessments of some experiments: how many, how long, tokens, costs; by time and name."""
        return summed.page(tx, queries.readable(tx, experiments), asked, limit, after)

    @operation("write", data=True)
    def tag(self, tx: Transaction, ref: Ref, key: str, value: str | None) -> None:
        """Set a tag of a trace, or with null take it away; `NotFound` if there is none to take."""
        row = queries.row(tx, ref)
        if value is not None:
            writing.set_tags(tx, row.key, {key: value})
        elif not writing.drop_tag(tx, row.key, key):
            raise NotFound(f"{ref} has no tag {key[:MAX_KEY]!r}.")
        if key == NAME_TAG:
            writing.rename(tx, row.key, value or "")

    @operation("write", data=True)
    def link(self, tx: Transaction, ref: Ref, ids: Sequence[str]) -> None:
        """Link traces to a run, so that a search by run finds them. Twice does no harm."""
        if not 0 < len(ids) <= MOST_LINKED:
            raise Invalid(f"1 to {MOST_LINKED} traces are linked to a run at once, not {len(ids)}.")
        home = self._experiments.show(ref).experiment
        rows = [queries.row(tx, Ref(Kind.TRACE, identity)) for identity in dict.fromkeys(ids)]
        homes = queries.homes(tx, rows)
        for each in rows:
            if homes[each.key] != home and not queries.may_read(tx, homes[each.key]):
                raise queries.unknown(each.id)
        new = [{"trace": each.key, "run": ref.name} for each in rows]
        tx.execute(tx.insert(runs).on_conflict_do_nothing(), new)

    @operation("write", data=True)
    def link_prompts(self, tx: Transaction, ref: Ref, used: Sequence[PromptUse]) -> None:
        """Say which versions of prompts a trace made use of."""
        row = queries.row(tx, ref)
        for each in used:
            if not 0 < len(each.name) <= 250 or not 0 < len(each.version) <= 64:
                raise Invalid("A prompt has a name of 1 to 250 and a version of 1 to 64 characters.")
        if not used:
            return
        new = [{"trace": row.key, "name": each.name, "version": each.version} for each in used]
        tx.execute(tx.insert(prompts).on_conflict_do_nothing(), new)
        held = tx.execute(sa.select(prompts).where(prompts.c.trace == row.key).order_by(prompts.c.name, prompts.c.version))
        told = [{"name": each.name, "version": each.version} for each in held]
        writing.set_tags(tx, row.key, {PROMPTS_TAG: encode_text(told)})

    @operation("write", event="traces.deleted")
    def delete(
        self,
        tx: Transaction,
        ref: Ref,
        *,
        ids: Sequence[str] | None = None,
        until: int | None = None,
        most: int | None = None,
        reason: str = "",
    ) -> int:
        """Delete traces of an experiment for good: these, or those that began no later than a time; returns how many.

        `until` is in milliseconds since 1970; with `most`, the oldest of them. Who may not `erase` may delete their own:
        those of an experiment that they made, or of runs that they began; else it is `Denied`, and none goes.
        """
        if (ids is None) == (until is None):
            raise Invalid("Say either which traces to delete, or until when.", mend="Give ids or until, and not both.")
        if most is not None and (until is None or most < 1):
            raise Invalid("`most` is a number from 1 on, and goes with `until`.")
        keys = queries.doomed(tx, self._experiments.experiment(ref).id, ids, until, most)
        if not keys:
            tx.unchanged()
            return 0
        if not scopes.may(tx, "erase", Kind.RUN, ref.name):
            others = queries.of_others(tx, list(keys), self._experiments.experiment(ref).created_by)
            if others:
                raise Denied(
                    f"{tx.principal.id} may delete the traces of their own experiments and runs, and {others} of "
                    "these are of others.",
                    mend=f"See who may: mw who-can erase run:{ref.name}",
                    details={"verb": "erase", "resource": f"run:{ref.name}"},
                )
        holds.refuse(tx, "traces", ref.name)
        writing.delete(tx, list(keys))
        gone = sorted(keys.values())
        tx.note(resource=ref, before={"traces": len(gone), "ids": gone[:MOST_LINKED]})
        return len(gone)

    # What was judged

    @operation("write", data=True)
    def assess(self, tx: Transaction, ref: Ref, made: Assessment) -> Assessment:
        """Add an assessment to a trace. One that overrides another of the same trace makes that one invalid."""
        row = queries.row(tx, ref)
        _check(made)
        now = _now(tx)
        created = made.created or now
        new = msgspec.structs.replace(
            made,
            id=f"a-{secrets.token_hex(16)}",
            trace=row.id,
            created=created,
            updated=made.updated or created,
            valid=True,
        )
        if new.overrides is not None:
            self._invalidate(tx, row, new.overrides)
        writing.add_assessment(tx, row.key, new)
        return new

    @operation("read")
    def assessment(self, tx: Transaction, ref: Ref, identity: str) -> Assessment:
        """Show one assessment of a trace."""
        row = queries.row(tx, ref)
        return _assessment(tx, row, identity)

    @operation("write", data=True)
    def reassess(self, tx: Transaction, ref: Ref, identity: str, change: AssessmentChange) -> Assessment:
        """Change an assessment: its name, value, rationale or metadata. Who made it, and of what, stays."""
        row = queries.row(tx, ref)
        before = _assessment(tx, row, identity)
        if change.kind is not None and change.kind is not before.kind:
            raise Invalid(f"The assessment {identity} is of kind {before.kind} and cannot become {change.kind}.")
        new: dict[str, Any] = {"updated": _now(tx)}
        for name in ("name", "rationale", "valid", "overrides"):
            if getattr(change, name) is not None:
                new[name] = getattr(change, name)
        if change.kind is not None:
            new |= {"value": change.value, "serialized": change.serialized, "error": change.error}
        if change.metadata is not None:
            new["metadata"] = before.metadata | change.metadata
        after = msgspec.structs.replace(before, **new)
        _check(after)
        if change.overrides is not None and change.overrides != before.overrides:
            self._invalidate(tx, row, change.overrides)
        writing.add_assessment(tx, row.key, after)
        return after

    @operation("write", event="traces.assessment.withdrawn")
    def withdraw(self, tx: Transaction, ref: Ref, identity: str, *, reason: str = "") -> None:
        """Delete an assessment; what it overrode is valid again. One that is not there is withdrawn already."""
        row = queries.row(tx, ref)
        a = assessments.c
        found = tx.execute(sa.select(assessments).where(a.trace == row.key, a.id == identity)).first()
        if found is None:
            tx.unchanged()
            return
        tx.execute(assessments.delete().where(a.trace == row.key, a.id == identity))
        if found.overrides:
            others = sa.select(a.id).where(a.trace == row.key, a.overrides == found.overrides)
            if tx.execute(others).first() is None:
                tx.execute(assessments.update().where(a.trace == row.key, a.id == found.overrides).values(valid=True))
        tx.note(resource=ref, before={"id": identity, "name": found.name, "source": found.source_id})

    def _invalidate(self, tx: Transaction, row: Any, identity: str) -> None:
        """Make an assessment invalid, which another overrides."""
        _assessment(tx, row, identity)
        a = assessments.c
        tx.execute(assessments.update().where(a.trace == row.key, a.id == identity).values(valid=False))

    def _open(self, ref: Ref) -> Experiment:
        """An experiment that takes traces."""
        if ref.kind is not Kind.EXPERIMENT:
            raise Invalid(f"{ref} is not an experiment.", mend="A trace belongs to one: experiment:<name>.")
        found = self._experiments.experiment(ref)
        if found.lifecycle is Lifecycle.DELETED:
            raise Conflict(f"The experiment {found.title!r} is deleted.", mend="Restore it first: experiments.restore.")
        return found


def _given(tx: Transaction, given: TraceGiven) -> TraceGiven:
    """What a client says, checked, its assessments made whole."""
    if not 0 <= given.started < 2**53 or not 0 <= (given.milliseconds or 0) < 2**53:
        raise Invalid("A time of a trace is in milliseconds since 1970, and its duration not negative.")
    if len(given.client_request_id or "") > 250:
        raise Invalid("The request id of a client has at most 250 characters.")
    whole = []
    for each in given.assessments:
        _check(each)
        now = _now(tx)
        ids = {"id": each.id or f"a-{secrets.token_hex(16)}", "trace": given.id}
        whole.append(msgspec.structs.replace(each, created=each.created or now, updated=each.updated or now, **ids))
    return msgspec.structs.replace(given, assessments=whole)


def _check(made: Assessment) -> None:
    if not 0 < len(made.name) <= 250:
        raise Invalid(f"The name of an assessment has 1 to 250 characters, not {len(made.name)}.")
    if len(made.rationale) > MAX_RATIONALE:
        raise Invalid(f"A rationale has at most {MAX_RATIONALE} characters, not {len(made.rationale)}.")
    if made.kind is AssessmentKind.EXPECTATION and made.error is not None:
        raise Invalid("An expectation has a value and no error.")
    if any(len(text or "") > 64 for text in (made.id, made.span, made.overrides)) or len(made.source_id) > 250:
        raise Invalid("An id of an assessment has at most 64 characters, the id of its source 250.")
    if len(encode_text([made.value, made.error, made.metadata])) > MAX_ASSESSMENT:
        raise Invalid(f"An assessment has at most {MAX_ASSESSMENT} characters.", mend="Log what is larger as an artifact.")


def _assessment(tx: Transaction, row: Any, identity: str) -> Assessment:
    a = assessments.c
    found = tx.execute(sa.select(assessments).where(a.trace == row.key, a.id == identity)).first()
    if found is None:
        raise NotFound(f"Assessment with ID '{identity[:80]}' not found for trace '{row.id}'")
    return assessment_of(found, row.id)


def _now(tx: Transaction) -> int:
    return int(tx.now.timestamp() * 1000)
