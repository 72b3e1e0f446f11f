"""The service: what can be done to versions of datasets, on the record."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec.structs import replace

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.paging import Filter, Page, every
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import decode
from modelwright.datasets.admission import check_consistent, check_names_stored, check_stored
from modelwright.datasets.identity import content_digest
from modelwright.datasets.lakes.access import DatasetSettings, InPlace
from modelwright.datasets.privacy import DEFAULT_PURPOSE, Permit, Privacy, Pseudonymizer
from modelwright.datasets.privacy.purposes import reasons_against
from modelwright.datasets.privacy.queries import (
    held_to,
    inherited,
    permit_for,
    permitted,
    place_digest,
    profile_objects,
    protect_version,
    shown,
    withheld,
)
from modelwright.datasets.privacy.service import refuse_withheld
from modelwright.datasets.records import (
    CheckBasis,
    CheckReport,
    CheckResult,
    DatasetRecord,
    DatasetVersion,
    Holding,
    Keeping,
)
from modelwright.store import Evidence, State, Transaction, Verdict, catalog, evidence, scopes

if TYPE_CHECKING:
    from modelwright.store.buckets import S3Settings

CHECKS = "data-checks"  # the kind of evidence that a run of checks becomes
KEPT = "contract"  # the kind of evidence that a version keeps a contract, or breaks it
_ANCESTORS = 100  # versions one after the other that may have been broken


class Versions(Room):
    """Versions of datasets on the record; `Datasets` adds what a caller does with their content."""

    room: ClassVar[str] = "datasets"
    kind: ClassVar[Kind] = Kind.DATASET

    def __init__(
        self,
        caller: Caller,
        *,
        privacy: Privacy | None = None,
        s3: S3Settings | None = None,
        settings: DatasetSettings | None = None,
    ) -> None:
        """`privacy` has the keys of pseudonyms, where the workspace is; `s3` is how buckets are reached."""
        super().__init__(caller)
        self._lakes = InPlace(caller.blobs, s3, settings or DatasetSettings())
        self._privacy = privacy or Privacy(caller)

    @operation("write")
    def admit(self, tx: Transaction, name: str) -> None:
        """Let pass whoever may add versions of a dataset; others are `Denied` before anything of theirs is changed."""

    @operation("write", event="datasets.version.added")
    def register(
        self,
        tx: Transaction,
        name: str,
        *,
        record: DatasetRecord,
        inputs: list[Ref] | None = None,
        description: str = "",
        tags: dict[str, str] | None = None,
        reason: str = "",
    ) -> DatasetVersion:
        """Add a version made of parts that are already stored as objects; `add` is the way from a file to here.

        The same parts, columns, key and time column as the newest version's are that version again, and nothing is
        written. `inputs` are the refs it was computed from; they become its lineage, and what their columns are about is
        found of those with the same name. `parent` is the version that was the newest, unless the record names another of
        this dataset. `Invalid` if a part is not stored, or the record contradicts itself. What is there already, and is
        masked for whoever adds it, stays of its classes, whatever the record says of its columns.
        """
        check_consistent(record)
        if record.lake is not None:
            self._lakes.admit(tx.principal, record)
        needed = check_stored(self.blobs, record)
        if not tx.principal.trusted:
            record = self._held(tx, name, record, needed)
        for part in record.parts if record.manifest is None else []:
            if not self.blobs.exists(part.digest) or self.blobs.size(part.digest) != part.bytes:
                raise Invalid(f"The part {part.digest[:12]} is not stored with {part.bytes} bytes.", mend="Put it first.")
        whole, digest = Ref(Kind.DATASET, name), content_digest(record)
        newest = catalog.latest(tx, whole)
        if newest is not None and newest.digest == digest and newest.state is State.ACTIVE:
            tx.unchanged()
            return shown(tx, [newest])[0]
        parent, merged = (_within(tx, whole, each) for each in (record.parent, record.merged))
        sources = [_source(tx, ref) for ref in inputs or []]
        record = replace(record, findings=[*record.findings, *inherited(tx, record, whole, sources)])
        version = catalog.add(
            tx,
            Kind.DATASET,
            name,
            digest=digest,
            record=replace(record, parent=parent or (newest.ref if newest else None), merged=merged, tombstone=None),
            description=description,
            tags=tags,
        )
        tx.note(
            resource=version.ref,
            inputs=sources,
            outputs=[version.ref],
            after={"digest": digest, **_extent(record), "source": record.source},
        )
        protect_version(tx, self.blobs, version)
        return shown(tx, [version])[0]

    def _held(self, tx: Transaction, name: str, record: DatasetRecord, needed: Sequence[str]) -> DatasetRecord:
        """The record as its adder may register it: `Denied` where it takes what others' columns are masked for them in.

        What it takes from its own dataset, and its adder reads masked, stays of the classes that it is of there.
        """
        needed = [*needed, *profile_objects(self.blobs, record), *([place_digest(record.lake)] if record.lake else [])]
        refuse_withheld(tx, needed, unless=name)
        if record.is_table and name in withheld(tx, needed):
            rows = self._lakes.rows(record.lake) if record.lake is not None else None
            check_names_stored(self.blobs, record, rows)
            record = held_to(tx, name, record)
        return record

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> DatasetVersion:
        """One version: its columns, rows, parts, times, tags, and what of it is masked for you; by default the latest."""
        return shown(tx, [catalog.get(tx, ref)])[0]

    @operation("read", on="")
    def list(self, tx: Transaction, where: Filter = Filter()) -> Page[DatasetVersion]:
        """The latest version of every dataset that the caller may read, the most recently changed first."""
        page = catalog.list_things(tx, Kind.DATASET, where)
        return Page(items=shown(tx, page.items), next=page.next)

    @operation("read")
    def versions(self, tx: Transaction, ref: Ref, where: Filter = Filter()) -> Page[DatasetVersion]:
        """The versions of one dataset, newest first."""
        page = catalog.list_versions(tx, ref, where)
        return Page(items=shown(tx, page.items), next=page.next)

    @operation("read")
    def checks(self, tx: Transaction, ref: Ref) -> Sequence[Evidence]:
        """The evidence of every run of checks on a version, newest first; its report object holds the `CheckReport`."""
        return evidence.about(tx, catalog.resolve(tx, ref), CHECKS)

    @operation("read")
    def basis(self, tx: Transaction, ref: Ref) -> CheckBasis:
        """What a run of checks is measured against: the version, the one before it, and the workspace's time.

        A version that broke its checks or its contract is no measure for the next: the one before is then the nearest of
        its ancestors that did not, and where all did, or a hundred one after the other, the parent.
        """
        (version,) = shown(tx, [catalog.get(tx, ref)])
        parent = before = None if version.parent is None else catalog.find(tx, version.parent)
        for _ in range(_ANCESTORS):
            if before is None or not _broken(tx, before.ref):
                break
            above = DatasetVersion.of(before).parent
            before = None if above is None else catalog.find(tx, above)
        before = before or parent
        return CheckBasis(version=version, previous=shown(tx, [before])[0] if before else None, now=tx.now)

    @operation("read")
    def keeping(self, tx: Transaction, ref: Ref, *, last: int) -> Sequence[Keeping]:
        """The versions of a dataset, newest first, each with what keeps it: being one of the last, an alias, a use.

        A use is whatever depends on the version, and whatever was made from it on the record, but for later versions of
        the same dataset and evidence about it.
        """
        from modelwright.datasets.queries import keeping

        return keeping(tx, ref, last)

    @operation("read")
    def holdings(self, tx: Transaction, ref: Ref) -> Sequence[Holding]:
        """The objects that each version of a dataset names, newest first: by their digests, with the bytes of each."""
        from modelwright.datasets.pruning import holdings

        return holdings(self.blobs, map(DatasetVersion.of, every(partial(catalog.list_versions, tx, ref.whole))))

    @operation("validate", event="datasets.version.checked")
    def attach(self, tx: Transaction, ref: Ref, *, report: str, reason: str = "") -> Evidence:
        """Put the results of a run of checks on the record, as evidence about the exact version.

        `report` is the digest of the stored `CheckReport`; figures and verdict are read from it, so that the two agree.
        `Invalid` if it speaks of another version, or its verdict is not that of the worst of its results.
        """
        version = catalog.get(tx, ref)
        found = decode(self.blobs.read(report), CheckReport)
        if found.ref != version.ref:
            raise Invalid(f"The report is about {found.ref}, not {version.ref}.")
        if not found.results or found.verdict is not CheckReport.of(found.ref, found.results).verdict:
            raise Invalid(f"The report's verdict, {found.verdict}, does not follow from its results.")
        tx.note(resource=version.ref, inputs=[version.ref], after={"verdict": found.verdict.value, "report": report})
        return evidence.attach(
            tx,
            CHECKS,
            version.ref,
            subject_digest=version.digest,
            verdict=found.verdict,
            figures={r.check: _figures(r) for r in found.results},
            summary=found.summary,
            report=report,
            inputs=[version.ref, *dict.fromkeys(r.against for r in found.results if r.against is not None)],
        )

    @operation("write", event="datasets.alias.set")
    def alias(self, tx: Transaction, ref: Ref, alias: str, *, reason: str = "") -> DatasetVersion:
        """Point an alias at a version: `dataset:flights@gold` is that version until the alias moves."""
        version = catalog.get(tx, ref)
        if alias in version.aliases:
            tx.unchanged()
            return shown(tx, [version])[0]
        if version.state is State.RETIRED:
            raise Conflict(f"{version.ref} is retired.", mend="Point the alias at a version that is in use.")
        catalog.set_alias(tx, version.ref, alias, reason=reason)
        tx.note(resource=version.ref, after={"alias": alias, "version": version.ref.version})
        return self.show(version.ref)

    @operation("write", event="datasets.alias.dropped")
    def drop_alias(self, tx: Transaction, ref: Ref, alias: str, *, reason: str = "") -> DatasetVersion:
        """Take an alias away; its history stays."""
        version = catalog.get(tx, ref.at(alias))
        catalog.drop_alias(tx, ref, alias, reason=reason)
        tx.note(resource=version.ref, before={"alias": alias, "version": version.ref.version})
        return self.show(version.ref)

    @operation("write", event="datasets.version.retired")
    def retire(self, tx: Transaction, ref: Ref, *, successor: Ref | None = None, reason: str = "") -> DatasetVersion:
        """Take a version out of use for good; it stays readable, and its tombstone names the successor."""
        version = catalog.retire(tx, ref, successor)
        after = {"state": version.state.value, "successor": str(version.successor or "")}
        tx.note(resource=version.ref, inputs=[version.ref], before={"state": State.ACTIVE.value}, after=after)
        return shown(tx, [version])[0]

    @operation("erase", event="datasets.version.deleted")
    def delete(self, tx: Transaction, ref: Ref, *, reason: str = "") -> DatasetVersion:
        """Delete one version from the catalog; `InUse` names everything that depends on it, and then nothing happens."""
        version = catalog.delete(tx, ref)
        tx.note(resource=version.ref, before={"digest": version.digest})
        return shown(tx, [version])[0]

    # For the rooms above

    def known(self, tx: Transaction, ref: Ref) -> DatasetVersion:
        """A version with the classes of its columns and what of it is masked for the caller, whatever they may read."""
        return shown(tx, [catalog.get(tx, ref)])[0]

    def reasons_against(
        self, tx: Transaction, version: DatasetVersion, columns: Sequence[str], purpose: str
    ) -> Sequence[str]:
        """Why columns of a version may not be used for a purpose; where the door is strict, also what is undecided."""
        against = reasons_against(tx, version.ref.name, columns, purpose)
        if self._privacy.settings.strict:
            against += [
                f"{each.column} of {version.ref} is perhaps {each.tag}, which somebody has to confirm or reject: "
                f"mw data classify {version.ref.whole} {shlex.quote(each.column)} {each.tag}"
                for each in version.unconfirmed
                if each.column in columns
            ]
        return against

    def consents(self, tx: Transaction, ref: Ref, columns: Sequence[str]) -> Sequence[Permit]:
        """The permits by which some columns of a version may be used where their subjects agree, and only there."""
        held = permitted(tx, ref.name)
        found = {name: permit_for(held, name) for name in columns}
        return list({(p.consent, p.subject): p for p in found.values() if p is not None and p.consent}.values())

    def permit_of(self, tx: Transaction, ref: Ref, column: str) -> Permit | None:
        """What a column of a dataset may be used for, where anybody said so."""
        return permit_for(permitted(tx, ref.name), column)

    def pseudonymizer(self, purpose: str) -> Pseudonymizer:
        """What pseudonyms of a purpose are made with, where the workspace is."""
        return self._privacy.making(purpose or DEFAULT_PURPOSE)[1]


def _within(tx: Transaction, whole: Ref, ref: Ref | None) -> Ref | None:
    """A version of the same dataset, exactly; `Invalid` for one of another."""
    if ref is None:
        return None
    if ref.whole != whole:
        raise Invalid(f"{ref} is no version of {whole}, so none of its versions can be made from it.", mend="Say inputs.")
    return catalog.resolve(tx, ref)


def _source(tx: Transaction, ref: Ref) -> Ref:
    """What something was made of, a dataset exactly. One that the caller may not read is not found, as if it were none."""
    if ref.kind is not Kind.DATASET:
        return ref
    if not scopes.may_read(tx, Kind.DATASET)(ref.name):
        raise NotFound(f"There is no dataset named {ref.name!r}.", mend="See what there is: mw list dataset")
    return catalog.resolve(tx, ref)


def _figures(result: CheckResult) -> dict[str, Any]:
    found = {"verdict": result.verdict, "failing": result.failing, "share": result.share}
    return {**found, "source": result.source} if result.source else found


def _extent(record: DatasetRecord) -> dict[str, int]:
    return {"files": record.files} if record.files else {"rows": record.rows}


def _broken(tx: Transaction, ref: Ref) -> bool:
    """Whether the newest that is known of a version's checks, or of its contract, is that it does not hold."""
    newest = (next(iter(evidence.about(tx, ref, kind)), None) for kind in (CHECKS, KEPT))
    return any(found is not None and found.verdict is Verdict.FAIL for found in newest)
