"""The ledger as one zip file: events, checkpoints, public keys, proofs, and the program that verifies them."""

from __future__ import annotations

import secrets
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from modelwright.store.ledger import verify
from modelwright.store.records import ConsistencyProof, ExportPage, LedgerHead, Sealed

MAX_PROOFS = 1000  # the newest checkpoints get a proof that the exported log begins with them
_README = """This is an exported ledger. To verify it with Python 3.11 or later, and nothing else:

    unzip export.zip verify.py && python verify.py export.zip

Add --checkpoint FILE with a checkpoint that was kept elsewhere to find a missing end or a rewritten history.
"""


def write(
    path: Path,
    head: LedgerHead,
    pages: Iterable[ExportPage],
    sealed: Sequence[Sealed],
    proofs: Iterable[ConsistencyProof],
) -> Path:
    """Write the export; the file appears under its name when it is whole."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with zipfile.ZipFile(partial, "x", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
            _put(archive, "README.txt", _README)
            _put(archive, "verify.py", Path(verify.__file__).read_bytes())
            about = {"format": 1, "log_id": head.log_id, "origin": head.origin, "size": head.size, "root": head.root}
            _put(archive, "log.json", msgspec.json.encode(about))
            _put(archive, "public-keys.txt", "".join(f"{key}\n" for key in head.keys))
            for each in sealed:
                _put(archive, f"checkpoints/{each.size:016d}.note", each.note)
            _write_events(archive, pages)
            _put(archive, "proofs.json", msgspec.json.encode(list(proofs)))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def detail_names(event: str) -> list[str]:
    """The digests of what was put aside from an event because it was too large."""
    fields = msgspec.json.decode(event)
    sides = (fields["before"], fields["after"])
    return [side["sha256"] for side in sides if side.keys() == {"sha256", "size"}]


def _write_events(archive: zipfile.ZipFile, pages: Iterable[ExportPage]) -> None:
    leaves, details = bytearray(), dict[str, str]()
    with archive.open(_entry("events.jsonl"), "w", force_zip64=True) as file:
        for page in pages:
            file.write("".join(f"{event}\n" for event in page.events).encode())
            leaves += bytes.fromhex("".join(page.leaves))
            details |= page.details
    _put(archive, "leaves.bin", bytes(leaves))
    for name, body in details.items():
        _put(archive, f"details/{name}.json", body)


def _put(archive: zipfile.ZipFile, name: str, content: str | bytes) -> None:
    archive.writestr(_entry(name), content)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # without a time: one log, one export, byte for byte
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry
