"""The history of metrics: every point of one run, and what a chart of several runs shows."""

from __future__ import annotations

import base64
import binascii
import itertools
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from modelwright.experiments import queries
from modelwright.experiments.points import Columns
from modelwright.server.mlflow.errors import invalid
from modelwright.server.mlflow.keys import run_id, wrong
from modelwright.server.mlflow.messages import Message, encode, figure, lacking
from modelwright.server.mlflow.routing import Call, Endpoint
from modelwright.server.mlflow.tracking import Tracking
from modelwright.server.routing import SIGNED_IN

MAX_RUNS = 100
MAX_BULK = 25_000
MAX_INTERVAL = 2500
_AT = "/2.0/mlflow/metrics"


class History(Message):
    needs: ClassVar[Sequence[str]] = ("metric_key",)
    run_id: str = ""
    run_uuid: str = ""
    metric_key: str = ""
    page_token: str = ""
    max_results: int | None = None


class Bulk(Message):
    needs: ClassVar[Sequence[str]] = ("metric_key",)
    run_id: list[str] = msgspec.field(default_factory=list)
    metric_key: str = ""
    max_results: int | None = None


class Interval(Message):
    needs: ClassVar[Sequence[str]] = ("metric_key",)
    run_ids: list[str] = msgspec.field(default_factory=list)
    metric_key: str = ""
    start_step: int | None = None
    end_step: int | None = None
    max_results: int | None = None


class _Point(msgspec.Struct, gc=False):
    """A point as it travels: by the thousand a struct costs a fraction of a dict."""

    key: str
    value: float | str
    timestamp: int
    step: int


class _PointOf(_Point, gc=False):
    run_id: str


class MetricEndpoints:
    """What answers below `metrics/`."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        answers = [
            ("get-history", self.history),
            ("get-history-bulk", self.bulk),
            ("get-history-bulk-interval", self.interval),
        ]
        return [Endpoint("GET", f"{_AT}/{name}", answer, needs=SIGNED_IN) for name, answer in answers]

    async def history(self, call: Call) -> Any:
        """Every point of one metric of one run, by time and then step, page by page."""
        asked = await call.message(History)
        identity = run_id(asked.run_id, asked.run_uuid)
        first = offset_of(asked.page_token)
        if asked.max_results is not None and asked.max_results <= 0:
            raise wrong(asked.max_results, "max_results", "It must be a positive integer.")

        def work(tx: Any) -> bytes | None:
            run = queries.run_identified(tx, identity)
            if run is None:
                return None
            columns = queries.points(tx, run.key, asked.metric_key)
            if columns is None:
                return b"{}"
            total = len(columns[0])
            last = total if asked.max_results is None else min(total, first + asked.max_results)
            answer: dict[str, Any] = {}
            if first < last:
                answer["metrics"] = _points(columns, range(first, last), asked.metric_key)
            if last < total:
                answer["next_page_token"] = token_of(last)
            return encode(answer)

        return await self._tracking.read_run(call, identity, work)

    async def bulk(self, call: Call) -> Any:
        """The points of one metric of several runs, run by run, as many as fit."""
        asked = await call.message(Bulk)
        most = MAX_BULK if asked.max_results is None else asked.max_results
        if not 0 < most <= MAX_BULK:
            raise wrong(asked.max_results, "max_results", f"It must be at most {MAX_BULK}, and positive.")
        found: list[_Point] = []
        for identity, columns in await self._several(call, asked.run_id, asked.metric_key):
            left = range(min(len(columns[0]), most - len(found)))
            found += _points(columns, left, asked.metric_key, identity)
        return {"metrics": found} if found else {}

    async def interval(self, call: Call) -> Any:
        """The points of several runs between two steps, thinned alike in all; the first and the last of each stay."""
        import numpy as np

        asked = await call.message(Interval)
        most = MAX_INTERVAL if asked.max_results is None else asked.max_results
        if not 0 < most <= MAX_INTERVAL:
            raise wrong(asked.max_results, "max_results", f"It must be between 1 and {MAX_INTERVAL}.")
        start, end = asked.start_step, asked.end_step
        if (start is None) != (end is None):
            raise invalid("If either start step or end step are specified, both must be specified.")
        if start is not None and end is not None and start > end:
            raise invalid(f"end_step must be greater than start_step. Found start_step={start} and end_step={end}.")
        inside: list[tuple[str, Columns]] = []
        for identity, columns in await self._several(call, asked.run_ids, asked.metric_key):
            if start is not None and end is not None:
                kept = (columns[0] >= start) & (columns[0] <= end)
                columns = columns[0][kept], columns[1][kept], columns[2][kept]
            if len(columns[0]):
                inside.append((identity, columns))
        if not inside:
            return {}
        steps = np.unique(np.concatenate([columns[0] for _, columns in inside]))
        shown = set(steps.tolist())
        if len(shown) > most:
            picked = np.unique(np.linspace(0, len(steps) - 1, most).round().astype(int))
            shown = set(steps[picked].tolist())
        found: list[Any] = []
        for identity, columns in inside:
            ends = {int(columns[0].min()), int(columns[0].max())}
            positions = [at for at, step in enumerate(columns[0].tolist()) if step in shown or step in ends]
            found += _points(columns, _at_most(most, positions), asked.metric_key, identity)
        return {"metrics": sorted(found, key=lambda point: (point.run_id, point.step, point.timestamp))}

    async def _several(self, call: Call, given: Sequence[str], key: str) -> list[tuple[str, Columns]]:
        identities = [run_id(each) for each in dict.fromkeys(given)]
        if not identities:
            raise lacking("run_ids")
        if len(identities) > MAX_RUNS:
            raise invalid(f"The points of at most {MAX_RUNS} runs can be asked for at once, not of {len(identities)}.")
        found: list[tuple[str, Columns]] = []
        for identity in identities:

            def work(tx: Any, identity: str = identity) -> list[Columns] | None:
                run = queries.run_identified(tx, identity)
                columns = None if run is None else queries.points(tx, run.key, key)
                return None if run is None else [columns] if columns is not None else []

            found += [(identity, columns) for columns in await self._tracking.read_run(call, identity, work)]
        return found


def _at_most(most: int, positions: Sequence[int]) -> Sequence[int]:
    """As many positions as are allowed, evenly, the first and the last among them: a step may have many points."""
    if len(positions) <= most:
        return positions
    spread = (len(positions) - 1) / max(most - 1, 1)
    return [positions[round(at * spread)] for at in range(most)]


def _points(columns: Columns, positions: Sequence[int], key: str, run: str = "") -> list[_Point]:
    first, last = (positions[0], positions[-1] + 1) if positions else (0, 0)
    steps, times, values = (column[first:last] for column in columns)
    if len(positions) < last - first:
        kept = [at - first for at in positions]
        steps, times, values = steps[kept], times[kept], values[kept]
    whole: list[Any] = values.tolist()
    if not all(map(math.isfinite, whole)):
        whole = [figure(value) for value in whole]
    shared = (itertools.repeat(key), whole, (times // 1000).tolist(), steps.tolist())
    return list(map(_Point, *shared)) if not run else list(map(_PointOf, *shared, itertools.repeat(run)))


def token_of(offset: int) -> str:
    """Where the next page begins, as a text that says nothing to anybody else."""
    return base64.b64encode(msgspec.json.encode({"offset": offset})).decode()


def offset_of(token: str) -> int:
    """Where a page begins."""
    if not token:
        return 0
    try:
        found = msgspec.json.decode(base64.b64decode(token.encode(), validate=True), type=dict[str, int])
        offset = found["offset"]
    except (binascii.Error, UnicodeError, msgspec.MsgspecError, KeyError, ValueError):
        raise invalid("Invalid page token, could not base64-decode") from None
    if not 0 <= offset < 1 << 62:
        raise invalid("Invalid page token, could not base64-decode")
    return offset
