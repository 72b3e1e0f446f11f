"""What is wrong, in MLflow's words: its client raises by `error_code`, and retries whatever answers 500."""

from __future__ import annotations

from typing import Final

import msgspec

from modelwright.core.errors import (
    Conflict,
    Corrupt,
    Denied,
    Invalid,
    ModelwrightError,
    NotFound,
    Refused,
    Unauthenticated,
    Unavailable,
)

INVALID: Final = "INVALID_PARAMETER_VALUE"
EXISTS: Final = "RESOURCE_ALREADY_EXISTS"
MISSING: Final = "RESOURCE_DOES_NOT_EXIST"
NO_ENDPOINT: Final = "ENDPOINT_NOT_FOUND"
NOT_OFFERED: Final = "NOT_IMPLEMENTED"

_STATUS: Final = {
    INVALID: 400,
    "BAD_REQUEST": 400,
    EXISTS: 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    MISSING: 404,
    NO_ENDPOINT: 404,
    "RESOURCE_CONFLICT": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL_ERROR": 500,
    NOT_OFFERED: 501,
    "TEMPORARILY_UNAVAILABLE": 503,
}
_CODES: Final[tuple[tuple[type[ModelwrightError], str], ...]] = (  # the first that fits
    (Unauthenticated, "UNAUTHENTICATED"),
    (Denied, "PERMISSION_DENIED"),
    (Refused, "PERMISSION_DENIED"),  # a gate: its reasons are in the message
    (NotFound, MISSING),
    (Conflict, INVALID),
    (Invalid, INVALID),
    (Unavailable, "TEMPORARILY_UNAVAILABLE"),
    (Corrupt, "INTERNAL_ERROR"),
)


class MlflowError(ModelwrightError):
    """An error that MLflow's documents name: its code, and a message in its words where clients match on them."""

    def __init__(self, code: str, message: str, *, mend: str = "") -> None:
        super().__init__(message, mend=mend)
        self.error_code = code


def invalid(message: str) -> MlflowError:
    """INVALID_PARAMETER_VALUE."""
    return MlflowError(INVALID, message)


def missing(message: str) -> MlflowError:
    """RESOURCE_DOES_NOT_EXIST."""
    return MlflowError(MISSING, message)


def exists(message: str) -> MlflowError:
    """RESOURCE_ALREADY_EXISTS."""
    return MlflowError(EXISTS, message)


def told(error: ModelwrightError) -> tuple[int, bytes]:
    """The status and the JSON of an error. What is our own says how to mend it as well."""
    if isinstance(error, MlflowError):
        code = error.error_code
        status = _STATUS[code]
    else:
        code = next((code for kind, code in _CODES if isinstance(error, kind)), "INTERNAL_ERROR")
        status = error.status if error.status in (405, 408, 413, 415, 416) else _STATUS[code]
    return status, msgspec.json.encode({"error_code": code, "message": str(error)})
