"""What a package must be before it is a version of a model, and what is found in it and becomes evidence."""

from __future__ import annotations

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Invalid
from modelwright.models.files import check_paths
from modelwright.models.records import ModelRecord, Parity
from modelwright.models.scan import Scan
from modelwright.serving import Format
from modelwright.store import Transaction, Verdict, Version, evidence

PARITY = "parity"  # the kind of evidence that a comparison of stored model and estimator becomes
SCAN = "security-scan"  # the kind of evidence that a look into a package becomes


def check_stored(blobs: Blobs, record: ModelRecord) -> None:
    """`Invalid` unless every file of a record is stored, under a path that leads nowhere else."""
    check_paths(record.files)
    if record.format is Format.EXTERNAL:
        if record.files or not record.source:
            raise Invalid("An external version has an address and no files.", mend="Give its `source`.")
        return
    if not record.files:
        raise Invalid("A model version without files is nothing that could be loaded.")
    for path, digest in record.files.items():
        if not blobs.exists(digest):
            raise Invalid(f"The file {path!r} ({digest[:12]}) is not stored.", mend="Put it among the objects first.")


def attach_parity(tx: Transaction, version: Version, parity: Parity) -> None:
    evidence.attach(
        tx,
        PARITY,
        version.ref,
        subject_digest=version.digest,
        verdict=Verdict.PASS,
        figures={
            "n": parity.n,
            "sampled": parity.sampled,
            "max_difference": parity.max_difference,
            "tolerance": parity.tolerance,
        },
        summary=f"the stored model repeats the estimator on {parity.n} rows within {parity.tolerance:g}",
    )


def attach_scan(tx: Transaction, version: Version, record: ModelRecord, found: Scan) -> None:
    """The format stands in it too, so that a policy can say which ones a risk tier allows."""
    if record.format is Format.EXTERNAL:
        verdict, said = Verdict.WARN, "nothing of it is here to be looked at"
    elif found.findings:
        verdict, said = Verdict.FAIL, f"{len(found.findings)} findings; the first: {found.findings[0]}"
    elif found.pickles:
        verdict, said = Verdict.PASS, _on_the_list(len(found.pickles))
    else:
        verdict, said = Verdict.PASS, "nothing in it runs code when it is read"
    evidence.attach(
        tx,
        SCAN,
        version.ref,
        subject_digest=version.digest,
        verdict=verdict,
        figures={
            "format": record.format.value,
            "n": len(record.files),
            "pickles": len(found.pickles),
            "findings": len(found.findings),
            "first": [str(finding) for finding in found.findings[:20]],
        },
        summary=said,
    )


def _on_the_list(pickles: int) -> str:
    return f"{'1 pickle uses' if pickles == 1 else f'{pickles} pickles use'} only names on the list"
