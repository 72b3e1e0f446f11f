"""Serving's prediction log as `Predictions`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from modelwright.monitoring.ports import AT, ID, MODEL, VARIANT

if TYPE_CHECKING:
    import pyarrow as pa

INPUT, OUTPUT = "input.", "output."


class LoggedPredictions:
    """Reads the log of what serves, by its `read`. An endpoint bears the name of its deployment in production.

    The first row of a request has the request's id, a further one the id with `/` and its number. An output that bears the
    name of an input is called `output.<name>`; columns that are only logged (keys) are left out.
    """

    def __init__(self, read: Callable[[str, datetime, datetime], pa.Table]) -> None:
        """`read` is `serving`'s: endpoint, since, until to a table (see `PredictionLog.read`)."""
        self._read = read

    def read(self, deployment: str, since: datetime, until: datetime) -> pa.Table:
        """See `Predictions`."""
        import pyarrow as pa

        table = self._read(deployment, since, until)
        pairs = zip(table["request_id"].to_pylist(), table["row"].to_pylist(), strict=True)
        columns = {
            ID: pa.array([f"{request}/{row}" if row else request for request, row in pairs], pa.string()),
            AT: table["time"],
            MODEL: table["model"],
            VARIANT: table["variant"],
        }
        for prefix in (INPUT, OUTPUT):
            for logged in table.column_names:
                if logged.startswith(prefix):
                    name = logged.removeprefix(prefix)
                    columns[logged if name in columns else name] = table[logged]
        return pa.table(columns)
