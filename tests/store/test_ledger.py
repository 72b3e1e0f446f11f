"""The ledger's own rules: canonical bytes, the tree and its proofs, signatures, checkpoints."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import rfc8785
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwright.core.errors import Invalid, Unavailable
from modelwright.core.refs import Ref
from modelwright.store import Record
from modelwright.store.audit import checkpoints
from modelwright.store.audit.checkpoints import LedgerSettings
from modelwright.store.ledger import log, merkle, verify
from modelwright.store.ledger.keys import Keyring
from modelwright.store.ledger.tree import BLOCK, Tree
from modelwright.store.records import Sealed
from modelwright.store.tables import ledger_details, ledger_events, ledger_nodes, ledger_refs

NOW = datetime(2026, 1, 1, tzinfo=UTC)
keys = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=8)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)
bodies = st.dictionaries(keys, values, max_size=6)


# Canonical bytes


@given(bodies)
@settings(deadline=None)
def test_canonical_bytes_are_those_of_rfc_8785_and_of_sorted_json(body):
    written = log.canonical(body)
    assert written == rfc8785.dumps(body)
    assert written == json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert json.loads(written) == body


@pytest.mark.parametrize(
    "body",
    [
        {"x": 0.5},
        {"x": 2**53},
        {"x": -(2**53)},
        {"x": "\ud800"},
        {"X": 1},
        {"": 1},
        {"ü": 1},
        {"a b": 1},
        {"x": b"bytes"},
        {"x": {1, 2}},
        {"x": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]},
    ],
    ids=repr,
)
def test_what_has_no_single_canonical_form_is_refused(body):
    with pytest.raises(Invalid):
        log.canonical(body)


# The tree


@given(st.integers(1, 200), st.data())
@settings(deadline=None)
def test_every_inclusion_proof_leads_to_the_root_and_a_wrong_leaf_does_not(size, data):
    leaves = [merkle.leaf_hash(str(n).encode()) for n in range(size)]
    seq = data.draw(st.integers(0, size - 1))
    path = merkle.inclusion_path(seq, size, lambda start, end: merkle.root_of(leaves[start:end]))
    assert verify.root_from_inclusion(leaves[seq], seq, size, path) == merkle.root_of(leaves)
    assert verify.root_from_inclusion(b"\x00" * 32, seq, size, path) != merkle.root_of(leaves)
    assert len(path) <= (size - 1).bit_length()


@given(st.integers(0, 130), st.integers(0, 130))
@settings(deadline=None)
def test_every_consistency_proof_holds_and_does_not_hold_for_another_root(one, other):
    first, second = sorted((one, other))
    leaves = [merkle.leaf_hash(str(n).encode()) for n in range(second)]
    path = merkle.consistency_path(first, second, lambda start, end: merkle.root_of(leaves[start:end]))
    old, new = merkle.root_of(leaves[:first]), merkle.root_of(leaves)
    assert verify.check_consistency(first, old, second, new, path)
    if 0 < first < second:
        assert not verify.check_consistency(first, b"\x01" * 32, second, new, path)
        assert not verify.check_consistency(first, old, second, b"\x01" * 32, path)
        assert not verify.check_consistency(first, old, second, new, path[:-1])
        assert not verify.check_consistency(first, old, second, new, [*path, path[-1]])


def test_the_tree_is_that_of_rfc_6962():
    """Roots of the test vectors that Certificate Transparency implementations share."""
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [merkle.leaf_hash(bytes.fromhex(each)) for each in inputs]
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.root_of(leaves[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle.root_of(leaves[:3]).hex() == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
    assert merkle.root_of(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_proofs_from_stored_ranges_equal_those_from_all_leaves(record: Record, write):
    with write() as tx:
        tx.record("a.b.done", Ref.parse("model:m"))
        row = tx.execute(sa.select(ledger_events)).one()
        more = [{**row._mapping, "seq": n, "leaf": merkle.leaf_hash(b"%d" % n)} for n in range(1, 4 * BLOCK + 77)]
        tx.execute(ledger_events.insert(), more)
        leaves = [bytes(x) for x in tx.execute(sa.select(ledger_events.c.leaf).order_by(ledger_events.c.seq)).scalars()]
        tree = Tree(tx.connection)
        for size in (BLOCK - 1, BLOCK, 2 * BLOCK + 3, 4 * BLOCK + 77):
            tree.store(size)
            assert tree.hash_of(0, size) == merkle.root_of(leaves[:size])
        stored = tx.execute(sa.select(ledger_nodes.c.level, ledger_nodes.c.position)).all()
        assert sorted(map(tuple, stored)) == [(8, 0), (8, 1), (8, 2), (8, 3), (9, 0), (9, 1), (10, 0)]
        tx.execute(ledger_events.delete().where(ledger_events.c.seq > 0))
        tx.execute(ledger_nodes.delete())


# Events


def test_an_event_says_who_what_when_on_which_and_in_which_order(record: Record, write):
    with write() as tx:
        seq = tx.record(
            "models.version.made",
            Ref.parse("model:pricing/delay@2"),
            inputs=[Ref.parse("dataset:x@1"), Ref.parse("dataset:x@1")],
            outputs=[Ref.parse("model:pricing/delay@2")],
            reason="because",
        )
        body = json.loads(tx.execute(sa.select(ledger_events.c.body).where(ledger_events.c.seq == seq)).scalar_one())
        refs = tx.execute(sa.select(ledger_refs.c.role, ledger_refs.c.ref)).all()
    assert set(body) == {
        *("v", "log_id", "seq", "ts", "actor", "action", "resource", "env", "decision", "rules", "reason", "ticket"),
        *("request_id", "trace_id", "before", "after", "inputs", "outputs", "outcome", "error"),
    }
    assert set(body["actor"]) == {"type", "id", "on_behalf_of", "auth", "token_id", "session", "ip"}
    assert body["resource"]["project"] == "pricing"
    assert (body["resource"]["version"], body["actor"]["id"], body["reason"]) == (2, "ada", "because")
    assert sorted(map(tuple, refs)) == [
        ("in", "dataset:x@1"),
        ("out", "model:pricing/delay@2"),
        ("subject", "model:pricing/delay@2"),
    ]


def test_what_is_too_large_for_an_event_lies_beside_it_under_its_digest(record: Record, write, tmp_path: Path):
    from hashlib import sha256

    with write() as tx:
        tx.record("a.b.done", Ref.parse("model:m"), after={"list": ["x" * 1000] * 100})
        detail = tx.execute(sa.select(ledger_details)).one()
    (page,) = [record.export_events()]
    after = json.loads(page.events[0])["after"]
    assert after == {"sha256": sha256(detail.body).hexdigest(), "size": len(detail.body)}
    assert json.loads(page.details[after["sha256"]]) == {"list": ["x" * 1000] * 100}
    assert record.verify(strict=True).findings == []


def test_time_in_the_ledger_never_goes_back_although_a_clock_does(database, write, clock):
    with write() as tx:
        tx.record("a.b.done", Ref.parse("model:m"))
    behind = type(clock)(NOW - timedelta(days=400))
    database.clock = behind
    with write() as tx:
        assert tx.now > NOW
        tx.record("a.b.done", Ref.parse("model:m"))
    with write() as tx:
        times = tx.execute(sa.select(ledger_events.c.ts).order_by(ledger_events.c.seq)).scalars().all()
    assert times == sorted(times)


# Signatures


@given(st.binary(max_size=100), st.integers(0, 511))
@settings(deadline=None, max_examples=25)
def test_the_slow_verification_agrees_with_the_fast_one(message, bit):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert verify.check_signature_slowly(public, message, signature)
    assert not verify.check_signature_slowly(public, message + b"x", signature)
    broken = bytearray(signature)
    broken[bit // 8] ^= 1 << bit % 8
    assert not verify.check_signature_slowly(public, message, bytes(broken))
    assert not verify.check_signature(public, message, bytes(broken))


def test_the_slow_verification_passes_the_first_vector_of_rfc_8032():
    public = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert verify.check_signature_slowly(public, b"", signature)
    malleable = signature[:32] + (int.from_bytes(signature[32:], "little") + verify._L).to_bytes(32, "little")
    assert not verify.check_signature_slowly(public, b"", malleable)


# Checkpoints


@pytest.mark.parametrize(
    ("size", "sealed", "seconds", "expected"),
    [
        (0, None, 0, False),
        (1, None, 0, True),
        (10, 10, 3600, False),
        (11, 10, 59, False),
        (11, 10, 60, True),
        (1009, 10, 0, False),
        (1010, 10, 0, True),
    ],
)
def test_a_checkpoint_is_due_after_a_minute_or_a_thousand_events_but_only_if_there_is_something_new(
    size, sealed, seconds, expected
):
    last = Sealed(size=sealed, root="", note="", at=NOW) if sealed is not None else None
    assert checkpoints.due(size, last, NOW + timedelta(seconds=seconds), LedgerSettings()) is expected


def test_a_checkpoint_is_a_signed_note_kept_here_and_outside(record: Record, write, tmp_path: Path):
    with write() as tx:
        tx.record("a.b.done", Ref.parse("model:m"))
    sealed = record.checkpoint()
    note, head = verify.Checkpoint.parse(sealed.note), record.head()
    assert (note.origin, note.size, note.root.hex()) == (head.origin, head.size, head.root)
    assert sealed.note.splitlines()[3] == ""
    assert sealed.note.splitlines()[4].startswith(f"\u2014 {head.origin} ")
    (outside,) = (tmp_path / "outside").rglob("*.note")
    assert outside.read_text() == sealed.note
    (key,) = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert record.checkpoint() == sealed, "nothing new, nothing signed"


def test_the_first_checkpoint_announces_its_key_and_covers_the_announcement(record: Record, write):
    with write() as tx:
        tx.record("a.b.done", Ref.parse("model:m"))
    sealed = record.checkpoint()
    (announcement,) = record.events().items[:1]
    assert announcement.action == "ledger.key.created"
    assert announcement.after["verifier_key"] == record.head().keys[0]
    assert sealed.size == announcement.seq + 1


class Overtaken:
    """A caller beside whom others act: after each reading of the ledger's head something happens, and is sealed."""

    def __init__(self, caller, meanwhile) -> None:
        self.blobs, self.principal = caller.blobs, caller.principal
        self._caller, self._meanwhile = caller, meanwhile

    def call(self, room, operation, arguments):
        found = self._caller.call(room, operation, arguments)
        if operation is Record.operations["head"]:
            self._meanwhile()
        return found


def test_what_is_signed_while_a_ledger_is_read_is_not_held_against_it(record: Record, write, tmp_path: Path):
    def happens() -> None:
        with write() as tx:
            tx.record("a.b.done", Ref.parse("model:m"))
        record.checkpoint()

    with write() as tx:
        tx.record("a.b.done", Ref.parse("model:m"))
    reader = Record(Overtaken(record.caller, happens))
    for _ in range(2):  # the first checkpoint announces the key, the second does not
        assert reader.verify(strict=True).findings == []
    assert verify.verify_export(reader.export(tmp_path / "ledger.zip")).findings == []
    assert record.verify().checkpoints == 3, "each time something was sealed"


def test_an_outside_place_that_failed_gets_every_checkpoint_later(record: Record, write, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.write_text("in the way")
    for _ in range(2):
        with write() as tx:
            tx.record("a.b.done", Ref.parse("model:m"))
        with pytest.raises(Unavailable, match="outside"):
            record.checkpoint()
    outside.unlink()
    with write() as tx:
        tx.record("a.b.done", Ref.parse("model:m"))
    record.checkpoint()
    assert len(list(outside.rglob("*.note"))) == 3


def test_without_its_key_file_nothing_is_signed_and_no_other_key_takes_over(record: Record, write, tmp_path: Path):
    with write() as tx:
        tx.record("a.b.done", Ref.parse("model:m"))
    record.checkpoint()
    for key in (tmp_path / "keys").iterdir():
        key.unlink()
    with write() as tx:
        tx.record("a.b.done", Ref.parse("model:m"))
    with pytest.raises(Unavailable, match="signing key"):
        record.checkpoint()
    assert list((tmp_path / "keys").iterdir()) == []


def test_a_key_file_with_another_key_is_refused(tmp_path: Path):
    keyring = Keyring(tmp_path / "keys")
    one, other = keyring.create("modelwright/x"), keyring.create("modelwright/x")
    (tmp_path / "keys" / f"ledger-{one.id}.pem").write_bytes((tmp_path / "keys" / f"ledger-{other.id}.pem").read_bytes())
    with pytest.raises(Unavailable, match="another key"):
        keyring.load("modelwright/x", one.id)


def test_inclusion_and_consistency_proofs_come_with_what_they_prove(record: Record, write):
    for number in range(9):
        with write() as tx:
            tx.record("a.b.done", Ref.parse("model:m"), after={"n": number})
        if number in (3, 6):
            record.checkpoint()
    sealed = record.checkpoints()
    proof = record.proof(2)
    leaf = verify.leaf_hash(proof.event.encode())
    path = [bytes.fromhex(step) for step in proof.path]
    assert proof.checkpoint == sealed[0].note
    assert verify.root_from_inclusion(leaf, 2, proof.size, path).hex() == proof.root == sealed[0].root
    late = record.proof(9)
    assert (late.checkpoint, late.size, late.root) == ("", 10, record.head().root)
    between = record.consistency(sealed[0].size, sealed[1].size)
    assert (between.first_root, between.second_root) == (sealed[0].root, sealed[1].root)
    roots = bytes.fromhex(between.first_root), bytes.fromhex(between.second_root)
    steps = [bytes.fromhex(step) for step in between.path]
    assert verify.check_consistency(between.first, roots[0], between.second, roots[1], steps)
    with pytest.raises(Invalid):
        record.consistency(3, 11)


def test_an_export_is_the_same_bytes_each_time(record: Record, write, tmp_path: Path):
    with write() as tx:
        tx.record("a.b.done", Ref.parse("model:m"))
    record.checkpoint()
    assert record.export(tmp_path / "a.zip").read_bytes() == record.export(tmp_path / "b.zip").read_bytes()
