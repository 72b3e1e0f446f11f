"""Signing versions: with a key that need not leave its holder, checked by whoever keeps the record and at every load."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from modelwright.core.errors import Invalid, NotFound, Refused
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.refs import Kind, Ref
from modelwright.models import queries
from modelwright.models.records import ModelSettings, ModelVersion, SignatureStanding
from modelwright.models.tables import set_seal
from modelwright.serving import Seal
from modelwright.store import Evidence, Transaction, Verdict, catalog, evidence

SIGNATURE = "signature"  # the kind of evidence
NOT_TRUSTED = "which is none of the trusted ones"
_REMEMBERED = 100_000  # files whose SHA-256 is kept


class Signatures(Room):
    """Signatures over the files of model versions: what OpenSSF's model-signing writes and verifies."""

    room, kind = "signatures", Kind.MODEL

    def __init__(self, caller: Caller, *, settings: ModelSettings = ModelSettings()) -> None:
        super().__init__(caller)
        self._settings = settings
        self._known: dict[str, str] = {}  # BLAKE3 to SHA-256, of files that were read here

    # At the caller's side

    def sign(self, ref: Ref | str, key: Path | str, *, password: str | None = None, reason: str = "") -> ModelVersion:
        """Sign a version with the private key in a PEM file. The key stays here; the signature goes on the record."""
        from modelwright.core.wire import convert
        from modelwright.serving import private_key, sign

        try:
            pem = Path(key).read_bytes()
        except OSError as error:
            raise NotFound(f"The key {key} cannot be read: {error.strerror}.") from None
        own = private_key(pem, password.encode() if password is not None else None)
        pinned, digests = self.digests(convert(ref, Ref))
        if not digests:
            raise Invalid(f"{pinned} has no files that could be signed.")
        return self.put(pinned, sign(f"{pinned.name}@{pinned.version}", digests, own), reason=reason)

    def sign_as_configured(self, version: ModelVersion) -> ModelVersion:
        """Sign what was just registered, where this workspace has a key of its own; else leave it as it is."""
        if not self._settings.signing_key or version.seal is not None or not version.record.files:
            return version
        return self.sign(version.ref, self._settings.signing_key, reason="signed when it was registered")

    # On the record

    @operation("read")
    def digests(self, tx: Transaction, ref: Ref) -> tuple[Ref, dict[str, str]]:
        """The SHA-256 of every file of a version, which is what a signature is about."""
        version = catalog.get(tx, ref)
        (found,) = queries.complete(tx, [version])
        return version.ref, self._sha256(found)

    @operation("register", event="signatures.version.signed")
    def put(self, tx: Transaction, ref: Ref, seal: Seal, *, reason: str = "") -> ModelVersion:
        """Put a signature over a version on the record, once it verifies for exactly the files that are stored.

        It becomes evidence of the kind `signature`: a pass if its key is among those that this workspace trusts, else a
        warning. `Corrupt` names the file that is not as it was signed.
        """
        from modelwright.serving import verify

        version = catalog.get(tx, ref)
        (found,) = queries.complete(tx, [version])
        verify(seal, self._sha256(found))
        set_seal(tx, version.ref, seal)
        catalog.touch(tx, version.ref)
        signed = queries.complete(tx, [catalog.get(tx, version.ref)])[0]
        tx.note(resource=version.ref, after={"key": _fingerprint(seal), "trusted": self._trusts(seal)})
        self._attest(tx, signed, seal)
        return signed

    def renew(self, tx: Transaction, version: ModelVersion) -> None:
        """Before a gate: where the key of a signature has come to count since it was judged, or counts no more, say so.

        The gate reads what is on the record, and whose signatures count is a setting of the workspace.
        """
        seal = version.seal
        if seal is None or not self._changed(tx, version, self._trusts(seal)):
            return
        made = self._attest(tx, version, seal)

        def keep() -> None:
            """The gate may refuse, and then its report names a piece of evidence that was rolled back with the rest."""
            with tx.database.transaction(tx.principal, write=True) as fresh:
                if all(each.id != made.id for each in evidence.about(fresh, version.ref, SIGNATURE)):
                    self._attest(fresh, version, seal, id=made.id)

        tx.rolled_back.append(keep)
        tx.committed.append(keep)  # the caller caught the refusal and went on with something else

    def afresh(self, tx: Transaction, ref: Ref) -> list[Evidence]:
        """What `renew` would put on the record about a version, for whoever only asks: nothing is written."""
        version = catalog.find(tx, ref) if ref.kind is Kind.MODEL else None
        (found,) = queries.complete(tx, [version]) if version is not None else (None,)
        if found is None or found.seal is None:
            return []
        standing = self._standing(found.seal)
        if not self._changed(tx, found, standing.counts):
            return []
        return [
            Evidence(
                id="",
                kind=SIGNATURE,
                subject=found.ref,
                subject_digest=found.digest,
                producer=tx.principal.effective_id,
                created_at=tx.now,
                **_worth(found, found.seal, standing),
            )
        ]

    @operation("read")
    def standing(self, tx: Transaction, ref: Ref) -> SignatureStanding | None:
        """Whose signature a version bears, and whether that key counts now; None where it is not signed.

        Nothing is verified: that is what `verify` is for, and every load.
        """
        (found,) = queries.complete(tx, [catalog.get(tx, ref)])
        return None if found.seal is None else self._standing(found.seal)

    def _standing(self, seal: Seal) -> SignatureStanding:
        try:
            counts, why = self._trusts(seal), ""
        except NotFound as error:  # a key that the settings name: a gate says so and refuses
            counts, why = False, error.message
        return SignatureStanding(key=_fingerprint(seal), counts=counts, why=why or ("" if counts else NOT_TRUSTED))

    def _changed(self, tx: Transaction, version: ModelVersion, counts: bool) -> bool:
        """Whether the newest piece of evidence says something else than what holds now."""
        latest = next(iter(evidence.about(tx, version.ref, SIGNATURE)), None)
        return latest is None or latest.figures.get("trusted") is not counts

    def _attest(self, tx: Transaction, version: ModelVersion, seal: Seal, id: str | None = None) -> Evidence:
        """Put on the record what a signature is worth here: a pass if its key is a trusted one, else a warning."""
        counts = self._trusts(seal)
        standing = SignatureStanding(key=_fingerprint(seal), counts=counts, why="" if counts else NOT_TRUSTED)
        worth = _worth(version, seal, standing)
        return evidence.attach(tx, SIGNATURE, version.ref, subject_digest=version.digest, id=id, **worth)

    @operation("read")
    def verify(self, tx: Transaction, ref: Ref, *, key: str = "") -> ModelVersion:
        """Verify the signature over a version.

        `Corrupt` names the file that was changed; `Refused` says why a signature does not count. `key`, a public key as
        PEM, stands in for those that the workspace trusts.
        """
        from modelwright.serving import same_key

        (found,) = queries.complete(tx, [catalog.get(tx, ref)])
        if found.seal is None:
            raise Refused(f"{found.ref} is not signed.", mend=f"Sign it: mw sign {found.ref} --key KEY.pem")
        self.check(found)
        if not (same_key(found.seal.key, [key]) if key else self._trusts(found.seal)):
            whose = "the one that was given" if key else "one that this workspace trusts"
            raise Refused(
                f"{found.ref} is signed, but its key is not {whose}.",
                mend="Name the PEM file of that key in [models] trusted_keys, if you trust whoever holds it.",
            )
        return found

    def check(self, version: ModelVersion, *, read: bool = True) -> None:
        """`Corrupt`, naming the file, unless what is stored is what was signed; nothing to say where it is not signed.

        Without `read`, a file that was read here before is taken for what it was then.
        """
        from modelwright.serving import verify

        if version.seal is not None:
            verify(version.seal, self._sha256(version, read=read))

    def _sha256(self, version: ModelVersion, *, read: bool = False) -> dict[str, str]:
        from modelwright.serving import telling_file

        files = version.record.files
        for path, digest in files.items():
            if read or digest not in self._known:
                hasher = hashlib.sha256()
                with telling_file(path, str(version.ref)):
                    for piece in self.blobs.stream(digest):
                        hasher.update(piece)
                if len(self._known) > _REMEMBERED:
                    self._known.clear()
                self._known[digest] = hasher.hexdigest()
        return {path: self._known[digest] for path, digest in files.items()}

    def _trusts(self, seal: Seal) -> bool:
        from modelwright.serving import public_pem, same_key

        own = [public_pem(_read(self._settings.signing_key))] if self._settings.signing_key else []
        return same_key(seal.key, [*own, *(_read(path).decode() for path in self._settings.trusted_keys)])


def _worth(version: ModelVersion, seal: Seal, standing: SignatureStanding) -> dict[str, Any]:
    """What a piece of evidence says of a signature."""
    from modelwright.serving import public_key

    kind = type(public_key(seal.key)).__name__.removesuffix("PublicKey")
    return {
        "verdict": Verdict.PASS if standing.counts else Verdict.WARN,
        "figures": {"n": len(version.record.files), "key": standing.key, "kind": kind, "trusted": standing.counts},
        "summary": f"signed with the key {standing.key[:12]}{f', {standing.why}' if standing.why else ''}",
    }


def _fingerprint(seal: Seal) -> str:
    """By what a key is named: the SHA-256 of its PEM."""
    return hashlib.sha256(seal.key.encode()).hexdigest()


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise NotFound(f"The key {path}, which [models] names, cannot be read: {error.strerror}.") from None
