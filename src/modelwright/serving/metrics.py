"""What is counted while serving, in the Prometheus text format. Series exist from the moment that their labels are known,
so that the first event is seen as a change, and their number is bounded, whatever the requests may contain."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from modelwright.serving.plane import Answer, Plane
from modelwright.serving.records import Arm, Call, Route, Variant

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MAX_SERIES: Final = 10_000
OTHER: Final = "__other__"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Series(ABC):
    """The shared part of counters, gauges and histograms: a name, its labels, and a bounded number of series."""

    kind = "untyped"

    def __init__(self, name: str, told: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.told = told
        self.labels = tuple(labels)
        self.dropped = 0
        self._lock = threading.Lock()
        self._known: set[tuple[str, ...]] = set()

    def _key(self, labels: Mapping[str, object]) -> tuple[str, ...]:
        key = tuple(str(labels[name]) for name in self.labels)
        if key not in self._known:
            if len(self._known) >= MAX_SERIES:
                self.dropped += 1
                key = (OTHER,) * len(self.labels)
            self._known.add(key)
        return key

    @abstractmethod
    def samples(self) -> Iterable[str]:
        """The lines of the exposition below HELP and TYPE."""

    def text(self) -> str:
        """The whole block."""
        with self._lock:
            lines = list(self.samples())
        return "\n".join([f"# HELP {self.name} {self.told}", f"# TYPE {self.name} {self.kind}", *lines])


class Counter(Series):
    """Only grows."""

    kind = "counter"

    def __init__(self, name: str, told: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, told, labels)
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}

    def add(self, amount: float = 1.0, **labels: object) -> None:
        """Count; with an amount of 0 the series only comes into being."""
        with self._lock:
            key = self._key(labels)
            self._values[key] = self._values.get(key, 0.0) + amount

    def samples(self) -> Iterable[str]:
        return (f"{self.name}{_labels(self.labels, key)} {_number(value)}" for key, value in self._values.items())


class Gauge(Counter):
    """Goes up and down."""

    kind = "gauge"

    def set(self, value: float, **labels: object) -> None:
        """Say what it is now."""
        with self._lock:
            self._values[self._key(labels)] = value

    def clear(self) -> None:
        """Forget every series."""
        with self._lock:
            self._values.clear()
            self._known.clear()


class Histogram(Series):
    """How often a value fell below each bound."""

    kind = "histogram"

    def __init__(self, name: str, told: str, labels: Sequence[str] = (), buckets: Sequence[float] = BUCKETS) -> None:
        super().__init__(name, told, labels)
        self._bounds = tuple(buckets)
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def observe(self, value: float, **labels: object) -> None:
        """One value."""
        with self._lock:
            key = self._begin(labels)
            self._counts[key][bisect_left(self._bounds, value)] += 1
            self._sums[key] += value

    def begin(self, **labels: object) -> None:
        """Bring the series into being."""
        with self._lock:
            self._begin(labels)

    def _begin(self, labels: Mapping[str, object]) -> tuple[str, ...]:
        key = self._key(labels)
        if key not in self._counts:
            self._counts[key] = [0] * (len(self._bounds) + 1)
            self._sums[key] = 0.0
        return key

    def samples(self) -> Iterable[str]:
        for key, counts in self._counts.items():
            total = 0
            for bound, count in zip((*self._bounds, float("inf")), counts, strict=True):
                total += count
                le = "+Inf" if bound == float("inf") else f"{bound:g}"
                yield f"{self.name}_bucket{_labels((*self.labels, 'le'), (*key, le))} {total}"
            yield f"{self.name}_sum{_labels(self.labels, key)} {_number(self._sums[key])}"
            yield f"{self.name}_count{_labels(self.labels, key)} {total}"


class ServingMetrics:
    """What the plane and its HTTP face count. An `Observer` of the plane."""

    def __init__(self) -> None:
        side = ("endpoint", "model", "version", "variant")
        self.requests = Counter("modelwright_requests_total", "Answers, by HTTP status.", (*side, "protocol", "code"))
        self.duration = Histogram(
            "modelwright_request_duration_seconds", "Time from the whole request to its answer.", (*side, "protocol")
        )
        self.inference = Histogram("modelwright_inference_duration_seconds", "Time in checks and model.", side)
        self.rows = Counter("modelwright_rows_total", "Rows predicted.", side)
        self.rescued = Counter("modelwright_rescued_total", "Failures of a canary that stable answered for.", side)
        self.inflight = Gauge("modelwright_inflight_requests", "Requests that are being answered.")
        self.ready = Gauge(
            "modelwright_model_ready", "1 for a version that answers, 0 for one that should.", ("model", "version")
        )
        self.weight = Gauge("modelwright_route_weight_ratio", "Share of the units.", ("endpoint", "variant"))
        self.log_dropped = Gauge("modelwright_prediction_log_dropped_total", "Predictions that could not be logged.")
        self.log_dropped.kind = "counter"

    def answered(self, answer: Answer) -> None:
        """Count rows and time in the model."""
        for part in answer.parts:
            side = _side(answer.call.endpoint, part.arm, part.variant)
            self.inference.observe(part.seconds, **side)
            self.rows.add(len(part.rows), **side)
            if part.rescued:
                self.rescued.add(1, **side)

    def failed(self, call: Call, arm: Arm, variant: Variant, seconds: float) -> None:
        """Time in a model that failed."""
        self.inference.observe(seconds, **_side(call.endpoint, arm, variant))

    def done(self, endpoint: str, arm: Arm | None, variant: str, protocol: str, code: int, seconds: float) -> None:
        """An HTTP answer went out. `arm` is None where no model was reached."""
        side = _side(endpoint, arm, variant)
        self.requests.add(1, **side, protocol=protocol, code=code)
        self.duration.observe(seconds, **side, protocol=protocol)

    def routed(self, routes: Mapping[str, Route]) -> None:
        """Bring the series of a new routing table into being, and say what it holds."""
        self.ready.clear()
        self.weight.clear()
        for route in routes.values():
            for variant, arm in route.arms.items():
                side = _side(route.endpoint, arm, variant)
                self.ready.set(1, model=arm.model.name, version=arm.model.version)
                share = route.weight if variant is Variant.CANARY else 100 - route.weight
                self.weight.set(share / 100, endpoint=route.endpoint, variant=variant)
                self.rows.add(0, **side)
                self.inference.begin(**side)
                for protocol in ("v2", "mlflow"):
                    self.duration.begin(**side, protocol=protocol)
                    for code in (200, 500):
                        self.requests.add(0, **side, protocol=protocol, code=code)

    def exposition(self, plane: Plane, *, log_dropped: int = 0) -> str:
        """The text of a scrape."""
        self.routed(plane.routes)
        for model in plane.missing.values():
            self.ready.set(0, model=model.name, version=model.version)
        self.log_dropped.set(log_dropped)
        series = [each for each in vars(self).values() if isinstance(each, Series)]
        overflow = Gauge("modelwright_metrics_dropped_series_total", "Observations whose labels were too many.")
        overflow.kind = "counter"
        overflow.set(sum(each.dropped for each in series))
        return "\n".join(each.text() for each in (*series, overflow)) + "\n"


def _side(endpoint: str, arm: Arm | None, variant: str) -> dict[str, object]:
    if arm is None:
        return {"endpoint": endpoint, "model": "", "version": "", "variant": variant}
    return {"endpoint": endpoint, "model": arm.model.name, "version": arm.model.version, "variant": str(variant)}


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + inside + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
