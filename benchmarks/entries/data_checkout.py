"""Versions of folders checked out beside DVC; see `data_versions` for where DVC comes from."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator

from benchmarks.cases import SECONDS, Bar, Case, Setting, benchmark
from benchmarks.entries.data_versions import SMALL, _dvc, _fill, _name, _run, surroundings, warmed


@benchmark("data-checkout", what="small files checked out: over another version, into nothing; as commands")
def data_checkout(setting: Setting) -> Iterator[Case]:
    """The two versions differ in 1 % of the files.

    By links: DVC links to its cache, which it made when files were added; ours to one that the first checkout by links
    fills. That one is a case by itself.
    """
    dvc, count = _dvc(), setting.size(SMALL, 500)
    environment = surroundings(setting.folder)
    ours, theirs = setting.folder / "ours", setting.folder / "theirs"
    for place in (ours, theirs):
        _fill(place / "data", count)
    (ours / "modelwright.toml").touch()

    def mw(*arguments: str) -> None:
        _run([sys.executable, "-m", "modelwright.cli", "data", *arguments], ours, environment)

    def peer(*arguments: str) -> None:
        _run([*dvc, *arguments], theirs, environment)

    def theirs_at(version: int) -> None:
        shutil.copyfile(theirs / f"{version}.txt", theirs / "data.dvc")
        peer("checkout", "-q", "--force")

    peer("init", "--no-scm", "-q")
    for version in (1, 2):
        mw("add", "data", "data")
        peer("add", "-q", "data")
        shutil.copyfile(theirs / "data.dvc", theirs / f"{version}.txt")
        if version == 1:
            for place in (ours, theirs):
                for number in random.Random(1).sample(range(count), count // 100):
                    path = place / "data" / _name(number)
                    path.unlink()  # DVC may have linked it to its cache
                    path.write_bytes(random.Random(number + 1_000_000).randbytes(2000))

    def at_two() -> None:
        mw("checkout", "dataset:data@2", "data")
        theirs_at(2)
        os.sync()

    def nothing(kind: str) -> Callable[[], None]:
        def before() -> None:
            peer("config", "cache.type", kind)
            for place in (
                ours,
                theirs,
            ):  # not removed: ext4 gives no inode again soon, and looks at each that it does not give
                if (place / "data").exists():
                    (place / "data").rename(place / f"data.{time.time_ns()}")
            os.sync()

        return before

    def unlinked() -> None:
        nothing("hardlink")()
        cache = ours / ".modelwright" / "cache" / "datasets" / "files"
        if cache.exists():
            cache.rename(ours / f"files.{time.time_ns()}")

    for label, before, arguments, times in (
        ("over a version of which 1 % differs", at_two, (), 8),
        (f"{count:,} files of 2 kB into nothing, by copy", nothing("copy"), ("--copy",), 2),
        ("by links, for the first time", unlinked, ("--link",), None),
        (f"{count:,} files of 2 kB into nothing, by links", nothing("hardlink"), ("--link",), 3),
        ("over a version of which 1 % differs, mw warm", warmed(at_two, setting.folder), (), 8),
    ):
        yield Case(
            label=label,
            unit=SECONDS,
            before=before,
            run=lambda _, more=arguments: mw("checkout", "dataset:data@1", "data", *more),
            peer=lambda _: theirs_at(1),
            against="DVC",
            runs=3,
            warmups=0,
            bar=None if times is None else Bar(times, of="times"),
        )
