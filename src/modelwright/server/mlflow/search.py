"""MLflow's searches over runs and experiments: the filter is ours to read, the page is encoded where it is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from modelwright.core.search import BadSearch
from modelwright.experiments.records import View
from modelwright.experiments.search import queries as runs
from modelwright.experiments.search.series import queries as series
from modelwright.server.mlflow.errors import invalid
from modelwright.server.mlflow.forms import experiment_form, run_form
from modelwright.server.mlflow.messages import Message, encode, lacking
from modelwright.server.mlflow.metrics import offset_of, token_of
from modelwright.server.mlflow.routing import Call, Endpoint
from modelwright.server.mlflow.tracking import Tracking
from modelwright.server.routing import SIGNED_IN

MOST = 50_000
MOST_DATASETS = 1000
USUAL = 1000
_VIEWS = {"ACTIVE_ONLY": View.ACTIVE, "DELETED_ONLY": View.DELETED, "ALL": View.ALL} | {
    "1": View.ACTIVE,
    "2": View.DELETED,
    "3": View.ALL,
}


class SearchRuns(Message):
    experiment_ids: list[str] = msgspec.field(default_factory=list)
    filter: str = ""
    run_view_type: str | int = "ACTIVE_ONLY"
    max_results: int = USUAL
    order_by: list[str] = msgspec.field(default_factory=list)
    page_token: str = ""


class SearchExperiments(Message):
    max_results: int = 0
    page_token: str = ""
    filter: str = ""
    order_by: list[str] = msgspec.field(default_factory=list)
    view_type: str | int = "ACTIVE_ONLY"


class SearchDatasets(Message):
    experiment_ids: list[str] = msgspec.field(default_factory=list)


class SearchEndpoints:
    """`runs/search`, `experiments/search` and `experiments/search-datasets`."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        return [
            Endpoint("POST", "/2.0/mlflow/runs/search", self.runs, needs=SIGNED_IN),
            Endpoint("POST", "/2.0/mlflow/experiments/search", self.experiments, needs=SIGNED_IN),
            Endpoint("GET", "/2.0/mlflow/experiments/search", self.experiments, needs=SIGNED_IN),
            Endpoint("POST", "/2.0/mlflow/experiments/search-datasets", self.datasets, needs=SIGNED_IN),
        ]

    async def runs(self, call: Call) -> Any:
        """A page of runs with all that they logged."""
        asked = await call.message(SearchRuns)
        _check_most(asked.max_results)
        view = _view(asked.run_view_type)
        numbers = _numbers(asked.experiment_ids)

        def work(tx: Any) -> bytes:
            scope = runs.Scope(series.numbers_of(tx, numbers), view)
            page = runs.find(
                tx, asked.filter, asked.order_by, scope, limit=asked.max_results, after=asked.page_token or None
            )
            locations = runs.locations(tx, {head.experiment for head in page.heads})
            found = [run_form(each, locations[each.head.experiment]) for each in runs.details(tx, page.heads)]
            answer: dict[str, Any] = {"runs": found} if found else {}
            if page.next:
                answer["next_page_token"] = page.next
            return encode(answer)

        return await self._searched(call, work)

    async def experiments(self, call: Call) -> Any:
        """A page of experiments."""
        asked = await call.message(SearchExperiments)
        _check_most(asked.max_results)
        view, offset = _view(asked.view_type), offset_of(asked.page_token)
        await self._tracking.default(call)

        def work(tx: Any) -> bytes:
            found, more = series.find(tx, asked.filter, asked.order_by, view, limit=asked.max_results, offset=offset)
            answer: dict[str, Any] = {"experiments": [experiment_form(each) for each in found]} if found else {}
            if more:
                answer["next_page_token"] = token_of(offset + asked.max_results)
            return encode(answer)

        return await self._searched(call, work)

    async def datasets(self, call: Call) -> Any:
        """What runs of some experiments have read."""
        asked = await call.message(SearchDatasets)
        if not asked.experiment_ids:
            raise lacking("experiment_ids")
        numbers = _numbers(asked.experiment_ids)
        found = await self._tracking.read(call, lambda tx: series.readings(tx, numbers, most=MOST_DATASETS))
        summaries = [
            {"experiment_id": str(each.experiment), "name": each.name, "digest": each.digest}
            | ({"context": each.context} if each.context else {})
            for each in found
        ]
        return {"dataset_summaries": summaries} if summaries else {}

    async def _searched(self, call: Call, work: Any) -> bytes:
        try:
            found: bytes = await self._tracking.read(call, work)
        except BadSearch as error:
            raise invalid(str(error)) from None
        return found


def _check_most(most: int) -> None:
    if most < 1:
        raise invalid(f"Invalid value {most} for parameter 'max_results' supplied: It must be a positive integer")
    if most > MOST:
        raise invalid(f"Invalid value {most} for parameter 'max_results' supplied: It must be at most {MOST}")


def _view(text: str | int) -> View:
    found = _VIEWS.get(str(text))
    if found is None:
        raise invalid(f"Invalid view type: {str(text)[:100]!r}. It is one of ACTIVE_ONLY, DELETED_ONLY and ALL.")
    return found


def _numbers(given: Sequence[str]) -> list[int]:
    """The numbers of experiments by their ids; what is no number is no experiment of ours."""
    return [int(each) for each in dict.fromkeys(given) if each.isascii() and each.isdigit() and len(each) < 10]
