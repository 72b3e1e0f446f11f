"""Where predictions come from. Serving's log is one such place; tests and other logs may be another."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

ID, AT, MODEL, VARIANT = "prediction_id", "predicted_at", "predicted_by", "predicted_variant"
OWN = (ID, AT, MODEL, VARIANT)  # the columns that every table of predictions has; the others are inputs and outputs


class Predictions(Protocol):
    """Reads logged predictions.

    Guarantees: `read` returns the rows whose event time lies in [since, until), in order of that time, each once, with
    the columns `prediction_id` (text, unique, the id that labels use), `predicted_at` (UTC, microseconds), `predicted_by`
    (the ref of the model version), `predicted_variant` (stable, canary, ...), and one column for every input and output
    that any of these rows has. A deployment that has logged nothing gives a table without rows.
    """

    def read(self, deployment: str, since: datetime, until: datetime) -> pa.Table: ...
