"""Tampering of every kind is found, named and placed; on exports and on the live record, with the verifier alone."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelwright.core.clock import ManualClock
from modelwright.core.refs import Ref
from modelwright.store import Database, Record
from modelwright.store.ledger import verify
from modelwright.store.ledger.keys import Keyring, write_note
from modelwright.store.ledger.merkle import leaf_hash, root_of

EVENTS = 60


@pytest.fixture
def database(migrated_sqlite: Path, tmp_path: Path, clock: ManualClock) -> Iterator[Database]:
    """One database will do: what is verified are bytes."""
    shutil.copyfile(migrated_sqlite, tmp_path / "record.db")
    made = Database(f"sqlite:///{tmp_path}/record.db", clock)
    yield made
    made.dispose()


class Export:
    """An export that can be tampered with, by somebody who knows the format."""

    def __init__(self, path: Path, outside: list[str], keys: Path) -> None:
        self.path, self.outside, self.keys = path, outside, keys
        with zipfile.ZipFile(path) as archive:
            self.files = {name: archive.read(name) for name in archive.namelist()}
        self.events = self.files["events.jsonl"].splitlines()

    def write(self) -> None:
        self.files["events.jsonl"] = b"".join(event + b"\n" for event in self.events)
        with zipfile.ZipFile(self.path, "w") as archive:
            for name, content in self.files.items():
                archive.writestr(name, content)

    def change(self, seq: int, /, **fields: object) -> None:
        event = {**json.loads(self.events[seq]), **fields}
        self.events[seq] = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def renumber(self) -> None:
        for seq in range(len(self.events)):
            self.change(seq, seq=seq)

    def recompute(self) -> None:
        """Make leaves and head agree with the events again."""
        leaves = [leaf_hash(event) for event in self.events]
        self.files["leaves.bin"] = b"".join(leaves)
        about = json.loads(self.files["log.json"]) | {"size": len(leaves), "root": root_of(leaves).hex()}
        self.files["log.json"] = json.dumps(about).encode()

    def notes(self) -> list[str]:
        return sorted(name for name in self.files if name.startswith("checkpoints/"))

    def sign_again(self, keyring: Keyring, key_id: str) -> None:
        """Sign every checkpoint's size anew, as whoever holds the key could."""
        leaves = [leaf_hash(event) for event in self.events]
        for name in self.notes():
            old = verify.Checkpoint.parse(self.files[name].decode())
            if old.size > len(leaves):
                del self.files[name]
                continue
            key = keyring.load(old.origin, key_id)
            self.files[name] = write_note(old.origin, old.size, root_of(leaves[: old.size]), [key]).encode()

    def findings(self, *, outside: bool = False) -> list[tuple[str, int]]:
        self.write()
        report = verify.verify_export(self.path, self.outside if outside else [])
        return list(dict.fromkeys((finding.kind, finding.seq) for finding in report.findings))


def _fill(record: Record, write: Callable, clock, count: int = EVENTS) -> None:
    for number in range(count):
        with write() as tx:
            tx.record("story.step.taken", Ref.parse(f"model:m{number % 5}@1"), after={"n": number, "word": "prüfung ✓"})
        if number % 20 == 9:
            record.checkpoint()


@pytest.fixture
def export(record: Record, write, clock, tmp_path: Path) -> Export:
    """Sixty events and a key, three checkpoints, and some events after the last of them."""
    _fill(record, write, clock)
    path = record.export(tmp_path / "export.zip")
    return Export(path, verify.read_outside([tmp_path / "outside"]), tmp_path / "keys")


def key_id(export: Export) -> str:
    return export.files["public-keys.txt"].decode().split("+")[1]


def test_an_untouched_export_verifies(export: Export):
    assert export.findings(outside=True) == []


def test_an_untouched_ledger_verifies_where_it_stands(record: Record, write, clock):
    _fill(record, write, clock)
    report = record.verify(strict=True)
    assert (report.findings, report.size, report.checkpoints) == ([], EVENTS + 1, 3)


# Ten kinds of tampering


def test_an_edited_event_is_found(export: Export):
    export.change(17, reason="never mind")
    assert export.findings() == [("edit", 17)]


def test_an_edited_event_beyond_the_last_checkpoint_is_found(export: Export):
    export.change(EVENTS, reason="never mind")
    assert export.findings() == [("edit", EVENTS)]


def test_an_edit_of_the_number_itself_is_found(export: Export):
    export.change(17, seq=1700)
    assert ("edit", 17) in export.findings()


def test_an_inserted_event_is_found(export: Export):
    export.events.insert(23, export.events[23].replace(b"story", b"other"))
    assert export.findings() == [("insert", 23)]


def test_an_inserted_event_is_found_when_all_after_it_were_renumbered(export: Export):
    export.events.insert(23, export.events[23].replace(b"story", b"other"))
    export.renumber()
    assert export.findings() == [("insert", 23)]


def test_a_repeated_event_is_found(export: Export):
    export.events.insert(30, export.events[12])
    found = export.findings()
    assert ("insert", 12) in found
    assert {kind for kind, _ in found} == {"insert", "backdate"}


def test_a_deleted_event_is_found(export: Export):
    del export.events[31]
    assert export.findings() == [("delete", 31)]


def test_a_deleted_event_is_found_when_all_after_it_were_renumbered(export: Export):
    del export.events[31]
    export.renumber()
    assert export.findings() == [("delete", 31)]


def test_reordered_events_are_found(export: Export):
    export.events[40], export.events[41] = export.events[41], export.events[40]
    assert ("reorder", 40) in export.findings()


def test_a_missing_end_is_found_by_an_inside_checkpoint(export: Export):
    del export.events[45:]
    assert export.findings() == [("truncate", 45)]


def test_a_missing_end_that_took_its_checkpoints_along_is_found_by_an_outside_one(export: Export):
    del export.events[45:]
    export.files = {name: content for name, content in export.files.items() if name not in export.notes()[-1:]}
    export.recompute()
    export.files["proofs.json"] = b"[]"
    assert export.findings() == []
    assert export.findings(outside=True) == [("truncate", 45)]


def test_a_fork_is_found(export: Export):
    name = export.notes()[-1]
    mine = verify.Checkpoint.parse(export.files[name].decode())
    other = write_note(mine.origin, mine.size, b"\x07" * 32, [Keyring(export.keys).load(mine.origin, key_id(export))])
    export.outside = [other]
    assert export.findings(outside=True) == [("fork", mine.size - 1)]


def test_a_backdated_event_is_found_even_if_everything_was_recomputed_and_signed(export: Export):
    export.change(35, ts="2025-12-24T00:00:00.000000Z")
    export.recompute()
    export.sign_again(Keyring(export.keys), key_id(export))
    assert ("backdate", 35) in export.findings()


def test_a_substituted_key_is_found(export: Export, tmp_path: Path):
    thief = Keyring(tmp_path / "thief")
    mine = thief.create(verify.Checkpoint.parse(export.files[export.notes()[0]].decode()).origin)
    export.sign_again(thief, mine.id)
    export.files["public-keys.txt"] = f"{mine.verifier}\n".encode()
    announced = next(seq for seq, event in enumerate(export.events) if b"ledger.key.created" in event)
    assert export.findings() == [("key-substitution", announced)]


def test_a_substituted_key_that_the_history_was_rewritten_for_is_found_by_an_outside_checkpoint(
    export: Export, tmp_path: Path
):
    thief = Keyring(tmp_path / "thief")
    mine = thief.create(verify.Checkpoint.parse(export.files[export.notes()[0]].decode()).origin)
    announced = next(seq for seq, event in enumerate(export.events) if b"ledger.key.created" in event)
    export.change(announced, after={"key_id": mine.id, "verifier_key": str(mine.verifier)})
    export.recompute()
    export.sign_again(thief, mine.id)
    export.files |= {"public-keys.txt": f"{mine.verifier}\n".encode(), "proofs.json": b"[]"}
    assert export.findings() == []
    assert {("key-substitution", announced), ("rewrite", 0)} <= set(export.findings(outside=True))


def test_a_forged_signature_is_found(export: Export):
    name = export.notes()[1]
    note = verify.Checkpoint.parse(export.files[name].decode())
    forged = re.sub(r"(\u2014 \S+ \S{12})\S", lambda m: m[1] + "A", export.files[name].decode())
    export.files[name] = forged.encode()
    assert export.findings() == [("forged-signature", note.size - 1)]


def test_a_rewritten_history_with_recomputed_root_is_found_by_its_checkpoints(export: Export):
    export.change(25, reason="rewritten")
    export.recompute()
    good = verify.Checkpoint.parse(export.files[export.notes()[0]].decode()).size
    assert export.findings() == [("rewrite", good)]


def test_a_rewritten_and_signed_history_is_found_by_an_outside_checkpoint(export: Export):
    export.change(25, reason="rewritten")
    export.recompute()
    export.sign_again(Keyring(export.keys), key_id(export))
    export.files["proofs.json"] = b"[]"
    good = verify.Checkpoint.parse(export.files[export.notes()[0]].decode()).size
    assert export.findings() == []
    found = export.findings(outside=True)
    assert ("rewrite", good) in found or ("fork", 30) in found
    assert {kind for kind, _ in found} <= {"rewrite", "fork"}


def test_an_event_of_another_log_is_found(export: Export):
    export.change(12, log_id="0" * 32)
    assert export.findings() == [("edit", 12)]


def test_a_false_proof_is_found(export: Export):
    proofs = json.loads(export.files["proofs.json"])
    proofs[0]["path"][0] = "00" * 32
    export.files["proofs.json"] = json.dumps(proofs).encode()
    assert export.findings() == [("rewrite", proofs[0]["first"])]


def test_several_tamperings_are_all_named(export: Export):
    export.change(7, reason="x")
    del export.events[20]
    export.events.insert(33, export.events[33].replace(b"story", b"other"))
    assert {("edit", 7), ("delete", 20)} <= set(export.findings())
    assert any(kind == "insert" for kind, _ in export.findings())


@pytest.mark.parametrize("seed", range(5))
def test_no_single_changed_bit_of_an_event_goes_unseen(export: Export, seed: int):
    choice = random.Random(seed)
    seq = choice.randrange(len(export.events))
    event = bytearray(export.events[seq])
    event[choice.randrange(len(event))] ^= 1 << choice.randrange(8)
    export.events[seq] = bytes(event)
    found = export.findings()
    assert found
    assert min(place for _, place in found) in (seq, seq + 1) or 10 in event


# Rotation


def test_a_new_key_is_vouched_for_by_the_old_one(record: Record, write, clock, tmp_path: Path):
    _fill(record, write, clock, 12)
    record.rotate_key("yearly")
    _fill(record, write, clock, 12)
    assert len(record.head().keys) == 2
    path = record.export(tmp_path / "rotated.zip")
    assert verify.verify_export(path, verify.read_outside([tmp_path / "outside"]), record.head().keys).findings == []


def test_a_new_key_that_the_old_one_did_not_vouch_for_is_found(record: Record, write, clock, tmp_path: Path):
    _fill(record, write, clock, 12)
    sealed = record.rotate_key("yearly")
    export = Export(record.export(tmp_path / "rotated.zip"), [], tmp_path / "keys")
    name = export.notes()[-1]
    export.files[name] = "\n".join([*export.files[name].decode().splitlines()[:-1], ""]).encode()
    assert export.findings() == [("key-substitution", sealed.size - 1)]


def test_a_key_noted_elsewhere_that_the_log_does_not_know_is_found(export: Export, tmp_path: Path):
    stranger = Keyring(tmp_path / "other").create("modelwright/other").verifier
    report = verify.verify_export(export.path, [], [str(stranger)])
    assert [finding.kind for finding in report.findings] == ["key-substitution"]


# The file by itself


def test_the_verifier_in_the_export_runs_alone_and_without_cryptography(export: Export, tmp_path: Path):
    (tmp_path / "verify.py").write_bytes(export.files["verify.py"])
    command = [sys.executable, "-I", "-S", str(tmp_path / "verify.py"), str(export.path), "--json"]
    outside = ["--checkpoint", str(tmp_path / "outside")]
    clean = subprocess.run([*command, *outside, "--strict"], capture_output=True, text=True)
    assert (clean.returncode, json.loads(clean.stdout)["findings"]) == (0, []), clean.stderr
    export.change(17, reason="never mind")
    export.write()
    tampered = subprocess.run(command, capture_output=True, text=True)
    assert tampered.returncode == 1
    assert [(f["kind"], f["seq"]) for f in json.loads(tampered.stdout)["findings"]] == [("edit", 17)]


def test_what_is_no_export_is_said_to_be_none(tmp_path: Path):
    (tmp_path / "x.zip").write_text("no")
    assert verify.main([str(tmp_path / "x.zip")]) == 2


def test_tampering_with_the_live_database_is_found(record: Record, write, clock):
    import sqlalchemy as sa

    from modelwright.store.tables import ledger_events

    _fill(record, write, clock, 30)
    with write() as tx:
        body = tx.execute(sa.select(ledger_events.c.body).where(ledger_events.c.seq == 8)).scalar_one()
        changed = bytes(body).replace(b'"n":8', b'"n":9')
        assert changed != body
        tx.execute(ledger_events.update().where(ledger_events.c.seq == 8).values(body=changed))
    assert [(f.kind, f.seq) for f in record.verify().findings] == [("edit", 8)]
