"""From the files of an MLflow folder to the record of a version."""

from __future__ import annotations

from collections.abc import Mapping

from modelwright.core.errors import Invalid, Refused
from modelwright.core.signature import Signature
from modelwright.models.records import ModelRecord
from modelwright.serving import Format, MlModel, native, read_mlmodel
from modelwright.serving.records import MLMODEL

UNKNOWN = Signature(inputs=[], outputs=[])


def record_of(files: Mapping[str, str], content: bytes | None, *, sizes: Mapping[str, int]) -> ModelRecord:
    """What is known of a folder: `content` is that of its `MLmodel` file, `sizes` the bytes of each object.

    No files at all is a version of which only the address is known; files without an `MLmodel` are `Invalid`.
    """
    if not files:
        return ModelRecord(format=Format.EXTERNAL, files={}, signature=UNKNOWN, size=0)
    if content is None:
        raise Invalid(f"The folder has no file {MLMODEL}, so nobody knows how to load it.", mend="Save it with MLflow.")
    said = read_mlmodel(content)
    return ModelRecord(
        format=Format.MLFLOW,
        files=dict(files),
        signature=said.signature or UNKNOWN,
        size=sum(sizes[digest] for digest in files.values()),
        framework=f"MLflow {said.written_by}".strip(),
        flavours=sorted(said.flavours),
        entry=_entry(said, files),
    )


def pickles_named(content: bytes) -> set[str]:
    """The files that an `MLmodel` says to load, save the one that is read without running it."""
    said = read_mlmodel(content)
    safe = _entry(said, None)
    values = {value for flavour in said.flavours.values() for value in flavour.values() if isinstance(value, str)}
    return values - {safe}


def _entry(said: MlModel, files: Mapping[str, str] | None) -> str:
    try:
        path = native(said)[1]
    except Refused:
        return ""
    return path if files is None or path in files else ""
