"""Signed packages: whose key has signed which files.

A seal is a Sigstore bundle (v0.3) around a DSSE envelope around an in-toto statement that lists every file with its
SHA-256: what OpenSSF's model-signing writes and verifies, made and checked offline. Keys are ECDSA (P-256, P-384, P-521),
as there, or Ed25519, which that program does not take.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from modelwright.core.errors import Corrupt, Invalid, NotFound
from modelwright.serving.records import Seal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey
    PublicKey = EllipticCurvePublicKey | Ed25519PublicKey

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
LARGEST = 16 << 20  # bytes of a bundle
MAKE_KEY = "Make one: openssl ecparam -name prime256v1 -genkey -noout -out key.pem"


def sign(name: str, files: Mapping[str, str], key: PrivateKey) -> Seal:
    """Sign the files of a package, given the SHA-256 of each by path."""
    order = sorted(files, key=lambda path: PurePosixPath(path).parts)
    whole = hashlib.sha256(b"".join(bytes.fromhex(files[path]) for path in order)).hexdigest()
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": whole}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": []},
            "resources": [{"name": path, "algorithm": "sha256", "digest": files[path]} for path in order],
        },
    }
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    public = key.public_key()
    bundle = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": hint_of(public)}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD,
            "signatures": [{"sig": base64.b64encode(_sign(key, _framed(payload))).decode(), "keyid": ""}],
        },
    }
    return Seal(bundle=json.dumps(bundle), key=pem_of(public))


def verify(seal: Seal, files: Mapping[str, str]) -> None:
    """`Corrupt`, naming the file, unless the key of a seal has signed exactly these, given the SHA-256 of each."""
    signed = signed_files(seal)
    for path in sorted(signed.keys() ^ files.keys()):
        what = "is not among the files that were signed" if path in files else "was signed and is missing"
        raise Corrupt(f"The file {path!r} {what}.", details={"file": path})
    for path, digest in files.items():
        if signed[path] != digest:
            raise Corrupt(
                f"The file {path!r} is not the one that was signed: its SHA-256 is {digest[:12]}, not {signed[path][:12]}.",
                mend="Fetch the package again; if that does not help, ask whoever signed it.",
                details={"file": path},
            )


def verify_folder(folder: Path, bundle: Path, key: str) -> dict[str, str]:
    """What `verify` does, of a package that lies in a folder; returns the SHA-256 of each file.

    It needs no workspace and no network. Every file counts but the bundle itself; a link is no file of a package.
    """
    try:
        text = bundle.read_text(encoding="utf-8")
        paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
        if not folder.is_dir():
            raise NotFound(f"There is no folder {folder}.", mend="Name the folder with the files of the model.")
        for path in paths:
            if path.is_symlink() or not path.is_file():
                raise Corrupt(f"{path} is no plain file, and cannot have been signed.", details={"file": str(path)})
        files = {each.relative_to(folder).as_posix(): _sha256(each) for each in paths if not each.samefile(bundle)}
    except UnicodeDecodeError:
        raise Invalid(f"{bundle} is not a bundle: it is no text.") from None
    except OSError as error:
        raise NotFound(f"{error.filename or folder} cannot be read: {error.strerror}.") from None
    verify(Seal(bundle=text, key=key), files)
    return files


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def signed_files(seal: Seal) -> dict[str, str]:
    """The files that a seal speaks of, with the SHA-256 of each, once its signature has been verified with its key."""
    payload = _verified(seal)
    statement = _object(payload, "statement")
    try:
        if statement["_type"] != STATEMENT or statement["predicateType"] != PREDICATE:
            raise Invalid(f"The statement is a {str(statement['predicateType'])[:80]}, and not a signature of a model.")
        (subject,) = statement["subject"]
        resources = statement["predicate"]["resources"]
        files = {str(each["name"]): str(each["digest"]) for each in resources}
        if statement["predicate"]["serialization"]["method"] != "files" or len(files) != len(resources):
            raise Invalid("The statement does not list whole files, each once.")
        if any(each["algorithm"] != "sha256" for each in resources):
            raise Invalid("The statement lists digests other than SHA-256.")
        whole = hashlib.sha256(b"".join(bytes.fromhex(str(each["digest"])) for each in resources)).hexdigest()
        if whole != subject["digest"]["sha256"]:
            raise Invalid("The statement contradicts itself: its files do not have the digest of the whole.")
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(f"The statement lacks what a signature of a model has: {type(error).__name__}.") from None
    return files


def private_key(pem: bytes, password: bytes | None = None) -> PrivateKey:
    """A private key from its PEM; `Invalid` for one of another kind."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(pem, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if "BEGIN" in str(error) and b"PUBLIC KEY" in pem:
            raise Invalid("That is a public key, and only its private key signs.", mend="Name the private key.") from None
        if isinstance(error, TypeError) or password is not None:
            wrong = "none was given" if password is None else "it has none, or another one, than was given"
            raise Invalid(f"The key cannot be opened with its password: {wrong}.", mend="Try again.") from None
        said = str(error).partition(". ")[0].rstrip(".?")
        raise Invalid(f"That is not a private key in PEM that can be read: {said}.", mend=MAKE_KEY) from None
    _check(key.public_key())
    return key  # type: ignore[return-value]


def public_key(pem: str) -> PublicKey:
    """A public key from its PEM; `Invalid` for one of another kind."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        if "PRIVATE KEY" in pem:
            raise Invalid(
                "That is a private key, which is for signing alone.",
                mend="Name its public key: openssl pkey -in KEY.pem -pubout -out PUBLIC.pem",
            ) from None
        raise Invalid(f"That is not a public key in PEM: {str(error).partition('. ')[0].rstrip('.?')}.") from None
    return _check(key)


def pem_of(key: PublicKey) -> str:
    """A public key as PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def public_pem(private: bytes) -> str:
    """The public key, as PEM, of a private one."""
    return pem_of(private_key(private).public_key())


def hint_of(key: PublicKey) -> str:
    """By what a bundle names a key: the SHA-256 of its PEM."""
    return hashlib.sha256(pem_of(key).encode()).hexdigest()


def same_key(one: str, others: Sequence[str]) -> bool:
    """Whether a key, as PEM, is one of others."""
    return pem_of(public_key(one)) in {pem_of(public_key(other)) for other in others}


def _verified(seal: Seal) -> bytes:
    from cryptography.exceptions import InvalidSignature

    if len(seal.bundle) > LARGEST:
        raise Invalid(f"The bundle is larger than {LARGEST} bytes.")
    bundle, key = _object(seal.bundle, "bundle"), public_key(seal.key)
    try:
        envelope = bundle["dsseEnvelope"]
        (found,) = envelope["signatures"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(found["sig"], validate=True)
        if bundle["mediaType"] != BUNDLE or envelope["payloadType"] != PAYLOAD:
            raise Invalid(f"The bundle is a {str(bundle['mediaType'])[:80]}, which is not understood.")
        hint = bundle["verificationMaterial"]["publicKey"].get("hint")
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise Invalid(f"The bundle lacks what a signature has: {type(error).__name__}.") from None
    if hint not in (None, "", hint_of(key)):
        raise Corrupt("The package was signed with another key than the one it is checked with.")
    try:
        _check_signature(key, signature, _framed(payload))
    except InvalidSignature:
        raise Corrupt(
            "The signature does not verify: the list of files is not the one that was signed, or the key is another."
        ) from None
    return payload


def _framed(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed, so that no payload can be read as one of another type."""
    return f"DSSEv1 {len(PAYLOAD)} {PAYLOAD} {len(payload)} ".encode() + payload


def _sign(key: PrivateKey, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec

    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(_hash_of(key.curve.key_size)))
    return key.sign(data)


def _check_signature(key: PublicKey, signature: bytes, data: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, data, ec.ECDSA(_hash_of(key.curve.key_size)))
    else:
        key.verify(signature, data)


def _hash_of(bits: int) -> Any:
    from cryptography.hazmat.primitives import hashes

    if bits == 256:
        return hashes.SHA256()
    return hashes.SHA384() if bits == 384 else hashes.SHA512()


def _check(key: Any) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    curves = {"secp256r1", "secp384r1", "secp521r1"}
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in curves:
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    raise Invalid("The key is neither ECDSA on P-256, P-384 or P-521 nor Ed25519.", mend=MAKE_KEY)


def _object(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid(f"The {what} is not JSON.") from None
    if not isinstance(found, dict):
        raise Invalid(f"The {what} is not a JSON object.")
    return found
