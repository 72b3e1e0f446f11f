"""Templates, their filters, and what every page has around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import parse_qs, quote, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from modelwright import __version__
from modelwright.core.errors import Denied, ModelwrightError, NotFound, Unauthenticated
from modelwright.core.operations import Resource
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind, Ref
from modelwright.server.pages import words
from modelwright.server.pages.static import static_tag, warm
from modelwright.server.requests import SESSION_COOKIE, Doorkeeper
from modelwright.server.security import nonce_of
from modelwright.workspace import Workspace

if TYPE_CHECKING:
    import jinja2

T = TypeVar("T")
Gather = Callable[[Workspace, Request], dict[str, Any]]
PER_PAGE = 25


class Door(NamedTuple):
    """One entry of the navigation."""

    key: str
    path: str
    label: str


NAVIGATION = (
    Door("overview", "/", "Overview"),
    Door("dataset", "/datasets", "Datasets"),
    Door("features", "/features", "Features"),
    Door("pipeline", "/pipelines", "Pipelines"),
    Door("run", "/runs", "Runs"),
    Door("trace", "/traces", "Traces"),
    Door("model", "/models", "Models"),
    Door("deployment", "/deployments", "Deployments"),
    Door("monitor", "/monitors", "Monitors"),
    Door("incident", "/incidents", "Incidents"),
    Door("policy", "/policies", "Policies"),
    Door("retention", "/retention", "Retention"),
    Door("audit", "/audit", "Audit"),
)


class Pages:
    """Renders a page as a principal: the content from the rooms' operations, the frame from here."""

    def __init__(self, workspace: Workspace, door: Doorkeeper) -> None:
        self.workspace = workspace
        self.door = door

    def page(self, template: str, here: str, gather: Gather) -> Any:
        """An endpoint: `gather` runs in a worker thread as whoever asks, under their rights, and fills the template.

        What goes wrong is a page too; who is not signed in where that is required is sent to do so, and back.
        """

        async def filled(request: Request, principal: Principal) -> Response:
            return await self.door.run(principal, lambda: self.render(template, here, gather, request, principal))

        return self._answering(filled)

    def form(self, names: Sequence[str], do: Callable[[Workspace, Mapping[str, str]], Response]) -> Any:
        """An endpoint for a form on a page: `do` runs as whoever sends it, with these fields, missing ones empty."""

        async def done(request: Request, principal: Principal) -> Response:
            sent = parse_qs((await request.body()).decode("utf-8", "replace"))
            fields = {name: sent.get(name, [""])[0] for name in names}
            return await self.door.run(principal, lambda: do(self.workspace, fields))

        return self._answering(done)

    def _answering(self, answer: Callable[[Request, Principal], Awaitable[Response]]) -> Any:
        """An endpoint for whoever is signed in; errors are pages."""

        async def endpoint(request: Request) -> Response:
            try:
                principal = await self.door.principal(request)
            except Unauthenticated as error:
                return self.unauthenticated(request, error)
            try:
                return await answer(request, principal)
            except ModelwrightError as error:
                return await self.refused(request, error, principal)

        return endpoint

    def render(self, template: str, here: str, gather: Gather, request: Request, principal: Principal) -> Response:
        """The page, filled and framed. Runs as the principal already."""
        content = gather(self.workspace, request)
        return self.answer(template, {"here": here, **content}, request, principal)

    def answer(
        self, template: str, content: dict[str, Any], request: Request, principal: Principal | None, status: int = 200
    ) -> Response:
        """Content in its template and frame, which leads nowhere that the reader has no right to go. It blocks."""
        warm()
        home = self.door.home
        audits = principal is not None and self.door.lets(principal, "audit.read", Resource(Kind.WORKSPACE))
        frame = {
            "here": "",
            "navigation": [each for each in NAVIGATION if audits or each.key != "audit"] if principal else (),
            "audits": audits,
            "principal": principal,
            "program_version": __version__ if principal else "",  # strangers need not know it
            "version_tag": static_tag(),
            "workspace_name": home.settings.workspace.name,
            "simulated": home.settings.workspace.clock == "simulated",
            "now": home.clock.now(),
            "required": self.door.required,
            "nonce": nonce_of(request.state),
            "charted": False,
        }
        text = environment().get_template(template).render(**{**frame, **content})
        return HTMLResponse(text, status_code=status, headers={"cache-control": "no-store"})

    def error(self, request: Request, error: ModelwrightError, principal: Principal | None) -> Response:
        """What went wrong, as a page that says what to do."""
        return self.answer("error.html", {"error": error}, request, principal, error.status)

    async def refused(self, request: Request, error: ModelwrightError, principal: Principal) -> Response:
        """The same, for somebody, from the event loop."""
        return await self.door.run(principal, lambda: self.error(request, error, principal))

    def unauthenticated(self, request: Request, error: Unauthenticated) -> Response:
        """To the sign-in page and back; a session that is over is forgotten on the way."""
        where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        response = RedirectResponse(f"/signin?{urlencode({'next': where})}", status_code=303)
        if SESSION_COOKIE in request.cookies:
            response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
        return response


def wants_html(request: Request) -> bool:
    """Whether a person's browser asks, and not a program."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(("/api/", "/static/"))


def allowed(read: Callable[[], T]) -> T | None:
    """What a part of a page shows, or None where the reader has no right to it: the rest of the page stands."""
    try:
        return read()
    except Denied:
        return None


def known(read: Callable[[], T]) -> T | None:
    """What there is, or None where there is none (or the reader may not know that there is)."""
    try:
        return read()
    except (NotFound, Denied):
        return None


def named(request: Request, kind: Kind) -> Ref:
    """The ref that a page's address speaks of: `/models/pricing/delay@3`."""
    return Ref.parse(f"{kind.value}:{request.path_params['name']}")


def turning(request: Request, following: str | None) -> dict[str, str]:
    """The links of a list: to its next page, and back to its first."""
    kept = [(key, value) for key, value in request.query_params.multi_items() if key != "after"]
    links = {}
    if following is not None:
        links["next"] = f"{request.url.path}?{urlencode([*kept, ('after', following)])}"
    if "after" in request.query_params:
        links["first"] = f"{request.url.path}?{urlencode(kept)}" if kept else request.url.path
    return links


_PLACES = {door.key: door.path for door in NAVIGATION} | {"execution": "/executions", "alert": "/alerts"}


def path_of(ref: Ref | str) -> str:
    """The page of a ref: `/models/delay@3`. What has no page of its own has one in the record."""
    ref = Ref.parse(ref) if isinstance(ref, str) else ref
    tail = ref.name if ref.selector is None else f"{ref.name}@{ref.selector}"
    if ref.kind in (Kind.RETENTION, Kind.HOLD):
        return "/retention"
    if ref.kind is Kind.EXPERIMENT:
        return f"/runs?{urlencode({'experiment': ref.name})}"
    place = _PLACES.get(ref.kind.value)
    return f"{place}/{quote(tail, safe='/@')}" if place else f"/record/{quote(str(ref), safe='/@:')}"


@cache
def environment() -> jinja2.Environment:
    """The templates; everything that is filled in is escaped."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent.parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= words.FILTERS | {"link": lambda ref, text=None: words.link(ref, path_of, text)}
    made.globals |= {"chart": words.chart, "path_of": path_of}
    return made
