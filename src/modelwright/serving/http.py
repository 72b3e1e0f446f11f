"""The HTTP face: one ASGI application over a plane, speaking Open Inference v2 and MLflow scoring.

    /v2 ...                              Open Inference; the model's name is the endpoint's, slashes and all
    /serving/<endpoint>/invocations      MLflow scoring of one endpoint
    /invocations, /ping, /version        MLflow scoring of the default endpoint

Nothing that a request held comes back in an error, and no word of a model's own exceptions does.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Final, NamedTuple

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from modelwright.core.clock import Clock
from modelwright.core.errors import Denied, Invalid, ModelwrightError, NotFound, Unauthenticated, Unavailable
from modelwright.core.ids import new_id
from modelwright.serving import mlflow, v2
from modelwright.serving.metrics import ServingMetrics
from modelwright.serving.plane import Answer, Plane
from modelwright.serving.records import Arm, Call, Extras, Intake

logger = logging.getLogger("modelwright.serving")

PREFIXES: Final = ("/v2", "/serving", "/invocations", "/ping", "/version")
Authorize = Callable[[Scope, str], Awaitable[None]]
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")
_MODEL: Final = re.compile(r"/v2/models/(?P<name>.+?)(?:/versions/(?P<version>[^/]+))?(?P<what>/ready|/infer)?")
_SERVING: Final = re.compile(r"/serving/(?P<name>.+)/(?P<what>invocations|ping|version)")
_LOADING: Final = re.compile(r"/v2/repository/models/.+/(?:load|unload)")


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[serving]`: what the HTTP face accepts."""

    max_body: int = 10 * 2**20  # bytes
    max_rows: int = 50_000
    max_inflight: int = 256  # further requests are turned away
    default_endpoint: str = ""  # what plain /invocations asks; empty: the only endpoint there is


class TooLarge(Invalid):
    code = "too-large"
    status = 413


class WrongMethod(Invalid):
    code = "method-not-allowed"
    status = 405


async def allow_all(scope: Scope, endpoint: str) -> None:
    """The authorisation of a plane that only trusted callers can reach."""


def create_app(
    plane: Plane,
    *,
    clock: Clock,
    metrics: ServingMetrics | None = None,
    authorize: Authorize = allow_all,
    settings: HttpSettings = HttpSettings(),
) -> ASGIApp:
    """The application. `authorize(scope, endpoint)` raises `Unauthenticated`, `Denied` or `NotFound` to turn a call away.

    For what concerns no single endpoint it is asked about "", which is whether the caller is known at all; a list then asks
    about each endpoint and leaves out what is not for the caller. Liveness and readiness are for everybody.
    """
    return ServingApp(plane, clock, metrics or ServingMetrics(), authorize, settings)


class ServingApp:
    """See `create_app`. Mountable anywhere; `PREFIXES` are the paths it answers."""

    def __init__(
        self, plane: Plane, clock: Clock, metrics: ServingMetrics, authorize: Authorize, settings: HttpSettings
    ) -> None:
        self._plane = plane
        self._clock = clock
        self._metrics = metrics
        self._authorize = authorize
        self._settings = settings
        self._inflight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        given = request.headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else new_id(self._clock.now())
        speaks = _V2Errors() if path == "/v2" or path.startswith("/v2/") else _MlflowErrors()
        try:
            response = await self._route(request, path, request_id)
        except ModelwrightError as error:
            response = speaks.response(error)
        except ClientDisconnect:
            return
        except Exception:
            logger.exception("request %s failed", request_id)
            response = speaks.response(ModelwrightError("The server failed to answer; its log says why."))
        response.headers["x-request-id"] = request_id
        await response(scope, receive, send)

    async def _route(self, request: Request, path: str, request_id: str) -> Response:
        if path == "/v2" or path.startswith("/v2/"):
            return await self._v2(request, path.rstrip("/") or path, request_id)
        if path in ("/invocations", "/ping", "/version"):
            return await self._mlflow(request, path[1:], self._default(), request_id)
        if found := _SERVING.fullmatch(path):
            await self._authorize(request.scope, found["name"])
            return await self._mlflow(request, found["what"], found["name"], request_id)
        raise NotFound(f"There is nothing at {path}.")

    # Open Inference

    async def _v2(self, request: Request, path: str, request_id: str) -> Response:
        if path == "/v2":
            from modelwright import __version__

            await self._authorize(request.scope, "")
            return _json({"name": "modelwright", "version": __version__, "extensions": v2.EXTENSIONS})
        if path == "/v2/health/live":
            return _json({"live": True})
        if path == "/v2/health/ready":
            return _json({"ready": bool(self._plane.routes)}, 200 if self._plane.routes else 503)
        if path == "/v2/repository/index":
            return await self._index(request)
        if _LOADING.fullmatch(path):
            await self._authorize(request.scope, "")
            raise Invalid("Models are loaded and unloaded by deploying them.", mend="Use deployments.deploy.")
        if found := _MODEL.fullmatch(path):
            await self._authorize(request.scope, found["name"])
            return await self._model(request, found["name"], _version(found["version"]), found["what"] or "", request_id)
        raise NotFound(f"There is nothing at {path}.")

    async def _model(self, request: Request, name: str, version: int | None, what: str, request_id: str) -> Response:
        if what == "/infer":
            _only(request, "POST")
            return await self._answer(
                request, name, "v2", lambda body: self._infer(request, name, version, body, request_id)
            )
        _only(request, "GET")
        signature = self._plane.signature(name, version)
        if what == "/ready":
            return _json({"name": name, "ready": True})
        route = self._plane.route(name)
        versions = [str(arm.model.version) for arm in route.arms.values()]
        return _json(v2.metadata(name, versions, _platform(self._plane.platform(name)), signature))

    def _infer(self, request: Request, name: str, version: int | None, body: bytes, request_id: str) -> _Done:
        length = _header_length(request)
        message, binary = v2.read(body, length)
        unit = message.parameters.get("unit")
        call = self._call(
            request,
            name,
            batch=v2.columns_of(message, binary, self._plane.signature(name, version)),
            request_id=message.id or request_id,
            unit=None if unit is None else str(unit),
            event_time=v2.event_time(message),
            version=version,
        )
        answer = self._plane.predict(call)
        head: dict[str, Any] = {"model_name": name, "model_version": str(answer.arm.model.version), "id": call.request_id}
        head["parameters"] = {"variant": answer.variant}
        content, json_length = v2.write(message, head, answer.outputs)
        if json_length is None:
            return _Done(answer, Response(content, media_type="application/json"))
        headers = {v2.HEADER_LENGTH: str(json_length)}
        return _Done(answer, Response(content, media_type="application/octet-stream", headers=headers))

    async def _index(self, request: Request) -> Response:
        _only(request, "POST")
        await self._authorize(request.scope, "")
        listed = []
        for endpoint, route in sorted(self._plane.routes.items()):
            try:
                await self._authorize(request.scope, endpoint)
            except (Denied, NotFound):
                continue
            for arm in route.arms.values():
                listed.append({"name": endpoint, "version": str(arm.model.version), "state": "READY", "reason": ""})
        return _json(listed)

    # MLflow scoring

    async def _mlflow(self, request: Request, what: str, endpoint: str, request_id: str) -> Response:
        if what == "version":
            return Response(mlflow.VERSION, media_type="application/json")
        if what == "ping":
            served = endpoint in self._plane.routes
            return Response("\n", 200 if served else 404, media_type="application/json")
        _only(request, "POST")
        await self._authorize(request.scope, endpoint)
        kind = mlflow.check_content_type(request.headers.get("content-type"))

        def work(body: bytes) -> _Done:
            columns, params = mlflow.read(kind, body, self._plane.signature(endpoint))
            unit, time = mlflow.unit_and_time(params)
            call = self._call(
                request,
                endpoint,
                batch=columns,
                request_id=request_id,
                unit=unit,
                event_time=time,
                extras=Extras.DROP,
                protocol="mlflow",
            )
            answer = self._plane.predict(call)
            headers = {"x-model-version": str(answer.arm.model.version)}
            return _Done(answer, Response(mlflow.write(answer.outputs), media_type="application/json", headers=headers))

        return await self._answer(request, endpoint, "mlflow", work)

    def _default(self) -> str:
        routes = self._plane.routes
        if self._settings.default_endpoint:
            return self._settings.default_endpoint
        return next(iter(routes)) if len(routes) == 1 else ""

    # Both

    def _call(self, request: Request, endpoint: str, *, unit: str | None, batch: dict[str, Any], **more: Any) -> Call:
        rows = max((len(values) for values in batch.values()), default=0)
        if rows > self._settings.max_rows:
            raise TooLarge(f"A request has at most {self._settings.max_rows} rows, and this one has {rows}.")
        found = _unit(request, self._plane.route(endpoint).intake) or unit
        return Call(endpoint=endpoint, batch=batch, unit=found, **more)

    async def _answer(self, request: Request, endpoint: str, protocol: str, work: Callable[[bytes], _Done]) -> Response:
        """Read the body within its limit, do the work in a thread, count the outcome."""
        started = perf_counter()
        if self._inflight >= self._settings.max_inflight:
            raise Unavailable("Too many requests are being answered.", mend="Try again in a moment.")
        self._inflight += 1
        self._metrics.inflight.set(self._inflight)
        arm: Arm | None = None
        variant, code = "", 500
        try:
            body = await _body(request, self._settings.max_body)
            done = await run_in_threadpool(work, body)
            arm, variant, code = done.answer.arm, done.answer.variant, 200
            return done.response
        except ModelwrightError as error:
            code = error.status
            raise
        finally:
            self._inflight -= 1
            self._metrics.inflight.set(self._inflight)
            known = self._plane.routes.get(endpoint)
            if arm is None and known is not None:
                arm, variant = known.stable, "stable"
            name = endpoint if known is not None else ""
            self._metrics.done(name, arm, variant, protocol, code, perf_counter() - started)


class _Done(NamedTuple):
    """An answer and how it is sent."""

    answer: Answer
    response: Response


class _V2Errors:
    """Errors as Open Inference has them."""

    def response(self, error: ModelwrightError) -> Response:
        return _json({"error": str(error)}, error.status)


class _MlflowErrors:
    """Errors as MLflow has them."""

    _codes: Final = (
        (Invalid, "BAD_REQUEST"),
        (NotFound, "RESOURCE_DOES_NOT_EXIST"),
        (Unauthenticated, "UNAUTHENTICATED"),
        (Denied, "PERMISSION_DENIED"),
        (Unavailable, "TEMPORARILY_UNAVAILABLE"),
    )

    def response(self, error: ModelwrightError) -> Response:
        if isinstance(error, mlflow.NotSupported):
            return Response(error.message, error.status, media_type="text/plain")
        code = next((code for kind, code in self._codes if isinstance(error, kind)), "INTERNAL_ERROR")
        return _json({"error_code": code, "message": str(error)}, error.status)


async def _body(request: Request, limit: int) -> bytes:
    """The whole body, or `TooLarge` as soon as it is known to be."""
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > limit:
        raise TooLarge(f"A body has at most {limit} bytes, and this one has {told}.")
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise TooLarge(f"A body has at most {limit} bytes.")
        pieces.append(piece)
    return b"".join(pieces)


def _header_length(request: Request) -> int | None:
    told = request.headers.get(v2.HEADER_LENGTH)
    if told is None:
        if request.headers.get("content-type", "").startswith("application/octet-stream"):
            raise Invalid(f"A body with binary tensors needs the header {v2.HEADER_LENGTH}.")
        return None
    if not told.isdigit():
        raise Invalid(f"The header {v2.HEADER_LENGTH} is a number of bytes.")
    return int(told)


def _unit(request: Request, intake: Intake) -> str | None:
    """The unit that the request names outside its body."""
    found = request.headers.get(intake.header) if intake.header else None
    return found or (request.cookies.get(intake.cookie) if intake.cookie else None)


def _version(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotFound(f"There is no version {text[:20]!r}; versions are numbers.")
    return int(text)


def _platform(model_format: str) -> str:
    return {"onnx": "onnx_onnxv1", "skops": "sklearn_skops"}.get(model_format, model_format)


def _only(request: Request, method: str) -> None:
    if request.method != method:
        raise WrongMethod(f"{request.method} is not understood here.", mend=f"Use {method}.")


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
