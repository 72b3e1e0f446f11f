"""Policies, risk tiers, gates, approvals and waivers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import msgspec

from modelwright.core.clock import utc
from modelwright.core.errors import Invalid, NotFound, Refused
from modelwright.core.operations import Caller, Resource, Room, operation
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref, of_kind
from modelwright.core.wire import convert, to_plain
from modelwright.policy import documents, dossier, gates, queries, simulation, tiers, waivers
from modelwright.policy.enforcement import replay, to_record
from modelwright.policy.gates import MAX_WAIVER, TRUSTED_ROLE
from modelwright.policy.queries import CLASSIFICATION, GATE, WAIVER_ALERT, WAIVER_REQUEST
from modelwright.policy.reports import GateRecord, GateReport, Replay, Simulation
from modelwright.policy.requirements import APPROVAL, WAIVER, PolicyDocument, Tier
from modelwright.policy.waivers import Waiver, WaiverAlert
from modelwright.store import Evidence, Transaction, Verdict, Version, catalog, evidence

RISK_OFFICER = "risk_officer"


class PolicyVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A policy as it was adopted: its text, what it says in English, who adopted it and when."""

    ref: str
    digest: str
    text: str
    english: str
    created_at: datetime | None = None
    created_by: str = ""


class Classification(msgspec.Struct, frozen=True, kw_only=True):
    """The risk tier of a thing and how it came about."""

    ref: Ref
    tier: Tier
    computed: Tier
    points: int
    reasons: list[str]
    reason: str = ""


Afresh: TypeAlias = Callable[[Transaction, Ref], Sequence[Evidence]]


class Policy(Room):
    """What must be known, and who must have agreed, before something is done.

    `afresh` gives, for a version, the evidence that says something else now than when it was put on the record: what a
    signature is worth is a matter of settings, which may have changed since.
    """

    room, kind = "policy", Kind.POLICY

    def __init__(self, caller: Caller, *, afresh: Afresh | None = None) -> None:
        super().__init__(caller)
        self._afresh = afresh

    # Policies as versions

    @operation("policy.edit", event="policy.version.adopted", on="")
    def adopt(self, tx: Transaction, text: str, *, reason: str = "") -> PolicyVersion:
        """Make a policy text (TOML) the version in force; what cannot be understood is refused with line and key.

        The event holds the difference to the version before. Adopting the same rules again changes nothing.
        """
        document = documents.parse(text)
        before = catalog.latest(tx, Ref(Kind.POLICY, document.name))
        if before is not None and before.digest == document.digest:
            tx.unchanged()
            return _policy_version(before)
        made = catalog.add(
            tx,
            Kind.POLICY,
            document.name,
            digest=document.digest,
            record={"text": text, "document": to_plain(document)},
            description=document.description,
        )
        old = dossier.in_force(tx, before).document if before else None
        changes = documents.diff(old, document) if old else [f"first version of {document.name}"]
        tx.note(resource=made.ref, outputs=[made.ref], after={"digest": made.digest, "changes": changes}, reason=reason)
        return _policy_version(made)

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> PolicyVersion:
        """A policy version: its text, and what it says in English."""
        version = catalog.find(tx, of_kind(ref, Kind.POLICY))
        if version is not None:
            return _policy_version(version)
        if ref.whole == Ref(Kind.POLICY, documents.SHIPPED) and ref.selector is None:
            document = documents.shipped()
            return PolicyVersion(
                ref=str(ref), digest=document.digest, text=documents.shipped_text(), english=documents.render(document)
            )
        raise NotFound(f"There is no {ref}.", mend="See what there is: mw list policy")

    @operation("read")
    def diff(self, tx: Transaction, ref: Ref, other: Ref) -> list[str]:
        """What `other` changes compared with `ref`: a line for each requirement, `+` new, `-` gone, `~` different."""
        one, two = (dossier.in_force(tx, catalog.get(tx, of_kind(each, Kind.POLICY))).document for each in (ref, other))
        return documents.diff(one, two)

    @operation("policy.edit", event="policy.thing.assigned")
    def assign(self, tx: Transaction, ref: Ref, policy: str, *, reason: str = "") -> None:
        """Put a thing (all its versions) under another policy than `standard`."""
        dossier.policy_in_force(tx, policy)
        catalog.set_tag(tx, ref.whole, dossier.POLICY_TAG, policy)
        tx.note(resource=ref.whole, after={"policy": policy})

    # Risk tiers

    @operation("evaluate", event=queries.CLASSIFIED)
    def classify(
        self, tx: Transaction, ref: Ref, answers: dict[str, str], *, tier: Tier | None = None, reason: str = ""
    ) -> Classification:
        """Set the risk tier of a thing from the answers to the questionnaire; an answer left out counts as its worst.

        `tier` may set a stricter one freely. A tier below the computed one, or below the one that holds since an earlier
        classification, needs a risk officer and a reason.
        """
        assessed = tiers.assess(answers)
        wanted = tier or assessed.tier
        held = dossier.classification(tx, ref)
        floor = max([assessed.tier, *([Tier(held.figures["tier"])] if held else [])], key=lambda t: t.rank)
        if wanted.rank < floor.rank:
            self._need_risk_officer(tx, ref, floor, wanted, reason)
        figures = {"tier": wanted.value, "computed": assessed.tier.value, "points": assessed.points, "answers": answers}
        piece = evidence.attach(
            tx,
            CLASSIFICATION,
            ref.whole,
            subject_digest="",
            verdict=Verdict.INFO,
            figures={**figures, "reasons": assessed.reasons},
            summary=reason or f"{wanted.value} by {assessed.points} points",
        )
        after = {"tier": wanted.value, "computed": assessed.tier.value}
        tx.note(resource=ref.whole, outputs=[piece.ref], after=after)
        return Classification(
            ref=ref.whole,
            tier=wanted,
            computed=assessed.tier,
            points=assessed.points,
            reasons=assessed.reasons,
            reason=reason,
        )

    @operation("read")
    def tier(self, tx: Transaction, ref: Ref) -> Tier:
        """The risk tier of a thing; what nobody has classified is `high`."""
        return dossier.tier_of(tx, ref)

    # Gates

    @operation("read")
    def gate(
        self, tx: Transaction, ref: Ref, action: str, *, environment: str = "", related: list[Ref] | None = None
    ) -> GateReport:
        """What the gate would say now, requirement by requirement, with what is missing. Decides and records nothing."""
        found = dossier.gather(tx, ref, action, environment, related or [])
        if self._afresh is not None:
            found = dossier.with_more(tx, found, self._afresh(tx, found.context.subject.ref))
        return gates.evaluate(found.policy.document, found.evidence, found.context, tx.now)

    @operation("read")
    def gates(self, tx: Transaction, ref: Ref) -> list[GateRecord]:
        """The gates that decided real actions on a thing or one of its versions, refusals included, newest first."""
        return [to_record(piece) for piece in queries.vouched(tx, evidence.about(tx, ref, GATE))]

    @operation("read")
    def replay(self, tx: Transaction, ref: Ref, gate: str) -> Replay:
        """Evaluate a recorded gate of `ref` again, from policy, evidence and time as they were; says if the bytes agree."""
        return replay(tx, _of(tx, ref, gate, GATE))

    @operation("read", on="")
    def simulate(self, tx: Transaction, text: str, *, since: datetime | None = None) -> Simulation:
        """What a changed policy (TOML) would have done to past gates: how many that passed it would have blocked."""
        return simulation.simulate(tx, documents.parse(text), since)

    # Consent

    @operation("approve", event=queries.APPROVED)
    def approve(self, tx: Transaction, ref: Ref, action: str, *, environment: str = "production", reason: str) -> Evidence:
        """Consent to an action on one exact version, under the policy in force. An author is refused.

        The approval holds for these bytes, this policy version and this environment, and only as long as the evidence
        that it was given on stays the newest.
        """
        if not reason.strip():
            raise Invalid("An approval needs a reason.", mend="Say in a sentence what you looked at and why it is enough.")
        found = dossier.gather(tx, ref, action, environment)
        subject, who = found.context.subject, tx.principal.effective_id
        _not_an_author(found.context.authors, who, subject.ref, "approve")
        figures = {
            "action": action,
            "environment": environment,
            "policy": found.policy.ref,
            "policy_digest": found.context.policy_digest,
            "roles": _roles_on(tx, Resource(subject.ref.kind, subject.ref.name)),
            "by": who,
        }
        piece = evidence.attach(
            tx,
            APPROVAL,
            subject.ref,
            subject_digest=subject.digest,
            verdict=Verdict.PASS,
            figures=figures,
            summary=reason,
        )
        seen = [e.ref for e in found.evidence]
        tx.note(resource=subject.ref, inputs=seen, outputs=[piece.ref], environment=environment)
        return piece

    @operation("use", event="policy.waiver.requested")
    def request_waiver(self, tx: Transaction, ref: Ref, rule: str, *, environment: str = "", reason: str) -> Evidence:
        """Ask that a requirement be set aside for a version; whoever asks cannot be the one who grants."""
        version = catalog.get(tx, ref)
        _known_rule(dossier.policy_for(tx, version.ref).document, dossier.tier_of(tx, version.ref), rule)
        tx.note(resource=version.ref, after={"rule": rule})
        figures = {"rule": rule, "environment": environment, "by": tx.principal.effective_id}
        return evidence.attach(
            tx,
            WAIVER_REQUEST,
            version.ref,
            subject_digest=version.digest,
            verdict=Verdict.INFO,
            figures=figures,
            summary=reason,
        )

    @operation("waive", event=queries.WAIVED)
    def waive(
        self,
        tx: Transaction,
        ref: Ref,
        rule: str,
        *,
        reason: str,
        control: str,
        until: datetime,
        environment: str = "",
    ) -> Waiver:
        """Set one requirement aside for one version, for 90 days at most, with a control that stands in for it.

        Neither an author of the version nor whoever asked for the waiver can grant it.
        """
        if not reason.strip() or not control.strip():
            raise Invalid("A waiver needs a reason and a compensating control: what is done instead.")
        if not tx.now < utc(until) <= tx.now + MAX_WAIVER:
            raise Invalid(f"A waiver ends within {MAX_WAIVER.days} days from now, and not in the past; got {until}.")
        found = dossier.gather(tx, ref, "waive", environment)
        subject, who = found.context.subject, tx.principal.effective_id
        _known_rule(found.policy.document, found.context.tier, rule)
        _not_an_author(found.context.authors, who, subject.ref, "waive a requirement of")
        asked = [e for e in evidence.about(tx, subject.ref, WAIVER_REQUEST) if e.figures.get("rule") == rule]
        if any(e.figures.get("by") == who for e in asked):
            raise Refused(f"{who} asked for this waiver of {rule} and cannot grant it.", mend="Ask another risk officer.")
        requested_by = str(asked[0].figures["by"]) if asked else ""
        figures = {"rule": rule, "environment": environment, "control": control, "by": who, "requested_by": requested_by}
        piece = evidence.attach(
            tx,
            WAIVER,
            subject.ref,
            subject_digest=subject.digest,
            verdict=Verdict.PASS,
            figures=figures,
            summary=reason,
            expires_at=utc(until),
        )
        after = {"rule": rule, "until": until, "control": control}
        tx.note(resource=subject.ref, outputs=[piece.ref], after=after, environment=environment)
        return _waiver(piece)

    @operation("read", event=queries.CONSENT_REVOKED)
    def revoke(self, tx: Transaction, ref: Ref, consent: str, *, reason: str) -> Evidence:
        """Take back an approval or a waiver of `ref`, by its evidence id: your own, or any if you may waive."""
        piece = _of(tx, ref, consent, APPROVAL, WAIVER)
        if piece.figures.get("by") != tx.principal.effective_id and not {RISK_OFFICER, TRUSTED_ROLE} & set(
            _standing(tx, ref)
        ):
            raise Refused(f"{consent} is not yours to take back.", mend="Whoever gave it, or a risk officer, can.")
        revocation = evidence.attach(
            tx,
            piece.kind,
            piece.subject,
            subject_digest=piece.subject_digest,
            verdict=Verdict.FAIL,
            figures={"revokes": piece.id, "by": tx.principal.effective_id},
            summary=reason,
        )
        tx.note(resource=piece.subject, inputs=[piece.ref], outputs=[revocation.ref])
        return revocation

    @operation("read", on="")
    def waivers(self, tx: Transaction) -> list[Waiver]:
        """Every waiver that was granted and not taken back, on things that the caller may read, the first to end first."""
        held = [w for w in _waivers(tx) if queries.may_read(tx, w.ref)]
        return sorted(held, key=lambda w: (w.until, w.id))

    @operation("waive", event="policy.waivers.reminded", on="")
    def remind(self, tx: Transaction) -> list[WaiverAlert]:
        """Put on the record which waivers are about to end or have ended: at 14, 3 and 0 days, each once.

        The operator calls it at every turn; each alert is evidence of the kind `waiver-alert` on the version concerned.
        """
        told = {(str(e.figures["waiver"]), int(e.figures["stage"])) for e in queries.evidence_of(tx, WAIVER_ALERT)}
        due = waivers.expiring(_waivers(tx), told, tx.now)
        for alert in due:
            evidence.attach(
                tx,
                WAIVER_ALERT,
                alert.waiver.ref,
                subject_digest="",
                verdict=Verdict.FAIL if alert.stage == 0 else Verdict.WARN,
                figures={"waiver": alert.waiver.id, "stage": alert.stage, "rule": alert.waiver.rule},
                summary=alert.message,
            )
        if due:
            tx.note(resource=due[0].waiver.ref, after={"alerts": [a.message for a in due]})
        else:
            tx.unchanged()
        return due

    @operation("read", on="")
    def list(self, tx: Transaction, where: Filter = Filter()) -> Page[Version]:
        """The policies of the workspace, each with its latest version."""
        return catalog.list_things(tx, Kind.POLICY, where)

    def _need_risk_officer(self, tx: Transaction, ref: Ref, floor: Tier, wanted: Tier, reason: str) -> None:
        if not reason.strip() or not {RISK_OFFICER, TRUSTED_ROLE} & set(_standing(tx, ref)):
            raise Refused(
                f"{ref.whole} is in risk tier {floor.value} and cannot be put in {wanted.value} just like that.",
                mend="A risk officer can, with a reason.",
            )


def _policy_version(version: Version) -> PolicyVersion:
    return PolicyVersion(
        ref=str(version.ref),
        digest=version.digest,
        text=version.record["text"],
        english=documents.render(convert(version.record["document"], PolicyDocument)),
        created_at=version.created_at,
        created_by=version.created_by,
    )


def _not_an_author(authors: list[str], who: str, ref: Ref, deed: str) -> None:
    if who in authors:
        raise Refused(
            f"{who} is an author of {ref} and cannot {deed} it.",
            mend="Ask somebody who had no part in making it.",
            details={"authors": authors},
        )


def _known_rule(document: PolicyDocument, tier: Tier, rule: str) -> None:
    rules = {r.id: r for r in document.every(tier)}
    if rule not in rules:
        raise Invalid(
            f"{document.name} has no requirement {rule!r} in tier {tier.value}.", mend=f"It has {', '.join(rules)}."
        )
    if not rules[rule].waivable:
        raise Refused(f"The policy {document.name} says that {rule} cannot be waived.")


def _of(tx: Transaction, ref: Ref, identity: str, *kinds: str) -> Evidence:
    """A piece of evidence of that thing and of these kinds: the permission was asked on the thing, so it must be its."""
    piece = evidence.get(tx, identity)
    if piece.kind not in kinds or piece.subject.whole != ref.whole or not queries.vouched(tx, [piece]):
        raise NotFound(f"{ref.whole} has no {' or '.join(kinds)} {identity!r}.")
    return piece


def _roles_on(tx: Transaction, resource: Resource) -> list[str]:
    """The roles that the principal holds on a resource; embedded use without any grant stands for all of them."""
    held = queries.grants_of(tx, tx.principal.id)
    roles = sorted({g.role for g in held if not g.deny and g.scope.covers(resource)})
    return [TRUSTED_ROLE] if tx.principal.trusted and not held else roles


def _standing(tx: Transaction, ref: Ref) -> list[str]:
    return _roles_on(tx, Resource(ref.kind, ref.name))


def _waivers(tx: Transaction) -> list[Waiver]:
    pieces = queries.evidence_of(tx, WAIVER)
    revoked = {e.figures.get("revokes") for e in pieces}
    return [_waiver(e) for e in pieces if e.verdict is Verdict.PASS and e.id not in revoked]


def _waiver(piece: Evidence) -> Waiver:
    figures: dict[str, Any] = piece.figures
    return Waiver(
        id=piece.id,
        ref=piece.subject,
        rule=figures["rule"],
        environment=figures["environment"],
        reason=piece.summary,
        control=figures["control"],
        granted_by=figures["by"],
        requested_by=figures["requested_by"],
        granted_at=piece.created_at,
        until=piece.expires_at or piece.created_at + timedelta(0),
    )
