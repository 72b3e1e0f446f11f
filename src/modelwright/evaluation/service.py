"""The evaluation room's service: computes at the caller's side, puts what was found on the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert, decode, encode
from modelwright.evaluation.findings import findings
from modelwright.evaluation.ports import Read, Scorer
from modelwright.evaluation.records import IMPORTANCE, EvaluationReport, Plan, SplitRecord
from modelwright.store import Evidence, Transaction, catalog, evidence

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

KINDS = ("evaluation", "calibration", "slices", "comparison", IMPORTANCE)


class Evaluation(Room):
    """What exact versions are worth: evaluations, recorded as evidence."""

    room, kind = "evaluation", Kind.EVALUATION

    def __init__(self, caller: Caller, *, load: Callable[[Ref], Scorer] | None = None, read: Read | None = None) -> None:
        """`load` brings a version of a model to where it can be asked, `read` the rows of a dataset's version."""
        super().__init__(caller)
        self._load = load
        self._rows = read

    def evaluate(
        self,
        subject: Ref | str,
        labels: npt.ArrayLike,
        scores: npt.ArrayLike,
        *,
        dataset: Ref | str,
        slices: Mapping[str, Any] | None = None,
        champion: Ref | str | None = None,
        champion_scores: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
        inputs: Any = None,
        threshold: float = 0.5,
        split: SplitRecord | None = None,
        plan: Plan = Plan(),
        reason: str = "",
    ) -> EvaluationReport:
        """Evaluate one exact version on rows of a dataset version, store the report, and record the evidence.

        Computes where it is called; only the report and the figures travel. `champion_scores` are the champion's scores
        of the same rows; without them the comparison says `first`. Rows that share a value of `groups` are resampled
        together. `inputs` is a table of what went into the model on the same rows: with it the version is loaded, each
        input is shuffled on a sample of them, and what that costs becomes evidence `importance`. `Invalid` where a ref is
        not pinned to a version, or the rows cannot be evaluated.
        """
        from modelwright.evaluation.assessment import assess
        from modelwright.evaluation.importance import weigh

        subject, dataset = _pinned(subject, "subject"), _pinned(dataset, "dataset")
        rival = None if champion is None else _pinned(champion, "champion")
        if (rival is None) != (champion_scores is None):
            raise Invalid("A champion and its scores go together; only one of them was given.")
        if rival == subject:
            raise Invalid(f"{subject} cannot be compared with itself.", mend="Pass the scores of another version.")

        found = assess(
            labels,
            scores,
            plan=plan,
            threshold=threshold,
            slices=slices,
            champion=rival,
            champion_scores=champion_scores,
            groups=groups,
        )
        weights = None if inputs is None else weigh(self._loaded(subject), inputs, labels, plan, groups, threshold)
        report = msgspec.structs.replace(found, subject=subject, dataset=dataset, split=split, importance=weights)
        self.record(subject, report=self.blobs.put(encode(report)), reason=reason)
        return report

    def evaluate_on(
        self,
        subject: Ref | str,
        dataset: Ref | str,
        *,
        label: str,
        where: str | None = None,
        slices: Sequence[str] = (),
        champion: Ref | str | None = None,
        groups: str | None = None,
        importance: bool = True,
        threshold: float = 0.5,
        plan: Plan = Plan(),
        reason: str = "",
    ) -> EvaluationReport:
        """Evaluate a registered version on rows of a dataset version: it is loaded, asked, and judged as by `evaluate`.

        `label`, `slices` and `groups` are columns of the dataset, which has those that the model takes, too; `where` is a
        condition in SQL on its rows. A champion is asked for the same rows. Without `importance` no input is shuffled.
        Whether the model has seen these rows before is for the caller to know.
        """
        subject, dataset = _pinned(subject, "subject"), _pinned(dataset, "dataset")
        model = self._loaded(subject)
        rival = None if champion is None else self._loaded(_pinned(champion, "champion"))
        if self._rows is None:
            raise Invalid("The rows of a dataset cannot be read here.", mend="Pass labels and scores to evaluate().")
        rows = self._rows(dataset, where)
        if missing := sorted({label, *slices, *([groups] if groups else [])} - set(rows.column_names)):
            raise Invalid(f"{dataset} has no column {missing[0]!r}.", mend=f"It has {', '.join(rows.column_names)}.")
        for ref, each in ((subject, model), (champion, rival)):
            if each is not None and (missing := [name for name in each.inputs if name not in rows.column_names]):
                raise Invalid(
                    f"{dataset} has no column {missing[0]!r}, which {ref} takes.",
                    mend="Add a dataset of what the model is asked with; feature values come from features.training().",
                )
        return self.evaluate(
            subject,
            _numbers(rows, label),
            model.scores(rows),
            dataset=dataset,
            slices={name: rows[name].to_pylist() for name in slices},
            champion=champion,
            champion_scores=None if rival is None else rival.scores(rows),
            groups=None if groups is None else rows[groups].to_pylist(),
            inputs=rows if importance else None,
            threshold=threshold,
            plan=plan,
            reason=reason,
        )

    @operation("evaluate", event="evaluation.report.recorded")
    def record(self, tx: Transaction, ref: Ref, *, report: str, reason: str = "") -> Sequence[Evidence]:
        """Put a stored report about one exact version on the record, as evidence of every kind that it holds.

        `report` is the digest of the object; figures and verdicts are read from it here, so that they agree with it.
        `Invalid` if it speaks of another version, or of no dataset version.
        """
        version = catalog.get(tx, _pinned(ref, "subject"))
        found = decode(self.blobs.read(report), EvaluationReport)
        if found.subject != version.ref or found.dataset is None:
            raise Invalid(f"The report is about {found.subject} on {found.dataset}, not about {version.ref}.")
        against = found.comparison.against
        sources = [catalog.resolve(tx, _pinned(each, "input")) for each in (found.dataset, against) if each is not None]
        made = [
            evidence.attach(
                tx,
                each.kind,
                version.ref,
                subject_digest=version.digest,
                verdict=each.verdict,
                figures=each.figures,
                summary=each.summary,
                report=each.report,
                inputs=sources,
            )
            for each in findings(found, report)
        ]
        tx.note(resource=version.ref, inputs=sources, outputs=[each.ref for each in made])
        return made

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> Sequence[Evidence]:
        """The newest finding of each kind about a version: evaluation, calibration, slices, comparison, importance."""
        version = catalog.get(tx, ref)
        newest: dict[str, Evidence] = {}
        for each in evidence.about(tx, version.ref):
            newest.setdefault(each.kind, each)
        return [newest[kind] for kind in KINDS if kind in newest]

    @operation("read")
    def history(self, tx: Transaction, ref: Ref, *, finding: str | None = None) -> Sequence[Evidence]:
        """Every finding about a thing, or about one version of it, newest first; `finding` narrows to one kind."""
        where = ref if ref.selector is None else catalog.resolve(tx, ref)
        return [each for each in evidence.about(tx, where, finding) if each.kind in KINDS]

    def _loaded(self, subject: Ref) -> Scorer:
        if self._load is None or subject.kind is not Kind.MODEL:
            raise Invalid(
                f"{subject} cannot be loaded here, so none of its inputs can be shuffled.", mend="Leave inputs out."
            )
        return self._load(subject)

    def report(self, ref: Ref | str) -> EvaluationReport:
        """The newest full report about a version; `NotFound` where it was never evaluated."""
        stored = next((each.report for each in self.show(convert(ref, Ref)) if each.report), None)
        if stored is None:
            raise NotFound(f"{ref} was never evaluated.", mend="Evaluate it: workspace.evaluation.evaluate(...)")
        return decode(self.blobs.read(stored), EvaluationReport)


def _numbers(rows: pa.Table, label: str) -> npt.NDArray[Any]:
    """The labels, each of which must be there."""
    import pyarrow as pa

    column = rows[label]
    if column.null_count:
        raise Invalid(
            f"{column.null_count} of {rows.num_rows} rows have no {label!r}: what became of them is not known.",
            mend=f'Leave them out: where = "{label} IS NOT NULL".',
        )
    try:
        numbers: npt.NDArray[Any] = (
            (column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column).cast(pa.float64()).to_numpy()
        )
        return numbers
    except pa.ArrowInvalid:
        raise Invalid(f"{label!r} is {column.type} and holds no numbers; labels are 0 and 1, or numbers.") from None


def _pinned(ref: Ref | str, what: str) -> Ref:
    found: Ref = convert(ref, Ref)
    if found.version is None:
        raise Invalid(
            f"The {what} {ref} is not pinned to a version: by the time this is recorded it may mean another.",
            mend=f"Name one, for example {found.at(1)}.",
        )
    return found
