"""What can go wrong with a pipeline, beyond what can go wrong with anything."""

from __future__ import annotations

from typing import ClassVar

from modelwright.core.errors import Conflict, ModelwrightError


class StepFailed(ModelwrightError):
    """A step raised an error, and its retries are used up. The error itself is the `__cause__`."""

    code: ClassVar[str] = "step-failed"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 9


class LeaseLost(Conflict):
    """A worker was silent for too long and another has taken its step over: what it made is not accepted."""

    code: ClassVar[str] = "lease-lost"
