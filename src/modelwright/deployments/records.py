"""The nouns of deployments: where a model answers, which version, how a new one takes over. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from modelwright.core.clock import isoformat
from modelwright.core.errors import Conflict
from modelwright.core.refs import Kind, Ref
from modelwright.serving.records import Arm, Intake, Manifest, Route, Switch

PRODUCTION = "production"


class Outcome(StrEnum):
    """What a verdict says of a candidate."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class RolloutState(StrEnum):
    """Where a rollout stands."""

    PENDING = "pending"  # the candidate is not loaded yet
    ANALYSING = "analysing"  # it has its share of the traffic, and is compared
    WAITING = "waiting"  # for a person's word before the next step
    PAUSED = "paused"  # holds its weight until somebody decides
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    SUPERSEDED = "superseded"

    @property
    def over(self) -> bool:
        """Whether nothing more can happen to it."""
        return not MOVES[self]


MOVES: dict[RolloutState, frozenset[RolloutState]] = {
    RolloutState.PENDING: frozenset(
        {RolloutState.ANALYSING, RolloutState.PROMOTED, RolloutState.ROLLED_BACK, RolloutState.SUPERSEDED}
    ),
    RolloutState.ANALYSING: frozenset(
        {
            RolloutState.ANALYSING,  # the next step
            RolloutState.WAITING,
            RolloutState.PAUSED,
            RolloutState.PROMOTED,
            RolloutState.ROLLED_BACK,
            RolloutState.SUPERSEDED,
        }
    ),
    RolloutState.WAITING: frozenset(
        {
            RolloutState.ANALYSING,
            RolloutState.PAUSED,
            RolloutState.PROMOTED,
            RolloutState.ROLLED_BACK,
            RolloutState.SUPERSEDED,
        }
    ),
    RolloutState.PAUSED: frozenset(
        {RolloutState.ANALYSING, RolloutState.PROMOTED, RolloutState.ROLLED_BACK, RolloutState.SUPERSEDED}
    ),
    RolloutState.PROMOTED: frozenset(),
    RolloutState.ROLLED_BACK: frozenset(),
    RolloutState.SUPERSEDED: frozenset(),
}


class WhenInconclusive(StrEnum):
    """What happens to a step whose time is up without a verdict."""

    PAUSE = "pause"
    ROLL_BACK = "roll_back"
    PROMOTE = "promote"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a ramp. Durations are seconds of the workspace's clock."""

    weight: float  # per cent of the units
    min_duration: float = 0.0
    max_duration: float = 7 * 24 * 3600.0
    min_requests: int = 100  # on the candidate, at this step
    when_inconclusive: WhenInconclusive = WhenInconclusive.PAUSE
    approval: bool = False  # a person must say so before the next step


class Guardrail(msgspec.Struct, frozen=True, kw_only=True):
    """A stream of bad events, and how much worse a candidate may be. Ratios are to the baseline's bad-event rate."""

    name: str
    tolerated: float = 1.0  # a ratio above this is harm
    acceptable: float = 2.0  # a ratio below this is good enough to promote
    budget: float | None = None  # a rate below this is good enough whatever the ratio
    required: bool = True  # must pass before promotion; otherwise it can only fail


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """How a version takes over. Without steps it takes over at once."""

    name: str
    steps: list[Step] = []
    guardrails: list[Guardrail] = []
    alpha: float = 0.05  # chance of rolling back a candidate that is no worse
    beta: float = 0.05  # chance of promoting one that is unacceptable


ERRORS = Guardrail(name="errors", budget=0.01)
LATENCY = Guardrail(name="latency", budget=0.05)
QUALITY = Guardrail(name="quality", acceptable=1.2, required=False)

STRATEGIES: dict[str, Strategy] = {
    "all_at_once": Strategy(name="all_at_once"),
    "canary": Strategy(name="canary", steps=[Step(weight=10.0)], guardrails=[ERRORS, LATENCY, QUALITY]),
    "ramp": Strategy(
        name="ramp",
        steps=[Step(weight=w, max_duration=6 * 3600.0) for w in (1.0, 5.0, 25.0, 50.0)],
        guardrails=[ERRORS, LATENCY, QUALITY],
    ),
}


class Arms(msgspec.Struct, frozen=True, kw_only=True):
    """Requests and bad ones on both sides."""

    baseline: int = 0
    baseline_bad: int = 0
    candidate: int = 0
    candidate_bad: int = 0

    def __add__(self, other: Arms) -> Arms:
        return Arms(
            baseline=self.baseline + other.baseline,
            baseline_bad=self.baseline_bad + other.baseline_bad,
            candidate=self.candidate + other.candidate,
            candidate_bad=self.candidate_bad + other.candidate_bad,
        )


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What is known on one guardrail. `harm` and `safety` are logarithms of e-values, with what each must reach."""

    guardrail: str
    outcome: Outcome
    seen: Arms
    harm: float
    harm_needed: float
    safety: float
    safety_needed: float
    required: bool
    requests_needed: int | None = None  # about so many more until a good candidate passes


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A reading as it is kept as evidence: e-values as text."""

    guardrail: str
    outcome: Outcome
    seen: Arms
    e_harm: str
    e_safety: str


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on a candidate, and why."""

    outcome: Outcome
    why: str
    readings: list[Reading] = []
    skewed: bool = False  # units are not dealt as the weights say


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen since the last look: per guardrail, the units met, and the errors in a row on the candidate."""

    weight: float | None = None  # per cent that the candidate was given; without it, nothing is said about routing
    guardrails: dict[str, Arms] = {}
    units_baseline: int = 0
    units_candidate: int = 0
    streak: int | None = None  # None: nothing is said about it


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A version that is, was, or may become live. It holds all that is needed to load it: going back asks no registry."""

    model: Ref
    manifest: Manifest
    at: datetime
    by: str
    reason: str = ""

    @property
    def digest(self) -> str:
        """The version's digest."""
        return self.manifest.digest

    @property
    def arm(self) -> Arm:
        """How the data plane names it."""
        return Arm(model=self.model, digest=self.digest)


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A version on its way to take over."""

    id: str
    deployment: Ref
    environment: str
    candidate: Release
    baseline: Ref
    strategy: Strategy
    state: RolloutState
    step: int  # index into the strategy's steps
    step_since: datetime
    step_seen: Arms = Arms()  # answers and errors at this step
    streak: int = 0  # the candidate's errors in a row
    judgement: Judgement
    started_at: datetime
    by: str
    reason: str
    ended_at: datetime | None = None
    outcome: str = ""  # why it ended or stands still
    revision: int = 0

    @property
    def ref(self) -> Ref:
        """Its own name."""
        return Ref(Kind.ROLLOUT, self.id)

    @property
    def salt(self) -> str:
        """What units are dealt by: another rollout deals them anew, and a replay of the same history as it did before.

        Of its beginning the second alone counts, since a simulated clock goes on by a microsecond with each look at it.
        """
        begun = isoformat(self.started_at.replace(microsecond=0))
        return f"{self.deployment} {self.environment} {self.candidate.model} {begun} "

    @property
    def weight(self) -> float:
        """Per cent of the units that the candidate gets now."""
        if self.state in (RolloutState.ANALYSING, RolloutState.WAITING, RolloutState.PAUSED):
            return self.strategy.steps[self.step].weight
        return 0.0

    def check_move(self, to: RolloutState) -> None:
        """Raise `Conflict` if the rollout cannot go there from where it is."""
        if to not in MOVES[self.state]:
            legal = ", ".join(sorted(MOVES[self.state])) or "nothing: it is over"
            raise Conflict(f"{self.ref} is {self.state} and cannot become {to}; what it can become: {legal}.")


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment in one environment: what is live there, what was before, what is coming."""

    environment: str
    endpoint: str
    stable: Release
    former: list[Release] = []  # what was live before, the last one last: where a rollback goes
    rollout: Rollout | None = None  # the active one, else the last
    switch: Switch = Switch.LIVE
    fallback: dict[str, Any] = {}

    @property
    def previous(self) -> Release | None:
        """Where a rollback would go."""
        return self.former[-1] if self.former else None

    @property
    def active(self) -> Rollout | None:
        """The rollout that is under way."""
        return None if self.rollout is None or self.rollout.state.over else self.rollout

    @property
    def weights(self) -> dict[str, float]:
        """Per cent of the units by version."""
        if self.active is None:
            return {str(self.stable.model): 100.0}
        weight = self.active.weight
        return {str(self.stable.model): 100.0 - weight, str(self.active.candidate.model): weight}


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A named place where a model answers. Its environments come into being with the first version deployed there."""

    name: str
    created_at: datetime
    created_by: str
    description: str = ""
    intake: Intake = Intake()
    slow_after: float = 0.25  # seconds: the latency objective
    retired_at: datetime | None = None
    successor: Ref | None = None
    placements: list[Placement] = []

    @property
    def ref(self) -> Ref:
        """Its own name."""
        return Ref(Kind.DEPLOYMENT, self.name)

    @property
    def routes(self) -> list[Route]:
        """The lines of the routing table that this deployment wants."""
        return [] if self.retired_at else [_route(self, placement) for placement in self.placements]

    def placement(self, environment: str) -> Placement | None:
        """How it stands in an environment, if anything was deployed there."""
        return next((p for p in self.placements if p.environment == environment), None)


def _route(deployment: Deployment, placement: Placement) -> Route:
    rollout = placement.active
    return Route(
        endpoint=placement.endpoint,
        stable=placement.stable.arm,
        canary=rollout.candidate.arm if rollout and rollout.weight else None,
        weight=rollout.weight if rollout else 0.0,
        salt=rollout.salt if rollout else "",
        slow_after=deployment.slow_after,
        switch=placement.switch,
        fallback=placement.fallback,
        intake=deployment.intake,
    )


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """What was live somewhere at a moment, since when, who put it there and who had approved it."""

    deployment: Ref
    environment: str
    model: Ref
    since: datetime
    by: str  # whoever deployed it, though a verdict may have promoted it
    reason: str
    approved_by: list[str] = []
    event: int  # the ledger's sequence number


class Unserved(msgspec.Struct, frozen=True, kw_only=True):
    """What should answer and does not, because its model cannot be loaded."""

    deployment: Ref
    environment: str
    endpoint: str
    model: Ref
    why: str


def endpoint_of(name: str, environment: str) -> str:
    """The name an environment answers by: the deployment's own in production, `name@environment` elsewhere."""
    return name if environment == PRODUCTION else f"{name}@{environment}"


def deployment_of(endpoint: str) -> str:
    """The deployment that an endpoint belongs to: rights are asked on it."""
    return endpoint.partition("@")[0]
