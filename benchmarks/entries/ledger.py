"""Checking the record: an exported ledger through the verifier that anybody can run."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cases import EVENTS, Bar, Case, Setting, benchmark
from modelwright.core.refs import Kind, Ref
from modelwright.workspace import Settings, open_workspace

BATCH = 10_000  # events in one transaction


@benchmark("ledger", what="verifying an exported ledger: every event hashed, its place, time, keys and signatures checked")
def ledger(setting: Setting) -> Iterator[Case]:
    """The peer reads the same zip and only hashes each line: what no verifier can do without."""
    from modelwright.store.ledger.verify import verify_export

    number = setting.size(200_000, 5_000)
    with open_workspace(setting.folder / "project", settings=Settings()) as workspace:
        assert workspace.home is not None
        database, principal = workspace.home.database, workspace.principal
        for start in range(0, number, BATCH):
            with database.transaction(principal, write=True) as tx:
                for each in range(start, min(start + BATCH, number)):
                    tx.record("benchmark.note.added", Ref(Kind.MODEL, "pricing/delay", each + 1), reason="as every night")
        workspace.record.checkpoint()
        path = workspace.record.export(setting.folder / "ledger.zip")

    def check(_: object) -> None:
        report = verify_export(path)
        assert not report.findings
        assert report.size >= number

    yield Case(
        label=f"{number:,} events",
        unit=EVENTS,
        amount=number,
        run=check,
        peer=lambda _: _hash_only(path),
        against="SHA-256 of each line",
        runs=7,
        bar=Bar(150_000),
    )


def _hash_only(path: Path) -> bytes:
    last = b""
    with zipfile.ZipFile(path) as archive, archive.open("events.jsonl") as file:
        for line in file:
            last = hashlib.sha256(b"\x00" + line.rstrip(b"\n")).digest()
    return last
