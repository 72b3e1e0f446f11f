"""Triggers on the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import parse_time
from modelwright.core.errors import Conflict, NotFound
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import decode, encode_text
from modelwright.pipelines.records import ExecutionState
from modelwright.pipelines.service import Pipelines
from modelwright.pipelines.tables import executions, firings, triggers
from modelwright.pipelines.triggers.deciding import Decision, Heard, Observed, Trigger, decide
from modelwright.store import Transaction, scopes
from modelwright.store.tables import ledger_events

MOST = 500  # events that one look takes in


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that was set off and has not begun. `seq` is the event of the firing, and its cause."""

    trigger: str
    pipeline: str
    params: dict[str, Any]
    reason: str
    seq: int


class Triggers(Room):
    """What sets pipelines off. The right to a trigger is asked on its pipeline."""

    room: ClassVar[str] = "triggers"
    kind: ClassVar[Kind] = Kind.PIPELINE

    def __init__(self, caller: Caller, *, pipelines: Pipelines) -> None:
        super().__init__(caller)
        self.pipelines = pipelines

    @operation("write", event="pipelines.trigger.defined", on="pipeline")
    def define(
        self,
        tx: Transaction,
        pipeline: str,
        name: str,
        *,
        on: str = "",
        about: str = "",
        every: float | None = None,
        min_interval: float = 0.0,
        params: Mapping[str, Any] = {},
        reason: str = "",
    ) -> Trigger:
        """Define a trigger, or define it anew. It fires on events from now on, and on a schedule that begins now."""
        trigger = Trigger(
            name=name,
            pipeline=pipeline,
            on=on,
            about=about,
            every=every,
            min_interval=min_interval,
            params=dict(params),
            created_at=tx.now,
        )
        trigger.check()
        t = triggers.c
        before = tx.execute(sa.select(triggers).where(t.name == name)).first()
        if before is not None and before.pipeline != pipeline:
            raise Conflict(f"{name!r} is a trigger of {before.pipeline} already.", mend="Choose another name.")
        if before is not None and _same(decode(before.trigger, Trigger), trigger):
            tx.unchanged()
            return decode(before.trigger, Trigger)
        ref = Ref(Kind.PIPELINE, pipeline)
        described = {"pipeline": pipeline, "trigger": encode_text(trigger), "enabled": True}
        described |= {"seen": tx.next_seq, "created_at": tx.stamp, "created_by": tx.principal.id}
        if before is None:
            tx.execute(triggers.insert().values(name=name, **described))
        else:
            tx.execute(triggers.update().where(t.name == name).values(**described))
        tx.note(resource=ref, after={"trigger": name, "on": on, "about": about, "every": _text(every)})
        return trigger

    @operation("write", event="pipelines.trigger.removed", on="pipeline")
    def remove(self, tx: Transaction, pipeline: str, name: str, *, reason: str = "") -> Trigger:
        """Take a trigger away; what it has set off stays on the record."""
        row = self._row(tx, pipeline, name)
        tx.execute(triggers.delete().where(triggers.c.name == name))
        tx.note(resource=Ref(Kind.PIPELINE, pipeline), before={"trigger": name})
        return decode(row.trigger, Trigger)

    @operation("read", on="")
    def list(self, tx: Transaction) -> Sequence[Trigger]:
        """List the triggers of the pipelines that the caller may see, by name."""
        may = scopes.readable(tx, Kind.PIPELINE, triggers.c.pipeline)
        rows = tx.execute(sa.select(triggers.c.trigger).where(may).order_by(triggers.c.name))
        return [decode(text, Trigger) for text in rows.scalars()]

    @operation("train", data=True, on="pipeline")
    def look(self, tx: Transaction, pipeline: str, name: str) -> Sequence[Due]:
        """Decide whether a trigger fires now, and if so, put that on the record.

        What it has set off and nobody has begun is returned, each time until it has begun.
        """
        row = self._row(tx, pipeline, name)
        trigger = decode(row.trigger, Trigger)
        observed = _observe(tx, trigger, row.seen)
        decision = decide(trigger, observed, tx.now)
        if decision.firing is not None:
            self._fire(tx, trigger, decision)
        if decision.seen != row.seen:
            tx.execute(triggers.update().where(triggers.c.name == name).values(seen=decision.seen))
        return _due(tx, trigger)

    def _fire(self, tx: Transaction, trigger: Trigger, decision: Decision) -> None:
        firing = decision.firing
        f = firings.c
        known = sa.select(f.seq).where(f.trigger == trigger.name, f.cause == (firing.cause if firing else ""))
        if firing is None or tx.execute(known).first() is not None:
            return
        seq = tx.record(
            "pipelines.trigger.fired",
            Ref(Kind.PIPELINE, trigger.pipeline),
            inputs=[Ref.parse(text) for text in firing.about],
            after={"trigger": trigger.name, "cause": firing.cause},
            reason=firing.reason,
        )
        described = {"pipeline": trigger.pipeline, "fired_at": tx.stamp, "reason": firing.reason}
        tx.execute(firings.insert().values(trigger=trigger.name, cause=firing.cause, seq=seq, **described))

    def _row(self, tx: Transaction, pipeline: str, name: str) -> Any:
        t = triggers.c
        row = tx.execute(sa.select(triggers).where(t.name == name, t.pipeline == pipeline)).first()
        if row is None:
            raise NotFound(f"Pipeline {pipeline} has no trigger {name!r}.")
        return row


def _observe(tx: Transaction, trigger: Trigger, seen: int) -> Observed:
    e, x, f = ledger_events.c, executions.c, firings.c
    rows = tx.execute(sa.select(e.body).where(e.action == trigger.on, e.seq >= seen).order_by(e.seq).limit(MOST)).scalars()
    running = sa.select(x.id).where(x.pipeline == trigger.pipeline, x.state == ExecutionState.RUNNING).limit(1)
    last = tx.execute(sa.select(sa.func.max(f.fired_at)).where(f.trigger == trigger.name)).scalar()
    slot = tx.execute(sa.select(sa.func.max(f.cause)).where(f.trigger == trigger.name, f.cause.startswith("at:"))).scalar()
    return Observed(
        events=[_heard(body) for body in rows] if trigger.on else [],
        head=tx.next_seq,
        running=tx.execute(running).first() is not None or bool(_due(tx, trigger)),
        last_fired_at=parse_time(last) if last else None,
        last_slot=slot.removeprefix("at:") if slot else "",
    )


def _heard(body: bytes) -> Heard:
    event = msgspec.json.decode(body)
    refs = [event["resource"]["ref"], *event.get("inputs", ()), *event.get("outputs", ())]
    return Heard(seq=event["seq"], action=event["action"], refs=list(dict.fromkeys(refs)))


def _due(tx: Transaction, trigger: Trigger) -> list[Due]:
    """The firings of a trigger that no execution has come of yet."""
    f, x = firings.c, executions.c
    begun = sa.exists().where(x.pipeline == f.pipeline, x.cause == f.seq)
    rows = tx.execute(sa.select(firings).where(f.trigger == trigger.name, ~begun).order_by(f.seq))
    return [
        Due(trigger=trigger.name, pipeline=row.pipeline, params=trigger.params, reason=row.reason, seq=row.seq)
        for row in rows
    ]


def _same(one: Trigger, other: Trigger) -> bool:
    return msgspec.structs.replace(one, created_at=other.created_at) == other


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
