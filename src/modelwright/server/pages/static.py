"""The style sheet, the scripts and the icon: a fixed list, so no path of a request ever becomes a file name."""

from __future__ import annotations

import importlib
import threading
from functools import cache
from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from modelwright.core.hashing import digest_bytes
from modelwright.server.routing import PUBLIC, Guarded

_FOLDER = Path(__file__).parent.parent / "static"
_SCRIPT = "text/javascript"
_FILES = {"style.css": "text/css", "theme.js": _SCRIPT, "page.js": _SCRIPT, "icon.svg": "image/svg+xml"}
_HEADERS = {"cache-control": "public, max-age=3600"}


@cache
def static_tag() -> str:
    """A name for the files as they are, so that a browser fetches them anew when they have changed."""
    return digest_bytes(b"".join((_FOLDER / name).read_bytes() for name in _FILES))[:10]


@cache
def charts_bundle() -> bytes:
    """Vega, Vega-Lite and Vega-Embed as one script, made by vl-convert from what it ships. Takes a second, once."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")).encode()


@cache
def warm() -> None:
    """Begin to import what charts are made with, once, behind whoever asks for a first page: the next may hold some."""
    threading.Thread(target=importlib.import_module, args=("altair",), name="modelwright-charts", daemon=True).start()


def static_routes() -> list[BaseRoute]:
    """One route for each file."""
    routes: list[BaseRoute] = []
    for name, media_type in _FILES.items():
        content = (_FOLDER / name).read_bytes()

        async def endpoint(request: Request, content: bytes = content, media_type: str = media_type) -> Response:
            return Response(content, media_type=media_type, headers=_HEADERS)

        routes.append(Guarded(f"/static/{name}", endpoint, needs=PUBLIC))

    async def charts(request: Request) -> Response:
        script = await anyio.to_thread.run_sync(charts_bundle)
        return Response(script, media_type="text/javascript", headers=_HEADERS)

    return [*routes, Guarded("/static/charts.js", charts, needs=PUBLIC)]
