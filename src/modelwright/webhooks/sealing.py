"""Secrets at rest: AES-256-GCM under a key that lies in a file beside the database, never in it.

What is sealed for one webhook does not open for another: its id is bound in.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from modelwright.core.errors import Corrupt

KEY = 32  # bytes
NONCE = 12


class Seal:
    """Seals and opens texts. The key file is made, readable by its owner alone, when the first text is sealed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def seal(self, text: str, bound: str) -> bytes:
        """A nonce and the sealed bytes; `bound` is needed again to open them."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(NONCE)
        return nonce + AESGCM(self._key(make=True)).encrypt(nonce, text.encode(), bound.encode())

    def open(self, sealed: bytes, bound: str) -> str:
        """The text again; `Corrupt` where the key is another or the bytes were changed."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(self._key(make=False)).decrypt(sealed[:NONCE], sealed[NONCE:], bound.encode()).decode()
        except (InvalidTag, ValueError):
            raise Corrupt(
                f"The secret of {bound} does not open with the key in {self._path}.",
                mend="Put the key back that it was sealed with, or give the webhook a new secret.",
            ) from None

    def _key(self, *, make: bool) -> bytes:
        try:
            found = self._path.read_bytes()
        except FileNotFoundError:
            if not make:
                raise Corrupt(f"There is no key {self._path}.", mend="Put it back from where keys are kept.") from None
            found = self._make()
        if len(found) != KEY:
            raise Corrupt(f"{self._path} does not hold a key of {KEY} bytes.", mend="Put it back from where keys are kept.")
        return found

    def _make(self) -> bytes:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = secrets.token_bytes(KEY)
        beside = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(key)
                file.flush()
                os.fsync(file.fileno())
            os.link(beside, self._path)  # whole or not at all, and never over another's
        except FileExistsError:
            return self._path.read_bytes()
        finally:
            beside.unlink(missing_ok=True)
        return key
