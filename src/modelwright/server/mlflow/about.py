"""What a client asks before anything else: is somebody there, which version, what can it do."""

from __future__ import annotations

from typing import Any

from starlette.responses import PlainTextResponse

from modelwright.server.mlflow.routing import Call, Endpoint
from modelwright.server.routing import PUBLIC, SIGNED_IN
from modelwright.serving.mlflow import VERSION

_OFFERS = {
    "store_type": "SqlStore",
    "workspaces_enabled": False,
    "trace_archival_enabled": False,
    "multipart_uploads_enabled": False,
    "multipart_downloads_enabled": False,
    "presigned_upload_run_id_supported": False,
    "presigned_upload_model_id_supported": False,
    "features_enabled": {"gateway": False},
}


def endpoints() -> list[Endpoint]:
    """`/health`, `/version` and `/3.0/mlflow/server-info`."""
    return [
        Endpoint("GET", "/health", _health, needs=PUBLIC),
        Endpoint("GET", "/version", _version, needs=PUBLIC),
        Endpoint("GET", "/3.0/mlflow/server-info", _server_info, needs=SIGNED_IN),
    ]


async def _health(call: Call) -> Any:
    return PlainTextResponse("OK")


async def _version(call: Call) -> Any:
    return PlainTextResponse(VERSION)


async def _server_info(call: Call) -> Any:
    await call.principal()
    return _OFFERS
