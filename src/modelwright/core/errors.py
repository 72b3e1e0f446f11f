"""What can be wrong with the world.

    ModelwrightError
    ├── Invalid          the request cannot be understood or breaks a rule of form
    │   └── BadRef       a ref does not follow the grammar; points at the character
    ├── NotFound         the thing named does not exist, or the caller may not know that it does
    │   └── Gone         it was there and is retired; names its successor
    ├── Conflict         the world has moved on: a concurrent write, a name taken, an illegal move
    │   └── InUse        something else depends on it; names the dependants
    ├── Refused          a rule says no and can say why: a gate, a policy, separation of duties
    │   └── Denied       the caller lacks the right
    ├── Unauthenticated  nobody knows who is asking
    ├── Corrupt          stored bytes do not match their digest, or the record does not verify
    └── Unavailable      a part that is needed does not answer; trying again may help

Each has a stable `code` for programs, and a message for people that says what, which and why. `mend` is the one
command or change that puts it right, and `details` holds whatever a program may want to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class ModelwrightError(Exception):
    """The root of every error that Modelwright raises on purpose."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500  # the HTTP status that says the same
    exit_code: ClassVar[int] = 1  # the process exit code that says the same

    def __init__(self, message: str, *, mend: str = "", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.details: dict[str, Any] = dict(details or {})

    def __str__(self) -> str:
        return f"{self.message} {self.mend}".strip()


class Invalid(ModelwrightError):
    code = "invalid"
    status = 400
    exit_code = 2


class BadRef(Invalid):
    code = "bad-ref"


class NotFound(ModelwrightError):
    code = "not-found"
    status = 404
    exit_code = 3


class Gone(NotFound):
    code = "gone"
    status = 410


class Conflict(ModelwrightError):
    code = "conflict"
    status = 409
    exit_code = 4


class InUse(Conflict):
    code = "in-use"


class Refused(ModelwrightError):
    code = "refused"
    status = 422
    exit_code = 10  # a failed gate has an exit code of its own, so that CI can tell it from a crash


class Denied(Refused):
    code = "denied"
    status = 403
    exit_code = 5


class Unauthenticated(ModelwrightError):
    code = "unauthenticated"
    status = 401
    exit_code = 6


class Corrupt(ModelwrightError):
    code = "corrupt"
    status = 500
    exit_code = 7


class Unavailable(ModelwrightError):
    code = "unavailable"
    status = 503
    exit_code = 8


def _tree(root: type[ModelwrightError]) -> dict[str, type[ModelwrightError]]:
    found: dict[str, type[ModelwrightError]] = {}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found | {root.code: root}  # a child without a code of its own does not stand in for its parent


def error_for(code: str, message: str, *, mend: str, details: Mapping[str, Any]) -> ModelwrightError:
    """The error a code stands for: how a remote answer becomes the same exception as a local one."""
    return _tree(ModelwrightError).get(code, ModelwrightError)(message, mend=mend, details=details)
