"""`POST /v1/traces`: spans from MLflow's client, and from any OpenTelemetry SDK that names the experiment in a header."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from modelwright.core.errors import ModelwrightError, NotFound
from modelwright.experiments import Lifecycle
from modelwright.server.mlflow.errors import INVALID, MlflowError, invalid, missing, told
from modelwright.server.mlflow.keys import experiment_number
from modelwright.server.mlflow.routing import Call, Endpoint
from modelwright.server.mlflow.tracking import Tracking, not_active
from modelwright.server.routing import SIGNED_IN
from modelwright.traces import otlp

PROTOBUF, JSON = "application/x-protobuf", "application/json"
EXPERIMENT, RUN = "x-mlflow-experiment-id", "x-mlflow-run-id"


class Otlp:
    """Takes spans in. They are data: nothing of them stands in the ledger."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking
        self._traces = tracking.workspace.traces

    def endpoints(self) -> list[Endpoint]:
        """The one endpoint, which asks the right to write on the experiment."""
        return [Endpoint("POST", "/v1/traces", self.export, needs=SIGNED_IN)]

    async def export(self, call: Call) -> Any:
        """An ExportTraceServiceRequest: all of it or nothing."""
        await call.principal()
        headers = call.request.headers
        experiment_id = headers.get(EXPERIMENT, "")
        if not experiment_id:
            why = f"The header {EXPERIMENT} is missing: it says which experiment the spans belong to."
            return _refused(MlflowError(INVALID, why), 422)
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in (PROTOBUF, JSON):
            raise invalid(f"The content type {media_type[:80]!r} is none of OTLP. Send {PROTOBUF} or {JSON}.")
        experiment = await self._tracking.experiment(call, experiment_number(experiment_id))
        if experiment is None:
            raise missing(f"No Experiment with id={experiment_id} exists")
        if experiment.lifecycle is Lifecycle.DELETED:
            raise not_active(experiment_id)
        body = await call.body()
        run = headers.get(RUN) or None

        def work() -> None:
            plain = otlp.unpack(body, headers.get("content-encoding", ""))
            batches = otlp.read_protobuf(plain) if media_type == PROTOBUF else otlp.read_json(plain)
            if not any(batch.spans for batch in batches):
                raise invalid("There are no spans in the request.")
            self._traces.log(experiment.ref, batches, run=run)

        try:
            await call.run(work)
        except NotFound as error:
            raise missing(str(error)) from None
        return Response(b"" if media_type == PROTOBUF else b"{}", media_type=media_type)


def _refused(error: ModelwrightError, status: int) -> Response:
    return Response(told(error)[1], status_code=status, media_type=JSON)
