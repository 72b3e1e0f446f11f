"""Versions of data beside DVC and Oxen: bytes for versions that differ a little, and folders of many small files.

Neither is installed with the rest. DVC: `pip install --group peers`, or have its command on the path. Oxen: see
`oxen_side`; it is left out where it is not there.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks.cases import MEBIBYTES, SECONDS, Bar, Case, Measured, Setting, Skip, benchmark

T = TypeVar("T")
OXEN = Path(__file__).parents[1] / "oxen_side.py"
SMALL = 20_000
COLUMNS = 10


@benchmark("data-bytes", what="bytes stored for five versions of a table after the first, each a little different")
def data_bytes(setting: Setting) -> Iterator[Case]:
    """Rows appended (1 %), a block updated (1 %), a column added, scattered updates (1 %), rows deleted (0.1 %).

    The peer keeps every file whole, as DVC does: what it stores is the sum of the files, as pyarrow writes them with the
    same compression. That is arithmetic and no run of DVC.
    """
    import pyarrow.parquet as pq

    first, *others = list(_versions(setting.size(2_000_000, 100_000)))

    def ours(_: object) -> Measured:
        with _workspace(setting.folder) as workspace:
            workspace.datasets.add("table", first, key="id")
            return Measured(sum(workspace.datasets.add("table", each).stored or 0 for each in others) / 2**20)

    def whole(_: object) -> Measured:
        path, total = setting.folder / "whole.parquet", 0
        for each in others:
            pq.write_table(each, path, compression="zstd", compression_level=3)
            total += path.stat().st_size
        return Measured(total / 2**20)

    yield Case(
        label=f"five versions of {first.num_rows:,} rows of {COLUMNS} columns",
        unit=MEBIBYTES,
        run=ours,
        peer=whole,
        against="whole files, as DVC",
        runs=1,
        warmups=0,
        bar=Bar(12, of="times"),
    )


@benchmark("data-files", what="a folder of small files: added, added again with 1 % changed, its status; as commands")
def data_files(setting: Setting) -> Iterator[Case]:
    """All from the command line, with an empty store for the first add; DVC without its analytics, Oxen with a commit.

    As commands start by themselves, and as they do beside `mw warm`.
    """
    dvc, oxen, count = _dvc(), _oxen(), setting.size(SMALL, 500)
    environment = surroundings(setting.folder) | {"HOME": str(setting.folder)}  # where Oxen keeps who commits

    def fresh() -> Path:
        place = Path(tempfile.mkdtemp(dir=setting.folder))
        for name in ("ours", "dvc", *(["oxen"] if oxen else [])):
            _fill(place / name / "data", count)
        (place / "ours" / "modelwright.toml").touch()
        _run([*dvc, "init", "--no-scm", "-q"], place / "dvc", environment)
        if oxen:
            _run([*oxen, "init"], place / "oxen", environment)
        _run([sys.executable, "-m", "modelwright.cli", "list", "dataset"], place / "ours", environment)  # its database
        os.sync()  # what was made here is not for the first who waits for the disk
        return place

    def mw(*arguments: str) -> Callable[[Path], None]:
        command = [sys.executable, "-m", "modelwright.cli", "data", *arguments]
        return lambda place: _run(command, place / "ours", environment)

    def peers(*arguments: str) -> dict[str, Callable[[Path], None]]:
        found: dict[str, Callable[[Path], None]] = {
            "DVC": lambda place: _run([*dvc, *arguments], place / "dvc", environment)
        }
        if oxen:
            found["Oxen"] = lambda place: _run([*oxen, arguments[0]], place / "oxen", environment)
        return found

    def again() -> Path:
        place = fresh()
        for side in (mw("add", "data", "data"), *peers("add", "-q", "data").values()):
            side(place)
        return place

    def touched() -> Path:
        place = again()
        for side in place.iterdir():
            for number in random.Random(1).sample(range(count), count // 100):
                path = side / "data" / _name(number)
                path.unlink()  # DVC may have linked it to its cache
                path.write_bytes(random.Random(number + 1_000_000).randbytes(2000))
        os.sync()
        return place

    for label, before, own, theirs, times in (
        (f"add {count:,} files of 2 kB", fresh, ("add", "data", "data"), ("add", "-q", "data"), 10),
        ("add again, 1 % changed", touched, ("add", "data", "data"), ("add", "-q", "data"), 8),
        ("status, nothing changed", again, ("status", "data"), ("status", "-q"), 4),
        ("add again, 1 % changed, mw warm", touched, ("add", "data", "data"), ("add", "-q", "data"), 8),
    ):
        yield Case(
            label=label,
            unit=SECONDS,
            before=warmed(before, setting.folder) if label.endswith("mw warm") else before,
            run=mw(*own),
            peers=peers(*theirs),
            runs=3,
            warmups=0,
            bar=Bar(times, of="times"),
        )


@benchmark("data-large", what="one large file, and one large table, added by the command line, copied and linked")
def data_large(setting: Setting) -> Iterator[Case]:
    """Noise, and a table as Parquet, each into an empty store. Both sides copy files into their store, or link them to it.

    DVC keeps the bytes of the file; ours, but for `--files`, reads the rows, profiles them and writes them anew. The
    ratio is to the better mode of DVC.
    """
    dvc, megabytes = _dvc(), setting.size(2048, 128)
    environment = surroundings(setting.folder)
    noise, table = setting.folder / "noise.bin", setting.folder / "table.parquet"
    made = np.random.default_rng(0)
    with noise.open("wb") as file:
        for _ in range(megabytes):
            file.write(made.bytes(1 << 20))
    _write_table(table, setting.size(27_000_000, 1_000_000))

    made_last: list[Path] = []

    def fresh(source: Path) -> Callable[[], Path]:
        def make() -> Path:
            while made_last:
                shutil.rmtree(made_last.pop())
            place = Path(tempfile.mkdtemp(dir=setting.folder))
            for name in ("ours", "copying", "linking"):
                (place / name).mkdir()
                shutil.copyfile(source, place / name / source.name)
            (place / "ours" / "modelwright.toml").touch()
            for name in ("copying", "linking"):
                _run([*dvc, "init", "--no-scm", "-q"], place / name, environment)
            _run([*dvc, "config", "cache.type", "hardlink"], place / "linking", environment)
            _run([*dvc, "config", "cache.type", "copy"], place / "copying", environment)
            _run([sys.executable, "-m", "modelwright.cli", "list", "dataset"], place / "ours", environment)
            os.sync()
            made_last.append(place)
            return place

        return make

    def ours(source: Path, *options: str) -> Callable[[Path], None]:
        command = [sys.executable, "-m", "modelwright.cli", "data", "add", "it", source.name, *options]
        return lambda place: _run(command, place / "ours", environment)

    def theirs(name: str, source: Path) -> Callable[[Path], None]:
        return lambda place: _run([*dvc, "add", "-q", source.name], place / name, environment)

    for source, options, warm in (
        (noise, ("--link",), False),
        (noise, (), False),
        (table, ("--files", "--link"), False),
        (table, ("--files",), False),
        (table, (), False),
        (table, ("--files", "--link"), True),
    ):
        label = " ".join([f"add {source.name} of {source.stat().st_size >> 20:,} MiB", *options])
        yield Case(
            label=f"{label}, mw warm" if warm else label,
            unit=SECONDS,
            before=warmed(fresh(source), setting.folder) if warm else fresh(source),
            run=ours(source, *options),
            peers={"DVC, copies": theirs("copying", source), "DVC, hard links": theirs("linking", source)},
            runs=3,
            warmups=0,
            bar=Bar(3, of="times"),
        )


def surroundings(folder: Path) -> dict[str, str]:
    """The environment of commands: DVC's without its analytics, ours warm only beside what `warmed` keeps."""
    return os.environ | {"DVC_NO_ANALYTICS": "1", "XDG_RUNTIME_DIR": str(folder)}


def warmed(before: Callable[[], T], folder: Path) -> Callable[[], T]:
    """The same preparation, and then a process that keeps the program warm for what is timed next.

    It ends two minutes after the last command; the cases that it is for come last.
    """

    def prepared() -> T:
        made = before()
        command = [sys.executable, "-m", "modelwright.cli", "warm", "--idle", "2"]
        _run(command, folder, surroundings(folder))
        return made

    return prepared


def _write_table(path: Path, rows: int) -> None:
    import pyarrow.parquet as pq

    pq.write_table(next(_versions(rows)), path, compression="zstd", compression_level=3)


def _versions(rows: int) -> Iterator[Any]:
    import pyarrow as pa

    made = np.random.default_rng(0)
    few = rows // 100
    columns: dict[str, Any] = {"id": np.arange(rows), "at": np.cumsum(made.integers(0, 1000, rows))}
    columns |= {f"x{number}": np.round(made.normal(size=rows), 3) for number in range(4)}
    columns |= {f"n{number}": made.integers(0, 1000, rows) for number in range(3)}
    columns["word"] = np.array(["north", "south", "east", "west"])[made.integers(0, 4, rows)]
    table = pa.table(columns)
    yield table
    table = pa.concat_tables([table, table.slice(0, few).set_column(0, "id", pa.array(np.arange(rows, rows + few)))])
    yield table
    table = _updated(table, "x0", np.arange(rows // 2, rows // 2 + few))
    yield table
    table = table.append_column("new", pa.array(np.round(made.normal(size=rows + few), 3)))
    yield table
    table = _updated(table, "x1", made.choice(rows + few, few, replace=False))
    yield table
    yield pa.concat_tables([table.slice(0, rows // 3), table.slice(rows // 3 + rows // 1000)])


def _updated(table: Any, name: str, rows: Any) -> Any:
    import pyarrow as pa

    values = table[name].to_numpy().copy()
    values[rows] += 1
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def _workspace(parent: Path) -> Any:
    from modelwright.workspace import Settings, open_workspace

    return open_workspace(Path(tempfile.mkdtemp(dir=parent)), settings=Settings())


def _fill(folder: Path, count: int) -> None:
    for number in range(count):
        path = folder / _name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(number).randbytes(2000))


def _name(number: int) -> str:
    return f"{number % 100:02}/{number:06}.bin"


def _dvc() -> list[str]:
    found = shutil.which("dvc")
    if found is None:
        raise Skip("DVC is not installed: pip install --group peers")
    return [found]


def _oxen() -> list[str]:
    """What does a thing in Oxen; nothing where it is not there."""
    python = os.environ.get("OXEN_PYTHON")
    return [python, "-I", str(OXEN)] if python else []


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stderr}")
