"""The addresses that MLflow's client prints, `#/experiments/3/runs/ab12`, as those of our pages.

What comes behind `#` never reaches a server: the page's script sends it here as `/mlflow?at=/experiments/3/runs/ab12`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from modelwright.core.errors import ModelwrightError, NotFound, Unauthenticated
from modelwright.core.names import path_for
from modelwright.core.paging import Filter, every
from modelwright.server.pages.render import Pages
from modelwright.workspace import Workspace

_EXPERIMENT: Final = r"/experiments/(?P<experiment>\d{1,18})"


class Addresses:
    """Where MLflow's addresses lead to."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def lead(self, request: Request) -> Response:
        """GET `/mlflow?at=...`: to our page of the same thing; what we have no page for leads to the overview."""
        try:
            principal = await self._pages.door.principal(request)
        except Unauthenticated as error:
            return self._pages.unauthenticated(request, error)
        asked = request.query_params.get("at", "")
        try:
            place = await self._pages.door.run(principal, lambda: place_of(self._pages.workspace, asked))
        except ModelwrightError as error:
            return await self._pages.refused(request, error, principal)
        return RedirectResponse(place, status_code=303)


def place_of(workspace: Workspace, at: str) -> str:
    """The path of our page for what follows `#` in an address of MLflow's."""
    path, _, query = at[:2000].partition("?")
    for pattern, found in _PLACES:
        if (match := re.fullmatch(pattern, path.rstrip("/"))) is not None:
            return found(workspace, {name: unquote(value or "") for name, value in match.groupdict().items()}, query)
    return "/"


def _run(_: Workspace, parts: dict[str, str], __: str) -> str:
    return f"/runs/{quote(parts['run'], safe='')}"


def _logged(_: Workspace, parts: dict[str, str], __: str) -> str:
    return f"/record/logged-model:{quote(parts['model'], safe='')}"


def _traces(workspace: Workspace, parts: dict[str, str], query: str) -> str:
    chosen = parse_qs(query).get("selectedEvaluationId") or parse_qs(query).get("selectedTraceId")
    if chosen:
        return f"/traces/{quote(chosen[0], safe='')}"
    return f"/traces?{urlencode({'experiment': _named(workspace, int(parts['experiment']))})}"


def _experiment(workspace: Workspace, parts: dict[str, str], query: str) -> str:
    if "selectedEvaluationId=" in query:
        return _traces(workspace, parts, query)
    return f"/runs?{urlencode({'experiment': _named(workspace, int(parts['experiment']))})}"


def _model(_: Workspace, parts: dict[str, str], __: str) -> str:
    version = parts.get("version")
    return f"/models/{quote(path_for(parts['name']), safe='/')}{'@' + version if version else ''}"


def _named(workspace: Workspace, number: int) -> str:
    """The name of the experiment of a number, deleted ones too."""
    for each in every(workspace.experiments.list_experiments, Filter(state="all")):
        if each.id == number:
            return each.name
    raise NotFound(f"There is no experiment {number}.", mend="See what there is: /runs")


_PLACES: Final[list[tuple[str, Callable[[Workspace, dict[str, str], str], str]]]] = [
    (rf"{_EXPERIMENT}/runs/(?P<run>[^/]+)(/.*)?", _run),
    (rf"{_EXPERIMENT}/models/(?P<model>m-[0-9a-f]+)(/.*)?", _logged),
    (rf"{_EXPERIMENT}/traces(/.*)?", _traces),
    (rf"{_EXPERIMENT}(/.*)?", _experiment),
    (r"/models/(?P<name>[^/]+)(/versions/(?P<version>\d+))?(/.*)?", _model),
    (r"/prompts/(?P<name>[^/]+)(/.*)?", _model),
]
