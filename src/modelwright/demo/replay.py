"""The world goes on: data arrive, requests come in and are answered, labels follow, and the clock moves with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from modelwright.core.clock import isoformat
from modelwright.core.errors import Unavailable
from modelwright.core.refs import Kind, Ref
from modelwright.demo.case import Case, Request
from modelwright.demo.stage import Stage

if TYPE_CHECKING:
    from modelwright.deployments import Rollout, Strategy

KEYS_AT_ONCE = 500
WAITS_FOR = 300.0  # seconds until a deployment is served: a busy machine takes half a minute or more to import a framework


class Replay:
    """What the people of a story do again and again."""

    def __init__(self, case: Case, stage: Stage) -> None:
        self.case = case
        self.stage = stage

    # Data

    def add(self, name: str, until: datetime) -> dict[str, Any]:
        """Bring a source in as it was at a time."""
        source = next(each for each in self.case.sources if each.name == name)
        path = self.stage.folder / "data" / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        self.case.write(name, until, path)
        version = self.stage.as_("ada").datasets.add(
            name,
            path,
            key=source.key,
            time_column=source.time_column,
            personal=source.personal,
            reason=f"as of {until:%Y-%m-%d}",
        )
        return {"ref": str(version.ref), "rows": version.rows}

    def check(self, name: str) -> dict[str, Any]:
        """Run the project's checks on the newest version."""
        ref = Ref(Kind.DATASET, name)
        report = self.stage.as_("ada").datasets.check(ref, self.stage.folder / "checks" / f"{name}.toml")
        said = [r.message for r in report.results if r.verdict.value != "pass"]
        return {
            "verdict": report.verdict.value,
            "checks": len(report.results),
            "said": f" ({'; '.join(said)})" if said else "",
        }

    def materialise(self, since: datetime, until: datetime) -> None:
        """Put every view online for a stretch of time."""
        ada = self.stage.as_("ada")
        for view in self.case.views:
            ada.features.materialise(Ref(Kind.FEATURES, view), until, since=since)

    # Requests

    def advance(self, until: datetime) -> None:
        """Let time pass; a moment that has come already changes nothing."""
        rita = self.stage.as_("rita").workspace
        if rita.status().now < until:
            rita.advance(until, reason="the replay goes on")

    def step(self, since: datetime, until: datetime) -> None:
        """One stretch of time: its data, its requests, the labels that became known, and a turn of the operator."""
        self.advance(until)
        for source in self.case.sources:
            if source.grows:
                self.add(source.name, until)
                self.check(source.name)
        self.materialise(since, until)
        requests = self.case.requests(since, until)
        for request, row in zip(requests, self.rows(requests), strict=True):
            self.infer(request, row)
        self.label(since, until)
        self.stage.as_("rita").workspace.settle()

    def rows(self, requests: list[Request] | Any) -> list[dict[str, Any]]:
        """The model's inputs for each request: what came with it, and the features as they stood at its time."""
        ada, views = self.stage.as_("ada"), [Ref(Kind.FEATURES, view) for view in self.case.views]
        found: list[dict[str, Any]] = []
        for start in range(0, len(requests), KEYS_AT_ONCE):
            batch = requests[start : start + KEYS_AT_ONCE]
            online = ada.features.online(views, [r.entities for r in batch], now=[r.at for r in batch])
            found += [{**r.entities, **features, **r.inputs} for r, features in zip(batch, online, strict=True)]
        return found

    def row(self, request: Request) -> dict[str, Any]:
        """The inputs of one request."""
        self.materialise(min(request.at, self.case.plan.live), request.at)
        return self.rows([request])[0]

    def infer(self, request: Request, row: dict[str, Any]) -> float:
        """Ask the deployment over the Open Inference Protocol; the probability that it answers."""
        answer = self._post(f"/v2/models/{self.case.name}/infer", self._body(request, row))
        outputs = {each["name"]: each["data"] for each in answer["outputs"]}
        return float(outputs["probability"][0])

    def _body(self, request: Request, row: dict[str, Any]) -> dict[str, Any]:
        def tensor(name: str, kind: str, value: Any) -> dict[str, Any]:
            return {"name": name, "shape": [1], "datatype": kind, "data": [value]}

        numbers = [tensor(name, "FP64", None if row[name] is None else float(row[name])) for name in self.case.numbers]
        words = [tensor(name, "BYTES", row[name]) for name in dict.fromkeys([*self.case.words, *self.case.entity_columns])]
        at = tensor("event_time", "BYTES", isoformat(request.at))
        return {"id": request.id, "parameters": {"unit": request.unit}, "inputs": [*numbers, *words, at]}

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.stage.request("POST", path, body)
        if not answer.good:
            raise Unavailable(f"{path} answered {answer.status}: {answer.text[:400]}")
        return answer.json()

    def label(self, since: datetime, until: datetime) -> None:
        """Send the labels that became known."""
        from modelwright.monitoring import Label

        longest = timedelta(days=60)
        asked = self.case.requests(max(self.case.plan.live, since - longest), until)
        known = [r for r in asked if since < r.known_at <= until]
        labels = [Label(id=r.id, label=float(r.label), at=r.known_at) for r in known]
        if labels:
            self.stage.as_("olga").monitoring.label(Ref(Kind.DEPLOYMENT, self.case.name), labels, reason="as it turned out")

    # Deployments

    def wait_until_served(self) -> str:
        """Wait until the deployment answers."""
        return self._wait(lambda: self._served(), "the deployment")

    def _served(self) -> str:
        answer = self.stage.request("GET", f"/v2/models/{self.case.name}/ready")
        return self.case.name if answer.good else ""

    def _wait(self, look: Callable[[], str], what: str) -> str:
        deadline = time.monotonic() + WAITS_FOR
        while not (found := look()):
            if time.monotonic() > deadline or not self.stage.alive():
                raise Unavailable(f"Waited {WAITS_FOR} s for {what}.")
            time.sleep(0.05)
        return found

    def strategy(self) -> Strategy:
        """A canary of some units, promoted or rolled back by its verdict."""
        from msgspec.structs import replace

        from modelwright.deployments import Step, Strategy
        from modelwright.deployments.records import ERRORS, LATENCY, QUALITY

        step = Step(weight=self.case.plan.canary, min_requests=60, max_duration=timedelta(days=150).total_seconds())
        guardrails = [
            replace(ERRORS, budget=0.05),
            replace(LATENCY, budget=0.05),
            replace(QUALITY, tolerated=1.15, acceptable=2.5, required=True),
        ]
        return Strategy(name="canary", steps=[step], guardrails=guardrails, alpha=0.01)

    def rollout(self) -> Rollout | None:
        """The newest rollout in production."""
        found = self.stage.as_("olga").deployments.rollouts(self.case.name, "production")
        return found[0] if found else None

    def watch(self) -> str:
        """Define the monitor: drift against the first weeks, and the error rate as labels come in."""
        from modelwright.monitoring import PerformanceRule, Period, Watch, WatchedColumn

        plan = self.case.plan
        rule = PerformanceRule(
            output="probability",
            threshold=self.case.threshold,
            floors=self.case.floors,
            maturity=timedelta(days=1),
            min_rows=100,
        )
        watch = Watch(
            period=Period(since=plan.live, until=plan.live + plan.stable),
            since=plan.live + plan.stable,
            columns=[WatchedColumn(name=name) for name in self.case.watched],
            window=plan.window,
            min_rows=100,
            performance=rule,
            owner="ada",
        )
        deployment = Ref(Kind.DEPLOYMENT, self.case.name)
        return str(self.stage.as_("ada").monitoring.watch(deployment, watch, reason="as the policy asks").ref)
