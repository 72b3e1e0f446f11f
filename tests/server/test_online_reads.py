"""Reads of features over HTTP that come at once: what is looked up for one is looked up for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
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
