"""A gate: a policy read over evidence. Pure: the same policy, evidence, context and time give the same report.

What is not known is not met. Evidence counts only for the very bytes it was made on, while it is fresh, and, where the
policy wants an independent view, only from somebody who is not an author. The newest piece of a kind decides, so an old
success never covers a new failure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import msgspec

from modelwright.policy.documents import sentence
from modelwright.policy.reports import GateContext, GateReport, Pinned, RequirementResult, Status
from modelwright.policy.requirements import APPROVAL, SUBJECT, WAIVER, Condition, PolicyDocument, Requirement
from modelwright.store.records import Evidence, Verdict

MAX_WAIVER = timedelta(days=90)
EDITOR_REST = timedelta(days=30)  # how long whoever edited a policy cannot approve under that edit
TRUSTED_ROLE = "trusted"
APPROVE = "mw approve {subject} --action {action} --environment {environment} --reason '...'"
MENDS = {  # by the kind of evidence, where a policy has no words of its own
    "comparison": "mw evaluate {target} DATASET --label COLUMN --champion MODEL",
    "data-checks": "mw data check {target}",
    "evaluation": "mw evaluate {target} DATASET --label COLUMN",
    "model-card": "mw card {target} --attach",
    "reproduction": "mw reproduce RUN, of the run that made {target}",
    "signature": "mw sign {target} --key KEY.pem, with a key whose public one [models] trusted_keys names",
    "slices": "mw evaluate {target} DATASET --label COLUMN --slice COLUMN",
}


class Finding(msgspec.Struct, frozen=True):
    """How one requirement stands, before waivers."""

    status: Status
    reason: str = ""
    read: tuple[str, ...] = ()
    target: str = ""  # the version that it turns on, where that is not the subject
    mend: str = ""  # what puts it right, where the rule's own words would not


def evaluate(document: PolicyDocument, evidence: Sequence[Evidence], context: GateContext, now: datetime) -> GateReport:
    """The gate's answer. `evidence` is everything known about the subject and its related versions, in any order."""
    newest_first = sorted(evidence, key=lambda e: (e.seq if e.seq is not None else -1, e.id), reverse=True)
    rules = document.requirements(context.tier, context.action, context.environment)
    results = [_result(rule, newest_first, context, now) for rule in rules]
    return GateReport(
        subject=context.subject.ref,
        digest=context.subject.digest,
        action=context.action,
        environment=context.environment,
        tier=context.tier,
        policy=context.policy,
        policy_digest=context.policy_digest,
        at=now,
        passed=not any(r.status.blocks for r in results),
        requirements=results,
    )


def _result(rule: Requirement, evidence: Sequence[Evidence], context: GateContext, now: datetime) -> RequirementResult:
    finding = _consent(rule, evidence, context, now) if rule.approvals else _knowledge(rule, evidence, context, now)
    waiver = None
    if finding.status.blocks and rule.waivable:
        waiver = next((e for e in evidence if _waives(e, rule, evidence, context, now)), None)
    if waiver is not None:
        until = waiver.expires_at.date() if waiver.expires_at else None
        finding = Finding(Status.WAIVED, f"waived until {until}: {waiver.summary} ({finding.reason})", finding.read)
    mend = ""
    if finding.status.blocks:
        target, subject = finding.target or str(context.subject.ref), str(context.subject.ref)
        known = APPROVE if rule.approvals else MENDS.get(rule.evidence, "")
        mend = (finding.mend or rule.mend or known).replace("{target}", target).replace("{subject}", subject)
        mend = mend.replace("{environment}", context.environment).replace("{action}", context.action)
    return RequirementResult(
        id=rule.id,
        status=finding.status,
        sentence=sentence(rule),
        reason=finding.reason,
        mend=mend,
        evidence=list(finding.read),
        waiver=waiver.id if waiver else None,
    )


# What must be known


def _knowledge(rule: Requirement, evidence: Sequence[Evidence], context: GateContext, now: datetime) -> Finding:
    if rule.about == SUBJECT:
        return _about(rule, context.subject, evidence, context, now)
    targets = [each for each in context.related if each.ref.kind == rule.about]
    if not targets:
        return Finding(
            Status.UNKNOWN,
            f"no {rule.about} version is known in the lineage of {context.subject.ref}",
            mend=f"Register it again with the {rule.about} versions that it was made of, or from a run that read them",
        )
    findings = [_about(rule, target, evidence, context, now) for target in targets]
    first = next((str(t.ref) for t, f in zip(targets, findings, strict=True) if f.status.blocks), "")
    return _worst(findings, first)


def _about(rule: Requirement, target: Pinned, evidence: Sequence[Evidence], context: GateContext, now: datetime) -> Finding:
    found = [e for e in evidence if e.kind == rule.evidence and e.subject == target.ref]
    if not found:
        return Finding(Status.UNKNOWN, f"{target.ref} has no evidence of the kind {rule.evidence}")
    if not rule.any:
        return _judge(rule, target, found[0], context, now)
    findings = [_judge(rule, target, each, context, now) for each in found]
    return next((f for f in findings if f.status is Status.PASS), findings[0])


def _judge(rule: Requirement, target: Pinned, piece: Evidence, context: GateContext, now: datetime) -> Finding:
    """One piece of evidence against one requirement; the first thing wrong with it is the reason."""
    what = f"the {piece.kind} of {target.ref}"
    read = (piece.id,)
    if piece.subject_digest != target.digest:
        return Finding(Status.FAIL, f"{what} was made on other content than the version holds", read)
    if not piece.current(now):
        return Finding(Status.FAIL, f"{what} expired on {piece.expires_at:%Y-%m-%d}", read)
    age = now - piece.created_at
    if rule.max_age_days is not None and age > timedelta(days=rule.max_age_days):
        return Finding(Status.FAIL, f"{what} is {age.days} days old, more than {rule.max_age_days:g}", read)
    if rule.independent and (doubt := _dependence(piece, context)):
        return Finding(doubt.status, f"{what} {doubt.reason}", read)
    if piece.verdict not in rule.verdicts:
        return Finding(Status.FAIL, f"{what} says {piece.verdict.value}: {piece.summary or 'without a summary'}", read)
    if rule.against and context.champion is not None and context.champion.ref not in piece.inputs:
        return Finding(Status.FAIL, f"{what} was not made against {context.champion.ref}, which is live now", read)
    if rule.min_n is not None and (short := _too_few(piece, rule.min_n)):
        return Finding(short.status, f"{what} {short.reason}", read)
    for condition in rule.figures:
        met = check(condition, piece.figures)
        if met.status is not Status.PASS:
            return Finding(met.status, f"{what}: {met.reason}", read)
    return Finding(Status.PASS, f"{what} says {piece.verdict.value}", read)


def _dependence(piece: Evidence, context: GateContext) -> Finding | None:
    who = context.identities.get(piece.id)
    if who is None:
        return Finding(Status.UNKNOWN, "cannot be traced to a person")
    if who in context.authors:
        return Finding(Status.FAIL, f"was made by {who}, who is an author of {context.subject.ref}")
    return None


def _too_few(piece: Evidence, least: int) -> Finding | None:
    n = _number(_lookup(piece.figures, "n"))
    if n is None:
        return Finding(Status.UNKNOWN, "does not say on how many cases (figure n)")
    return Finding(Status.FAIL, f"rests on {n:g} cases, fewer than {least}") if n < least else None


def check(condition: Condition, figures: Mapping[str, Any]) -> Finding:
    """One figure against its comparator. What is absent, or not a number where one is compared, is unknown."""
    ((name, wanted),) = condition.comparators().items()
    value = _lookup(figures, condition.figure)
    if value is None:
        return Finding(Status.UNKNOWN, f"the figure {condition.figure} is missing or not a number")
    if name in ("equals", "one_of", "none_of"):
        options = wanted if isinstance(wanted, list) else [wanted]
        met = (value in options and type(value) is type(options[options.index(value)])) is (name != "none_of")
        return Finding(Status.PASS if met else Status.FAIL, f"{condition.figure} is {value}")
    number = _number(value)
    if number is None:
        return Finding(Status.UNKNOWN, f"the figure {condition.figure} is {value!r}, not a number")
    limit = float(str(wanted))
    met = {"at_least": number >= limit, "at_most": number <= limit, "above": number > limit, "below": number < limit}[name]
    if met:
        return Finding(Status.PASS)
    return Finding(Status.FAIL, f"{condition.figure} is {number:g}, not {name.replace('_', ' ')} {limit:g}")


def _lookup(figures: Mapping[str, Any], path: str) -> Any:
    """A figure by its dotted path; a key that itself holds dots is found whole."""
    if path in figures:
        return figures[path]
    value: Any = figures
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return float(value)


def _worst(findings: Sequence[Finding], target: str) -> Finding:
    """Several targets must each meet it: the first that does not gives the answer, together they give what was read."""
    read = tuple(i for f in findings for i in f.read)
    bad = [f for f in findings if f.status.blocks]
    if not bad:
        return Finding(Status.PASS, "; ".join(f.reason for f in findings), read)
    status = Status.FAIL if any(f.status is Status.FAIL for f in bad) else Status.UNKNOWN
    return Finding(status, "; ".join(f.reason for f in bad), read, target)


# Who must agree


def _consent(rule: Requirement, evidence: Sequence[Evidence], context: GateContext, now: datetime) -> Finding:
    """Distinct people, none of them an author, each in a role that counts, who saw what they agreed to."""
    given: dict[str, Evidence] = {}
    void: list[str] = []
    for piece in evidence:
        if piece.kind != APPROVAL or piece.verdict is not Verdict.PASS or piece.subject != context.subject.ref:
            continue
        who = context.identities.get(piece.id, "")
        why = why_void(piece, rule, evidence, context, now)
        if why is not None:
            void.append(f"that of {who or 'somebody unknown'} does not count: {why}")
        else:
            given.setdefault(who, piece)
    read = tuple(piece.id for piece in given.values())
    if len(given) < rule.approvals:
        some = f"{len(given)} of {rule.approvals} approvals" if given else "no approval"
        reason = f"{some} from somebody who is not an author ({', '.join(context.authors) or 'unknown'})"
        return Finding(Status.FAIL, "; ".join([reason, *dict.fromkeys(void)]), read)
    if rule.each_role and not _every_role(rule.roles, list(given.values())):
        return Finding(Status.FAIL, f"the approvals do not include one as {' and one as '.join(rule.roles)}", read)
    return Finding(Status.PASS, f"approved by {', '.join(sorted(given))}", read)


def why_void(
    piece: Evidence, rule: Requirement, evidence: Iterable[Evidence], context: GateContext, now: datetime
) -> str | None:
    """Why an approval does not count for a requirement; None if it does."""
    who = context.identities.get(piece.id)
    figures = piece.figures
    if who is None:
        return "it cannot be traced to a person"
    if not context.authors:
        return f"the authors of {context.subject.ref} are not known"
    if who in context.authors:
        return f"{who} is an author"
    if piece.subject_digest != context.subject.digest:
        return "it was given for other content"
    if not piece.current(now):
        return "it has expired"
    if _revoked(piece, evidence):
        return "it was taken back"
    if figures.get("environment", "") != context.environment or figures.get("action") not in (
        rule.actions or [context.action]
    ):
        return f"it was given to {figures.get('action')} to {figures.get('environment') or 'any environment'}"
    if figures.get("policy_digest") != context.policy_digest:
        return "the policy has changed since"
    edited = context.policy_edited_at
    if who == context.policy_editor and edited is not None and now - edited < EDITOR_REST:
        return f"{who} edited {context.policy} less than {EDITOR_REST.days} days ago"
    if rule.roles and not _roles(piece) & {*rule.roles, TRUSTED_ROLE}:
        return f"{who} was none of {', '.join(rule.roles)}"
    seen = piece.seq if piece.seq is not None else -1
    for later in evidence:
        if later.kind in rule.after and later.subject == context.subject.ref and (later.seq or 0) > seen:
            return f"the {later.kind} changed after it"
    return None


def _roles(piece: Evidence) -> set[str]:
    roles = piece.figures.get("roles")
    return set(roles) if isinstance(roles, list) else set()


def _every_role(roles: Sequence[str], given: Sequence[Evidence]) -> bool:
    """Whether the roles can be shared out among the approvals, one person to each."""
    return any(
        all(_roles(piece) & {role, TRUSTED_ROLE} for role, piece in zip(roles, chosen, strict=True))
        for chosen in permutations(given, len(roles))
    )


def _revoked(piece: Evidence, evidence: Iterable[Evidence]) -> bool:
    return any(e.kind == piece.kind and e.figures.get("revokes") == piece.id for e in evidence)


def _waives(piece: Evidence, rule: Requirement, evidence: Iterable[Evidence], context: GateContext, now: datetime) -> bool:
    """Whether a waiver holds: for this rule, these bytes, this environment, now, and granted by nobody concerned."""
    who = context.identities.get(piece.id)
    figures = piece.figures
    return (
        piece.kind == WAIVER
        and piece.verdict is Verdict.PASS
        and piece.subject == context.subject.ref
        and piece.subject_digest == context.subject.digest
        and figures.get("rule") == rule.id
        and figures.get("environment", "") in ("", context.environment)
        and piece.expires_at is not None
        and piece.created_at <= now < piece.expires_at
        and piece.expires_at - piece.created_at <= MAX_WAIVER
        and who is not None
        and bool(context.authors)
        and who not in context.authors
        and who != figures.get("requested_by")
        and not _revoked(piece, evidence)
    )
