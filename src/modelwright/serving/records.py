"""The nouns of serving. Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from modelwright.core.refs import Ref
from modelwright.core.signature import Signature

MLMODEL = "MLmodel"  # the file that makes a folder MLflow's
BUCKETS = 10_000  # units are dealt into so many: a weight has a hundredth of a per cent as its smallest step


class Format(StrEnum):
    """How a model is written down. What runs code when it is read (pickle) is kept, and never read by serving."""

    SKOPS = "skops"
    ONNX = "onnx"
    LIGHTGBM = "lightgbm"  # LightGBM's own text
    XGBOOST = "xgboost"  # XGBoost's own UBJSON or JSON
    SAFETENSORS = "safetensors"  # named tensors; what computes with them is code, and not in the file
    PICKLE = "pickle"
    MLFLOW = "mlflow"  # a folder with an `MLmodel` file, kept as it came
    EXTERNAL = "external"  # only an address, given by another program: nothing of it is here


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """A signature over the files of a package: a Sigstore bundle as JSON, and the public key it is checked with, as PEM."""

    bundle: str
    key: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a model package is: a named version, its files (path to BLAKE3 digest), its format and its signature."""

    name: str
    version: int
    format: Format
    files: dict[str, str]
    signature: Signature
    digest: str  # of the version, as the registry has it
    seal: Seal | None = None  # if it is signed; every load verifies it


class Extras(StrEnum):
    """What to do with a column that the signature does not know."""

    REFUSE = "refuse"
    DROP = "drop"


class Variant(StrEnum):
    """Which side of a rollout answered."""

    STABLE = "stable"
    CANARY = "canary"


class Switch(StrEnum):
    """The kill switch of an endpoint."""

    LIVE = "live"  # the model answers
    FALLBACK = "fallback"  # a fixed answer stands in for the model
    OFF = "off"  # nothing answers


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One model version behind an endpoint."""

    model: Ref  # pinned to a version
    digest: str


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint reads a request, besides the columns of its model.

    A unit (a customer, an aircraft) stays on one side of a rollout. It is taken from the first of these that the request
    has: the header, the cookie, the parameter `unit`, the column `unit_column`; failing all, the request's id, which is
    not sticky. `keys` are columns that are logged beside a prediction and not given to the model; `time_column`, one of
    the keys or of the inputs, holds the time of the event predicted.
    """

    header: str = "x-unit-id"
    cookie: str = ""
    unit_column: str = ""
    time_column: str = ""
    keys: list[str] = []


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint does with a request: one line of the routing table."""

    endpoint: str
    stable: Arm
    canary: Arm | None = None
    weight: float = 0.0  # per cent of the units that the canary gets
    salt: str = ""  # the rollout's: another rollout deals the units anew
    slow_after: float = 0.25  # seconds; an answer that took longer is a bad event for the latency guardrail
    switch: Switch = Switch.LIVE
    fallback: dict[str, Any] = {}  # output to value, while the switch is on `fallback`
    intake: Intake = Intake()

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 100:
            raise ValueError(f"a weight is 0 to 100 per cent, not {self.weight}")

    @property
    def arms(self) -> dict[Variant, Arm]:
        """The sides that may answer."""
        return {Variant.STABLE: self.stable} | ({Variant.CANARY: self.canary} if self.canary else {})

    def side(self, unit: str) -> Variant:
        """Which side a unit is on. A growing weight only adds units to the canary: none goes back."""
        if self.canary is None:
            return Variant.STABLE
        return Variant.CANARY if bucket(self.salt, unit) < self.weight * (BUCKETS / 100) else Variant.STABLE


def bucket(salt: str, unit: str) -> int:
    """The bucket of a unit: the first eight bytes of SHA-256 over salt and unit, modulo 10,000."""
    return int.from_bytes(hashlib.sha256(f"{salt}{unit}".encode()).digest()[:8]) % BUCKETS


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What one side of one endpoint has seen at one weight, since the process began. Only grows."""

    endpoint: str
    salt: str
    weight: float
    variant: Variant
    requests: int = 0  # answered, or failed by the model; not those that were wrong themselves
    errors: int = 0
    slow: int = 0
    units: int = 0  # units met for the first time in this rollout
    streak: int = 0  # errors in a row, right now

    def since(self, before: Tally | None) -> Tally:
        """What was added since an earlier reading."""
        if before is None:
            return self
        return msgspec.structs.replace(
            self,
            requests=self.requests - before.requests,
            errors=self.errors - before.errors,
            slow=self.slow - before.slow,
            units=self.units - before.units,
        )


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request to an endpoint, whatever protocol it came by. `batch` holds columns: lists or NumPy arrays."""

    endpoint: str
    batch: dict[str, Any]
    request_id: str
    unit: str | None = None
    version: int | None = None  # ask one version of those that are live
    variant: Variant | None = None  # ask one side
    event_time: datetime | None = None
    extras: Extras = Extras.REFUSE
    protocol: str = "v2"
