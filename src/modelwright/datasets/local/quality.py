"""Checks and contracts: run where the caller is, put on the record as evidence."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from modelwright.core.refs import Ref, as_ref
from modelwright.core.wire import encode
from modelwright.datasets.checks import Check, load_checks
from modelwright.datasets.contracts.service import Contracts
from modelwright.datasets.local.reading import Reading
from modelwright.datasets.records import CheckReport, DatasetVersion
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
        """Checks that this version passes and that a next one ought to, from its profile: to be read and then kept."""
        from modelwright.datasets.suggesting import suggest_checks

        version = self.show(as_ref(ref))
        return suggest_checks(version, self.profile(version.ref))

    def _run(self, ref: Ref, checks: Sequence[Check]) -> CheckReport:
        from modelwright.datasets.checking import Grounds, run_checks

        basis = self.basis(ref)
        self.require_clear(basis.version)

        def other(to: Ref) -> tuple[DatasetVersion, Rows]:
            version = self.show(to)
            self.require_clear(version)
            return version, self._files(version)

        return run_checks(checks, Grounds(basis, self._files(basis.version), other, functools.cache(self.sketch)))
