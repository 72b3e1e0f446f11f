"""The service of contracts: publishing them, reading them, and putting on the record whether a version keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.hashing import digest_value
from modelwright.core.operations import Room, operation
from modelwright.core.paging import Filter, Page, every
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import decode
from modelwright.datasets.contracts.diff import check_sense, compare
from modelwright.datasets.contracts.records import Contract, ContractDiff, ContractVersion, promise_of
from modelwright.datasets.records import CheckReport, DatasetVersion
from modelwright.datasets.versions import KEPT
from modelwright.store import Evidence, State, Transaction, Verdict, Version, catalog, evidence

BREACHED = "contracts.contract.breached"


class Contracts(Room):
    """What producers promise of datasets. The contract of `dataset:flights` is `contract:flights`."""

    room: ClassVar[str] = "contracts"
    kind: ClassVar[Kind] = Kind.CONTRACT

    @operation("write", event="contracts.version.published")
    def publish(
        self, tx: Transaction, ref: Ref, contract: Contract, *, breaking: bool = False, reason: str = ""
    ) -> ContractVersion:
        """Promise something of a dataset's versions from now on. `ref` is the dataset; the right to write to it is needed.

        `Conflict` names every change that breaks what was promised before, unless `breaking` says that it is meant. The
        same promise again changes nothing.
        """
        if ref.kind is not Kind.DATASET:
            raise Invalid(f"A contract is about a dataset, not about {ref}.")
        check_sense(contract)
        newest_rows = DatasetVersion.of(catalog.get(tx, ref.whole))
        if not newest_rows.is_table:
            raise Invalid(f"{newest_rows.ref} holds files, not rows: a contract is about columns.")
        own, digest = Ref(Kind.CONTRACT, ref.name), digest_value(contract)
        newest = catalog.latest(tx, own)
        if newest is not None and newest.digest == digest and newest.state is State.ACTIVE:
            tx.unchanged()
            return ContractVersion.of(newest)
        held = _in_force(tx, ref)
        told = compare((held.ref, promise_of(held)), (own, contract)) if held else None
        if told and told.breaking and not breaking:
            raise Conflict(
                f"This breaks what {told.before} promises: {'; '.join(each.what for each in told.breaking)}.",
                mend="Say that it is meant (breaking=True, --breaking), and tell the consumers before.",
                details={"consumers": contract.consumers},
            )
        made = catalog.add(
            tx, Kind.CONTRACT, ref.name, digest=digest, record=contract, description=contract.description, anew=True
        )
        tx.note(
            resource=made.ref,
            inputs=[ref.whole],
            outputs=[made.ref],
            after={
                "digest": digest,
                "changes": [each.what for each in told.changes] if told else [],
                "breaking": bool(told and told.breaking),
                "consumers": contract.consumers,
            },
        )
        return ContractVersion.of(made)

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> ContractVersion:
        """One version of a contract; without a selector the latest."""
        return ContractVersion.of(catalog.get(tx, ref))

    @operation("read")
    def of(self, tx: Transaction, ref: Ref) -> ContractVersion | None:
        """The contract in force of a dataset: the newest that is not retired. Whoever may read the dataset may read it."""
        found = _in_force(tx, ref)
        return ContractVersion.of(found) if found else None

    @operation("read", on="")
    def list(self, tx: Transaction, where: Filter = Filter()) -> Page[ContractVersion]:
        """The latest version of every contract that the caller may read."""
        page = catalog.list_things(tx, Kind.CONTRACT, where)
        return Page(items=[ContractVersion.of(version) for version in page.items], next=page.next)

    @operation("read")
    def versions(self, tx: Transaction, ref: Ref, where: Filter = Filter()) -> Page[ContractVersion]:
        """The versions of one contract, newest first."""
        page = catalog.list_versions(tx, ref, where)
        return Page(items=[ContractVersion.of(version) for version in page.items], next=page.next)

    @operation("read")
    def diff(self, tx: Transaction, ref: Ref, other: Ref) -> ContractDiff:
        """What `other` promises otherwise than `ref` of the same dataset, and which of that breaks a promise."""
        if ref.whole != other.whole:
            raise Invalid(f"{ref} and {other} are about two datasets.", mend="Compare versions of one contract.")
        one, two = (catalog.get(tx, each) for each in (ref, other))
        return compare((one.ref, promise_of(one)), (two.ref, promise_of(two)))

    @operation("write", event="contracts.version.retired")
    def retire(self, tx: Transaction, ref: Ref, *, successor: Ref | None = None, reason: str = "") -> ContractVersion:
        """Take a version out of force; then the one before it is in force, if it is not retired too."""
        version = catalog.retire(tx, ref, successor)
        tx.note(resource=version.ref, inputs=[version.ref], after={"state": version.state.value})
        return ContractVersion.of(version)

    @operation("write", event="contracts.contract.checked")
    def attest(self, tx: Transaction, ref: Ref, *, report: str, contract: Ref, reason: str = "") -> Evidence:
        """Put on the record whether a dataset's version keeps a contract; `datasets.hold` computes it and calls this.

        `report` is the digest of the stored `CheckReport` of all that the contract asks: verdict and figures are read from
        it. Where it is not kept, a further event, `contracts.contract.breached`, names the consumers: a webhook on it tells
        them. `Invalid` if the report is about another version, or does not answer what the contract asks.
        """
        version, promised = catalog.get(tx, ref), catalog.get(tx, contract)
        found, promise = decode(self.blobs.read(report), CheckReport), promise_of(promised)
        if found.ref != version.ref or promised.ref.name != version.ref.name or promised.ref.kind is not Kind.CONTRACT:
            raise Invalid(f"The report on {found.ref} by {promised.ref} does not speak of {version.ref}.")
        asked = [check.title for check in promise.asked]
        if [result.check for result in found.results] != asked:
            raise Invalid(f"The report does not answer what {promised.ref} asks: {', '.join(asked)}.")
        if found.verdict is not CheckReport.of(found.ref, found.results).verdict:
            raise Invalid(f"The report's verdict, {found.verdict}, does not follow from its results.")
        broken = [result.check for result in found.results if result.verdict is Verdict.FAIL]
        tx.note(
            resource=version.ref,
            inputs=[version.ref, promised.ref],
            after={"contract": str(promised.ref), "verdict": found.verdict.value, "report": report},
        )
        if broken:
            tx.record(
                BREACHED,
                version.ref,
                inputs=[promised.ref],
                after={
                    "contract": str(promised.ref),
                    "broken": broken,
                    "owner": promise.owner,
                    "consumers": promise.consumers,
                },
            )
        return evidence.attach(
            tx,
            KEPT,
            version.ref,
            subject_digest=version.digest,
            verdict=found.verdict,
            figures={
                "contract": str(promised.ref),
                "broken": broken,
                "consumers": promise.consumers,
                "checks": {r.check: {"verdict": r.verdict, "failing": r.failing, "share": r.share} for r in found.results},
            },
            summary=_summary(found, promised.ref, broken),
            report=report,
            inputs=[version.ref, promised.ref],
        )

    @operation("read")
    def kept(self, tx: Transaction, ref: Ref) -> Sequence[Evidence]:
        """The evidence of whether a dataset's version keeps its contracts, newest first."""
        return evidence.about(tx, catalog.resolve(tx, ref), KEPT)


def _in_force(tx: Transaction, ref: Ref) -> Version | None:
    """The newest version of a dataset's contract that is not retired."""
    versions = every(lambda where: catalog.list_versions(tx, Ref(Kind.CONTRACT, ref.name), where))
    try:
        return next((each for each in versions if each.state is State.ACTIVE), None)
    except NotFound:
        return None


def _summary(found: CheckReport, contract: Ref, broken: Sequence[str]) -> str:
    if broken:
        return f"{contract} is broken: {', '.join(broken)}."
    warned = [result.check for result in found.results if result.verdict is not Verdict.PASS]
    return f"{contract} is kept{', with warnings: ' + ', '.join(warned) if warned else ''}."
