"""A model version in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwright.core.html import badge, card, facts, table

if TYPE_CHECKING:
    from modelwright.models.records import ModelVersion

TONES = {"production": "good", "retired": "warn"}


def version(of: ModelVersion) -> str:
    """A version: where it stands, what it takes and gives, what it was made from."""
    record = of.record
    columns = [["takes", each.name, each.dtype] for each in record.signature.inputs]
    columns += [["gives", each.name, each.dtype] for each in record.signature.outputs]
    return card(
        str(of.ref),
        of.description or of.profile.purpose,
        facts(
            [
                ("stage", badge(of.stage.value, TONES.get(of.stage.value, ""))),
                ("aliases", ", ".join(of.aliases)),
                ("format", f"{record.format.value}, {record.size:,} bytes, {record.framework}"),
                ("digest", of.digest),
                ("made", f"{of.created_at:%Y-%m-%d %H:%M} UTC by {of.created_by}"),
                ("from", ", ".join(map(str, record.needs))),
                ("successor", of.successor),
                ("tags", ", ".join(f"{key}={value}" for key, value in of.tags.items())),
            ]
        ),
        table(["", "column", "type"], columns),
        table(["parameter", "value"], list(record.params.items())) if record.params else facts([]),
    )
