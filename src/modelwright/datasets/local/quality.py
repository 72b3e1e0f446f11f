"""Checks and contracts: run where the caller is, put on the record as evidence."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelwright.core.paging import every
from modelwright.core.refs import Ref, as_ref
from modelwright.core.wire import encode
from modelwright.datasets.checks import Check, Unique, load_checks
from modelwright.datasets.contracts.service import Contracts
from modelwright.datasets.local.reading import Reading
from modelwright.datasets.records import CheckReport, DatasetVersion, Profile
from modelwright.store import Verdict

if TYPE_CHECKING:
    from modelwright.datasets.segments import TableSketch
from modelwright.datasets.scans import Rows


class Quality(Reading):
    """What must hold of a version, found out here and attested there."""

    def check(self, ref: Ref | str, checks: Sequence[Check] | Path | str, *, reason: str = "") -> CheckReport:
        """Run checks on a version and put the results on the record as evidence; returns them with samples of failing rows.

        A check that cannot run (a column that is not there, SQL that is wrong) has failed. Nothing is raised for a failing
        check: the verdict says it.
        """
        declared = load_checks(Path(checks)) if isinstance(checks, Path | str) else checks
        report = self._run(as_ref(ref), declared)
        attached = self.attach(report.ref, report=self.blobs.put(encode(report)), reason=reason)
        return replace(report, evidence=attached.id)

    def hold(self, ref: Ref | str, *, reason: str = "") -> CheckReport | None:
        """Hold a version against the contract in force, and put on the record whether it is kept; None where there is none.

        Versions that are added, merged or folded from pushes are held by themselves. A breach is evidence of kind
        `contract`, for gates, and an event that names the consumers; it undoes nothing.
        """
        version = self.show(as_ref(ref))
        contracts = Contracts(self.caller)
        contract = contracts.of(version.ref)
        if contract is None:
            return None
        report = self._run(version.ref, contract.asked)
        stored = self.blobs.put(encode(report))
        attached = contracts.attest(version.ref, report=stored, contract=contract.ref, reason=reason)
        return replace(report, evidence=attached.id)

    def suggest(self, ref: Ref | str) -> Sequence[Check]:
        """Checks that this version passes and that a next one ought to: to be read and then kept.

        From its profile, from how it differs from the version before, and from the other datasets that you may read:
        columns whose values all lie in the key of one of them. Where you read some of it masked, from its profile alone.
        """
        from modelwright.datasets.suggesting import suggest_checks, suggest_distributions

        version = self.show(as_ref(ref))
        profile = self.profile(version.ref)
        before = self.basis(version.ref).previous
        found = suggest_checks(version, profile, before.rows if before else None)
        if version.masks:
            return found
        if version.key and self._run(version.ref, [Unique()]).verdict is not Verdict.PASS:
            found = [each for each in found if not isinstance(each, Unique)]  # its key does not name rows alone
        now = self.sketch(version.ref)
        found += suggest_distributions(version, profile, now, self._sketch_before(version))
        return [*found, *self._references(version, profile, now)]

    def _sketch_before(self, version: DatasetVersion) -> TableSketch | None:
        """The sketches of the version before, where there is one with a profile that the caller reads in clear."""
        before = self.basis(version.ref).previous
        if before is None or before.profile is None or before.masks:
            return None
        return self.sketch(before.ref)

    def _references(self, version: DatasetVersion, profile: Profile, now: TableSketch) -> list[Check]:
        """References to the keys of other datasets that hold today: by profile, then by sketch, then by every row."""
        from modelwright.datasets.relating import may_lie_in, possible
        from modelwright.datasets.suggesting import MANY_ROWS

        likely: list[Check] = []
        for other in self._keyed() if profile.rows >= MANY_ROWS else []:
            if other.ref.whole == version.ref.whole:
                continue
            for each in possible(version, profile, other, self.profile(other.ref)):
                held = self.sketch(other.ref).columns
                pairs = zip(each.columns, each.to_columns or each.columns, strict=True)
                if all(may_lie_in(now.columns[name], held[key]) for name, key in pairs):
                    likely.append(each)
        results = self._run(version.ref, likely).results if likely else []
        return [each for each, result in zip(likely, results, strict=True) if result.verdict is Verdict.PASS]

    def _keyed(self) -> Iterator[DatasetVersion]:
        """The latest versions of all tables with a key that the caller reads in clear."""
        yield from (each for each in every(self.list) if each.key and each.profile is not None and not each.masks)

    def _run(self, ref: Ref, checks: Sequence[Check]) -> CheckReport:
        from modelwright.datasets.checking import Grounds, run_checks

        basis = self.basis(ref)
        self.require_clear(basis.version)

        def other(to: Ref) -> tuple[DatasetVersion, Rows]:
            version = self.show(to)
            self.require_clear(version)
            return version, self._files(version)

        return run_checks(checks, Grounds(basis, self._files(basis.version), other, functools.cache(self.sketch)))
