"""A file over its chunks reads like the file, wherever these lie; and what lies there in their stead is not handed out."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.errors import Corrupt
from modelwright.datasets import chunkfile
from modelwright.datasets.chunks import Chunk
from modelwright.datasets.manifest import Entry

GAP = 100_000  # so far apart, chunks are not read together


class Packs:
    """Objects in memory, of which parts are read."""

    def __init__(self, packs: dict[str, bytes]) -> None:
        self.packs = packs

    def part(self, digest: str, start: int, end: int) -> Iterator[bytes]:
        content = self.packs[digest][start:end]
        yield content[:7]
        yield content[7:]


def stored(pieces: list[bytes], order: random.Random, between: list[int]) -> tuple[Packs, Entry]:
    """Pieces in two packs in any order, with something between them; and the file that they make."""
    content, chunks = {name: bytearray() for name in (b"\1" * 32, b"\2" * 32)}, {}
    for number in order.sample(range(len(pieces)), len(pieces)):
        pack = order.choice([*content])
        content[pack] += bytes(order.choice(between))
        chunks[number] = Chunk(blake3(pieces[number]).digest(), pack, len(content[pack]), len(pieces[number]))
        content[pack] += pieces[number]
    whole = b"".join(pieces)
    entry = Entry("f", len(whole), blake3(whole).digest(), False, [chunks[number] for number in range(len(pieces))])
    return Packs({name.hex(): bytes(data) for name, data in content.items()}), entry


pieces = st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=12)
reads = st.lists(st.tuples(st.integers(0, 250), st.integers(-1, 120), st.booleans()), max_size=12)


@given(pieces, st.randoms(use_true_random=False), st.sampled_from([[0], [0, 3], [0, 3, GAP]]), reads, st.integers(1, 60))
def test_it_reads_as_the_file_does_that_the_chunks_make(
    given_pieces: list[bytes], order: random.Random, between: list[int], asked: Any, kept: int
) -> None:
    blobs, entry = stored(given_pieces, order, between)
    there, file = io.BytesIO(b"".join(given_pieces)), chunkfile.ChunkFile(blobs, entry, kept)  # type: ignore[arg-type]
    for place, size, arrow in asked:
        there.seek(place)
        file.seek(place)
        found = file.read_buffer(size).to_pybytes() if arrow else file.read(size)
        assert found == there.read(size)
        assert file.tell() == max(there.tell(), place)


@pytest.mark.parametrize("damage", ["another byte", "too short", "gone but for a gap"])
def test_damage_is_told_whatever_is_read(damage: str) -> None:
    given_pieces = [bytes([number]) * 9 for number in range(5)]
    blobs, entry = stored(given_pieces, random.Random(1), [0, 3])
    last = max(entry.chunks, key=lambda chunk: (chunk.pack, chunk.start))
    pack = last.pack.hex()
    content = bytearray(blobs.packs[pack])
    content[last.start] ^= 1
    blobs.packs[pack] = {
        "another byte": bytes(content),
        "too short": bytes(content[: last.start + 4]),
        "gone but for a gap": b"",
    }[damage]
    with pytest.raises(Corrupt, match="holds something else"):
        pa.PythonFile(chunkfile.ChunkFile(blobs, entry), mode="r").read()  # type: ignore[arg-type]
