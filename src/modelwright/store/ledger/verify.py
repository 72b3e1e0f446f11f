#!/usr/bin/env python3
"""Verify an exported ledger, with nothing but Python's standard library.

    python verify.py export.zip [--checkpoint FILE]... [--key VKEY]... [--strict] [--json]

The format is described in docs/record.md; this file implements that page and imports nothing of Modelwright, so that who
doubts the program need not run it. `--checkpoint` is a checkpoint that was kept elsewhere, or a folder of them: it is what
uncovers a truncated tail or a history rewritten by somebody who holds the signing key. `--key` is a verifier key that was
noted elsewhere. `--strict` also parses every event and compares it with its canonical form. Ed25519 comes from the
`cryptography` package where that is installed, and otherwise from the functions at the end of this file.

What is found has a kind and a place (the sequence number where it begins, counted from 0):

    edit               an event is not the one that was sealed
    insert             an event that was never sealed, or one repeated, stands between the others
    delete             a sealed event is missing
    reorder            sealed events stand in another order
    truncate           the end is missing
    fork               two signed roots exist for one size: the log told two stories
    backdate           an event claims a time before that of the event ahead of it
    key-substitution   a key signs that the log never announced, or that its predecessor did not vouch for
    forged-signature   a checkpoint carries a signature that its key did not make
    rewrite            the events agree with each other, but not with a root that was signed
    malformed          a line is no canonical event of this log

Exit status: 0 nothing found, 1 something found, 2 the input cannot be read.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any, NamedTuple

HASH = 32
STAMP = 27  # characters of a time: 2026-01-31T23:59:59.000000Z
_TAIL = re.compile(
    rb'"seq":(\d{1,16}),"ticket":"(?:[^"\\]|\\.)*","trace_id":"(?:[^"\\]|\\.)*","ts":"([^"\\]{27})","v":1\}$'
)
_KEY_EVENT = b'{"action":"ledger.key.'
_ED25519 = b"\x01"  # the algorithm byte of a signed note


class Finding(NamedTuple):
    """One thing that is wrong: its kind, where it begins and ends, and what was seen."""

    kind: str
    seq: int
    last: int
    detail: str

    def __str__(self) -> str:
        place = f"seq {self.seq}" if self.last <= self.seq else f"seq {self.seq} to {self.last}"
        return f"{self.kind} at {place}: {self.detail}"


class Key(NamedTuple):
    """A verifier key: the name and key id of its signature lines, and the 32 public bytes."""

    name: str
    id: bytes
    public: bytes

    @classmethod
    def make(cls, name: str, public: bytes) -> Key:
        """The key id is the first four bytes of SHA-256(name, newline, algorithm, public key)."""
        return cls(name, sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4], public)

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read `name+id+base64(algorithm, public key)`; ValueError if it does not hold together."""
        name, claimed, encoded = text.strip().split("+", 2)
        material = base64.b64decode(encoded, validate=True)
        key = cls.make(name, material[1:])
        if material[:1] != _ED25519 or len(material) != 33 or key.id.hex() != claimed:
            raise ValueError(f"{text.strip()!r} is not a verifier key")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"


class Checkpoint(NamedTuple):
    """A signed note: what was signed, and each signature as (name, key id, signature)."""

    text: str
    origin: str
    size: int
    root: bytes
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, note: str) -> Checkpoint:
        """Read a note: origin, size, root, empty line, signature lines. ValueError says what is not so."""
        text, separator, tail = note.partition("\n\n")
        origin, size, root, *_ = [*text.split("\n"), "", "", ""]
        digest = base64.b64decode(root, validate=True)
        if not separator or not origin or not re.fullmatch("0|[1-9][0-9]*", size) or len(digest) != HASH:
            raise ValueError("a checkpoint is an origin, a size, a root, an empty line and signatures")
        signatures = []
        for line in tail.splitlines():
            dash, name, encoded = line.split(" ")
            raw = base64.b64decode(encoded, validate=True)
            if dash != "\u2014" or len(raw) != 68:
                raise ValueError(f"{line!r} is not a signature line")
            signatures.append((name, raw[:4], raw[4:]))
        return cls(text + "\n", origin, int(size), digest, tuple(signatures))


class Evidence(NamedTuple):
    """What there is to verify. `events` can be iterated again; `leaves` are the recorded leaf hashes, one after another."""

    events: Callable[[], Iterable[bytes]]
    leaves: Callable[[], bytes]
    notes: Sequence[str]
    keys: Sequence[str]
    size: int  # what the log itself says it holds
    root: bytes
    outside: Sequence[str] = ()
    pinned: Sequence[str] = ()


class Report(NamedTuple):
    """The outcome: how many events were read, the root they give, and what was found, by place."""

    size: int
    root: bytes
    checkpoints: int
    findings: list[Finding]


class Announced(NamedTuple):
    """A key that an event of the log announced."""

    seq: int
    key: Key


def leaf_hash(body: bytes) -> bytes:
    """SHA-256(0x00, event)."""
    return sha256(b"\x00" + body).digest()


def fold(frontier: Sequence[bytes]) -> bytes:
    """The root that a right frontier (roots of perfect subtrees, largest first) stands for."""
    if not frontier:
        return sha256(b"").digest()
    node = frontier[-1]
    for left in reversed(frontier[:-1]):
        node = sha256(b"\x01" + left + node).digest()
    return node


def roots_at(leaves: Iterable[bytes], sizes: Iterable[int]) -> tuple[dict[int, bytes], int, bytes]:
    """The roots of the tree at the sizes asked for (those it reaches), its whole size, and its root."""
    wanted, size, hashing = set(sizes), 0, sha256
    found: dict[int, bytes] = {}
    frontier: list[bytes] = []
    if 0 in wanted:
        found[0] = fold(())
    for node in leaves:
        count = size
        while count & 1:
            node = hashing(b"\x01" + frontier.pop() + node).digest()
            count >>= 1
        frontier.append(node)
        size += 1
        if size in wanted:
            found[size] = fold(frontier)
    return found, size, fold(frontier)


def verify(evidence: Evidence, *, strict: bool = False) -> Report:
    """Recompute everything from the events, compare it with every root that was signed, and say what differs and where."""
    notes, findings = _parse_notes(evidence.notes, "a checkpoint")
    outside, broken = _parse_notes(evidence.outside, "the outside checkpoint")
    findings += broken
    reading = _Reading(strict)
    sizes = {note.size for note in (*notes, *outside)} | {evidence.size}
    roots, size, root = roots_at(reading.leaves(evidence.events()), sizes)
    findings += reading.findings
    findings += _check_keys(evidence, reading, notes)
    signed = [note for note in notes if _check_signature(note, reading, findings)]
    genuine = [note for note in outside if _check_outside_signature(note, reading, evidence.pinned, findings)]
    forks = _forks([*signed, *genuine])
    findings += forks
    marks = {note.size: note.root for note in signed}
    whole = (evidence.size, evidence.root) == (size, root)
    if reading.disordered or not whole or any(roots.get(at) != mark for at, mark in marks.items()):
        findings += _diagnose(evidence, marks, roots, size)
    forked = {fork.seq + 1 for fork in forks}
    findings += _against_outside([note for note in outside if note.size not in forked], roots, size)
    return Report(size, root, len(signed), sorted(set(findings), key=lambda f: (f.seq, f.kind)))


class _Reading:
    """One pass over the events: hashes them, and looks at what each says of its own place, time and keys."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.disordered = False
        self.log_id: str | None = None
        self.announced: list[Announced] = []
        self.findings: list[Finding] = []

    def leaves(self, events: Iterable[bytes]) -> Iterator[bytes]:
        tail, hashing, last = _TAIL.search, sha256, b""
        for seq, body in enumerate(events):
            yield hashing(b"\x00" + body).digest()
            found = tail(body, body.rfind(b'"seq":'))
            if found is None or seq == 0 or self.strict:
                self._parse(seq, body)
            if found is None:
                continue
            said, stamp = found.groups()
            if int(said) != seq:
                self.disordered = True
            if stamp < last:
                when, before = stamp.decode(errors="replace"), last.decode(errors="replace")
                self._found("backdate", seq, f"it claims {when}, after an event of {before}")
            last = max(last, stamp)
            if body.startswith(_KEY_EVENT):
                self._announce(seq, body)

    def _parse(self, seq: int, body: bytes) -> None:
        try:
            event = json.loads(body)
            canonical = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            log_id = event["log_id"]
            whole = canonical == body and isinstance(event["seq"], int) and len(event["ts"]) == STAMP and event["v"] == 1
        except (ValueError, KeyError, TypeError) as error:
            self._found("malformed", seq, f"it is no event: {error!r}")
            return
        self.log_id = self.log_id or log_id
        if not whole:
            self._found("malformed", seq, "it is not in canonical form")
        elif log_id != self.log_id:
            self._found("malformed", seq, f"it belongs to the log {log_id}")

    def _announce(self, seq: int, body: bytes) -> None:
        try:
            self.announced.append(Announced(seq, Key.parse(json.loads(body)["after"]["verifier_key"])))
        except (ValueError, KeyError, TypeError):
            self._found("malformed", seq, "it announces a key that cannot be read")

    def _found(self, kind: str, seq: int, detail: str) -> None:
        self.disordered |= kind == "malformed"
        self.findings.append(Finding(kind, seq, seq, detail))

    def key_at(self, size: int) -> Announced | None:
        """The key that signs a checkpoint of that size: the last that was announced inside it."""
        return next((a for a in reversed(self.announced) if a.seq < size), None)


def _parse_notes(texts: Iterable[str], what: str) -> tuple[list[Checkpoint], list[Finding]]:
    notes, findings = [], []
    for text in texts:
        try:
            notes.append(Checkpoint.parse(text))
        except (ValueError, binascii.Error) as error:
            at = re.search(r"^\d+$", text, re.MULTILINE)
            seq = max(0, int(at[0]) - 1) if at else 0
            findings.append(Finding("forged-signature", seq, seq, f"{what} cannot be read: {error}"))
    return sorted(notes, key=lambda note: note.size), findings


def _check_signature(note: Checkpoint, reading: _Reading, findings: list[Finding]) -> bool:
    """Whether the key in force at that size signed the note."""
    seq, expected = max(0, note.size - 1), reading.key_at(note.size)
    if reading.log_id is not None and note.origin != f"modelwright/{reading.log_id}":
        findings.append(Finding("key-substitution", seq, seq, f"its checkpoint is of another log, {note.origin}"))
        return False
    ids = [key_id for _, key_id, _ in note.signatures]
    if expected is None or expected.key.id not in ids:
        shown = ", ".join(each.hex() for each in ids) or "nobody"
        why = f"its checkpoint is signed by {shown}, not by the key that the log announced"
        findings.append(Finding("key-substitution", expected.seq if expected else seq, seq, why))
        return False
    if not _signed_by(note, expected.key):
        why = f"the signature of the checkpoint of size {note.size} is not of key {expected.key.id.hex()}"
        findings.append(Finding("forged-signature", seq, seq, why))
        return False
    return True


def _check_outside_signature(note: Checkpoint, reading: _Reading, pinned: Sequence[str], findings: list[Finding]) -> bool:
    """Whether a key that the log announced, or that was noted elsewhere, signed the note."""
    keys = [each.key for each in reading.announced] + [Key.parse(text) for text in pinned]
    ids = {key_id for _, key_id, _ in note.signatures}
    known = [key for key in keys if key.id in ids]
    seq = max(0, note.size - 1)
    if not known:
        first = reading.announced[0].seq if reading.announced else 0
        why = f"the log does not know the key of the outside checkpoint of size {note.size}"
        findings.append(Finding("key-substitution", first, first, why))
        return False
    genuine = any(_signed_by(note, key) for key in known)
    if not genuine:
        findings.append(Finding("forged-signature", seq, seq, f"the outside checkpoint of size {note.size} is not genuine"))
    return genuine


def _check_keys(evidence: Evidence, reading: _Reading, notes: Sequence[Checkpoint]) -> list[Finding]:
    """Every key in use was announced; every later one was vouched for by the one before; a pinned one is among them."""
    findings, known = [], {each.key for each in reading.announced}
    first = reading.announced[0].seq if reading.announced else 0
    for what, texts in (("the public key", evidence.keys), ("the key you gave", evidence.pinned)):
        for text in texts:
            try:
                missing = Key.parse(text) not in known
            except (ValueError, binascii.Error):
                missing = True
            if missing:
                findings.append(
                    Finding("key-substitution", first, first, f"{what} {text.strip()} is not announced in the log")
                )
    for before, after in zip(reading.announced, reading.announced[1:], strict=False):
        if not any(note.size > after.seq and _signed_by(note, before.key) for note in notes):
            why = f"key {after.key.id.hex()} took over without the signature of {before.key.id.hex()}"
            findings.append(Finding("key-substitution", after.seq, after.seq, why))
    return findings


def _signed_by(note: Checkpoint, key: Key) -> bool:
    return any(
        (name, key_id) == (key.name, key.id) and check_signature(key.public, note.text.encode(), signature)
        for name, key_id, signature in note.signatures
    )


def _forks(notes: Sequence[Checkpoint]) -> list[Finding]:
    told: dict[int, bytes] = {}
    findings = []
    for note in notes:
        if told.setdefault(note.size, note.root) != note.root:
            seq = max(0, note.size - 1)
            findings.append(Finding("fork", seq, seq, f"two roots were signed for size {note.size}"))
    return findings


def _diagnose(evidence: Evidence, marks: dict[int, bytes], roots: dict[int, bytes], size: int) -> list[Finding]:
    """Name what happened, by comparing the events with the leaf hashes as far as a root vouches for those."""
    raw = evidence.leaves()
    recorded = [raw[at : at + HASH] for at in range(0, len(raw), HASH)]
    vouched, whole, root = roots_at(recorded, marks)
    trusted = max((at for at, mark in marks.items() if vouched.get(at) == mark), default=0)
    if (whole, root) == (evidence.size, evidence.root) and all(vouched.get(at) == mark for at, mark in marks.items()):
        trusted = whole  # the log's own head vouches for the part that no checkpoint covers yet
    findings = _Comparison(recorded[:trusted], max([evidence.size, *marks])).run(evidence.events())
    if not findings:
        good = max((at for at, mark in marks.items() if roots.get(at) == mark), default=0)
        bad = min((at for at, mark in marks.items() if at > good and roots.get(at) != mark), default=max(size, good + 1))
        why = "the events do not give the root that was sealed, and neither do their recorded hashes"
        findings.append(Finding("rewrite", good, bad - 1, why))
    return findings


class _Comparison:
    """The events that are there against the leaf hashes of those that were sealed."""

    def __init__(self, sealed: list[bytes], claimed: int) -> None:
        self.place = {leaf: seq for seq, leaf in enumerate(sealed)}
        self.count = len(sealed)
        self.reached = self.count  # the events beyond the sealed ones, as long as they are in their places
        self.claimed = claimed  # how many events there should be, by any account
        self.present: set[int] = set()
        self.foreign: list[tuple[int, int]] = []  # (position, sequence number that it claims)
        self.repeated: list[int] = []
        self.moved: list[int] = []
        self.shift = 0

    def run(self, events: Iterable[bytes]) -> list[Finding]:
        highest = -1
        for position, body in enumerate(events):
            found = _TAIL.search(body, max(0, body.rfind(b'"seq":')))
            claimed = int(found[1]) if found else position
            seq = self._recognise(body, claimed)
            if seq is None:
                if claimed == self.reached:
                    self.reached += 1
                else:
                    self.foreign.append((position, claimed))
                continue
            if seq in self.present:
                self.repeated.append(seq)
            elif seq < highest:
                self.moved.append(seq)
            self.present.add(seq)
            highest = max(highest, seq)
        return self._findings()

    def _recognise(self, body: bytes, claimed: int) -> int | None:
        """The place at which this event was sealed, also if it was given another number since."""
        seq = self.place.get(leaf_hash(body))
        if seq is None and claimed <= self.count:
            for shift in (self.shift, self.shift - 1, self.shift + 1):
                number = b'"seq":%d,' % claimed
                at = body.rfind(number)
                if shift and at >= 0 and claimed + shift >= 0:
                    other = body[:at] + b'"seq":%d,' % (claimed + shift) + body[at + len(number) :]
                    if (seq := self.place.get(leaf_hash(other))) is not None:
                        self.shift = shift
                        break
        return seq

    def _findings(self) -> list[Finding]:
        missing = set(range(self.count)) - self.present
        edited, inserted = [], []
        for position, claimed in self.foreign:
            place = claimed if claimed in missing else position
            if place in missing:
                missing.discard(place)
                edited.append(place)
            else:
                inserted.append(claimed)
        end = self.reached
        while end - 1 in missing:
            end -= 1
        last = max(self.claimed, self.reached)
        findings = [Finding("truncate", end, last - 1, "the last events are missing")] if end < last else []
        findings += _ranges("edit", edited, "it is not the event that was sealed")
        findings += _ranges("insert", inserted, "it was never sealed")
        findings += _ranges("insert", self.repeated, "a sealed event is repeated")
        findings += _ranges("delete", [seq for seq in missing if seq < end], "the sealed event is missing")
        findings += _ranges("reorder", self.moved, "it stands after events that were sealed later")
        return findings


def _ranges(kind: str, places: Iterable[int], detail: str) -> list[Finding]:
    findings: list[Finding] = []
    for seq in sorted(set(places)):
        if findings and findings[-1].last == seq - 1:
            findings[-1] = findings[-1]._replace(last=seq)
        else:
            findings.append(Finding(kind, seq, seq, detail))
    return findings


def _against_outside(outside: Sequence[Checkpoint], roots: dict[int, bytes], size: int) -> list[Finding]:
    findings = []
    good = max((note.size for note in outside if roots.get(note.size) == note.root), default=0)
    for note in outside:
        if note.size > size:
            why = f"a checkpoint outside seals {note.size} events and the log holds {size}"
            findings.append(Finding("truncate", size, note.size - 1, why))
        elif roots.get(note.size) != note.root:
            start = good if good < note.size else 0
            why = f"the events do not give the root that a checkpoint outside seals at size {note.size}"
            findings.append(Finding("rewrite", start, note.size - 1, why))
    return findings


# Proofs (RFC 6962, section 2.1)


def root_from_inclusion(leaf: bytes, seq: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to; ValueError if the proof has the wrong length."""
    if not 0 <= seq < size:
        raise ValueError(f"seq {seq} is not in a tree of {size}")
    node, rest, last, steps = leaf, seq, size - 1, list(path)
    while last:
        if rest & 1:
            node = sha256(b"\x01" + _take(steps) + node).digest()
        elif rest < last:
            node = sha256(b"\x01" + node + _take(steps)).digest()
        rest, last = rest >> 1, last >> 1
    if steps:
        raise ValueError("the proof is too long")
    return node


def check_consistency(first: int, first_root: bytes, second: int, second_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether the tree of `first` leaves is the beginning of the tree of `second`."""
    if not 0 < first <= second:
        return first == 0 and not path and first_root == fold(())
    if first == second:
        return not path and first_root == second_root
    try:
        return _consistent(first, first_root, second, second_root, list(path))
    except ValueError:
        return False


def _consistent(first: int, first_root: bytes, second: int, second_root: bytes, steps: list[bytes]) -> bool:
    rest, last = first - 1, second - 1
    while rest & 1:
        rest, last = rest >> 1, last >> 1
    old = new = _take(steps) if rest else first_root
    while last:
        if rest & 1:
            left = _take(steps)
            old, new = sha256(b"\x01" + left + old).digest(), sha256(b"\x01" + left + new).digest()
        elif rest < last:
            new = sha256(b"\x01" + new + _take(steps)).digest()
        rest, last = rest >> 1, last >> 1
    return not steps and old == first_root and new == second_root


def _take(steps: list[bytes]) -> bytes:
    if not steps:
        raise ValueError("the proof is too short")
    return steps.pop(0)


def check_proofs(proofs: Any, roots: dict[int, bytes]) -> list[Finding]:
    """The consistency proofs of an export against the roots that its events give."""
    findings = []
    for each in proofs:
        first, second = int(each["first"]), int(each["second"])
        path = [bytes.fromhex(step) for step in each["path"]]
        if not check_consistency(first, roots[first], second, roots[second], path):
            why = f"the tree of {second} events does not begin with the tree of {first}"
            findings.append(Finding("rewrite", first, second - 1, why))
    return findings


# Ed25519 (RFC 8032), for machines without `cryptography`

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)  # a square root of -1
_Point = tuple[int, int, int, int]  # extended coordinates: X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z


def check_signature(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the Ed25519 signature is of that message by that key."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return check_signature_slowly(public, message, signature)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def check_signature_slowly(public: bytes, message: bytes, signature: bytes) -> bool:
    """The same in Python integers, some milliseconds each: s·B = R + h·A."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, commitment = _point(public), _point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= _L:
        return False
    challenge = int.from_bytes(sha512(signature[:32] + public + message).digest(), "little") % _L
    left, right = _times(scalar, _BASE), _plus(commitment, _times(challenge, key))
    return (left[0] * right[2] - right[0] * left[2]) % _P == 0 == (left[1] * right[2] - right[1] * left[2]) % _P


def _point(encoded: bytes) -> _Point | None:
    number = int.from_bytes(encoded, "little")
    y, sign = number & (1 << 255) - 1, number >> 255
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _plus(p: _Point, q: _Point) -> _Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _P, (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: _Point) -> _Point:
    total: _Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = _plus(total, point)
        point = _plus(point, point)
        scalar >>= 1
    return total


_FOUND = _point((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
assert _FOUND is not None  # the base point: y = 4/5, x even
_BASE: _Point = _FOUND


# The command


def read_export(path: Path, outside: Sequence[str], pinned: Sequence[str]) -> tuple[Evidence, Any]:
    """What an export holds, and its proofs."""
    archive = zipfile.ZipFile(path)
    about = json.loads(archive.read("log.json"))

    def events() -> Iterator[bytes]:
        with archive.open("events.jsonl") as file:
            for line in file:
                yield line.rstrip(b"\n")

    names = sorted(name for name in archive.namelist() if name.startswith("checkpoints/") and name.endswith(".note"))
    evidence = Evidence(
        events=events,
        leaves=lambda: archive.read("leaves.bin"),
        notes=[archive.read(name).decode() for name in names],
        keys=archive.read("public-keys.txt").decode().split(),
        size=int(about["size"]),
        root=bytes.fromhex(about["root"]),
        outside=outside,
        pinned=pinned,
    )
    return evidence, json.loads(archive.read("proofs.json"))


def verify_export(path: Path, outside: Sequence[str] = (), pinned: Sequence[str] = (), *, strict: bool = False) -> Report:
    """Verify an export; the proofs are checked too, if the events stand up."""
    evidence, proofs = read_export(path, outside, pinned)
    report = verify(evidence, strict=strict)
    if not report.findings:
        sizes = {int(each[side]) for each in proofs for side in ("first", "second")}
        roots, _, _ = roots_at(map(leaf_hash, evidence.events()), sizes)
        report = report._replace(findings=check_proofs(proofs, roots))
    return report


def read_outside(paths: Iterable[Path]) -> list[str]:
    """Checkpoints kept elsewhere: files, or folders of `.note` files."""
    files = [file for path in paths for file in (sorted(path.rglob("*.note")) if path.is_dir() else [path])]
    return [file.read_text() for file in files]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Verify an exported Modelwright ledger.")
    parser.add_argument("export", type=Path)
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="a checkpoint kept elsewhere")
    parser.add_argument("--key", action="append", default=[], help="a verifier key noted elsewhere")
    parser.add_argument("--strict", action="store_true", help="also parse every event")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    try:
        report = verify_export(chosen.export, read_outside(chosen.checkpoint), chosen.key, strict=chosen.strict)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        print(f"{chosen.export} cannot be read as an export: {error}", file=sys.stderr)  # noqa: T201
        return 2
    if chosen.json:
        found = [finding._asdict() for finding in report.findings]
        print(json.dumps({"size": report.size, "root": report.root.hex(), "findings": found}))  # noqa: T201
    else:
        for finding in report.findings:
            print(finding)  # noqa: T201
        root = base64.b64encode(report.root).decode()
        verdict = f"{len(report.findings)} finding(s)" if report.findings else "nothing found"
        print(f"{report.size} events, {report.checkpoints} signed checkpoints, root {root}: {verdict}")  # noqa: T201
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
