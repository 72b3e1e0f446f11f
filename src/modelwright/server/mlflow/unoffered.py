"""What MLflow's own server has and this one does not: said in its words, so that nobody looks for a mistake."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelwright.server.mlflow.errors import NOT_OFFERED, MlflowError
from modelwright.server.mlflow.routing import Call, Endpoint
from modelwright.server.routing import SIGNED_IN

_ALL = ("GET", "POST", "PATCH", "DELETE")

# Method and path, as in `docs/mlflow.md`, which says what to use instead.
UNOFFERED: tuple[tuple[str, str], ...] = (
    ("POST", "/graphql"),
    ("GET", "/graphql"),
    ("POST", "/v1/metrics"),
    *((method, "/gateway/{rest*}") for method in ("GET", "POST")),
    *((method, "/2.0/mlflow/gateway-proxy") for method in ("GET", "POST")),
    ("POST", "/2.0/mlflow/runs/create-promptlab-run"),
    ("GET", "/2.0/mlflow/get-trace-artifact"),
    *((method, "/3.0/jobs/{rest*}") for method in ("GET", "POST", "PATCH")),
    *((method, "/3.0/mlflow/gateway/{rest*}") for method in ("GET", "POST", "PATCH", "DELETE")),
    *((method, "/3.0/mlflow/issues") for method in ("POST",)),
    *((method, "/3.0/mlflow/issues/{rest*}") for method in ("GET", "POST", "PATCH")),
    *((method, "/3.0/mlflow/label-schemas/{rest*}") for method in ("GET", "POST", "PATCH", "DELETE")),
    *((method, "/3.0/mlflow/prompt-optimization/{rest*}") for method in ("GET", "POST", "DELETE")),
    *((method, "/3.0/mlflow/review-queues/{rest*}") for method in ("GET", "POST")),
    ("PUT", "/3.0/mlflow/scorers/online-config"),
    *((method, "/3.0/mlflow/workspaces") for method in ("GET", "POST")),
    *((method, "/3.0/mlflow/workspaces/{rest*}") for method in ("GET", "PATCH", "DELETE")),
    *((method, "/3.0/mlflow/jobs/{rest*}") for method in ("GET", "POST", "PATCH")),
    *((method, "/3.0/mlflow/mcp-servers") for method in ("GET", "POST")),
    *((method, "/3.0/mlflow/mcp-servers/{rest*}") for method in ("GET", "POST", "PATCH", "DELETE")),
    *((method, "/2.0/mlflow/users/{rest*}") for method in ("POST", "PATCH", "DELETE")),
    *((method, "/3.0/mlflow/users/{rest*}") for method in _ALL),
    *((method, "/3.0/mlflow/roles/{rest*}") for method in _ALL),
    *((method, "/2.0/mlflow/experiments/permissions/{rest*}") for method in _ALL),
    *((method, "/2.0/mlflow/registered-models/permissions/{rest*}") for method in _ALL),
    ("GET", "/2.0/mlflow/get-online-trace-details"),
    ("GET", "/2.0/mlflow/unified-traces"),
)


def endpoints(offered: Iterable[Endpoint]) -> list[Endpoint]:
    """An answer for each that nothing offered answers."""
    have = {(each.method, each.below) for each in offered}
    return [Endpoint(method, path, _refuse, needs=SIGNED_IN) for method, path in UNOFFERED if (method, path) not in have]


async def _refuse(call: Call) -> Any:
    await call.principal()
    raise MlflowError(
        NOT_OFFERED,
        f"{call.method} {call.scope['path'][:200]} is not offered by this server.",
        mend="docs/mlflow.md lists what is, and what to use instead.",
    )
