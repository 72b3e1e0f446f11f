"""Delta Lake: what the log of a table says of one of its versions. Read by deltalake (delta-rs), of the extra `lakes`.

The protocol: https://github.com/delta-io/delta/blob/master/PROTOCOL.md. Paths of files in the log are percent-encoded.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa

from modelwright.core.errors import Gone, Invalid, NotFound, Unavailable
from modelwright.core.hashing import digest_bytes, digest_value
from modelwright.datasets.lakes.places import Place, below
from modelwright.datasets.lakes.records import DELTA, DataFile, TableState

LOG: Final = "_delta_log"
_HARMLESS: Final = frozenset(("timestampNtz", "v2Checkpoint", "vacuumProtocolCheck", "deletionVectors", "columnMapping"))


def open_delta(place: Place, version: str) -> TableState:
    """A version of the table at a place, by default the newest.

    `NotFound` where there is no table, `Gone` where its log does not reach back to that version, `Invalid` for a table
    whose rows are not those of its files alone.
    """
    table = _table(place, version)
    number = str(table.version())
    _check_plain(table, place.root)
    about = table.metadata()
    files = sorted(_files(table, place.root), key=lambda file: file.path)
    schema = pa.schema(table.schema().to_arrow())
    commit = place.read(f"{LOG}/{int(number):020}.json")
    said = [str(about.id), number, table.schema().to_json(), sorted(about.partition_columns)]
    return TableState(
        form=DELTA,
        version=number,
        digest=digest_value([DELTA, *said, [file.said for file in files]]),
        log=digest_bytes(commit) if commit is not None else "",
        schema=schema,
        files=files,
    )


def _table(place: Place, version: str) -> Any:
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError
    except ImportError:
        raise Unavailable(
            "Delta Lake is read with deltalake, which is not installed.", mend="pip install 'modelwright[lakes]'"
        ) from None
    if not place.names(LOG):
        raise NotFound(f"There is no Delta table at {place.root}.", mend=f"Name the folder that has {LOG} in it.")
    try:
        return DeltaTable(
            place.root, version=int(version) if version else None, storage_options=dict(place.options) or None
        )
    except TableNotFoundError as error:
        raise NotFound(f"There is no Delta table at {place.root}: {_line(error)}") from None
    except (DeltaError, OSError) as error:
        if not version:
            raise Invalid(f"The log of the Delta table at {place.root} cannot be read: {_line(error)}") from None
        raise Gone(
            f"Version {version} of the Delta table at {place.root} is not in its log: {_line(error)}",
            mend="Its log was cleaned up, or it never had that version; register one that it has.",
        ) from None


def _check_plain(table: Any, root: str) -> None:
    features = set(table.protocol().reader_features or []) - _HARMLESS
    if features:
        raise Invalid(f"The Delta table at {root} needs what is not read here: {', '.join(sorted(features))}.")
    if (table.metadata().configuration or {}).get("delta.columnMapping.mode", "none") != "none":
        raise Invalid(
            f"The Delta table at {root} maps its columns to other names in its files.",
            mend="Write it anew without column mapping, or add its rows: mw data export and add, or a query.",
        )
    if pa.table(table.deletion_vectors().read_all()).num_rows:
        raise Invalid(
            f"The Delta table at {root} has rows that are deleted beside its files (deletion vectors).",
            mend="Have them purged: REORG TABLE ... APPLY (PURGE), or optimise it.",
        )


def _files(table: Any, root: str) -> list[DataFile]:
    actions = pa.table(table.get_add_actions(flatten=True))
    prefix = "partition."
    columns = [name for name in actions.column_names if name.startswith(prefix)]
    found = []
    for number, (encoded, size) in enumerate(
        zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True)
    ):
        path = unquote(encoded)
        inside = below(root, path) if "://" in path or path.startswith("/") else below(root, f"{root}/{path}")
        if inside is None:
            raise Invalid(
                f"The Delta table at {root} has a file elsewhere: {path}.", mend="A shallow clone is not read in place."
            )
        partition = {name.removeprefix(prefix): actions[name][number] for name in columns}
        found.append(DataFile(path=inside, size=int(size), partition=partition))
    return found


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
