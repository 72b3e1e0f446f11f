"""The serving log, read as predictions."""

from datetime import UTC, datetime

import pyarrow as pa

from modelwright.monitoring.logged import LoggedPredictions
from modelwright.monitoring.ports import AT, ID, MODEL, VARIANT

START = datetime(2013, 1, 1, tzinfo=UTC)


def test_inputs_and_outputs_lose_their_prefix_and_rows_get_ids():
    logged = pa.table(
        {
            "request_id": ["a", "b", "b"],
            "row": pa.array([0, 0, 1], pa.int32()),
            "time": pa.array([START] * 3, pa.timestamp("us", "UTC")),
            "answered_at": pa.array([START] * 3, pa.timestamp("us", "UTC")),
            "model": ["model:delay@1"] * 3,
            "variant": ["stable"] * 3,
            "input.distance": [1.0, 2.0, 3.0],
            "input.probability": [0.0, 0.0, 0.0],
            "key.flight": ["x", "y", "z"],
            "output.probability": [0.1, 0.2, 0.3],
            "output.score": [1.0, 2.0, 3.0],
        }
    )
    asked = []

    def read(endpoint, since, until):
        asked.append((endpoint, since, until))
        return logged

    table = LoggedPredictions(read).read("delay", START, START)
    assert asked == [("delay", START, START)]
    assert table.column(ID).to_pylist() == ["a", "b", "b/1"]
    assert set(table.column_names) == {ID, AT, MODEL, VARIANT, "distance", "probability", "output.probability", "score"}
    assert table["output.probability"].to_pylist() == [0.1, 0.2, 0.3]


def test_a_log_without_rows_has_the_columns_still(tmp_path):
    from modelwright.core.clock import SystemClock
    from modelwright.serving.predictions import PredictionLog

    table = LoggedPredictions(PredictionLog(tmp_path, SystemClock()).read).read("delay", START, START)
    assert table.num_rows == 0
    assert table.column_names == [ID, AT, MODEL, VARIANT]
