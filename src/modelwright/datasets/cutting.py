"""Where files are cut into chunks: at borders that the format has, else where the content says so.

Cutting by content follows FastCDC: no cut within `LEAST` bytes of the last, a strict condition up to `AVERAGE`, a lax one
up to `MOST`, and there a cut in any case. What stands in for its gear is made for vectors: a hash of 16 bytes in eight bits
picks one position in 256, and a hash of the 32 bytes that begin there, in 64 bits, decides. All numbers in this file belong
to the format: with others equal content is cut, and stored, otherwise.
"""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

LEAST: Final = 256 << 10  # bytes of a chunk that content has cut; the last one of a file may be shorter
AVERAGE: Final = 1 << 20
MOST: Final = 4 << 20
JOINED: Final = 16 << 10  # pieces between borders are joined until they are so long
_READ: Final = 8 << 20  # a buffer of this and `MOST` is used again and again: fresh memory costs as much as the cutting
_BLOCK: Final = 128 << 10  # bytes looked at in one step: they and what is computed of them fit into a processor's cache
_WINDOW: Final = 32
_WEIGHT: Final = 157  # odd, and 5 modulo 8: its powers take every such value modulo 256
_PICKED: Final = 77
_STRICT: Final = (1 << 64) >> 14  # of one position in 256: one cut in 4 MiB
_LAX: Final = (1 << 64) >> 10  # one in 256 KiB
_MULTIPLIER: Final = 0x9E3779B97F4A7C15
_MIX: Final = 0xBF58476D1CE4E5B9

Borders = Callable[[Path], Sequence[int]]


def pieces(path: Path, borders: Sequence[int]) -> Iterator[bytes | memoryview]:
    """The content of a file as chunks: cut at the borders, and where these are far apart by content.

    Pieces shorter than `JOINED` are joined with those after them. Each lies in memory that the next one may be read into.
    """
    with path.open("rb", buffering=0) as file:
        left = path.stat().st_size
        start, room = 0, _Room()
        for end in [*_joined(borders, left), left]:
            yield from room.cut(file, end - start)
            start = end


def cuts(data: bytes | bytearray | memoryview, *, final: bool) -> list[int]:
    """Where to cut some bytes by content: the ends of the chunks.

    What is after the last end is the beginning of a chunk that may go on; with `final` there is none.
    """
    return list(_Scan().ends(data, final=final))


def borders(path: Path) -> Sequence[int]:
    """The borders that a file's format has: pages of Parquet, members of zip, tar and safetensors, the array of npy.

    A file that is not what its name says has none: it is stored as whatever it is.
    """
    find = _FORMATS.get(path.suffix.lower())
    if find is None:
        return ()
    try:
        return find(path)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, zipfile.BadZipFile, tarfile.TarError):
        return ()
    except Exception as error:
        if type(error).__module__.startswith("pyarrow"):
            return ()
        raise


def _joined(places: Sequence[int], size: int) -> Iterator[int]:
    last = 0
    for place in sorted(set(places)):
        if place - last >= JOINED and size - place >= 1:
            yield place
            last = place


class _Room:
    """Memory in which content is looked at."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._scan: _Scan | None = None

    def cut(self, file: IO[bytes], length: int) -> Iterator[bytes | memoryview]:
        """The next bytes of a file, as chunks; each is there until the next is asked for."""
        if length <= LEAST:
            if data := _exactly(file, length):
                yield data
            return
        self._scan = self._scan or _Scan()
        wanted = min(length, _READ + MOST)
        if len(self._data) < wanted:
            self._data = bytearray(wanted)
        view, held = memoryview(self._data), 0
        while length or held:
            more = min(length, len(view) - held)
            read = _fill(file, view[held : held + more])
            length = length - read if read == more else 0  # shorter meanwhile: whoever asked for the pieces sees that
            held += read
            start = 0
            for end in self._scan.ends(view[:held], final=not length):
                yield view[start:end]
                start = end
            view[: held - start] = view[start:held]
            held -= start


def _fill(file: IO[bytes], view: memoryview) -> int:
    """Read as many bytes as there is room for, or as there are."""
    done = 0
    while done < len(view) and (read := file.readinto(view[done:])):  # type: ignore[attr-defined]
        done += read
    return done


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    while len(data) < size:
        more = file.read(size - len(data))
        if not more:
            break
        data += more
    return data


class _Scan:
    """Looks for places to cut at, from where the next one may be: what a chunk has at least is passed over."""

    def __init__(self) -> None:
        import numpy as np

        self._one, self._other = np.empty(_BLOCK + _WINDOW, np.uint8), np.empty(_BLOCK + _WINDOW, np.uint8)
        self._picked = np.empty(_BLOCK, np.bool_)

    def ends(self, data: bytes | bytearray | memoryview, *, final: bool) -> Iterator[int]:
        """The ends of chunks, as far as `data` says where they are; see `cuts`."""
        import numpy as np

        whole, start = np.frombuffer(data, np.uint8), 0
        while len(whole) - start > (LEAST if final else MOST + _WINDOW - 2):
            start = self._next(whole, start)
            yield start
        if final and start < len(whole):
            yield len(whole)

    def _next(self, whole: Any, start: int) -> int:
        last = len(whole) - _WINDOW + 1
        for low, high, limit in ((LEAST, AVERAGE, _STRICT), (AVERAGE, MOST, _LAX)):
            for first in range(start + low, min(start + high, last), _BLOCK):
                found = self._first(whole[first : min(first + _BLOCK, start + high, last) + _WINDOW - 1], limit)
                if found is not None:
                    return first + found
        return min(start + MOST, len(whole))

    def _first(self, block: Any, limit: int) -> int | None:
        """The first position that the short hash picks, and of which the long hash is below the limit."""
        import numpy as np

        short, one, other = block, self._one, self._other
        for apart in (1, 2, 4, 8):
            longer = one[: len(short) - apart]
            np.multiply(short[:-apart], np.uint8(pow(_WEIGHT, apart, 256)), out=longer)
            longer += short[apart:]
            one, other, short = other, one, longer
        count = len(block) - _WINDOW + 1
        found = np.flatnonzero(np.equal(short[:count], np.uint8(_PICKED), out=self._picked[:count]))
        words = np.ndarray((len(block) - 7,), "<u8", buffer=block, strides=(1,))
        long = words[found] * np.uint64(_MULTIPLIER)
        for place in (8, 16, 24):
            long ^= long >> np.uint64(32)
            long += words[found + place]
            long *= np.uint64(_MULTIPLIER)
        long ^= long >> np.uint64(29)
        long *= np.uint64(_MIX)
        long ^= long >> np.uint64(32)
        good = np.flatnonzero(long < np.uint64(limit))
        return int(found[good[0]]) if len(good) else None


# What formats say


def _npy(path: Path) -> Sequence[int]:
    with path.open("rb") as file:
        head = file.read(12)
    if head[:6] != b"\x93NUMPY":
        return ()
    short = head[6] == 1
    return (10 + int.from_bytes(head[8:10], "little"),) if short else (12 + int.from_bytes(head[8:12], "little"),)


def _zip(path: Path) -> Sequence[int]:
    with zipfile.ZipFile(path) as archive:
        return [*(member.header_offset for member in archive.infolist()), archive.start_dir]


def _tar(path: Path) -> Sequence[int]:
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
        return [place for member in archive for place in (member.offset, member.offset_data)]


def _safetensors(path: Path) -> Sequence[int]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > min(100 << 20, path.stat().st_size):
            return ()
        head = json.loads(file.read(size))
    tensors = [about for name, about in head.items() if name != "__metadata__"]
    return [8 + size + place for about in tensors for place in about["data_offsets"]]


def _parquet(path: Path) -> Sequence[int]:
    from modelwright.datasets.pages import page_borders

    return page_borders(path)


_FORMATS: Final[dict[str, Borders]] = {
    ".npy": _npy,
    ".npz": _zip,
    ".zip": _zip,
    ".tar": _tar,
    ".safetensors": _safetensors,
    ".parquet": _parquet,
    ".pq": _parquet,
}
