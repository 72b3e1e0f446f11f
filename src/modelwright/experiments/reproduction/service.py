"""The service of reproductions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from modelwright.core.errors import InUse, Invalid
from modelwright.core.operations import Caller, Resource, Room, operation
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import decode
from modelwright.experiments import queries
from modelwright.experiments.records import ENDED
from modelwright.experiments.reproduction import records
from modelwright.experiments.reproduction.records import Report, Reproduction
from modelwright.experiments.service import Experiments
from modelwright.store import Evidence, Transaction, evidence


class Reproductions(Room):
    """Whether runs, done again, came to the same. The right to that is the one to the run's experiment."""

    room: ClassVar[str] = "reproductions"
    kind: ClassVar[Kind] = Kind.RUN

    def __init__(self, caller: Caller, *, experiments: Experiments) -> None:
        super().__init__(caller)
        self.experiments = experiments

    def resource_of(self, tx: Any, ref: Ref) -> Resource:
        """The experiment of the run."""
        return self.experiments.resource_of(tx, ref)

    @operation("evaluate", event="experiments.run.reproduced")
    def attest(self, tx: Transaction, ref: Ref, *, report: str, reason: str = "") -> Reproduction:
        """Compare a run with one that did it again, and put the outcome on the record as evidence about it.

        `report` is the digest of a stored `Report`. The runs are compared here, as they are on the record; of the report,
        the tolerance counts, and what it says could not be made as it was. `InUse` while either runs still.
        """
        told = decode(self.blobs.read(report), Report)
        if told.original != ref:
            raise Invalid(f"The report is about {told.original}, not {ref}.")
        if told.again == ref or not 0 <= told.tolerance < 1:
            raise Invalid("A run is compared with another one, and within a tolerance of 0 to 1.")
        original, again = queries.run(tx, ref), self.experiments.show(told.again)
        running = [str(each.ref) for each in (original, again) if each.status not in ENDED]
        if running:
            raise InUse(f"{', '.join(running)} is running still.", mend="Wait until it has ended.")
        rows = records.compare(original, again, tolerance=told.tolerance, models=told.models)
        verdict, summary = records.judge(told, rows)
        tx.note(resource=ref, inputs=[ref, told.again], after={"verdict": verdict, "report": report})
        made = evidence.attach(
            tx,
            records.KIND,
            ref,
            subject_digest=original.digest,
            verdict=verdict,
            figures=records.figures(told, rows),
            summary=summary,
            report=report,
            inputs=[told.again],
        )
        return Reproduction(report=told, rows=rows, verdict=verdict, summary=summary, evidence=[made.id])

    @operation("read")
    def list(self, tx: Transaction, ref: Ref) -> Sequence[Evidence]:
        """What is known of how a run came out when it was done again, the newest first."""
        return evidence.about(tx, ref, records.KIND)
