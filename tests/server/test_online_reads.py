"""Reads of features over HTTP that come at once: what is looked up for one is looked up for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from modelwright.core.errors import NotFound
from modelwright.core.wire import encode
from modelwright.features import FeatureView
from modelwright.server.features import OnlineReads
from modelwright.workspace import Workspace

VIEW = FeatureView(name="planes", entity="plane", source="dataset:planes", features=["seats"])


class Door:
    """Lets everybody in, and is never quick about work."""

    async def principal(self, request: Any) -> Any:
        return SimpleNamespace(trusted=True)

    async def allowed(self, *asked: Any) -> None: ...

    async def run(self, principal: Any, work: Callable[[], Any]) -> Any:
        await asyncio.sleep(0.01)
        return work()


async def answers(reads: OnlineReads, number: int) -> list[int]:
    body = encode({"views": ["features:planes"], "keys": [{"plane": 1}]})

    async def one() -> int:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        headers = [(b"content-type", b"application/json")]
        await reads({"type": "http", "method": "POST", "path": reads.path, "headers": headers}, receive, send)
        return int(sent[0]["status"])

    return list(await asyncio.gather(*(one() for _ in range(number))))


def test_reads_that_come_at_once_share_one_reader(embedded: Workspace) -> None:
    embedded.datasets.add("planes", pa.table({"plane": [1], "seats": [4]}))
    embedded.features.apply(VIEW)
    embedded.features.materialise("features:planes")
    made: list[int] = []

    def reader(views: Sequence[Any], *, purpose: str) -> Any:
        made.append(1)
        return embedded.features.reader(views, purpose=purpose)

    reads = OnlineReads(SimpleNamespace(features=SimpleNamespace(reader=reader)), Door())  # type: ignore[arg-type]
    assert asyncio.run(answers(reads, 20)) == [200] * 20
    assert made == [1]


def test_what_cannot_be_read_is_told_to_all_and_asked_for_again() -> None:
    made: list[int] = []

    def reader(views: Sequence[Any], *, purpose: str) -> Any:
        made.append(1)
        raise NotFound("There is no such view.")

    reads = OnlineReads(SimpleNamespace(features=SimpleNamespace(reader=reader)), Door())  # type: ignore[arg-type]
    assert asyncio.run(answers(reads, 3)) == [404] * 3
    assert asyncio.run(answers(reads, 1)) == [404]
    assert made == [1, 1]


def standing(workspace: Workspace) -> None:
    numbers = list(range(1000))
    workspace.datasets.add("planes", pa.table({"plane": numbers, "seats": [number * 3 for number in numbers]}))
    workspace.features.apply(VIEW)
    workspace.features.materialise("features:planes")


def asked(*planes: Any) -> dict[str, Any]:
    return {"views": ["features:planes"], "keys": [{"plane": plane} for plane in planes]}


def test_many_who_read_at_once_get_each_their_own_and_a_mistake_is_told_to_whoever_made_it(locked: Any) -> None:
    standing(locked.here)
    token = locked.token("ada", ("viewer", "features:planes"))

    def reads(first: int) -> None:
        with locked.client(token) as client:
            for number in range(first, first + 25):
                found = client.post("/features/online", json=asked(number, number + 500))
                assert found.json() == {
                    "names": ["seats"],
                    "rows": [[number * 3], [(number + 500) * 3]],
                    "views": ["features:planes@1"],
                }
                wrong = client.post("/features/online", json=asked("x"))
                assert wrong.status_code == 400 and "is a whole number" in wrong.json()["error"]["message"]
                assert client.post("/features/online", json=asked()).json()["rows"] == []

    with ThreadPoolExecutor(8) as clients:
        list(clients.map(reads, range(8)))


def test_who_may_no_longer_read_is_refused_at_once_on_the_same_connection(locked: Any) -> None:
    standing(locked.here)
    token = locked.token("ada", ("viewer", "features:planes"))
    with locked.client(token) as client:
        codes = [client.post("/features/online", json=asked(1)).status_code for _ in range(4)]
        locked.here.access.revoke("ada", "viewer", scope="features:planes", reason="has left")
        assert codes == [200] * 4 and client.post("/features/online", json=asked(1)).status_code in (403, 404)
        locked.here.access.revoke_all("ada", reason="has left")
        assert client.post("/features/online", json=asked(1)).status_code == 401
