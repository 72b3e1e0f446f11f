"""The Merkle tree of RFC 6962, grown one leaf at a time from its right frontier."""

from __future__ import annotations

from hashlib import sha256

HASH = 32  # bytes of a SHA-256


def leaf_hash(body: bytes) -> bytes:
    """SHA-256(0x00 || body)."""
    return sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def extend(frontier: list[bytes], size: int, leaf: bytes) -> list[bytes]:
    """The frontier after one more leaf. A frontier holds the roots of the perfect subtrees, largest first."""
    grown, node = list(frontier), leaf
    while size & 1:
        node = node_hash(grown.pop(), node)
        size >>= 1
    return [*grown, node]


def root(frontier: list[bytes]) -> bytes:
    """The root of the tree that a frontier stands for; the empty tree's is SHA-256 of nothing."""
    if not frontier:
        return sha256(b"").digest()
    node = frontier[-1]
    for left in reversed(frontier[:-1]):
        node = node_hash(left, node)
    return node
