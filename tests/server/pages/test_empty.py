"""A workspace in which nothing has happened, and one in which somebody means harm."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pyarrow as pa
import pytest

from modelwright.core.refs import Ref
from modelwright.store import Verdict
from modelwright.testing import serving
from modelwright.traces import Assessment, AssessmentKind, Span, SpanBatch, SpanEvent
from modelwright.workspace import Workspace

LISTS = (
    "/datasets", "/features", "/pipelines", "/runs", "/traces", "/models", "/deployments", "/monitors", "/alerts",
    "/incidents", "/policies", "/retention", "/audit",
)  # fmt: skip
HARM = "</td></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'"


@pytest.fixture
def browse(embedded: Workspace) -> Iterator[httpx.Client]:
    with serving(embedded) as url, httpx.Client(base_url=url, headers={"accept": "text/html"}) as client:
        yield client


def test_an_empty_workspace_says_how_to_fill_it(browse: httpx.Client) -> None:
    assert "workspace.datasets.add" in browse.get("/").text or "workspace.deployments.create" in browse.get("/").text
    for path in LISTS:
        answer = browse.get(path)
        assert answer.status_code == 200, path
        if path not in ("/alerts", "/policies", "/audit"):
            assert "<pre><code>" in answer.text, path


def test_what_people_write_is_never_markup(embedded: Workspace, browse: httpx.Client) -> None:
    table = pa.table({"a<script>": [1, 2, 3], "word": [HARM, HARM, "fine"]})
    version = embedded.datasets.add("harm", table, description=HARM, tags={"note": HARM}, reason=HARM)
    embedded.record.attach(version.ref, "note", Verdict.INFO, summary=HARM)
    with embedded.experiments.run("harm", capture=False, tags={"note": HARM}, name=HARM) as run:
        run.log_params({"depth": HARM})
        for step in range(3):
            run.log_metric("loss", 1.0 / (step + 1), step=step)
    embedded.deployments.create("harm", description=HARM)
    incident = embedded.monitoring.report(Ref.parse("deployment:harm"), HARM, reason=HARM)
    attributes = {"mlflow.spanInputs": HARM, HARM: HARM, "mlflow.spanType": HARM}
    raised = SpanEvent(name=HARM, time=1, attributes={HARM: HARM})
    span = Span(trace="a" * 32, id="b" * 16, name=HARM, message=HARM, attributes=attributes, events=[raised])
    embedded.traces.log(Ref.parse("experiment:harm"), [SpanBatch(spans=[span], resource={"service.name": HARM})])
    judged = Assessment(name=HARM, kind=AssessmentKind.FEEDBACK, value=HARM, rationale=HARM, source_id=HARM)
    embedded.traces.assess(Ref.parse(f"trace:{span.trace_id}"), judged)
    paths = [
        "/",
        *LISTS,
        f"/traces/{span.trace_id}",
        f"/traces?q={HARM}",
        "/datasets/harm",
        f"/runs/{run.ref.name}",
        "/deployments/harm",
        f"/incidents/{incident.ref.name}",
    ]
    paths += [
        "/record/dataset:harm@1",
        "/audit/0",
        f"/datasets?q={HARM}",
        f"/audit?actor={HARM}",
        f"/runs/compare?run={run.ref.name}",
    ]
    shown = 0
    for path in paths:
        answer = browse.get(path)
        assert answer.status_code == 200, (path, answer.text[-500:])
        assert "<script>alert" not in answer.text and "<img src=x" not in answer.text, path
        assert "onerror=alert" not in re.sub(
            r"&lt;img src=x onerror=alert|\\u003cimg src=x onerror=alert", "", answer.text
        ), path
        shown += "alert(1)" in answer.text
    assert shown > 8  # it was there to be seen, as text
