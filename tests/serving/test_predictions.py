"""The prediction log: every answer once, whatever ends the process."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from modelwright.core.clock import ManualClock
from modelwright.core.refs import Ref
from modelwright.core.signature import Column, DataType, Signature
from modelwright.serving import Arm, Call, Format, Intake, LogSettings, Manifest, Plane, PredictionLog, Route
from modelwright.serving.journal import Journal
from modelwright.serving.journal import read as read_journal
from modelwright.serving.predictions import read

START = datetime(2013, 7, 1, 12, tzinfo=UTC)
SIGNATURE = Signature(
    inputs=[
        Column(name="x", dtype=DataType.FP64, nullable=True),
        Column(name="carrier", dtype=DataType.STRING),
        Column(name="at", dtype=DataType.DATETIME),
    ],
    outputs=[Column(name="probability", dtype=DataType.FP32)],
)


class Half:
    """A model that always says 0.5."""

    manifest = Manifest(name="delay", version=3, format=Format.SKOPS, files={}, signature=SIGNATURE, digest="d3")

    def predict(self, columns: dict[str, Any]) -> dict[str, Any]:
        return {"probability": np.full(len(columns["x"]), 0.5, dtype=np.float32)}


def open_log(folder: Path, **settings: Any) -> tuple[PredictionLog, Plane]:
    log = PredictionLog(folder, ManualClock(START), LogSettings(**settings))
    plane = Plane([log])
    arm = Arm(model=Ref("model", "delay", 3), digest="d3")
    intake = Intake(unit_column="tail", time_column="at", keys=["flight"])
    plane.swap([Route(endpoint="air/delay", stable=arm, intake=intake)], {"d3": Half()})
    return log, plane


def ask(plane: Plane, request_id: str, days: int = 0, rows: int = 2, **more: Any) -> None:
    at = (START + timedelta(days=days)).isoformat()
    batch = {
        "x": [None, 1.5, *[0.0] * rows][:rows],
        "carrier": ["UA"] * rows,
        "at": [at] * rows,
        "tail": [f"N{i}" for i in range(rows)],
        "flight": list(range(rows)),
    }
    plane.predict(Call(endpoint="air/delay", batch=batch, request_id=request_id, **more))


def test_what_was_answered_is_read_back_at_once_and_after_conversion(tmp_path: Path) -> None:
    log, plane = open_log(tmp_path)
    ask(plane, "a")
    ask(plane, "b", days=1, rows=1)
    fresh = log.read("air/delay")
    assert log.flush() == 1
    assert sorted(path.parent.name for path in tmp_path.glob("*/*/*.parquet")) == ["2013-07-01", "2013-07-02"]
    assert log.read("air/delay").to_pylist() == fresh.to_pylist()
    first = fresh.to_pylist()[0]
    assert first["request_id"] == "a"
    assert first["model"] == "model:delay@3"
    assert (first["time"], first["unit"], first["key.flight"]) == (START, "N0", 0)
    assert (first["input.x"], first["input.carrier"], first["output.probability"]) == (None, "UA", 0.5)
    assert first["input.at"] == START
    assert log.endpoints() == ["air/delay"]


def test_reading_is_narrowed_to_a_time(tmp_path: Path) -> None:
    log, plane = open_log(tmp_path)
    for day in range(4):
        ask(plane, str(day), days=day, rows=1)
    log.flush()
    found = log.read("air/delay", since=START + timedelta(days=1), until=START + timedelta(days=3))
    assert found["request_id"].to_pylist() == ["1", "2"]
    assert log.read("air/delay", since=START + timedelta(days=9)).num_rows == 0
    assert log.read("nobody").num_rows == 0


def test_the_time_that_a_request_gives_is_the_time_of_the_event(tmp_path: Path) -> None:
    log, plane = open_log(tmp_path)
    ask(plane, "a", event_time=START + timedelta(days=5))
    assert set(log.read("air/delay")["time"].to_pylist()) == {START + timedelta(days=5)}


def test_versions_with_other_columns_are_read_together(tmp_path: Path) -> None:
    log, plane = open_log(tmp_path)
    ask(plane, "a", rows=1)
    log.flush()
    wider = Half()
    columns = [*SIGNATURE.inputs, Column(name="wind", dtype=DataType.INT64)]
    signature = Signature(inputs=columns, outputs=SIGNATURE.outputs)
    wider.manifest = Manifest(name="delay", version=4, format=Format.SKOPS, files={}, signature=signature, digest="d4")
    plane.swap([Route(endpoint="air/delay", stable=Arm(model=Ref("model", "delay", 4), digest="d4"))], {"d4": wider})
    batch = {"x": [1.0], "carrier": ["UA"], "at": [START.isoformat()], "wind": [9]}
    plane.predict(Call(endpoint="air/delay", batch=batch, request_id="b", event_time=START + timedelta(hours=1)))
    assert log.read("air/delay")["input.wind"].to_pylist() == [None, 9]


def test_a_conversion_that_was_cut_short_is_done_again_and_nothing_is_twice(tmp_path: Path) -> None:
    log, plane = open_log(tmp_path)
    for day in range(3):
        ask(plane, str(day), days=day, rows=1)
    (journal,) = (tmp_path / "journal").iterdir()
    content = journal.read_bytes()
    log.flush()
    # The world as a crash between the second file and the deletion of the journal leaves it.
    journal.write_bytes(content)
    sorted(tmp_path.glob("*/*/*.parquet"))[-1].unlink()
    assert read(tmp_path, "air/delay")["request_id"].to_pylist() == ["0", "1", "2"]
    again, _ = open_log(tmp_path)
    assert again.flush() == 1
    assert read(tmp_path, "air/delay")["request_id"].to_pylist() == ["0", "1", "2"]


def test_a_frame_that_was_cut_off_ends_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.journal")
    journal.append(b"one")
    journal.append(b"two")
    journal.close()
    whole = (tmp_path / "j.journal").read_bytes()
    for cut in range(len(whole)):
        (tmp_path / "j.journal").write_bytes(whole[:cut])
        assert list(read_journal(tmp_path / "j.journal")) == [b"one", b"two"][: cut // 11]


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_predictions import open_log, ask
log, plane = open_log(Path(sys.argv[1]), turn_over_rows=7, turn_over_every=0.01)
log.start()
for i in range(100000):
    ask(plane, str(i), rows=1)
    print(i, flush=True)
"""


def test_kill_9_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    answered = -1
    for round_ in range(3):
        folder = tmp_path / str(round_)
        code = WRITER.format(tests=str(Path(__file__).parent))
        process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            answered = int(line)
            if answered >= 40 + 13 * round_:
                process.send_signal(signal.SIGKILL)
                break
        for line in process.stdout:
            answered = int(line)
        process.wait()
        before = [int(each) for each in read(folder, "air/delay")["request_id"].to_pylist()]
        log, _ = open_log(folder)
        log.flush()
        after = [int(each) for each in log.read("air/delay")["request_id"].to_pylist()]
        assert sorted(before) == sorted(after) == list(range(len(after)))
        assert len(after) in (answered + 1, answered + 2)


def test_readers_see_every_prediction_once_while_it_is_converted(tmp_path: Path) -> None:
    log, plane = open_log(tmp_path, turn_over_rows=5, turn_over_every=0.001)
    log.start()
    wrong: list[int] = []
    stop = threading.Event()

    def look() -> None:
        seen = 0
        while not stop.is_set():
            ids = log.read("air/delay")["request_id"].to_pylist()
            if len(set(ids)) != len(ids) or len(ids) < seen:
                wrong.append(len(ids))
            seen = len(ids)

    reader = threading.Thread(target=look)
    reader.start()
    for i in range(300):
        ask(plane, f"{i:04}", rows=1)
    stop.set()
    reader.join()
    log.stop()
    assert wrong == []
    assert log.read("air/delay").num_rows == 300
    assert list((tmp_path / "journal").iterdir()) == []


def test_full_journals_drop_and_count_and_still_answer(tmp_path: Path) -> None:
    log, plane = open_log(tmp_path, max_journal_bytes=600)
    for i in range(20):
        ask(plane, str(i), rows=1)
    assert log.dropped > 0
    assert log.read("air/delay").num_rows == 20 - log.dropped
    log.flush()
    ask(plane, "later", rows=1)
    assert "later" in log.read("air/delay")["request_id"].to_pylist()


def test_beyond_its_size_the_oldest_days_go(tmp_path: Path) -> None:
    log, plane = open_log(tmp_path)
    for day in range(4):
        ask(plane, str(day), days=day, rows=1)
    log.flush()
    size = next(tmp_path.glob("*/*/*.parquet")).stat().st_size
    small, _ = open_log(tmp_path, max_bytes=int(2.5 * size))
    small.flush()
    assert small.read("air/delay")["request_id"].to_pylist() == ["2", "3"]
    assert all(pq.read_metadata(path).num_rows == 1 for path in tmp_path.glob("*/*/*.parquet"))
