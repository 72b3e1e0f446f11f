"""Folders on this machine: read into chunks, with an index of what was read, and how they stand to a version.

A file that is as the index beside the workspace remembers it is not read again. A time that was too fresh to be told from
that of a later change is not believed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from modelwright.core.errors import Conflict, Invalid
from modelwright.core.folders import Index, Remembered, Seen, Standing, scan
from modelwright.datasets.chunks import Packer, digest_of
from modelwright.datasets.cutting import LEAST, borders, pieces
from modelwright.datasets.linking import WHOLE, Linking, is_content, is_whole
from modelwright.datasets.manifest import Entry, Page

FRESH: Final = 50_000_000  # nanoseconds within which a file system may give two changes the same time
COARSE: Final = 2_500_000_000  # the same where times are whole seconds
_READING: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
Told = Callable[[float], None]


def store(
    root: Path,
    packer: Packer,
    index: Index,
    before: Sequence[Page],
    *,
    found: Mapping[str, Seen] | None = None,
    verify: bool = False,
    linking: Linking | None = None,
    told: Told = lambda done: None,
) -> list[Entry]:
    """Store the files of a folder and give the entries; the index is brought up to date, but not saved.

    A file that is as the index says, and whose content `before` knows by its digest, is not read, unless `verify` is set.
    `found` is what lies there, where somebody has looked already. With `linking` large files are taken over by the store.
    """
    if found is None:
        found = scan(root)
    if not found:
        raise Invalid(f"{root} holds no files.")
    held = _held(packer, before)
    by_digest = {entry.digest: entry for entry in held.values()}
    alike = _alike(held.values(), whole=linking is None)
    ready: dict[str, Entry] = {}
    ahead: dict[str, list[bytes]] = {}
    remembered: dict[str, Remembered] = {}
    files, done, top = index.files, 0, "" if root.is_file() else f"{root}{os.sep}"
    for path in sorted(found):
        seen, known = found[path], files.get(path)
        entry = None
        if known is not None and not verify and known.sure and known.seen == seen:
            entry = held.get(path)
            if entry is None or entry.digest != known.digest:
                entry = by_digest.get(known.digest)
        if entry is not None and known is not None:
            if entry.path != path or entry.executable != seen.executable:
                entry = Entry(path, seen.size, entry.digest, seen.executable, entry.chunks)
            ready[path] = entry
            remembered[path] = known
        else:
            looked, file = time.time_ns(), f"{top}{path}" if top else str(root)
            if seen.size >= WHOLE:
                entry = _known(path, file, seen, alike)
                if entry is None and linking is not None:
                    entry = linking.entry(path, file, seen)
            if entry is not None:
                ready[path] = entry
                remembered[path] = Remembered(seen, entry.digest, _sure(seen, looked))
            else:
                ahead[path], remembered[path] = taken(packer, file, seen)
        done += seen.size
        told(done)
    packer.flush()
    for path, digests in ahead.items():
        chunks = [packer.where(digest) for digest in digests]
        ready[path] = Entry(path, found[path].size, remembered[path].digest, found[path].executable, chunks)
    index.files = remembered
    index.put = {path: entry.digest for path, entry in ready.items()}
    index.executable = [path for path, entry in ready.items() if entry.executable]
    return list(ready.values())


def _held(packer: Packer, before: Sequence[Page]) -> dict[str, Entry]:
    """The entries of some pages, by their paths, whose chunks are all there."""
    found: dict[str, Entry] = {}
    for page in before:
        whole = packer.holds(chunk for entry in page.entries for chunk in entry.chunks)
        found.update({entry.path: entry for entry in page.entries if whole or packer.holds(entry.chunks)})
    return found


def _alike(entries: Iterable[Entry], *, whole: bool) -> dict[int, list[Entry]]:
    """By size the entries with which a large file is compared: those that were taken over, where it is to be cut, and else
    the others. The same content would have another digest if it were stored the other way.
    """
    found: dict[int, list[Entry]] = {}
    for entry in entries:
        if entry.size >= WHOLE and is_whole(entry) == whole:
            found.setdefault(entry.size, []).append(entry)
    return found


def _known(path: str, file: str, seen: Seen, alike: Mapping[int, Sequence[Entry]]) -> Entry | None:
    """The entry for a file whose content one of the same size has; that of the same path is looked at first."""
    for entry in sorted(alike.get(seen.size, ()), key=lambda each: each.path != path):
        if is_content(entry, Path(file)):
            if Seen.of(Path(file).stat()) != seen:
                raise _changed(file)
            return Entry(path, seen.size, entry.digest, seen.executable, entry.chunks)
    return None


def taken(packer: Packer, file: str, seen: Seen) -> tuple[list[bytes], Remembered]:
    """Give a file to the packer: the digests of its chunks, and what is to be remembered of it."""
    looked = time.time_ns()
    digests = _add(packer, file, seen)
    return digests, Remembered(seen, digest_of(digests), _sure(seen, looked))


def _add(packer: Packer, file: str, seen: Seen) -> list[bytes]:
    """The digests of a file's chunks, which are in the packer."""
    if seen.size > LEAST:
        return [packer.add(piece) for piece in content(file, seen)]
    size, now = _read_into(packer.room(seen.size + 1), file, seen.size)
    if now != seen:
        raise _changed(file)
    return [packer.added(size)] if size else []


def stand(
    root: Path,
    entries: Mapping[str, Entry],
    index: Index,
    *,
    ref: str,
    verify: bool = False,
    told: Told = lambda done: None,
) -> Standing:
    """Compare a folder with the entries of a version; the index learns what was read, but is not saved."""
    found = scan(root)
    changed, read, done = [], 0, 0
    for path, seen in found.items():
        done += 1
        told(done)
        entry = entries.get(path)
        if entry is None:
            continue
        if seen.size != entry.size or seen.executable != entry.executable:
            changed.append(path)
            continue
        digest = None if verify else known_digest(root, path, seen, index, entry)
        if digest is None:
            read += 1
            digest = learn(root, path, seen, index, entry)
        if digest != entry.digest:
            changed.append(path)
    added, removed = sorted(found.keys() - entries.keys()), sorted(entries.keys() - found.keys())
    return Standing(
        ref=ref,
        folder=str(root),
        added=added,
        removed=removed,
        changed=sorted(changed),
        same=len(found) - len(added) - len(changed),
        read=read,
    )


def known_digest(root: Path, path: str, seen: Seen, index: Index, entry: Entry) -> bytes | None:
    """The digest of a file as the index knows it; that of `entry` if it has the same content, stored otherwise."""
    known = index.digest(path, seen)
    if known is None or known == entry.digest or not seen.size == entry.size >= WHOLE:
        return known
    return entry.digest if is_content(entry, root if root.is_file() else root / path) else known


def learn(root: Path, path: str, seen: Seen, index: Index, entry: Entry | None = None) -> bytes:
    """Read a file for its digest, and remember it: that of `entry` if it has the same content, however that is stored."""
    from blake3 import blake3

    file = root if root.is_file() else root / path
    looked = time.time_ns()
    if entry is not None and seen.size == entry.size >= WHOLE and is_content(entry, file):
        digest = entry.digest
        if Seen.of(file.stat()) != seen:
            raise _changed(str(file))
    else:
        digest = digest_of([blake3(piece).digest() for piece in content(str(file), seen)])
    index.files[path] = Remembered(seen, digest, _sure(seen, looked))
    return digest


def content(file: str, seen: Seen) -> Iterator[bytes | memoryview]:
    """A file as its chunks, each there until the next is asked for; `Conflict` in the end if it is not as it was seen."""
    if seen.size > LEAST:
        yield from pieces(Path(file), borders(Path(file)))
        now = Seen.of(Path(file).stat())
    else:
        room = memoryview(bytearray(seen.size + 1))
        size, now = _read_into(room, file, seen.size)
        if size:
            yield room[:size]
    if now != seen:
        raise _changed(file)


def _changed(file: str) -> Conflict:
    return Conflict(f"{file} changed while it was read.", mend="Try again when nothing writes to it.")


def _read_into(room: memoryview, file: str, size: int) -> tuple[int, Seen]:
    """Read a small file; its size, and how it is found afterwards. With as few calls as it takes, as there may be many."""
    descriptor = os.open(file, _READING)
    try:
        done = _read(descriptor, room[: size + 1])
        while 0 < done < size and (more := _read(descriptor, room[done : size + 1])):
            done += more
        return done, Seen.of(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _read(descriptor: int, room: memoryview) -> int:
    if hasattr(os, "readv"):
        return os.readv(descriptor, [room])
    piece = os.read(descriptor, len(room))  # Windows
    room[: len(piece)] = piece
    return len(piece)


def _sure(seen: Seen, looked: int) -> bool:
    coarse = seen.modified % 1_000_000_000 == 0
    return looked - seen.modified > (COARSE if coarse else FRESH)
