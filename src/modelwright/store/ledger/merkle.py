"""The Merkle tree of RFC 6962, grown one leaf at a time from its right frontier, and the proofs over it.

A range of leaves splits at the largest power of two below its size. The proofs are lists of the hashes of such ranges;
where those come from (memory, the database) is the caller's affair, as a function of the range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256

Range = Callable[[int, int], bytes]  # (first leaf, leaf after the last) -> the hash of that range

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


def pieces(stored: bytes) -> list[bytes]:
    """A frontier as it is stored (its hashes one after another), taken apart."""
    return [stored[at : at + HASH] for at in range(0, len(stored), HASH)]


def root(frontier: list[bytes]) -> bytes:
    """The root of the tree that a frontier stands for; the empty tree's is SHA-256 of nothing."""
    if not frontier:
        return sha256(b"").digest()
    node = frontier[-1]
    for left in reversed(frontier[:-1]):
        node = node_hash(left, node)
    return node


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over some leaf hashes, level by level: what has no neighbour on one stands on the next as it is."""
    level = list(leaves)
    while len(level) > 1:
        alone = level[-1:] if len(level) & 1 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sha256(b"\x01" + left + right).digest() for left, right in pairs] + alone
    return root(level)


def split(size: int) -> int:
    """The largest power of two below `size` (which is at least 2)."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_path(seq: int, size: int, hash_of: Range) -> list[bytes]:
    """What proves that leaf `seq` is in the tree of `size` leaves: PATH of RFC 6962, nearest sibling first."""
    start, end, path = 0, size, list[bytes]()
    while end - start > 1:
        middle = start + split(end - start)
        if seq < middle:
            path.append(hash_of(middle, end))
            end = middle
        else:
            path.append(hash_of(start, middle))
            start = middle
    return path[::-1]


def consistency_path(first: int, second: int, hash_of: Range) -> list[bytes]:
    """What proves that the tree of `first` leaves is the beginning of that of `second`: PROOF of RFC 6962."""
    if first in (0, second):
        return []
    start, end, path = 0, second, list[bytes]()
    while end != first:
        middle = start + split(end - start)
        if first <= middle:
            path.append(hash_of(middle, end))
            end = middle
        else:
            path.append(hash_of(start, middle))
            start = middle
    if start:  # the older tree ends with a range that the newer one does not name by itself
        path.append(hash_of(start, end))
    return path[::-1]
