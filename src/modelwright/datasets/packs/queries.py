"""The manifests of all versions of datasets: on an open transaction."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from modelwright.core.refs import Kind, Ref
from modelwright.store import Transaction
from modelwright.store.tables import catalog_versions


class _Named(msgspec.Struct):
    manifest: str | None = None


_decode = msgspec.json.Decoder(_Named).decode


def manifests(tx: Transaction) -> dict[str, list[Ref]]:
    """Every manifest that a version names, with the versions that name it, retired ones too."""
    c = catalog_versions.c
    query = sa.select(c.name, c.version, c.record).where(c.kind == Kind.DATASET.value).order_by(c.name, c.version)
    found: dict[str, list[Ref]] = {}
    for row in tx.execute(query.execution_options(yield_per=1000)):
        manifest = _decode(row.record).manifest
        if manifest is not None:
            found.setdefault(manifest, []).append(Ref(Kind.DATASET, row.name, row.version))
    return found
