"""What cannot be a version says so clearly, and leaves the version before as it was."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.refs import Ref
from modelwright.datasets import Contract, Freshness, PromisedColumn, Unique
from modelwright.datasets.csvblocks import Irregular, read_blocks
from modelwright.datasets.records import CsvFormat
from modelwright.datasets.sources import _csv
from modelwright.datasets.streams import ParquetRows, Room
from modelwright.datasets.types import TypePlan
from modelwright.store import Verdict

THINGS = Ref.parse("dataset:things")


@pytest.fixture
def things(embedded):
    embedded.datasets.add("things", pa.table({"id": np.arange(2000), "x": np.arange(2000.0)}), key="id")
    return embedded.datasets


def _untouched(datasets):
    assert [version.ref.version for version in datasets.versions(THINGS).items] == [1]
    assert datasets.read(THINGS)["id"].to_pylist() == list(range(2000))


@pytest.mark.parametrize("kept", [0, 3, 4, 100, 0.5, 0.9])
def test_a_truncated_parquet_file_is_named(things, tmp_path, kept):
    path = tmp_path / "broken.parquet"
    pq.write_table(pa.table({"id": np.arange(5000), "x": np.random.default_rng(0).normal(size=5000)}), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if isinstance(kept, float) else kept])
    with pytest.raises(Invalid, match=r"broken\.parquet is not a readable Parquet file"):
        things.add("things", path)
    _untouched(things)


@pytest.mark.parametrize("at", [4, 2000, 4000])
def test_a_parquet_file_that_was_damaged_within_is_named(things, tmp_path, at):
    path = tmp_path / "broken.parquet"
    pq.write_table(pa.table({"id": np.arange(5000)}), path, use_dictionary=False, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[at : at + 40] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(Invalid, match=r"broken\.parquet is not a readable Parquet file"):
        things.add("things", path)
    _untouched(things)


def test_times_with_different_offsets_are_the_moments_that_they_mean(embedded, write):
    path = write("t.csv", "id,at\n1,2026-03-29T02:30:00+02:00\n2,2026-03-29T00:30:00Z\n3,2026-03-28T20:30:00-04:00\n")
    embedded.datasets.add("t", path, types={"at": "time"})
    at = embedded.datasets.read("dataset:t")["at"].cast(pa.int64()).to_pylist()
    assert len(set(at)) == 1


def test_times_with_and_without_a_zone_are_not_mixed(embedded, write, tmp_path):
    path = write("mixed.csv", "id,at\n1,2026-03-29T02:30:00+02:00\n2,2026-03-29T00:30:00\n")
    with pytest.raises(Invalid, match=r"mixed\.csv.*at"):
        embedded.datasets.add("t", path, types={"at": "time"})
    zones = {"a": timezone(timedelta(hours=2)), "b": None}
    for name, zone in zones.items():
        kind = pa.timestamp("us", "+02:00") if zone else pa.timestamp("us")
        pq.write_table(pa.table({"at": pa.array([datetime(2026, 3, 29, tzinfo=zone)], kind)}), tmp_path / f"{name}.parquet")
    with pytest.raises(Invalid, match=r"Column .* is .* in .* and .* in "):
        embedded.datasets.add("t", [tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert embedded.datasets.list().items == []


def test_keys_that_repeat_are_found_with_their_rows(things):
    rows = pa.table({"id": [*range(2000), 7], "x": np.arange(2001.0)})
    version = things.add("things", rows, checks=[Unique()])
    (evidence,) = things.checks(version.ref)
    assert evidence.verdict is Verdict.FAIL
    assert "1 row repeats the id of another" in things.check(version.ref, [Unique()]).results[0].message


def test_a_column_that_changed_its_type_breaks_what_was_promised(embedded, things, write):
    with pytest.raises(Invalid, match="its type in dataset:things@1"):
        things.add("things", write("things.csv", "id,x\n1,2.5\nten,3.5\n"))
    _untouched(things)
    embedded.contracts.publish(THINGS, Contract(owner="ops", columns=[PromisedColumn(name="id", type="int")]))
    changed = things.add("things", pa.table({"id": ["a", "b"], "x": [1.0, 2.0]}))
    (kept,) = embedded.contracts.kept(changed.ref)
    assert kept.verdict is Verdict.FAIL


FULL = """
import resource, sys
import numpy as np, pyarrow as pa
import modelwright
workspace = modelwright.connect(sys.argv[1])
workspace.datasets.list()
rows = pa.table({"id": np.arange(400_000), "x": np.random.default_rng(0).normal(size=400_000)})
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    workspace.datasets.add("things", rows)
except modelwright.ModelwrightError as error:
    print(type(error).__name__, error.message)
"""


@pytest.mark.parametrize("limit", [1 << 20, pytest.param(5 << 19, marks=pytest.mark.thorough)])
def test_a_disk_that_is_full_in_the_middle_leaves_the_version_before(embedded, things, limit):
    (embedded.home.project / "modelwright.toml").touch()
    before = {each.name for each in (embedded.home.folder / "objects").rglob("*") if each.is_file()}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(embedded.home.project), str(limit)], capture_output=True, text=True
    )
    assert done.stdout.startswith("Unavailable"), done.stdout + done.stderr
    assert "could not be written" in done.stdout or "cannot be used" in done.stdout
    _untouched(things)
    left = [each for each in (embedded.home.folder / "objects").rglob("*") if each.is_file() and each.name not in before]
    assert all(len(each.name) >= 60 for each in left), left  # whole objects, which the collector finds, and nothing half


FULL_OF_FILES = """
import resource, sys
import modelwright
workspace = modelwright.connect(sys.argv[1])
workspace.datasets.list()
resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 20, 20 << 20))
try:
    workspace.datasets.add_files("noise", sys.argv[2])
except modelwright.ModelwrightError as error:
    print(type(error).__name__, error.message)
"""


def test_a_disk_that_is_full_while_packs_are_stored_beside_leaves_nothing_half(embedded, things, tmp_path):
    (embedded.home.project / "modelwright.toml").touch()
    noise = tmp_path / "noise.bin"
    noise.write_bytes(np.random.default_rng(0).bytes(80 << 20))  # the first pack cannot be stored while the next is filled
    done = subprocess.run(
        [sys.executable, "-c", FULL_OF_FILES, str(embedded.home.project), str(noise)], capture_output=True, text=True
    )
    assert done.stdout.startswith("Unavailable"), done.stdout + done.stderr
    _untouched(things)
    with pytest.raises(NotFound):
        embedded.datasets.show(Ref.parse("dataset:noise"))
    left = [each for each in (embedded.home.folder / "objects" / ".incoming").rglob("*") if each.is_file()]
    assert not left


def test_two_writers_of_one_table_both_keep_their_version(embedded):
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            embedded.datasets.add("shared", pa.table({"id": [number]}), key="id")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    versions = embedded.datasets.versions(Ref.parse("dataset:shared")).items
    assert sorted(embedded.datasets.read(version.ref)["id"][0].as_py() for version in versions) == [0, 1, 2]
    assert all(embedded.datasets.profile(version.ref).rows == 1 for version in versions)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path):
    class Growing(type(Path())):
        """A log that somebody writes the next line to, whenever it is opened."""

        def open(self, *arguments, **options):
            with Path(self).open("a") as file:
                file.write("7,7.1")
            return super().open(*arguments, **options)

    (tmp_path / "log.csv").write_text("id,x\n1,1.25\n")
    with pytest.raises(Conflict, match="changed while it was read"):
        _csv(Growing(tmp_path / "log.csv"), TypePlan({}, {}, ""), CsvFormat(), tmp_path, Room())
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"id": [1]}), path)
    rows = ParquetRows(path)
    pq.write_table(pa.table({"id": [1, 2]}), path)
    with pytest.raises(Conflict, match="changed while it was read"):
        rows.whole()


@pytest.mark.parametrize("rows", [3, 20_000])
def test_digits_that_a_float_has_no_place_for_are_not_lost(embedded, tmp_path, rows):
    file = tmp_path / "ids.csv"
    file.write_text("id,x,big\n" + "".join(f"{10**19 + number},{number},{10**22}\n" for number in range(rows)))
    with pytest.raises(Invalid, match="line 3: column 'id' holds '10000000000000000001', whose last digits") as told:
        embedded.datasets.add("ids", file)
    assert "--type id=text" in told.value.mend
    version = embedded.datasets.add("ids", file, types={"id": "text"}, key="id")
    found = embedded.datasets.read(version.ref)
    assert found["id"][1].as_py() == "10000000000000000001" and found["big"][0].as_py() == 1e22
    with pytest.raises(Irregular):
        list(read_blocks(file, TypePlan({}, {}, ""), CsvFormat()))


def test_a_time_that_no_clock_has_is_not_fresh(embedded):
    far = pa.array([2**60, 0], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    version = embedded.datasets.add("far", pa.table({"id": [1, 2], "at": far}))
    (result,) = embedded.datasets.check(version.ref, [Freshness(max_age="1h", column="at")]).results
    assert result.verdict is Verdict.FAIL and "38504-08-17T21:30:06.846976Z, outside of the years" in result.message
