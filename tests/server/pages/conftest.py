"""A workspace in which something of every kind has happened, served for the pages' tests, and a browser to read it with."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from modelwright.core.principals import Principal
from modelwright.core.refs import Ref
from modelwright.datasets import Contract, PromisedColumn
from modelwright.evaluation.records import Estimate
from modelwright.experiments.records import PARENT_TAG, DatasetRead
from modelwright.features import FeatureView
from modelwright.models.records import Profile, Stage
from modelwright.monitoring.records import Aspect, ColumnResult, PerformanceRule, Period, Watch, WindowResult
from modelwright.pipelines import load_pipelines
from modelwright.policy.requirements import Tier
from modelwright.store import acting_as
from modelwright.testing import serving
from modelwright.traces import Assessment, AssessmentKind, Span, SpanBatch, SpanStatus
from modelwright.workspace import Settings, Workspace, WorkspaceSettings, open_workspace
from tests.waiting import LONG

START = datetime(2013, 5, 1, tzinfo=UTC)
ADA, BEN, OLGA = (Principal(id=name, trusted=True) for name in ("ada", "ben", "olga"))
TRACE = "5" * 32
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PIPELINE = """
from modelwright import Ref, pipeline, step

@step
def load(rows: int) -> dict:
    return {"numbers": list(range(rows)), "name": "numbers"}

@step
def double(numbers: list) -> list:
    return [2 * number for number in numbers]

@step
def broken(numbers: list) -> list:
    if not numbers:
        raise ValueError("there is nothing to double")
    return numbers

@pipeline
def numbers(rows: int = 3) -> list:
    '''Doubles some numbers.'''
    return broken(double(load(rows)["numbers"]))
"""
CHECKS = """
[[check]]
kind = "unique"
columns = ["id"]

[[check]]
kind = "range"
column = "x"
minimum = 0
maximum = 5
severity = "warning"
"""


class Site(NamedTuple):
    """A served workspace and the pages that there are to look at."""

    workspace: Workspace
    url: str
    paths: tuple[str, ...]


def fill(workspace: Workspace, folder: Path) -> None:
    """One model's life in small: data, features, pipeline, run, evaluation, approval, canary, drift, incident."""
    models = _data_to_models(workspace, folder)
    _trace(workspace)
    _to_production(workspace, models[0], strategy=None)
    _to_production(workspace, models[1], strategy="canary")
    _watch(workspace, models[0])
    workspace.record.checkpoint()


def _data_to_models(workspace: Workspace, folder: Path) -> list[Ref]:
    import numpy as np
    import pyarrow as pa
    from sklearn.linear_model import LogisticRegression

    random_numbers = np.random.default_rng(3)

    def table(rows: int) -> pa.Table:
        times = pa.array([START + timedelta(hours=i) for i in range(rows)], pa.timestamp("us", "UTC"))
        words = [("ewr", "jfk", "lga")[i % 3] for i in range(rows)]
        numbers = random_numbers.uniform(0, 10, rows)
        return pa.table({"id": list(range(rows)), "at": times, "x": numbers, "y": numbers[::-1].copy(), "origin": words})

    checks = folder / "checks.toml"
    checks.write_text(CHECKS)
    (folder / "pipeline.py").write_text(PIPELINE)
    with acting_as(ADA):
        outer = workspace.experiments.start("sweep", name="outer").id
        inner = [workspace.experiments.start("sweep", name=f"fold {n}", tags={PARENT_TAG: outer}).id for n in range(3)]
        workspace.experiments.start("sweep", name="innermost", tags={PARENT_TAG: inner[0]})
        read = workspace.experiments.start("read")
        seen = DatasetRead(
            name="prices", digest="8c2a", source_type="s3", source="s3://lake", tags={"mlflow.data.context": "training"}
        )
        workspace.experiments.log(read.ref, datasets=[seen])
        first = workspace.datasets.add("delays", table(300), key="id", time_column="at", tags={"source": "a file"})
        data = workspace.datasets.add("delays", table(400), checks=checks, description="Arrivals and how late they were.")
        promised = Contract(owner="ops", columns=[PromisedColumn(name="x", type="text")], consumers=["features:airports"])
        workspace.contracts.publish(data.ref.whole, promised)
        workspace.datasets.hold(data.ref)
        assert first.ref != data.ref
        (folder / "photos").mkdir()
        (folder / "photos" / "small.jpg").write_bytes(b"small")
        workspace.datasets.add_files("photos", folder / "photos")
        (folder / "photos" / "large.jpg").write_bytes(b"large" * 1000)
        workspace.datasets.add_files("photos", folder / "photos")
        view = FeatureView(
            name="numbers", entity="id", source="dataset:delays", event_time="at", features=["x", "y"], owner="ada"
        )
        workspace.features.apply(view)
        asked = pa.table({"id": [1, 2], "event_timestamp": pa.array([START + timedelta(days=30)] * 2)})
        workspace.features.training(asked, ["features:numbers@1"])
        pipeline = load_pipelines(folder / "pipeline.py")["numbers"]
        workspace.pipelines.run(pipeline, root=folder, reason="to see whether it works")
        workspace.pipelines.run(pipeline, {"rows": 4}, root=folder)
        rows = workspace.datasets.read(data.ref)
        inputs, labels = rows.select(["x", "y"]), (rows["x"].to_numpy() + random_numbers.normal(0, 3, 400)) > 5
        made = []
        for strength in (0.01, 1.0):
            with workspace.experiments.run("delay", inputs=[data.ref], capture=False) as run:
                run.log_params({"c": strength})
                for step in range(20):
                    run.log_metric("loss", 1 / (step + 1), step=step)
            estimator = LogisticRegression(C=strength).fit(inputs.to_pandas(), labels)
            version = workspace.models.log(
                "delay",
                estimator,
                example=inputs.slice(0, 50),
                run=run.ref,
                datasets=[data.ref],
                features=["features:numbers@1"],
            )
            scores = workspace.models.load(version.ref).scores(inputs)
            workspace.evaluation.evaluate(
                version.ref, labels, scores, dataset=data.ref, slices={"origin": rows["origin"].to_pylist()}, inputs=inputs
            )
            workspace.governance.publish_card(version.ref)
            made.append(version.ref)
        workspace.models.describe(made[0], Profile(owner="ada", purpose="Warn of late arrivals."))
        workspace.governance.state(Ref.parse("model:delay"), "intended_use", "Warn of late arrivals.")
    return made


def _trace(workspace: Workspace) -> None:
    """One answer, of three steps, of which one failed; judged by two."""
    at = int(START.timestamp() * 1000) * 1_000_000
    steps = [
        ("answer", None, 0, 2400, {"mlflow.spanType": "CHAIN", "mlflow.spanInputs": {"question": "When does it leave?"}}),
        ("look up", 1, 40, 700, {"mlflow.spanType": "RETRIEVER", "mlflow.spanInputs": "departure" + " of a late one" * 60}),
        ("ask the model", 1, 760, 1600, {"mlflow.spanType": "LLM", "gen_ai.usage.input_tokens": 812}),
    ]
    spans = [
        Span(
            trace=TRACE,
            id=f"{number:016x}",
            parent=None if parent is None else f"{parent:016x}",
            name=name,
            start=at + begin * 1_000_000,
            end=at + (begin + took) * 1_000_000,
            attributes=attributes,
            status=SpanStatus.ERROR if name == "look up" else SpanStatus.OK,
            message="the index did not answer" if name == "look up" else "",
        )
        for number, (name, parent, begin, took, attributes) in enumerate(steps, 1)
    ]
    workspace.experiments.create("chat")
    workspace.traces.log(Ref.parse("experiment:chat"), [SpanBatch(spans=spans, resource={"service.name": "desk"})])
    ref = Ref.parse(f"trace:tr-{TRACE}")
    for name, value, by in (("helpful", False, "ada"), ("tone", "kind", "judge")):
        made = Assessment(name=name, kind=AssessmentKind.FEEDBACK, value=value, source_id=by, rationale="It says when.")
        workspace.traces.assess(ref, made)


def _to_production(workspace: Workspace, model: Ref, *, strategy: str | None) -> None:
    with acting_as(BEN):
        workspace.policy.classify(model.whole, {}, tier=Tier.LOW, reason="a test")
    with acting_as(ADA):
        workspace.models.promote(model, Stage.STAGING, reason="ready to be looked at")
        if strategy is None:
            workspace.deployments.create("delay", description="Warnings.")
        workspace.deployments.deploy("delay", model, "staging", reason="try it")
        workspace.models.promote(model, Stage.PRODUCTION, reason="the gate is met")
        workspace.deployments.deploy("delay", model, "production", strategy=strategy, reason="take over")


def _watch(workspace: Workspace, model: Ref) -> None:
    rule = PerformanceRule(output="probability", floors={"roc_auc": 0.7}, metrics=["roc_auc"])
    period = Period(since=START, until=START + timedelta(days=7))
    watch = Watch(period=period, window=timedelta(days=7), performance=rule, owner="olga", columns=[])
    monitor = workspace.monitoring.watch(Ref.parse("deployment:delay"), watch)
    chance = random.Random(5)
    for week in range(6):
        start = START + timedelta(days=7 * (week + 1))
        found = [_column(name, chance.uniform(0, 0.05) + (0.3 if week > 3 and name == "x" else 0)) for name in ("x", "y")]
        drift = WindowResult(
            aspect=Aspect.DRIFT,
            start=start,
            end=start + timedelta(days=7),
            rows=900,
            model=model,
            columns=found,
            findings=[column.column for column in found if column.drifted],
        )
        auc = Estimate(value=0.8 - 0.01 * week, low=0.75 - 0.01 * week, high=0.85 - 0.01 * week, n=880)
        right = WindowResult(
            aspect=Aspect.PERFORMANCE,
            start=start,
            end=start + timedelta(days=7),
            rows=900,
            labelled=880,
            model=model,
            metrics={"roc_auc": auc},
        )
        workspace.workspace.advance(drift.end + timedelta(hours=2))
        workspace.monitoring.record(monitor.ref, [drift, right])
    workspace.monitoring.note(workspace.monitoring.incidents().items[0].ref, "looking at it", owner="olga")


def _column(name: str, effect: float) -> ColumnResult:
    found = effect >= 0.1
    p_value = 0.001 if found else 0.5
    return ColumnResult(
        column=name, detector="psi", effect=effect, floor=0.1, p_value=p_value, significant=found, missing=0.0
    )


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A filled workspace, served, with some traffic; only to be looked at."""
    folder = tmp_path_factory.mktemp("site")
    settings = Settings(workspace=WorkspaceSettings(name="small", clock="simulated", starts="2013-05-01T00:00:00Z"))
    with open_workspace(folder, settings=settings) as workspace:
        fill(workspace, folder)
        with serving(workspace) as url:
            _ask(url)
            yield Site(workspace, url, _paths(workspace))


def _ask(url: str) -> None:
    for number in range(20):
        body = {"dataframe_records": [{"x": number / 2, "y": 5.0}]}
        answer = httpx.post(f"{url}/serving/delay/invocations", json=body, headers={"x-unit-id": str(number)})
        assert answer.status_code == 200, answer.text


def _paths(workspace: Workspace) -> tuple[str, ...]:
    runs = [run.id for run in workspace.experiments.list().items]
    execution = workspace.pipelines.list_executions().items[0].id
    compared = "&".join(f"run={run}" for run in runs[:2])
    return (
        "/", "/datasets", "/datasets/delays", "/datasets/delays@2?against=1", "/features", "/features/numbers@1",
        "/pipelines", "/pipelines/numbers", f"/executions/{execution}", "/runs", "/runs?experiment=delay",
        f"/runs/{runs[0]}", f"/runs/compare?{compared}", "/models", "/models/delay", "/models/delay@1", "/deployments",
        "/deployments/delay", "/monitors", "/monitors/delay", "/alerts", "/alerts/1", "/incidents", "/incidents/1",
        "/policies", "/policies/standard", "/retention", "/retention?verify=1", "/privacy",
        "/audit", "/audit?verify=1", "/audit?actor=ada&action=models", "/audit/3",
        "/record/model:delay@1", "/record/deployment:delay", "/traces", "/traces?experiment=chat&q=late&state=OK",
        f"/traces/tr-{TRACE}",
    )  # fmt: skip


@pytest.fixture
def browse(site: Site) -> Iterator[httpx.Client]:
    """A browser without an engine: asks for HTML and follows nothing."""
    with httpx.Client(base_url=site.url, headers={"accept": "text/html"}) as client:
        yield client


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Chromium without a window; the tests that need it are skipped where there is none."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = {"args": ["--no-sandbox", "--disable-gpu", "--disable-quic"], "timeout": 1000 * LONG}
        browser = playwright.chromium.launch(executable_path=path, **options)
        yield browser
        browser.close()
