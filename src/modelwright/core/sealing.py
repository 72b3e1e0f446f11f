"""Bytes that only who has the key can read, and nobody can change: AES-256-GCM, a fresh nonce before each."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Final

NONCE: Final = 12


class Sealer:
    """One key made ready for many contents: to make it ready takes as long as to seal a few."""

    def __init__(self, key: bytes) -> None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        cipher = AESGCM(key)
        self._encrypt, self._decrypt = cipher.encrypt, cipher.decrypt
        self._wrong = (InvalidTag, ValueError)

    def seal(self, content: bytes, bound: str) -> bytes:
        """The nonce and the sealed bytes; `bound`, what they belong to, is needed again to open them."""
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._encrypt(nonce, content, bound.encode())

    def seal_all(self, contents: Iterable[tuple[bytes, str]]) -> list[bytes]:
        """`seal` of many, each with what it belongs to; their nonces are drawn together."""
        encrypt, given = self._encrypt, list(contents)
        drawn = secrets.token_bytes(NONCE * len(given))
        nonces = [drawn[at : at + NONCE] for at in range(0, len(drawn), NONCE)]
        return [
            nonce + encrypt(nonce, content, bound.encode()) for nonce, (content, bound) in zip(nonces, given, strict=True)
        ]

    def unseal(self, sealed: bytes, bound: str) -> bytes | None:
        """The content again; None where the key is another, or the bytes were changed."""
        try:
            return self._decrypt(sealed[:NONCE], sealed[NONCE:], bound.encode())
        except self._wrong:
            return None


def seal(content: bytes, key: bytes, bound: str) -> bytes:
    """`Sealer.seal` of one content."""
    return Sealer(key).seal(content, bound)


def unseal(sealed: bytes, key: bytes, bound: str) -> bytes | None:
    """`Sealer.unseal` of one content."""
    return Sealer(key).unseal(sealed, bound)
