"""Objects beside plain files: what content addressing, verification and atomic names cost."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.cases import MEGABYTES, Case, Setting, benchmark
from modelwright.core.hashing import digest_file
from modelwright.store.objects import Objects

CHUNK = 2**20


@benchmark("objects", what="objects in a folder: put (on disk when it returns) and verified get, beside copying the files")
def objects(setting: Setting) -> Iterator[Case]:
    """The peer copies and flushes file and folder, and after a read hashes what it copied: the same promises by hand."""
    large, number = setting.size(256, 8) * CHUNK, setting.size(1_000, 50)
    whole = setting.folder / "large.bin"
    with whole.open("wb") as file:
        for _ in range(large // CHUNK):
            file.write(secrets.token_bytes(CHUNK))
    small = setting.folder / "small"
    small.mkdir()
    pieces = [small / f"{i:04}.bin" for i in range(number)]
    for piece in pieces:
        piece.write_bytes(secrets.token_bytes(10_000))
    for label, files, amount in (
        (f"one object of {large // CHUNK} MiB", [whole], large),
        (f"{number:,} objects of 10 kB", pieces, number * 10_000),
    ):
        yield from _both_ways(setting, label, files, amount)


def _both_ways(setting: Setting, label: str, files: Sequence[Path], amount: int) -> Iterator[Case]:
    fresh = _fresh_folders(setting.folder)
    yield Case(
        label=f"put {label}",
        unit=MEGABYTES,
        amount=amount,
        before=fresh,
        run=lambda folder: _put(Objects.open(folder), files),
        peer=lambda folder: [_copy(file, folder / file.name) for file in files],
        against="copy, flush",
        runs=5,
    )
    store = Objects.open(setting.folder / f"kept-{len(files)}")
    digests = _put(store, files)
    expected = dict(zip(files, digests, strict=True))
    yield Case(
        label=f"get {label}",
        unit=MEGABYTES,
        amount=amount,
        before=fresh,
        run=lambda folder: [store.fetch(digest, folder / digest) for digest in digests],
        peer=lambda folder: [_copy_verified(file, folder / file.name, expected[file]) for file in files],
        against="copy, hash",
        runs=5,
    )


def _fresh_folders(parent: Path) -> Callable[[], Path]:
    """A way to an empty folder, after the one before is gone and everything is on disk."""
    made: list[Path] = []

    def fresh() -> Path:
        for old in made:
            shutil.rmtree(old)
        made[:] = [Path(tempfile.mkdtemp(dir=parent))]
        os.sync()
        return made[0]

    return fresh


def _put(store: Objects, files: Sequence[Path]) -> list[str]:
    return [store.put(file) for file in files]


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    for path in (target, target.parent):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _copy_verified(source: Path, target: Path, digest: str) -> None:
    shutil.copyfile(source, target)
    assert digest_file(target) == digest
