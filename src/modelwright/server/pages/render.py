"""Templates, their filters, and what every page has around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import msgspec
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from modelwright import __version__
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import to_plain
from modelwright.server.requests import Doorkeeper
from modelwright.workspace import Workspace


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
    Door("model", "/models", "Models"),
    Door("deployment", "/deployments", "Deployments"),
    Door("monitor", "/monitors", "Monitors"),
    Door("incident", "/incidents", "Incidents"),
    Door("policy", "/policies", "Policies"),
    Door("audit", "/audit", "Audit"),
)
_PLACES = {door.key: door.path for door in NAVIGATION}


def path_of(ref: Ref | str) -> str:
    """The page of a ref: `/models/delay@3`; refs without a page of their own go to the record's page of that ref."""
    ref = Ref.parse(ref) if isinstance(ref, str) else ref
    place = _PLACES.get(ref.kind.value)
    tail = ref.name if ref.selector is None else f"{ref.name}@{ref.selector}"
    return f"{place}/{tail}" if place and ref.kind is not Kind.EVIDENCE else f"/record/{ref}"


class Pages:
    """Renders a page as a principal: the content from the rooms' operations, the frame from here."""

    def __init__(self, workspace: Workspace, door: Doorkeeper) -> None:
        self.workspace = workspace
        self.door = door

    def page(self, template: str, here: str, gather: Callable[[Workspace, Request], dict[str, Any]]) -> Any:
        """An endpoint: `gather` runs in a worker thread as whoever asks, under their rights, and fills the template."""

        async def endpoint(request: Request) -> Response:
            principal = await self.door.principal(request)
            return await self.door.run(principal, lambda: self._render(template, here, gather, request, principal))

        return endpoint

    def _render(
        self,
        template: str,
        here: str,
        gather: Callable[[Workspace, Request], dict[str, Any]],
        request: Request,
        principal: Principal,
    ) -> Response:
        content = gather(self.workspace, request)
        status = self.workspace.workspace.status()
        frame = {
            "here": here,
            "navigation": NAVIGATION,
            "principal": principal,
            "version": __version__,
            "workspace_name": status.name,
            "simulated": status.clock == "simulated",
            "now": status.now,
            "ledger_size": self.workspace.record.head().size,
            "nonce": request.state.nonce,
            "charts": {},
        }
        text = environment().get_template(template).render(**{**frame, **content})
        return HTMLResponse(text, headers={"cache-control": "no-store"})


@cache
def environment() -> jinja2.Environment:
    """The templates; everything that is filled in is escaped."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent.parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "moment": moment,
        "day": lambda at: "" if at is None else f"{at:%-d %b %Y}",
        "figure": figure,
        "count": lambda n: f"{n:,}".replace(",", "\u2009"),
        "bytes": human_bytes,
        "percent": percent,
        "short": lambda digest: Markup('<span class="digest" title="{0}">{1}</span>').format(digest, str(digest)[:12]),
        "link": link,
        "chip": chip,
        "plain": to_plain,
        "pretty": lambda value: msgspec.json.format(msgspec.json.encode(to_plain(value)), indent=2).decode(),
    }
    made.globals |= {"chart": chart, "path_of": path_of}
    return made


def moment(at: datetime | None) -> Markup:
    """A time for a person, exact on hover."""
    if at is None:
        return Markup("")
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(at.isoformat(), f"{at:%-d %b %Y, %H:%M} UTC")


def figure(value: Any, digits: int = 4) -> str:
    """A number for a person: as many digits as say something."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u2009")
    return f"{value:.{digits}g}" if abs(value) < 1e6 else f"{value:.3e}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage."""
    return "–" if share is None else f"{100 * share:.{digits}f}\u202f%"


def human_bytes(size: int | None) -> str:
    """Bytes in the unit that a person would choose."""
    if size is None:
        return "–"
    amount, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:.0f} {units[0]}" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def link(ref: Ref | str | None, text: str | None = None) -> Markup:
    """A ref as a link to its page."""
    if ref is None:
        return Markup("")
    return Markup('<a href="{}">{}</a>').format(path_of(ref), text or str(ref))


def chip(value: Any, kind: str = "") -> Markup:
    """A state or verdict as a coloured chip; the word says it too, so colour is never alone."""
    text = str(getattr(value, "value", value))
    return Markup('<span class="chip {}">{}</span>').format(kind or text.replace(" ", "_").lower(), text.replace("_", " "))


def chart(name: str, spec: dict[str, Any] | None, description: str) -> Markup:
    """A chart's place and its Vega-Lite specification; `description` is what a screen reader says."""
    if spec is None:
        return Markup("")
    import json

    body = json.dumps(spec, default=str).replace("<", "\\u003c")
    return Markup(
        '<div class="chart" role="img" aria-label="{1}" data-chart="spec-{0}"></div>'
        '<script type="application/json" id="spec-{0}">{2}</script>'
    ).format(name, description, Markup(body))  # noqa: S704 - "<" is escaped above, so the text cannot leave its element


def crumbs(*parts: tuple[str, str]) -> Sequence[tuple[str, str]]:
    """Where a page stands: (label, path) from the overview down."""
    return parts
