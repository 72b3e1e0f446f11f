"""The data plane: which model answers a request, and what it answered. Knows no protocol, no database and no clock.

The routing table is immutable and swapped whole, so a request sees one state of the world from its beginning to its end,
and a rollback is one assignment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import msgspec

from modelwright.core.errors import Invalid, ModelwrightError, NotFound, Unavailable
from modelwright.core.later import later
from modelwright.core.refs import Ref
from modelwright.core.signature import Column, DataType, Signature
from modelwright.serving.checks import Array, Columns, as_column, check_batch, conform_outputs
from modelwright.serving.loaders import Predictor
from modelwright.serving.records import Arm, Call, Route, Switch, Tally, Variant

if TYPE_CHECKING:
    import numpy as np
else:
    np = later("numpy")

MAX_UNITS = 50_000  # units remembered per rollout, to count each once; later ones are not counted
FALLBACK = "fallback"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a request that one side answered, as the model saw and answered them."""

    variant: str  # stable, canary, or fallback (the kill switch's answer)
    arm: Arm
    rows: Array  # their numbers in the request
    inputs: Columns
    outputs: Columns
    units: list[str] | None
    seconds: float
    rescued: bool = False  # the canary failed, and stable answered in its place


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """All of a request's answer: outputs in the order of its rows, and who gave them."""

    call: Call
    outputs: Columns
    signature: Signature
    parts: list[Part]
    keys: Columns  # the columns that are logged and not predicted from
    times: Array | None = None  # the event time of each row, where the endpoint has a column for it

    @property
    def arm(self) -> Arm:
        """The version that answered; where a batch was divided, that of its first row."""
        return min(self.parts, key=lambda part: part.rows[0] if len(part.rows) else 0).arm

    @property
    def variant(self) -> str:
        """The side that answered, or `mixed` where a batch was divided between two."""
        sides = {part.variant for part in self.parts}
        return sides.pop() if len(sides) == 1 else "mixed"


class Observer(Protocol):
    """Told of every answer before it is given, and of every failure: the prediction log and the metrics."""

    def answered(self, answer: Answer) -> None: ...

    def failed(self, call: Call, arm: Arm, variant: Variant, seconds: float) -> None: ...


class Plane:
    """Routes, predicts, counts. Safe to call from many threads; `swap` may come at any moment."""

    def __init__(self, observers: Sequence[Observer] = (), timer: Callable[[], float] = perf_counter) -> None:
        self._live: Mapping[str, tuple[Route, Mapping[str, Predictor]]] = {}
        self._missing: Mapping[str, Ref] = {}
        self._observers = tuple(observers)
        self._timer = timer
        self._tallies = Tallies()

    @property
    def routes(self) -> dict[str, Route]:
        """The routing table."""
        return {endpoint: route for endpoint, (route, _) in self._live.items()}

    @property
    def missing(self) -> Mapping[str, Ref]:
        """Endpoints that should be served and are not, each with the model that is to blame."""
        return self._missing

    def swap(self, routes: Sequence[Route], predictors: Mapping[str, Predictor], missing: Mapping[str, Ref] = {}) -> None:
        """Put a new table in force, all at once. `predictors` holds a loaded model for the digest of every arm.

        `missing` are endpoints that should be served and are not.
        """
        fresh = {}
        for route in routes:
            needed = {arm.digest for arm in route.arms.values()}
            for absent in needed - predictors.keys():
                raise Invalid(f"{route.endpoint} cannot be routed: no model with digest {absent[:12]} is loaded.")
            fresh[route.endpoint] = (route, {digest: predictors[digest] for digest in needed})
        self._live, self._missing = fresh, dict(missing)

    def route(self, endpoint: str) -> Route:
        """The route of an endpoint, or `NotFound`."""
        return self._find(endpoint)[0]

    def signature(self, endpoint: str, version: int | None = None) -> Signature:
        """What a version behind an endpoint takes and gives; without a version, the stable one."""
        route, predictors = self._find(endpoint)
        arm = route.stable if version is None else route.arms[_side_of_version(route, version)]
        return predictors[arm.digest].manifest.signature

    def platform(self, endpoint: str) -> str:
        """The format of the stable version."""
        route, predictors = self._find(endpoint)
        return predictors[route.stable.digest].manifest.format.value

    def tallies(self) -> list[Tally]:
        """What every side has seen since the process began; take differences with `Tally.since`."""
        return self._tallies.read()

    def predict(self, call: Call) -> Answer:
        """Answer a call, or raise: `NotFound`, `Invalid` (the request), `Unavailable` (switched off, or the model failed).

        A canary that fails is covered by stable, and counted. A batch whose rows are of units on both sides is divided.
        """
        route, predictors = self._find(call.endpoint)
        if route.switch is Switch.OFF:
            raise Unavailable(
                f"{call.endpoint} is switched off.", mend="Its owner can switch it on again (deployments.switch)."
            )
        stable = predictors[route.stable.digest].manifest.signature
        batch, keys = _split_keys(call, route, stable)
        units = _units(call, route, batch, keys)
        times = _times(route, batch, keys)
        if route.switch is Switch.FALLBACK:
            parts = [_stand_in(call, route, stable, batch, units)]
        else:
            divided = _divide(call, route, units, _rows(batch))
            parts = [self._answer(call, route, predictors, batch, units, side, rows) for side, rows in divided]
        answer = Answer(call=call, outputs=_joined(parts), signature=stable, parts=parts, keys=keys, times=times)
        for observer in self._observers:
            observer.answered(answer)
        return answer

    def _find(self, endpoint: str) -> tuple[Route, Mapping[str, Predictor]]:
        found = self._live.get(endpoint)
        if found is None and endpoint in self._missing:
            raise Unavailable(
                f"{endpoint} does not answer: {self._missing[endpoint]} cannot be loaded.",
                mend="The page of the deployment and the server's log say why.",  # the reason is not for whoever asks
            )
        if found is None:
            raise NotFound(f"No deployment named {endpoint!r} is live here.")
        return found

    def _answer(
        self,
        call: Call,
        route: Route,
        predictors: Mapping[str, Predictor],
        batch: Mapping[str, Any],
        units: list[str] | None,
        side: Variant,
        rows: Array | None,
    ) -> Part:
        """Rows answered by one side, or by stable if the side is the canary and it fails. `rows` None stands for all."""
        mine = batch if rows is None else {name: _take(values, rows) for name, values in batch.items()}
        own_units = units if rows is None or units is None or len(units) == 1 else [units[i] for i in rows]
        counted = call.version is None and call.variant is None
        started = self._timer()
        rescued = False
        try:
            inputs, outputs = _run(predictors[route.arms[side].digest], call, mine)
        except Exception as error:  # noqa: BLE001 - a model may raise anything
            if side is Variant.STABLE:
                self._refuse(call, route, side, error, started, counted=counted)
            inputs, outputs = self._rescue(call, route, predictors, mine, started, counted=counted)
            rescued, arm = True, route.stable
        else:
            arm = route.arms[side]
        seconds = self._timer() - started
        if counted:
            met = own_units if call.unit or route.intake.unit_column else None
            self._tallies.add(route, side, failed=rescued, slow=seconds > route.slow_after, units=met or ())
        return Part(
            variant=Variant.STABLE if rescued else side,
            arm=arm,
            rows=np.arange(_rows(mine)) if rows is None else rows,
            inputs=inputs,
            outputs=outputs,
            units=own_units,
            seconds=seconds,
            rescued=rescued,
        )

    def _rescue(
        self,
        call: Call,
        route: Route,
        predictors: Mapping[str, Predictor],
        batch: Mapping[str, Any],
        started: float,
        *,
        counted: bool,
    ) -> tuple[Columns, Columns]:
        """Stable's answer where the canary gave none. If stable cannot either, the request is at fault, or both are."""
        assert route.canary is not None
        try:
            answered = _run(predictors[route.stable.digest], call, batch)
        except Exception as error:  # noqa: BLE001 - as above
            self._refuse(call, route, Variant.STABLE, error, started, counted=counted)
        self._tell_failure(call, route.canary, Variant.CANARY, started)
        return answered

    def _refuse(
        self, call: Call, route: Route, side: Variant, error: Exception, started: float, *, counted: bool
    ) -> NoReturn:
        """Raise what the caller is to see: a wrong request as it is, a model's own exception without its words."""
        if isinstance(error, ModelwrightError):
            raise error
        if counted:
            self._tallies.add(route, side, failed=True, slow=False, units=())
        self._tell_failure(call, route.arms[side], side, started)
        raise ModelFailed(call.endpoint, route.arms[side], type(error).__name__) from None

    def _tell_failure(self, call: Call, arm: Arm, side: Variant, started: float) -> None:
        for observer in self._observers:
            observer.failed(call, arm, side, self._timer() - started)


class ModelFailed(ModelwrightError):
    """The model raised. Its message may hold data or code, so only the type of the exception is told."""

    code = "model-failed"
    status = 500

    def __init__(self, endpoint: str, arm: Arm, kind: str) -> None:
        super().__init__(f"The model behind {endpoint} ({arm.model}) failed with {kind}.", details={"exception": kind})


class Tallies:
    """Counters by endpoint, rollout, weight and side."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str, float, Variant], dict[str, int]] = {}
        self._met: dict[str, set[int]] = {}

    def add(self, route: Route, side: Variant, *, failed: bool, slow: bool, units: Sequence[str]) -> None:
        """Count one answer."""
        with self._lock:
            key = (route.endpoint, route.salt, route.weight, side)
            counts = self._counts.setdefault(key, {"requests": 0, "errors": 0, "slow": 0, "units": 0, "streak": 0})
            counts["requests"] += 1
            counts["errors"] += failed
            counts["slow"] += slow
            counts["streak"] = counts["streak"] + 1 if failed else 0
            counts["units"] += self._first_met(route.salt, units) if route.canary is not None else 0

    def read(self) -> list[Tally]:
        """Everything counted so far."""
        with self._lock:
            return [
                Tally(endpoint=endpoint, salt=salt, weight=weight, variant=side, **counts)
                for (endpoint, salt, weight, side), counts in self._counts.items()
            ]

    def _first_met(self, salt: str, units: Sequence[str]) -> int:
        met = self._met.setdefault(salt, set())
        before = len(met)
        if before < MAX_UNITS:
            met.update(hash(unit) for unit in units)
        return len(met) - before


def _run(predictor: Predictor, call: Call, batch: Mapping[str, Any]) -> tuple[Columns, Columns]:
    inputs = check_batch(predictor.manifest.signature, batch, extras=call.extras)
    return inputs, predictor.predict(inputs)


def _side_of_version(route: Route, version: int) -> Variant:
    for side, arm in route.arms.items():
        if arm.model.version == version:
            return side
    live = " and ".join(str(arm.model.version) for arm in route.arms.values())
    raise NotFound(f"{route.endpoint} serves version {live}, not {version}.")


def _divide(call: Call, route: Route, units: list[str] | None, count: int) -> Iterator[tuple[Variant, Array | None]]:
    """Sides and the rows each gets; None stands for all rows."""
    if call.version is not None:
        yield _side_of_version(route, call.version), None
    elif call.variant is not None:
        yield call.variant if call.variant in route.arms else Variant.STABLE, None
    elif route.canary is None or units is None or len(units) == 1 or count <= 1:
        yield route.side(units[0] if units else call.request_id), None
    else:
        sides = np.array([route.side(unit) for unit in units])
        for side in Variant:
            rows = np.flatnonzero(sides == side)
            if len(rows) == count:
                yield side, None
            elif len(rows):
                yield side, rows


def _split_keys(call: Call, route: Route, signature: Signature) -> tuple[dict[str, Any], Columns]:
    """The batch without the key columns, and these as arrays."""
    inputs = {column.name for column in signature.inputs}
    intake = route.intake
    wanted = {*intake.keys, intake.unit_column, intake.time_column} - inputs
    keys = {name: _plain_array(values) for name, values in call.batch.items() if name in wanted}
    return {name: values for name, values in call.batch.items() if name not in wanted}, keys


def _units(call: Call, route: Route, batch: Mapping[str, Any], keys: Columns) -> list[str] | None:
    """One unit for the request, or one per row, or None."""
    if call.unit:
        return [call.unit]
    column = route.intake.unit_column
    values = keys.get(column) if column in keys else batch.get(column)
    return None if values is None or len(values) == 0 else [str(value) for value in values]


def _times(route: Route, batch: Mapping[str, Any], keys: Columns) -> Array | None:
    column = route.intake.time_column
    values = keys.get(column) if column in keys else batch.get(column)
    if values is None:
        return None
    return as_column(Column(name=column, dtype=DataType.DATETIME, nullable=True), values)


def _plain_array(values: Any) -> Array:
    if isinstance(values, np.ndarray):
        return values.reshape(-1)
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def _take(values: Any, rows: Array) -> Any:
    return values[rows] if isinstance(values, np.ndarray) else [values[i] for i in rows]


def _rows(batch: Mapping[str, Any]) -> int:
    return len(next(iter(batch.values()), ()))


def _stand_in(call: Call, route: Route, signature: Signature, batch: Mapping[str, Any], units: list[str] | None) -> Part:
    """The kill switch's fixed answer, in the form of the model's own."""
    inputs = check_batch(signature, batch, extras=call.extras)
    count = _rows(inputs)
    outputs = {column.name: as_column(column, [route.fallback.get(column.name)] * count) for column in signature.outputs}
    return Part(
        variant=FALLBACK,
        arm=route.stable,
        rows=np.arange(count),
        inputs=inputs,
        outputs=conform_outputs(signature, outputs),
        units=units,
        seconds=0.0,
    )


def _joined(parts: list[Part]) -> Columns:
    """Outputs of the parts, put back into the order of the request's rows; outputs that not all parts have are left out."""
    if len(parts) == 1:
        return parts[0].outputs
    order = np.argsort(np.concatenate([part.rows for part in parts]), kind="stable")
    shared = [name for name in parts[0].outputs if all(name in part.outputs for part in parts)]
    return {name: np.concatenate([part.outputs[name] for part in parts])[order] for name in shared}
