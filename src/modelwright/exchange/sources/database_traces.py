"""The traces in a database of MLflow's: what it says of each, its spans, and what was judged of it."""

from __future__ import annotations

import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from modelwright.exchange.files import Place
from modelwright.exchange.records import Counts
from modelwright.exchange.sources.traces import PLACE_TAG, ForeignTrace, span_of, state_of, value_of
from modelwright.traces import Assessment, AssessmentKind, Span, TraceGiven
from modelwright.traces.records import NAME_TAG

TABLES = ("trace_info", "trace_tags", "trace_request_metadata", "spans", "assessments", "entity_associations")
PAGE = 200  # traces whose spans are read in one go
INPUTS, OUTPUTS = "mlflow.traceInputs", "mlflow.traceOutputs"
FILE = "traces.json"  # of the spans, where they are not in the database


class TracesThere:
    """Reads the traces of experiments that are not deleted: those of others can be seen nowhere."""

    def __init__(
        self,
        tables: Mapping[str, sa.Table],
        rows: Callable[[Any], Iterable[Any]],
        here: Callable[[Any, sa.Table], Any],
        place: Callable[[str], Place | None],
    ) -> None:
        """`here` leaves of a query what belongs to the workspace that is read."""
        self._tables, self._rows, self._here, self._place = tables, rows, here, place

    def all(self) -> Iterator[ForeignTrace]:
        """Every trace, in order of its id."""
        if "trace_info" not in self._tables:
            return
        t, after = self._tables["trace_info"], ""
        query = self._open(sa.select(t)).order_by(t.c.request_id).limit(PAGE)
        while page := list(self._rows(query.where(t.c.request_id > after))):
            yield from self._page(page)
            after = page[-1].request_id

    def count(self, found: Counts) -> None:
        """Add how many there are, with their spans and assessments."""
        if "trace_info" not in self._tables:
            return
        t = self._tables["trace_info"]
        (found.traces,) = self._first(self._open(sa.select(sa.func.count()).select_from(t)))
        for name, column in (("spans", "spans"), ("assessments", "assessments")):
            if (table := self._tables.get(name)) is not None:
                joined = sa.select(sa.func.count()).select_from(t.join(table, table.c.trace_id == t.c.request_id))
                (number,) = self._first(self._open(joined))
                setattr(found, column, number)

    def _page(self, page: Sequence[Any]) -> Iterator[ForeignTrace]:
        ids = [row.request_id for row in page]
        tags, metadata = self._pairs("trace_tags", ids), self._pairs("trace_request_metadata", ids)
        spans = self._of("spans", "trace_id", ids)
        judged = self._of("assessments", "trace_id", ids)
        links: dict[str, list[str]] = {}
        if (table := self._tables.get("entity_associations")) is not None:
            e = table.c
            to_runs = sa.and_(e.source_type == "trace", e.destination_type == "run", e.source_id.in_(ids))
            for row in self._rows(sa.select(e.source_id, e.destination_id).where(to_runs).order_by(e.destination_id)):
                links.setdefault(row.source_id, []).append(row.destination_id)
        for row in page:
            identity = row.request_id
            said, known = tags.get(identity, {}), metadata.get(identity, {})
            contents = [each.content for each in spans.get(identity, ())]
            found, broken = self._spans(identity, contents, said.pop(PLACE_TAG, ""))
            name = getattr(row, "trace_name", None)
            given = TraceGiven(
                id=identity,
                state=state_of(row.status),
                started=row.timestamp_ms,
                milliseconds=row.execution_time_ms,
                client_request_id=getattr(row, "client_request_id", None),
                request=getattr(row, "request_preview", None) or known.get(INPUTS),
                response=getattr(row, "response_preview", None) or known.get(OUTPUTS),
                metadata=known,
                tags={**({NAME_TAG: name} if name else {}), **said},
                assessments=[_assessment(each) for each in judged.get(identity, ())],
            )
            runs = links.get(identity, [])
            yield ForeignTrace(experiment=str(row.experiment_id), given=given, spans=found, runs=runs, broken=broken)

    def _spans(self, identity: str, contents: Sequence[str], location: str) -> tuple[list[Span], str]:
        try:
            if not contents and location and (place := self._place(location)) is not None:
                contents = [json.dumps(each) for each in _filed(place)]
            found = [span_of(content) for content in contents]
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
            return [], f"{type(error).__name__}: {error}"
        if any(each.trace_id != identity for each in found):
            return [], "they name another trace"
        return found, ""

    def _open(self, query: Any) -> Any:
        e, t = self._tables["experiments"], self._tables["trace_info"]
        there = self._here(sa.select(e.c.experiment_id), e).where(e.c.lifecycle_stage != "deleted")
        return query.where(t.c.experiment_id.in_(there))

    def _first(self, query: Any) -> Any:
        return next(iter(self._rows(query)))

    def _of(self, name: str, column: str, ids: Sequence[str]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        if (table := self._tables.get(name)) is not None:
            for row in self._rows(sa.select(table).where(table.c[column].in_(ids))):
                found.setdefault(getattr(row, column), []).append(row)
        return found

    def _pairs(self, name: str, ids: Sequence[str]) -> dict[str, dict[str, str]]:
        return {
            identity: {row.key: row.value or "" for row in sorted(rows, key=lambda row: row.key)}
            for identity, rows in self._of(name, "request_id", ids).items()
        }


def _filed(place: Place) -> list[Any]:
    """The spans of a trace that lie in a file beside its artifacts; none where there is no such file."""
    if all(file.path != FILE for file in place.files()):
        return []
    found = place.read(FILE)
    text = found.read_bytes() if hasattr(found, "read_bytes") else b"".join(found)
    return list(json.loads(text)["spans"])


def _assessment(row: Any) -> Assessment:
    return Assessment(
        id=row.assessment_id,
        trace=row.trace_id,
        span=row.span_id,
        name=row.name,
        kind=AssessmentKind(row.assessment_type.lower()),
        value=value_of(row.value),
        error=value_of(row.error) if row.error else None,
        rationale=row.rationale or "",
        metadata=value_of(row.assessment_metadata) if row.assessment_metadata else {},
        source_type=row.source_type,
        source_id=row.source_id or "",
        created=row.created_timestamp,
        updated=row.last_updated_timestamp,
        overrides=row.overrides,
        valid=bool(row.valid),
    )
