"""Bytes that only who has the key can read, and nobody can change: AES-256-GCM, a fresh nonce before each."""

from __future__ import annotations

import secrets
from typing import Final

NONCE: Final = 12


def seal(content: bytes, key: bytes, bound: str) -> bytes:
    """The nonce and the sealed bytes; `bound`, what they belong to, is needed again to open them."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, content, bound.encode())


def unseal(sealed: bytes, key: bytes, bound: str) -> bytes | None:
    """The content again; None where the key is another, or the bytes were changed."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], bound.encode())
    except (InvalidTag, ValueError):
        return None
