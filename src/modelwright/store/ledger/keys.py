"""The keys that sign checkpoints: Ed25519, one file each, readable by their owner only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.core.errors import Unavailable
from modelwright.store.ledger.verify import Checkpoint, Key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class SigningKey:
    """A private key under the name that its signature lines carry."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.verifier = Key.make(name, private.public_key().public_bytes_raw())

    @property
    def id(self) -> str:
        """Its key id: eight hexadecimal characters."""
        return self.verifier.id.hex()

    def sign(self, text: bytes) -> bytes:
        """The 64 bytes of an Ed25519 signature."""
        return self._private.sign(text)


class Keyring:
    """The signing keys in a folder (mode 0700): `ledger-<key id>.pem`, PKCS #8, mode 0600."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create(self, name: str) -> SigningKey:
        """Make a key and keep it; it is on the disk when this returns."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        private = Ed25519PrivateKey.generate()
        key = SigningKey(name, private)
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(self._path(key.id), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        return key

    def load(self, name: str, key_id: str) -> SigningKey:
        """The key of that id, or `Unavailable` if its file is not here or holds another key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        mend = f"Restore {self._path(key_id)} from a backup: without it no checkpoint can be signed."
        try:
            private = load_pem_private_key(self._path(key_id).read_bytes(), None)
        except (OSError, ValueError) as error:
            raise Unavailable(f"The ledger's signing key {key_id} cannot be read: {error}.", mend=mend) from error
        if not isinstance(private, Ed25519PrivateKey) or SigningKey(name, private).id != key_id:
            raise Unavailable(f"The file of the ledger's signing key {key_id} holds another key.", mend=mend)
        return SigningKey(name, private)

    def _path(self, key_id: str) -> Path:
        return self.folder / f"ledger-{key_id}.pem"


def write_note(origin: str, size: int, root: bytes, keys: Sequence[SigningKey]) -> str:
    """A checkpoint as a signed note (C2SP tlog-checkpoint and signed-note)."""
    from base64 import b64encode

    text = f"{origin}\n{size}\n{b64encode(root).decode()}\n"
    lines = [
        f"\u2014 {key.verifier.name} {b64encode(key.verifier.id + key.sign(text.encode())).decode()}\n" for key in keys
    ]
    note = f"{text}\n{''.join(lines)}"
    Checkpoint.parse(note)
    return note
