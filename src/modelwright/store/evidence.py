"""Evidence: what is known about exact versions. Functions on an open transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import parse_time
from modelwright.core.errors import NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import encode_text, time_text
from modelwright.store.database import Transaction
from modelwright.store.records import Evidence, Verdict
from modelwright.store.tables import evidence

_e = evidence.c


def attach(
    tx: Transaction,
    kind: str,
    subject: Ref,
    *,
    subject_digest: str,
    verdict: Verdict,
    figures: Mapping[str, Any] | None = None,
    summary: str = "",
    report: str | None = None,
    inputs: Sequence[Ref] = (),
    producer: str = "",
    expires_at: datetime | None = None,
    id: str | None = None,
) -> Evidence:
    """Bind a piece of evidence to a subject and its digest; leaves its own event, `evidence.<kind>.attached`.

    `id` is for what is put on the record anew after a rollback took it away.
    """
    identity = id or tx.new_id()
    ref = Ref(Kind.EVIDENCE, identity)
    seq = tx.record(
        f"evidence.{kind}.attached",
        subject,
        inputs=inputs,
        outputs=[ref],
        after={"verdict": verdict.value, "subject_digest": subject_digest, "report": report},
        reason=summary,
    )
    made = Evidence(
        id=identity,
        kind=kind,
        subject=subject,
        subject_digest=subject_digest,
        verdict=verdict,
        figures=dict(figures or {}),
        summary=summary,
        report=report,
        producer=producer or tx.principal.id,
        inputs=list(inputs),
        created_at=tx.now,
        expires_at=expires_at,
        seq=seq,
    )
    tx.execute(
        evidence.insert().values(
            id=identity,
            kind=kind,
            subject=str(subject),
            thing=str(subject.whole),
            subject_digest=subject_digest,
            verdict=verdict,
            figures=encode_text(made.figures),
            summary=summary,
            report=report,
            producer=made.producer,
            inputs=encode_text(made.inputs),
            created_at=tx.stamp,
            expires_at=time_text(expires_at),
            seq=seq,
        )
    )
    return made


def get(tx: Transaction, identity: str) -> Evidence:
    """One piece of evidence by its id."""
    row = tx.execute(sa.select(evidence).where(_e.id == identity)).first()
    if row is None:
        raise NotFound(f"There is no evidence {identity!r}.")
    return _evidence(row)


def about(tx: Transaction, subject: Ref, kind: str | None = None, *, as_of: datetime | None = None) -> list[Evidence]:
    """What is known about a subject, newest first; a subject without a selector gathers all its versions."""
    which = _e.thing == str(subject) if subject.selector is None else _e.subject == str(subject)
    query = sa.select(evidence).where(which)
    if kind is not None:
        query = query.where(_e.kind == kind)
    if as_of is not None:
        query = query.where(_e.created_at <= time_text(as_of))
    return [_evidence(row) for row in tx.execute(query.order_by(_e.seq.desc()))]


def _evidence(row: Any) -> Evidence:
    return Evidence(
        id=row.id,
        kind=row.kind,
        subject=Ref.parse(row.subject),
        subject_digest=row.subject_digest,
        verdict=Verdict(row.verdict),
        figures=msgspec.json.decode(row.figures),
        summary=row.summary,
        report=row.report,
        producer=row.producer,
        inputs=[Ref.parse(text) for text in msgspec.json.decode(row.inputs)],
        created_at=parse_time(row.created_at),
        expires_at=parse_time(row.expires_at) if row.expires_at else None,
        seq=row.seq,
    )
