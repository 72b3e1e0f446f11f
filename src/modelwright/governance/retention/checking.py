"""What the ledger says of a deletion, and whether it still says so."""

from __future__ import annotations

from typing import Any

from modelwright.core.hashing import digest_value
from modelwright.governance.retention import queries
from modelwright.governance.retention.records import Deletion, Finished, Marked
from modelwright.store import Transaction

ACTION = "retention.deletion.proved"


def proof_of(deletion: Deletion, marked: Marked, done: Finished) -> dict[str, Any]:
    """What the event says: counts, the digest of everything that went, what stays for whose sake, what is not reached."""
    return {
        "deletion": deletion.id,
        "class": deletion.retention,
        "covers": deletion.covers.value,
        "part": deletion.part,
        "count": marked.count,
        "unit": deletion.unit,
        "gone": done.gone,
        "gone_digest": digest_value(done.gone),
        "size": done.size,
        "left": [f"{digest} {why}" for digest, why in sorted(done.left.items())],
        "unreached": marked.unreached,
    }


def against_ledger(tx: Transaction, deletion: Deletion, marked: Marked, done: Finished) -> list[str]:
    """Where the ledger does not say what the tombstone says."""
    if deletion.finished_at is None or deletion.proof_seq is None:
        return [f"it is not over{': ' + done.waits if done.waits else ''}"]
    found = queries.event_at(tx, deletion.proof_seq)
    if found is None:
        return [f"the ledger has no event {deletion.proof_seq}"]
    event, whole = found
    findings = [] if whole else [f"event {deletion.proof_seq} is not what the ledger has hashed: mw audit verify"]
    if event.action != ACTION or event.resource != str(deletion.ref):
        findings.append(f"event {deletion.proof_seq} is {event.action} of {event.resource}, and no proof of this")
    elif event.after != proof_of(deletion, marked, done):
        findings.append(f"event {deletion.proof_seq} says other things than the tombstone")
    return findings
