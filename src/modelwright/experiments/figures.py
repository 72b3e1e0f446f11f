"""Charts of the usual libraries as files."""

from __future__ import annotations

import io
from typing import Any

from modelwright.core.errors import Invalid

_KINDS = {"altair": ".vl.json", "matplotlib": ".png", "plotly": ".html"}
_MEDIA = {".vl.json": "application/vnd.vegalite.v5+json", ".png": "image/png", ".html": "text/html"}


def render(figure: Any, name: str) -> tuple[str, bytes, str]:
    """The name (with the ending that fits), the bytes and the media type of a chart.

    The axes that plots of pandas and seaborn give back stand for the figure that they are drawn on.
    """
    figure = _whole(figure)
    library = type(figure).__module__.partition(".")[0]
    if library not in _KINDS:
        raise Invalid(
            f"A {type(figure).__name__} of {library} is not a chart that can be kept.",
            mend="Give a chart of Altair, Matplotlib or Plotly, or use log_artifact.",
        )
    ending = _KINDS[library]
    data = {"altair": _altair, "matplotlib": _matplotlib, "plotly": _plotly}[library](figure)
    return name if name.endswith(ending) else name + ending, data, _MEDIA[ending]


def _whole(figure: Any) -> Any:
    drawn_on = getattr(figure, "figure", None)
    return drawn_on if hasattr(drawn_on, "savefig") else figure


def _altair(figure: Any) -> bytes:
    return str(figure.to_json()).encode()


def _matplotlib(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def _plotly(figure: Any) -> bytes:
    return str(figure.to_html(include_plotlyjs=True, full_html=True)).encode()
