"""What a gate is asked, and what it answers. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from modelwright.core.refs import Ref
from modelwright.policy.requirements import Tier


class Status(StrEnum):
    """How a requirement stands. Unknown blocks as surely as fail does."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    WAIVED = "waived"
    NOT_APPLICABLE = "not_applicable"
    UNKNOWN = "unknown"

    @property
    def blocks(self) -> bool:
        """Whether the action cannot go ahead because of it."""
        return self in (Status.FAIL, Status.UNKNOWN)


class Pinned(msgspec.Struct, frozen=True, kw_only=True):
    """A version and the digest of its content."""

    ref: Ref
    digest: str


class GateContext(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a gate depends on besides the policy, the evidence and the time."""

    subject: Pinned
    action: str
    environment: str = ""
    tier: Tier = Tier.HIGH
    authors: list[str] = []  # the people behind the subject: effective identities
    related: list[Pinned] = []  # dataset versions in its lineage, and whatever else the caller named
    champion: Pinned | None = None  # what is live now, unless that is the subject itself
    identities: dict[str, str] = {}  # evidence id -> the person behind whoever attached it
    policy: str  # the policy's ref
    policy_digest: str
    policy_editor: str = ""
    policy_edited_at: datetime | None = None


class RequirementResult(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement's answer: how it stands, what it asked for in words, what it read, what is missing."""

    id: str
    status: Status
    sentence: str
    reason: str = ""
    mend: str = ""
    evidence: list[str] = []  # the ids it read
    waiver: str | None = None


class GateReport(msgspec.Struct, frozen=True, kw_only=True):
    """A gate's answer. The same policy, evidence, context and time always give the same bytes."""

    subject: Ref
    digest: str
    action: str
    environment: str
    tier: Tier
    policy: str
    policy_digest: str
    at: datetime
    passed: bool
    requirements: list[RequirementResult]

    @property
    def unmet(self) -> list[RequirementResult]:
        """What stands in the way."""
        return [r for r in self.requirements if r.status.blocks]

    def sentence(self) -> str:
        """The answer in one line."""
        where = f" to {self.environment}" if self.environment else ""
        what = f"{self.action} {self.subject}{where}"
        if self.passed:
            waived = [r.id for r in self.requirements if r.status is Status.WAIVED]
            return f"{what}: every requirement of {self.policy} is met" + (
                f", {', '.join(waived)} by waiver." if waived else "."
            )
        return f"{what}: {self.policy} is not met: " + "; ".join(f"{r.id}: {r.reason}" for r in self.unmet)


class GateRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A gate that decided a real action, as it lies on the record."""

    id: str  # of the evidence
    report: GateReport
    context: GateContext
    by: str
    enforced: bool = True


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded gate, evaluated again from the record."""

    recorded: GateReport
    recomputed: GateReport
    same: bool  # byte for byte


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """A past gate under another policy."""

    gate: str
    subject: Ref
    action: str
    environment: str
    at: datetime
    passed_then: bool
    passes_now: bool
    unmet: list[str] = []


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """What a changed policy would have done: `would block 7 of the 40 that passed`."""

    policy: str
    since: datetime | None
    passed_then: int
    would_block: int
    would_admit: int
    cases: list[Simulated]
    sentence: str
