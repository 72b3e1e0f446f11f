"""The service: cards, value, inventory and answers, each read from the record at the moment it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from modelwright.core.errors import Invalid
from modelwright.core.operations import Caller, Resource, Room, operation
from modelwright.core.paging import Filter, every
from modelwright.core.refs import Kind, Ref
from modelwright.datasets import Datasets
from modelwright.deployments import Deployments
from modelwright.governance import answering, card, queries, rendering, value
from modelwright.governance.card import Facts
from modelwright.governance.incidents import draft
from modelwright.governance.records import (
    DECLARABLE,
    Answer,
    InventoryEntry,
    ModelCard,
    Statement,
    ValueReport,
    verdict_of,
)
from modelwright.models import Models, ModelVersion
from modelwright.monitoring import Incident, Monitoring
from modelwright.policy import Policy
from modelwright.store import Evidence, Transaction, catalog, evidence

MODEL_CARD = "model-card"
LONGEST_STATEMENT = 20_000  # characters


class Governance(Room):
    """Model cards, value figures, the inventory, and answers about the past: all read from the record."""

    room, kind = "governance", Kind.MODEL

    def __init__(
        self,
        caller: Caller,
        *,
        models: Models,
        datasets: Datasets,
        deployments: Deployments,
        policy: Policy,
        monitoring: Monitoring,
    ) -> None:
        super().__init__(caller)
        self._models = models
        self._datasets = datasets
        self._deployments = deployments
        self._policy = policy
        self._monitoring = monitoring

    def resource_of(self, tx: Transaction, ref: Ref) -> Resource:
        """Rights on an incident are those that monitoring asks for."""
        return self._monitoring.resource_of(tx, ref)

    # Documents

    @operation("write", event="governance.statement.made")
    def state(self, tx: Transaction, ref: Ref, field: str, text: str, *, reason: str = "") -> Statement:
        """Declare what no record can say of a model: its intended use, its limits, ethical considerations.

        About the model as a whole (`model:delay`) it holds for every version; about a version, for that one only. The
        latest statement holds, earlier ones stay on the record. An empty text takes the statement back.
        """
        if field not in DECLARABLE:
            raise Invalid(f"{field!r} is not a field to declare.", mend=f"There are {', '.join(DECLARABLE)}.")
        if len(text) > LONGEST_STATEMENT:
            raise Invalid(f"A statement has at most {LONGEST_STATEMENT} characters; this one has {len(text)}.")
        version = catalog.get(tx, ref)
        about = version.ref if ref.selector is not None else version.ref.whole
        tx.note(resource=about, after={"field": field, "text": text})
        return queries.add_statement(tx, about, field, text.strip())

    @operation("read")
    def card(self, tx: Transaction, ref: Ref) -> ModelCard:
        """Build the model card of a version from the record: every field computed, declared, or named as missing."""
        return card.build(self._facts(tx, self._models.show(ref)), tx.now)

    @operation("evaluate", event="governance.card.attached")
    def publish_card(self, tx: Transaction, ref: Ref, *, reason: str = "") -> Evidence:
        """Write the card of a version as Markdown, store it, and attach it as evidence `model-card`.

        The verdict is its completeness: pass from 80 %, warn from 50 %, else fail.
        """
        found = card.build(self._facts(tx, self._models.show(ref)), tx.now)
        report = self.blobs.put(rendering.to_markdown(found).encode())
        gaps = [field.name for field in found.missing]
        verdict = verdict_of(found.completeness)
        tx.note(resource=found.ref, inputs=[found.ref], after={"completeness": found.completeness, "missing": gaps})
        return evidence.attach(
            tx,
            MODEL_CARD,
            found.ref,
            subject_digest=found.digest,
            verdict=verdict,
            figures={"completeness": found.completeness, "missing": gaps},
            summary=f"{found.completeness} % of the model card is filled"
            + (f"; missing: {', '.join(gaps[:6])}{' and more' if len(gaps) > 6 else ''}" if gaps else ""),
            report=report,
            inputs=[found.ref],
        )

    def markdown(self, ref: Ref) -> str:
        """The model card as Markdown, with the metadata header that Hugging Face reads."""
        return rendering.to_markdown(self.card(ref))

    def html(self, ref: Ref) -> str:
        """The model card as one HTML page."""
        return rendering.to_html(self.card(ref))

    @operation("read")
    def incident_report(self, tx: Transaction, ref: Ref) -> str:
        """Draft the report on an incident, in Markdown: what the record knows, and what is still to be written."""
        return draft(self._monitoring.incident(ref))

    # Figures

    @operation("read", on="")
    def value(
        self, tx: Transaction, *, since: datetime, until: datetime | None = None, failing_within_days: int = 7
    ) -> ValueReport:
        """Compute lead time, deployment frequency, change-failure rate, time to restore and more over a period.

        From ledger events only, and each figure names its events. `until` is not included; by default, it is now. A change
        is counted as failed if it was rolled back, or if an incident was opened within `failing_within_days`.
        """
        end = until or tx.now
        if since >= end:
            raise Invalid(f"The period from {since} to {end} is empty.")
        events = queries.events_of(tx, value.READ, end)
        return value.report(events, since, end, failing_within=timedelta(days=failing_within_days))

    @operation("read", on="")
    def inventory(self, tx: Transaction, where: Filter = Filter()) -> Sequence[InventoryEntry]:
        """List every model with owner, purpose, risk tier, live versions, open incidents, and what is not known of it."""
        unfinished = list(every(self._monitoring.incidents, Filter(state="unfinished")))
        return [self._entry(tx, version, unfinished) for version in self._models.list(where).items]

    # Answers

    @operation("read")
    def answer(self, tx: Transaction, ref: Ref, *, at: datetime | None = None) -> Answer:
        """Say what was live of a model, or on a deployment, at a moment; who had approved it, and on what evidence."""
        moment = at or tx.now
        live = self._deployments.live(as_of=moment, name=ref.name if ref.kind is Kind.DEPLOYMENT else None)
        chosen = [each for each in live if ref.kind is Kind.DEPLOYMENT or each.model.whole == ref.whole]
        return answering.answer(tx, ref, moment, chosen)

    # What they are made from

    def _facts(self, tx: Transaction, version: ModelVersion) -> Facts:
        datasets = [self._datasets.show(each) for each in version.record.datasets]
        checks = [e for each in datasets for e in queries.latest_by_kind(tx, each.ref) if e.kind == "data-checks"]
        placed = queries.deployments_of(tx, version.ref)
        incidents = [
            each
            for deployment in placed
            for each in every(self._monitoring.incidents, Filter(under=deployment.name))
            if not each.affected.versions or version.ref in each.affected.versions
        ]
        monitors = list(every(self._monitoring.list))
        return Facts(
            version=version,
            tier=self._policy.tier(version.ref).value,
            evidence=evidence.about(tx, version.ref),
            data_evidence=checks,
            training=datasets,
            statements={k: s for k, s in queries.statements_about(tx, version.ref).items() if s.text},
            live=[each for each in self._deployments.live() if each.model == version.ref],
            monitors=queries.watching(monitors, placed),
            incidents=incidents,
        )

    def _entry(self, tx: Transaction, version: ModelVersion, unfinished: Sequence[Incident]) -> InventoryEntry:
        live = [each for each in self._deployments.live() if each.model.whole == version.ref.whole]
        known = [piece for each in live for piece in queries.latest_by_kind(tx, each.model)]
        everything = evidence.about(tx, version.ref.whole)
        profile = version.profile
        gaps = [
            name
            for name, held in (("owner", profile.owner), ("purpose", profile.purpose))
            if not held and not version.is_prompt
        ]
        return InventoryEntry(
            model=version.ref,
            owner=profile.owner,
            purpose=profile.purpose,
            tier=self._policy.tier(version.ref).value,
            stage="prompt" if version.is_prompt else version.stage.value,
            live=live,
            last_evidence=everything[0].created_at if everything else None,
            failing=sorted({piece.kind for piece in known if piece.verdict.value == "fail"}),
            open_incidents=[i.ref for i in unfinished if any(each.deployment == i.deployment for each in live)],
            gaps=gaps,
        )
