"""The hot path: reads in process and over HTTP, past the record."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from modelwright.core.clock import isoformat
from modelwright.core.errors import Invalid, Unavailable
from modelwright.features import FeatureView, count, deviation, expression, last
from modelwright.testing import serving
from modelwright.workspace import Settings, Workspace, open_workspace

MOMENT = pa.timestamp("us", tz="UTC")
NOW = datetime.now(UTC)
PAID = pa.table(
    {
        "card": ["a", "a", "b"],
        "at": pa.array([NOW - timedelta(hours=h) for h in (3, 1, 2)], MOMENT),
        "amount": [10.0, 30.0, 5.0],
        "shop": ["x", "y", "x"],
        "about": [[1.0, 0.0], [0.5, 0.5], None],
    }
)
newest = FeatureView(
    name="cards",
    entity="card",
    source="dataset:paid",
    event_time="at",
    ttl="4h",
    features=["amount", "about", expression("paid_at", '"at"')],
    request={"asked": "float"},
    on_demand=[expression("times", "asked / amount"), expression("open", "amount IS NULL")],
)
windows = FeatureView(
    name="counts",
    entity="card",
    source="dataset:paid",
    event_time="at",
    features=[count(window="150m", name="paid_often"), last("shop", window="1d", name="last_shop")],
)
VIEWS = ["features:cards", "features:counts"]
KEYS: list[dict[str, Any]] = [{"card": c, "asked": 60.0} for c in ("a", "b", "stranger")]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with open_workspace(tmp_path_factory.mktemp("reading"), settings=Settings()) as workspace:
        workspace.datasets.add("paid", PAID)
        for view in (newest, windows):
            workspace.features.apply(view)
            workspace.features.materialise(view.ref)
        yield workspace


def test_a_reader_gives_what_a_training_set_gives_now(here: Workspace) -> None:
    reader, now = here.features.reader(VIEWS), datetime.now(UTC)
    asked = pa.Table.from_pylist(KEYS).append_column("event_timestamp", pa.array([now] * 3, MOMENT))
    offline = here.features.training(asked, VIEWS).table.select(reader.names)
    assert reader.table(KEYS, now=now).equals(offline)
    rows = reader.rows(KEYS)
    assert rows[0]["about"] == [0.5, 0.5]
    assert [row["times"] for row in rows] == [2.0, 12.0, None]
    assert [row["open"] for row in rows] == [False, False, True]
    assert [row["last_shop"] for row in rows] == ["y", "x", None]
    assert rows[0]["paid_at"] == isoformat(PAID["at"][1].as_py())


def test_a_request_that_brings_less_than_a_view_wants_is_told(here: Workspace) -> None:
    with pytest.raises(Invalid, match="'asked' with every key"):
        here.features.reader(VIEWS).rows([{"card": "a"}])


def test_a_reader_refuses_what_is_too_old(here: Workspace) -> None:
    with pytest.raises(Unavailable, match="more than 1s"):
        here.features.reader(VIEWS[1:]).rows(KEYS, now=datetime.now(UTC) + timedelta(hours=1), max_age="1s")


@pytest.fixture(scope="module")
def url(here: Workspace) -> Iterator[str]:
    with serving(here) as address:
        yield address


def test_features_are_read_over_http_as_json_and_as_arrow(here: Workspace, url: str) -> None:
    body, now = {"views": VIEWS, "keys": KEYS, "now": isoformat(datetime.now(UTC))}, datetime.now(UTC)
    answer = httpx.post(f"{url}/features/online", json=body).raise_for_status().json()
    expected = here.features.reader(VIEWS).values(KEYS, now=now)
    assert answer == {"names": here.features.reader(VIEWS).names, "rows": expected,
                      "views": ["features:cards@1", "features:counts@1"]}  # fmt: skip
    arrow = httpx.post(f"{url}/features/online", json=body, headers={"accept": "application/vnd.apache.arrow.stream"})
    table = pa.ipc.open_stream(arrow.content).read_all()
    assert table.equals(here.features.reader(VIEWS).table(KEYS, now=now))


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"views": ["features:none"], "keys": []}, 404, "none"),
        ({"views": ["dataset:paid"], "keys": []}, 400, "no feature view"),
        ({"views": [], "keys": []}, 400, "No view"),
        ({"views": VIEWS, "keys": "all"}, 400, "keys"),
        ({"views": VIEWS[1:], "keys": [{"card": 1}]}, 400, "card"),
    ],
)
def test_a_read_that_makes_no_sense_is_told_what_is_wrong(url: str, body: Any, status: int, said: str) -> None:
    answer = httpx.post(f"{url}/features/online", json=body)
    assert answer.status_code == status, answer.text
    assert said in answer.text


def test_a_list_of_views_still_has_its_page(url: str) -> None:
    assert "cards" in httpx.get(f"{url}/features", headers={"accept": "text/html"}).text
    assert httpx.post(f"{url}/features/online", content=b"{}", headers={"content-type": "text/plain"}).status_code == 415


def test_nothing_stands_online_at_a_distance(url: str, tmp_path: Path) -> None:
    from modelwright.client import connect

    with connect(url) as there, pytest.raises(Unavailable, match="POST /features/online"):
        there.features.reader(VIEWS)


def test_numbers_whose_squares_no_float_holds_have_a_deviation(embedded: Workspace) -> None:
    at = pa.array([NOW - timedelta(hours=h) for h in (2, 1) * 2], MOMENT)
    rows = pa.table({"card": ["a", "a", "b", "b"], "at": at, "amount": [1.7e308, 1.7e308, 1e200, 3e200]})
    embedded.datasets.add("far", rows)
    spread = deviation("amount", window="10h", name="spread")
    view = FeatureView(name="far", entity="card", source="dataset:far", event_time="at", features=[spread])
    embedded.features.apply(view)
    embedded.features.materialise(view.ref)
    found = embedded.features.online([view.ref], [{"card": "a"}, {"card": "b"}])
    assert [row["spread"] for row in found] == [0.0, pytest.approx(2e200 / math.sqrt(2))]
