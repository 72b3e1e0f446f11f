"""Making versions of what lies elsewhere: tables of lakes, in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from modelwright.core.errors import Invalid
from modelwright.core.refs import Ref, as_ref
from modelwright.datasets.checks import Check, load_checks
from modelwright.datasets.lakes.records import Lake
from modelwright.datasets.local.adding import Adding
from modelwright.datasets.records import DatasetVersion


class Elsewhere(Adding):
    """What is looked at where it lies, and then registered."""

    def add_in_place(
        self,
        name: str,
        lake: Lake | str,
        *,
        checks: Sequence[Check] | Path | str | None = None,
        key: Sequence[str] | str | None = None,
        time_column: str | None = None,
        personal: Sequence[str] = (),
        parent: Ref | str | None = None,
        inputs: Sequence[Ref] = (),
        description: str = "",
        tags: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> DatasetVersion:
        """Register a version of a table of Delta Lake or Iceberg where it lies: `delta:lake/flights@3`, `iceberg:s3://...`.

        Its rows are never copied; they are read once, for the profile, and afterwards by whoever asks, as those of any
        version. Without a version it is the newest that the table has. What is read is verified to be what was registered:
        `Gone` where the table has let go of it, `Corrupt` where it was changed. Everything else is as with `add`.
        `Denied` where the workspace is a server's, and the place is not among those that it reads (`[datasets] in_place`).
        """
        declared = load_checks(Path(checks)) if isinstance(checks, Path | str) else checks
        newest = self._newest(name)
        if newest is not None and not newest.is_table:
            raise Invalid(f"{newest.ref} holds files, not rows.", mend="Choose another name.")
        record = self._lakes.prepare(
            Lake.parse(lake) if isinstance(lake, str) else lake,
            before=newest,
            key=[key] if isinstance(key, str) else list(key or []),
            time_column=time_column,
            personal=personal,
        )
        record = replace(record, parent=as_ref(parent) if parent else None)
        about = {"inputs": [*inputs], "description": description, "tags": dict(tags or {}), "reason": reason}
        return self._register_rows(name, record, newest, declared, **about)
