"""What makes two versions the same. Pure."""

from __future__ import annotations

from modelwright.core.hashing import digest_value
from modelwright.datasets.records import DatasetRecord


def content_digest(record: DatasetRecord) -> str:
    """The digest of a version: of its rows, and how the rows are to be understood; or of its files."""
    if record.files:
        return digest_value(["files", record.content])
    if record.lake is not None:
        said = [record.lake.form, record.lake.address, record.lake.version, record.lake.digest]
        return digest_value(["lake", said, record.columns, record.key, record.time_column])
    return digest_value([record.columns, [part.digest for part in record.parts], record.key, record.time_column])
