"""What would a changed policy have done? Past gates, evaluated again under other rules."""

from __future__ import annotations

from datetime import datetime

from msgspec import structs

from modelwright.core.wire import convert
from modelwright.policy import dossier, gates, queries
from modelwright.policy.enforcement import to_record
from modelwright.policy.reports import GateContext, Simulated, Simulation
from modelwright.policy.requirements import PolicyDocument
from modelwright.store import Evidence, Transaction


def simulate(tx: Transaction, document: PolicyDocument, since: datetime | None) -> Simulation:
    """Every recorded gate since a moment under `document`, each with the evidence, context and time of its own day.

    Approvals that were good under the policy of their day count as good here: the question is what the rules change.
    """
    pieces = [e for e in queries.evidence_of(tx, queries.GATE, since=since) if queries.may_read(tx, e.subject)]
    cases = [_case(tx, document, piece) for piece in pieces]
    passed = [c for c in cases if c.passed_then]
    blocked = [c for c in passed if not c.passes_now]
    admitted = [c for c in cases if not c.passed_then and c.passes_now]
    return Simulation(
        policy=document.name,
        since=since,
        passed_then=len(passed),
        would_block=len(blocked),
        would_admit=len(admitted),
        cases=cases,
        sentence=(
            f"This policy would have blocked {len(blocked)} of the {len(passed)} actions that passed, "
            f"and let through {len(admitted)} of the {len(cases) - len(passed)} that were refused."
        ),
    )


def _case(tx: Transaction, document: PolicyDocument, piece: Evidence) -> Simulated:
    then = to_record(piece).report
    context = convert(piece.figures["context"], GateContext)
    known = dossier.about_all(tx, [context.subject.ref, *(each.ref for each in context.related)])
    known = [e for e in known if e.seq is not None and piece.seq is not None and e.seq < piece.seq]
    context = structs.replace(context, identities=dossier.identities(tx, known))
    now = gates.evaluate(document, known, context, then.at)
    return Simulated(
        gate=piece.id,
        subject=then.subject,
        action=then.action,
        environment=then.environment,
        at=then.at,
        passed_then=then.passed,
        passes_now=now.passed,
        unmet=[r.id for r in now.unmet],
    )
