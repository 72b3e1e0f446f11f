"""The HTTP face, with a real model behind it: Open Inference v2, MLflow scoring, limits and errors."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from modelwright.core.clock import SystemClock
from modelwright.core.errors import Denied
from modelwright.core.refs import Ref
from modelwright.core.signature import Column, DataType, Signature
from modelwright.serving import (
    Arm,
    Format,
    HttpSettings,
    Intake,
    Manifest,
    Plane,
    PredictionLog,
    Route,
    ServingMetrics,
    create_app,
    load,
)

ROWS = {"hour": [3, 22], "wind": [None, 18.5], "carrier": ["AA", "UA"]}
ECHO = Signature(
    inputs=[
        Column(name="b", dtype=DataType.BOOL),
        Column(name="i", dtype=DataType.INT64),
        Column(name="f", dtype=DataType.FP64, nullable=True),
        Column(name="s", dtype=DataType.STRING),
        Column(name="t", dtype=DataType.DATETIME),
    ],
    outputs=[
        Column(name="b", dtype=DataType.BOOL),
        Column(name="i", dtype=DataType.INT64),
        Column(name="f", dtype=DataType.FP64),
        Column(name="s", dtype=DataType.STRING),
        Column(name="t", dtype=DataType.DATETIME),
    ],
)


class Echo:
    """Gives back what it is given; fails on the text `boom`."""

    manifest = Manifest(name="echo", version=1, format=Format.ONNX, files={}, signature=ECHO, digest="echo")

    def predict(self, columns: dict[str, Any]) -> dict[str, Any]:
        if "boom" in columns["s"]:
            raise RuntimeError("a secret path")
        return columns


class Server:
    """An application over two endpoints, `air/delay` (skops) and `echo`, and what it is made of."""

    def __init__(self, package: tuple[Manifest, Path], folder: Path, **settings: Any) -> None:
        manifest, files = package
        self.metrics = ServingMetrics()
        self.log = PredictionLog(folder, SystemClock())
        self.plane = Plane([self.log, self.metrics])
        delay = Route(
            endpoint="air/delay",
            stable=Arm(model=Ref("model", "delay", 1), digest=manifest.digest),
            intake=Intake(header="x-customer", keys=["flight"]),
        )
        echo = Route(endpoint="echo", stable=Arm(model=Ref("model", "echo", 1), digest="echo"))
        self.plane.swap([delay, echo], {manifest.digest: load(manifest, files), "echo": Echo()})

        async def authorize(scope: Any, endpoint: str) -> None:
            if endpoint and dict(scope["headers"]).get(b"x-who") == b"stranger":
                raise Denied(f"stranger may not serve.invoke deployment:{endpoint}.")

        app = create_app(
            self.plane,
            clock=SystemClock(),
            metrics=self.metrics,
            authorize=authorize,
            settings=HttpSettings(**settings),
        )
        self.client = TestClient(app, raise_server_exceptions=False)

    def infer(self, inputs: list[dict[str, Any]], model: str = "air/delay", **more: Any) -> Any:
        return self.client.post(f"/v2/models/{model}/infer", json={"inputs": inputs, **more})

    def invoke(self, body: Any, endpoint: str = "air/delay", **more: Any) -> Any:
        return self.client.post(f"/serving/{endpoint}/invocations", json=body, **more)


@pytest.fixture(scope="module")
def server(skops_package: tuple[Manifest, Path], tmp_path_factory: pytest.TempPathFactory) -> Server:
    return Server(skops_package, tmp_path_factory.mktemp("log"), max_body=100_000, max_rows=500)


def tensors(rows: dict[str, list[Any]], shape: list[int] | None = None) -> list[dict[str, Any]]:
    kinds = {"hour": "INT64", "wind": "FP64", "carrier": "BYTES", "flight": "INT64"}
    return [
        {"name": name, "shape": shape or [len(values)], "datatype": kinds[name], "data": values}
        for name, values in rows.items()
    ]


def echo_inputs(**changed: Any) -> list[dict[str, Any]]:
    full = {"b": ("BOOL", [True]), "i": ("INT64", [1]), "f": ("FP64", [1.5]), "s": ("BYTES", ["x"])}
    full["t"] = ("BYTES", ["2013-07-01T12:00:00Z"])
    values = {name: (kind, changed.get(name, data)) for name, (kind, data) in full.items()}
    return [{"name": n, "datatype": k, "shape": [len(d), 1], "data": d} for n, (k, d) in values.items()]


# Open Inference


def test_health_and_metadata(server: Server) -> None:
    get = server.client.get
    assert get("/v2/health/live").json() == {"live": True}
    assert get("/v2/health/ready").json() == {"ready": True}
    assert set(get("/v2").json()) == {"name", "version", "extensions"}
    assert get("/v2/").json() == get("/v2").json()
    assert get("/v2/models/air/delay/ready").json() == {"name": "air/delay", "ready": True}
    assert get("/v2/models/air/delay/versions/1/ready").status_code == 200
    shown = get("/v2/models/air/delay").json()
    assert shown["platform"] == "sklearn_skops"
    assert shown["inputs"][2] == {"name": "carrier", "datatype": "BYTES", "shape": [-1, 1]}
    index = server.client.post("/v2/repository/index", json={}).json()
    assert [(each["name"], each["state"]) for each in index] == [("air/delay", "READY"), ("echo", "READY")]


def test_columns_are_inferred_and_the_id_is_echoed(server: Server) -> None:
    answer = server.infer(tensors(ROWS), id="r-1").json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("air/delay", "1", "r-1")
    assert answer["parameters"] == {"variant": "stable"}
    label, probability = answer["outputs"]
    assert (label["name"], label["datatype"], label["shape"], label["data"]) == ("label", "INT64", [2, 1], [0, 1])
    assert probability["data"][0] < 0.5 < probability["data"][1]


def test_nested_and_flat_data_and_both_shapes_agree(server: Server) -> None:
    flat = server.infer(tensors(ROWS)).json()["outputs"]
    nested = server.infer(tensors({name: [[v] for v in values] for name, values in ROWS.items()}, [2, 1]))
    assert nested.json()["outputs"] == flat
    assert server.infer(tensors(ROWS, [2, 1])).json()["outputs"] == flat


def test_only_the_outputs_asked_for_come(server: Server) -> None:
    answer = server.infer(tensors(ROWS), outputs=[{"name": "probability"}]).json()
    assert [each["name"] for each in answer["outputs"]] == ["probability"]
    assert server.infer(tensors(ROWS), outputs=[{"name": "nothing"}]).status_code == 400


def test_large_integers_texts_booleans_times_and_nan_survive(server: Server) -> None:
    big = 2**53 + 1
    answer = server.infer(echo_inputs(i=[big], f=[None], s=["ünïcode"]), "echo").json()
    found = {each["name"]: each["data"] for each in answer["outputs"]}
    assert found == {"b": [True], "i": [big], "f": [None], "s": ["ünïcode"], "t": ["2013-07-01T12:00:00.000000Z"]}


def test_binary_tensors_go_both_ways(server: Server) -> None:
    values: dict[str, tuple[str, bytes]] = {
        "b": ("BOOL", b"\x01\x00"),
        "i": ("INT64", np.array([2**60, -1]).tobytes()),
        "f": ("FP64", np.array([np.nan, 2.5]).tobytes()),
        "s": ("BYTES", b"".join(struct.pack("<I", len(t)) + t for t in ("ä".encode(), b""))),
    }
    inputs = [
        {"name": n, "datatype": k, "shape": [2], "parameters": {"binary_data_size": len(raw)}}
        for n, (k, raw) in values.items()
    ]
    inputs.append({"name": "t", "datatype": "BYTES", "shape": [2], "data": ["2013-07-01", "2013-07-02"]})
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    body = head + b"".join(raw for _, raw in values.values())
    headers = {"inference-header-content-length": str(len(head)), "content-type": "application/octet-stream"}
    answer = server.client.post("/v2/models/echo/infer", content=body, headers=headers)
    length = int(answer.headers["inference-header-content-length"])
    outputs, tail = json.loads(answer.content[:length])["outputs"], answer.content[length:]
    at = 0
    for output in outputs:
        size = output["parameters"]["binary_data_size"]
        if output["name"] in values:
            assert tail[at : at + size] == values[output["name"]][1], output["name"]
        at += size
    assert at == len(tail)
    del headers["inference-header-content-length"]
    assert server.client.post("/v2/models/echo/infer", content=body, headers=headers).status_code == 400


@pytest.mark.parametrize("size", [-1, 3, 10_000, True])
def test_a_binary_size_that_does_not_fit_is_refused(server: Server, size: Any) -> None:
    inputs = [{"name": "i", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": size}}]
    head = json.dumps({"inputs": inputs}).encode()
    headers = {"inference-header-content-length": str(len(head))}
    answer = server.client.post("/v2/models/echo/infer", content=head + b"\0" * 8, headers=headers)
    assert answer.status_code == 400


def test_an_empty_batch_is_answered_empty(server: Server) -> None:
    answer = server.infer(tensors({name: [] for name in ROWS})).json()
    assert [each["shape"] for each in answer["outputs"]] == [[0, 1], [0, 1]]
    assert server.invoke({"dataframe_records": []}).json() == {"predictions": []}


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (tensors({**ROWS, "hour": [1.5, 2]}), "fraction"),
        (tensors({**ROWS, "hour": [None, 2]}), "not nullable"),
        (tensors({**ROWS, "carrier": ["secret value", 7]}), "BYTES"),
        (tensors({**ROWS, "wind": ["fast", 1.0]}), "holds a text"),
        (tensors(ROWS, [3]), "elements"),
        (tensors({name: [[v] for v in values] for name, values in ROWS.items()}, [1, 2]), "not nested"),
        (tensors({"hour": [1], "wind": [2.0]}), "'carrier' is missing"),
        ([*tensors(ROWS), {"name": "x", "datatype": "INT64", "shape": [2], "data": [1, 2]}], "'x'"),
        ([{"name": "hour", "datatype": "INT99", "shape": [1], "data": [1]}], "INT99"),
        ([{"name": "hour", "datatype": "INT64", "shape": [-1], "data": [1]}], "negative"),
        ([{"name": "hour", "datatype": "INT64", "shape": [1]}], "no data"),
    ],
)
def test_a_request_that_does_not_fit_is_told_why_and_not_repeated(server: Server, inputs: Any, said: str) -> None:
    answer = server.infer(inputs)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert "secret" not in answer.text
    assert set(answer.json()) == {"error"}


def test_keys_are_taken_beside_the_inputs_and_logged(server: Server) -> None:
    assert server.infer(tensors({**ROWS, "flight": [11, 12]}), id="keyed").status_code == 200
    logged = [row for row in server.log.read("air/delay").to_pylist() if row["request_id"] == "keyed"]
    assert [row["key.flight"] for row in logged] == [11, 12]


def test_the_unit_comes_from_the_header_or_the_parameter(server: Server) -> None:
    server.client.post(
        "/v2/models/air/delay/infer", json={"inputs": tensors(ROWS), "id": "h"}, headers={"x-customer": "c7"}
    )
    server.infer(tensors(ROWS), id="p", parameters={"unit": "c8", "event_time": "2013-07-01T12:00:00Z"})
    rows = {row["request_id"]: row for row in server.log.read("air/delay").to_pylist()}
    assert (rows["h"]["unit"], rows["p"]["unit"]) == ("c7", "c8")
    assert rows["p"]["time"].isoformat() == "2013-07-01T12:00:00+00:00"


def test_unknown_models_versions_paths_and_methods(server: Server) -> None:
    assert server.infer(tensors(ROWS), "nobody").status_code == 404
    assert server.infer(tensors(ROWS), "air/delay/versions/9").status_code == 404
    assert server.infer(tensors(ROWS), "air/delay/versions/x").status_code == 404
    assert server.infer(tensors(ROWS), "air/delay/versions/1").status_code == 200
    assert server.client.get("/v2/models/air/delay/infer").status_code == 405
    assert server.client.get("/v2/nothing").status_code == 404
    assert server.client.post("/v2/repository/models/air/delay/unload").status_code == 400
    for answer in (server.infer(tensors(ROWS), "nobody"), server.client.get("/v2/nothing")):
        assert set(answer.json()) == {"error"}
        assert answer.headers["x-request-id"]


def test_a_model_that_raises_is_a_500_without_its_words(server: Server) -> None:
    answer = server.infer(echo_inputs(s=["boom"]), "echo")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    answer = server.invoke({"inputs": {"b": [True], "i": [1], "s": ["boom"], "t": ["2013-07-01"]}}, "echo")
    assert (answer.status_code, answer.json()["error_code"]) == (500, "INTERNAL_ERROR")


def test_malformed_bodies(server: Server) -> None:
    for content in (b"", b"[]", b"{", b'{"inputs": 3}', b"\xff"):
        assert server.client.post("/v2/models/air/delay/infer", content=content).status_code == 400


def test_limits(server: Server) -> None:
    rows = {"hour": [1] * 501, "wind": [1.0] * 501, "carrier": ["AA"] * 501}
    assert server.infer(tensors(rows)).status_code == 413
    assert server.client.post("/v2/models/air/delay/infer", content=b" " * 100_001).status_code == 413

    def pieces():
        for _ in range(101):
            yield b" " * 1000

    assert server.client.post("/v2/models/air/delay/infer", content=pieces()).status_code == 413


def test_a_stranger_is_turned_away_and_sees_no_models(server: Server) -> None:
    who = {"x-who": "stranger"}
    answer = server.client.post("/v2/models/air/delay/infer", json={"inputs": tensors(ROWS)}, headers=who)
    assert answer.status_code == 403
    assert server.invoke({"inputs": ROWS}, headers=who).json()["error_code"] == "PERMISSION_DENIED"
    assert server.client.post("/v2/repository/index", headers=who).json() == []
    assert server.client.get("/v2/models/air/delay", headers=who).status_code == 403


# MLflow scoring


SPLIT = {
    "columns": ["hour", "wind", "carrier"],
    "data": [[3, None, "AA"], [22, 18.5, "UA"]],
}
RECORDS = [dict(zip(SPLIT["columns"], row, strict=True)) for row in SPLIT["data"]]


def test_every_form_gives_the_same_predictions(server: Server) -> None:
    expected = server.invoke({"dataframe_split": SPLIT}).json()
    assert [row["label"] for row in expected["predictions"]] == [0, 1]
    for body in (
        {"dataframe_split": {"data": SPLIT["data"]}},
        {"dataframe_split": {**SPLIT, "index": [5, 6]}, "params": {"anything": 1}},
        {"dataframe_records": RECORDS},
        {"instances": RECORDS},
        {"instances": SPLIT["data"]},
        {"inputs": ROWS},
        {"inputs": {name: [[value] for value in values] for name, values in ROWS.items()}},
    ):
        assert server.invoke(body).json() == expected, body
    csv = b'hour,wind,carrier\r\n3,,"AA"\r\n22,18.5,UA\r\n'
    answer = server.client.post("/serving/air/delay/invocations", content=csv, headers={"content-type": "text/csv"})
    assert answer.json() == expected
    sink = io.BytesIO()
    pq.write_table(pa.table(ROWS), sink)
    headers = {"content-type": "application/vnd.apache.parquet"}
    answer = server.client.post("/serving/air/delay/invocations", content=sink.getvalue(), headers=headers)
    assert answer.json() == expected
    assert "application/json" in answer.headers["content-type"]


def test_a_quoted_comma_and_a_time_go_through_csv(server: Server) -> None:
    csv = b'b,i,f,s,t\ntrue,9007199254740993,,"a, b",2013-07-01T00:00:00Z\n'
    answer = server.client.post(
        "/serving/echo/invocations", content=csv, headers={"content-type": "text/csv; charset=UTF-8"}
    )
    (row,) = answer.json()["predictions"]
    assert (row["b"], row["i"], row["f"], row["s"]) == (True, 9007199254740993, None, "a, b")


@pytest.mark.parametrize(
    "body",
    [
        [1],
        {},
        {"dataframe_split": SPLIT, "inputs": ROWS},
        {"instances": RECORDS, "other": 1},
        {"instances": RECORDS, "signature_name": "x"},
        {"dataframe_split": {"columns": ["a"]}},
        {"dataframe_split": {**SPLIT, "extra": 1}},
        {"dataframe_split": {"columns": ["hour"], "data": [[1, 2]]}},
        {"dataframe_records": {"a": 1}},
        {"inputs": {**ROWS, "hour": [1.5, 2]}},
        {"inputs": {**ROWS, "hour": [None, 2]}},
        {"inputs": {"hour": [1, 2]}},
        {"inputs": ROWS, "params": 3},
    ],
)
def test_a_body_that_does_not_fit_is_a_bad_request(server: Server, body: Any) -> None:
    answer = server.invoke(body)
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "BAD_REQUEST"
    assert set(answer.json()) == {"error_code", "message"}


@pytest.mark.parametrize(
    "kind", ["application/json; charset=latin-1", "application/json; format=pandas-split", "text/plain", "image/png"]
)
def test_other_content_types_are_415_in_plain_text(server: Server, kind: str) -> None:
    answer = server.client.post("/serving/air/delay/invocations", content=b"{}", headers={"content-type": kind})
    assert answer.status_code == 415
    assert answer.headers["content-type"].startswith("text/plain")


def test_without_a_content_type_a_body_is_json(server: Server) -> None:
    request = server.client.build_request("POST", "/serving/air/delay/invocations", content=json.dumps({"inputs": ROWS}))
    request.headers.pop("content-type", None)
    assert server.client.send(request).status_code == 200


def test_extra_columns_are_dropped_and_optional_ones_may_be_missing(server: Server) -> None:
    answer = server.invoke({"inputs": {"hour": [3], "carrier": ["AA"], "more": [1]}})
    assert answer.json()["predictions"][0]["label"] == 0


def test_ping_and_version(server: Server) -> None:
    assert server.client.get("/serving/air/delay/ping").text == "\n"
    assert server.client.get("/serving/nobody/ping").status_code == 404
    assert server.client.get("/version").text == "3.17.2"
    assert server.client.get("/ping").status_code == 404  # two endpoints and no default


def test_the_default_endpoint(skops_package: tuple[Manifest, Path], tmp_path: Path) -> None:
    chosen = Server(skops_package, tmp_path, default_endpoint="air/delay")
    assert chosen.client.post("/invocations", json={"inputs": ROWS}).status_code == 200
    assert chosen.client.get("/ping").status_code == 200


# Metrics


def test_metrics_exist_before_the_first_request_and_count_each_one(
    skops_package: tuple[Manifest, Path], tmp_path: Path
) -> None:
    fresh = Server(skops_package, tmp_path)

    def value(text: str, series: str) -> float:
        (line,) = [line for line in text.splitlines() if line.startswith(series + " ")]
        return float(line.rpartition(" ")[2])

    side = 'endpoint="air/delay",model="delay",version="1",variant="stable"'
    ok = f'modelwright_requests_total{{{side},protocol="v2",code="200"}}'
    assert value(fresh.metrics.exposition(fresh.plane), ok) == 0
    for _ in range(3):
        fresh.infer(tensors(ROWS))
    fresh.infer(tensors({"hour": [1]}))
    fresh.infer(tensors(ROWS), "some/random/path")
    text = fresh.metrics.exposition(fresh.plane, log_dropped=2)
    assert value(text, ok) == 3
    assert value(text, f'modelwright_requests_total{{{side},protocol="v2",code="400"}}') == 1
    assert value(text, f"modelwright_rows_total{{{side}}}") == 6
    assert value(text, f'modelwright_request_duration_seconds_count{{{side},protocol="v2"}}') == 4
    assert value(text, f'modelwright_request_duration_seconds_bucket{{{side},protocol="v2",le="+Inf"}}') == 4
    assert value(text, "modelwright_prediction_log_dropped_total") == 2
    assert "random" not in text
    assert text.endswith("\n")
    for line in text.splitlines():
        assert line.startswith(("# HELP ", "# TYPE ", "modelwright_"))


def test_the_number_of_series_is_bounded() -> None:
    from modelwright.serving.metrics import MAX_SERIES, Counter

    counter = Counter("modelwright_things_total", "Things.", ("name",))
    for i in range(MAX_SERIES + 5):
        counter.add(1, name=f'with "quotes" and \\ {i}')
    assert counter.dropped == 5
    assert 'modelwright_things_total{name="__other__"} 5' in counter.text()
    assert '\\"quotes\\" and \\\\ 1"' in counter.text()
