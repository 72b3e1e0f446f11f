"""A gate that decides a real action, and stays on the record whichever way it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelwright.core.errors import Refused
from modelwright.core.refs import Ref
from modelwright.core.wire import convert, encode, to_plain
from modelwright.policy import gates
from modelwright.policy.dossier import Dossier, gather
from modelwright.policy.queries import GATE, GATE_DECIDED
from modelwright.policy.reports import GateContext, GateRecord, GateReport, Replay
from modelwright.policy.requirements import PolicyDocument
from modelwright.store import Evidence, Transaction, Verdict, evidence


def require(tx: Transaction, ref: Ref, action: str, *, environment: str = "", related: Sequence[Ref] = ()) -> GateReport:
    """Let an action go ahead only if the policy of its subject is met; every path to it calls this, in its transaction.

    `action` is what is about to happen (`promote`, `deploy`, `rollback`) and `environment` where. The dataset versions
    in the lineage of `ref` are found by themselves; `related` names further ones. Returns the report, attached as
    evidence of the kind `gate`. `Refused` names every unmet requirement with what is missing; that refusal is put on
    the record too, after the transaction that it ends has been rolled back.
    """
    dossier = gather(tx, ref, action, environment, related)
    report = gates.evaluate(dossier.policy.document, dossier.evidence, dossier.context, tx.now)
    if report.passed:
        _attach(tx, dossier, report)
        return report

    def put_on_record() -> None:
        with tx.database.transaction(tx.principal, write=True) as fresh:
            _attach(fresh, dossier, report)

    tx.rolled_back.append(put_on_record)
    tx.committed.append(put_on_record)  # the caller caught the refusal and went on with something else
    raise refusal(report)


def refusal(report: GateReport) -> Refused:
    """The error that says what a gate said."""
    lines = [f"  {r.id}: {r.reason}" + (f" ({r.mend})" if r.mend else "") for r in report.unmet]
    count, total = len(report.unmet), len(report.requirements)
    where = f" to {report.environment}" if report.environment else ""
    asked = f"{report.subject} {report.action}{f' --environment {report.environment}' if report.environment else ''}"
    return Refused(
        f"The gate refuses to {report.action} {report.subject}{where}: {count} of {total} requirements of {report.policy} "
        f"(risk tier {report.tier.value}) {'is' if count == 1 else 'are'} not met.\n" + "\n".join(lines),
        mend=f"How it stands now: mw gate {asked}",
        details={"report": to_plain(report), "unmet": [r.id for r in report.unmet]},
    )


def _attach(tx: Transaction, dossier: Dossier, report: GateReport) -> Evidence:
    piece = evidence.attach(
        tx,
        GATE,
        report.subject,
        subject_digest=report.digest,
        verdict=Verdict.PASS if report.passed else Verdict.FAIL,
        figures={
            "action": report.action,
            "environment": report.environment,
            "tier": report.tier.value,
            "by": tx.principal.effective_id,
            "context": to_plain(dossier.context),
            "document": to_plain(dossier.policy.document),
            "read": [e.id for e in dossier.evidence],
            "report": to_plain(report),
        },
        summary=report.sentence(),
        inputs=[p.ref for p in dossier.context.related],
    )
    tx.record(
        GATE_DECIDED,
        report.subject,
        outputs=[piece.ref],
        after={"action": report.action, "policy": report.policy, "unmet": [r.id for r in report.unmet]},
        reason=report.sentence(),
        environment=report.environment,
        decision="allow" if report.passed else "deny",
        rules=[f"{r.id}:{r.status.value}" for r in report.requirements],
        outcome="ok" if report.passed else "refused",
    )
    return piece


def to_record(piece: Evidence) -> GateRecord:
    """A piece of evidence of the kind `gate` as a record."""
    return GateRecord(
        id=piece.id,
        report=convert(piece.figures["report"], GateReport),
        context=convert(piece.figures["context"], GateContext),
        by=str(piece.figures["by"]),
    )


def evidence_read(tx: Transaction, piece: Evidence) -> list[Evidence]:
    """The evidence that a recorded gate had before it, no more and no less."""
    return [evidence.get(tx, identity) for identity in piece.figures["read"]]


def replay(tx: Transaction, piece: Evidence) -> Replay:
    """Evaluate a recorded gate again: policy, context, evidence and time as they were then."""
    recorded = to_record(piece).report
    document: Any = convert(piece.figures["document"], PolicyDocument)
    context = convert(piece.figures["context"], GateContext)
    recomputed = gates.evaluate(document, evidence_read(tx, piece), context, recorded.at)
    return Replay(recorded=recorded, recomputed=recomputed, same=encode(recorded) == encode(recomputed))
