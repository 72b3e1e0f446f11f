"""What was live at a moment, who approved it, on what evidence: put together from ledger and evidence as known then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from modelwright.core.refs import Ref
from modelwright.deployments.records import Live
from modelwright.governance import queries
from modelwright.governance.records import Answer, Consent, LiveAnswer
from modelwright.store import Transaction, Verdict, evidence

DECISIONS = ("approval", "gate")


def answer(tx: Transaction, ref: Ref, moment: datetime, live: Sequence[Live]) -> Answer:
    """The answer on what was live at a moment; evidence is what was known when each version went live."""
    found = [_about(tx, each) for each in live]
    sentences = [sentence(each) for each in found]
    return Answer(at=moment, live=found, sentences=sentences or [f"Nothing of {ref} was live on {moment:%Y-%m-%d}."])


def _about(tx: Transaction, live: Live) -> LiveAnswer:
    known = queries.latest_by_kind(tx, live.model, as_of=live.since)
    given = [
        Consent(by=each.producer, at=each.created_at, reason=each.summary, evidence=each.id)
        for each in evidence.about(tx, live.model, "approval", as_of=live.since)
        if each.verdict is Verdict.PASS and each.current(live.since)
    ]
    return LiveAnswer(
        live=live,
        approvals=given,
        evidence=[each for each in known if each.kind not in DECISIONS],
        gate=next((each for each in known if each.kind == "gate"), None),
    )


def sentence(found: LiveAnswer) -> str:
    """The answer in words."""
    live = found.live
    who = "; ".join(f"{c.by} on {c.at:%Y-%m-%d} ({c.reason})" for c in found.approvals) or "nobody"
    rests = ", ".join(f"{each.kind} {each.verdict.value}" for each in found.evidence) or "no evidence"
    return (
        f"{live.model} was live on {live.deployment} in {live.environment} since {live.since:%Y-%m-%d %H:%M} UTC, "
        f"put there by {live.by}; approved by {who}; on {rests}."
    )
