"""An event of somebody else's, read as tolerantly as the standard asks. Pure.

What is needed to know of whom it speaks must be there; everything else may be missing, unknown, out of order or repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from modelwright.core.clock import parse_time
from modelwright.core.errors import Invalid
from modelwright.core.refs import Ref
from modelwright.openlineage.naming import external, own_ref
from modelwright.openlineage.records import ColumnEdge, ColumnRef, PartyKind

MOST = 8 * 1024 * 1024  # bytes of one event: Spark tells its whole plan in one
MOST_NAMED = 1000  # datasets in one event
TERMINAL = frozenset({"COMPLETE", "FAIL", "ABORT"})
MOST_STATE = 40  # characters of the type of an event


class Named(NamedTuple):
    """A party by the names that the event gives it."""

    ref: Ref
    kind: PartyKind | None  # None: a thing of ours
    namespace: str
    name: str
    facets: dict[str, Any]


class Incoming(NamedTuple):
    """What an event says."""

    subject: Named  # its run, or where it has none its job, or its dataset
    job: Named | None
    state: str  # the type of a run's event, in capitals
    time: str
    inputs: list[Named]
    outputs: list[Named]
    stated: dict[Ref, list[Ref]]  # what it says outright of an output: exactly which inputs it came from


def read(text: str | bytes, ours: str) -> Incoming:
    """Read an event; `ours` is the namespace of this workspace. `Invalid` says what makes it none."""
    if len(text) > MOST:
        raise Invalid(
            f"The event has {len(text):,} bytes; {MOST:,} is the most.",
            mend="Have its producer leave out the largest facet (of Spark: spark.logicalPlan).",
        )
    try:
        event = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The event is no JSON object: {error}.") from None
    time = event.get("eventTime")
    if not isinstance(time, str) or moment(time) is None:
        raise Invalid(
            f"The event's eventTime is {_quoted(time)}, which is no time." if time else "The event has no eventTime.",
            mend="Send it as RFC 3339, with a time zone: 2026-05-01T10:00:00Z.",
        )
    inputs, outputs = list(_datasets(event, "inputs", ours)), list(_datasets(event, "outputs", ours))
    if "dataset" in event and "job" not in event:
        dataset = _dataset(event["dataset"], ours, foreign=True)
        return Incoming(dataset, None, "", time, [], [], _stated({}, [dataset], ours))
    job = _job(event.get("job"))
    stated = _stated(job.facets, outputs, ours)
    if "run" not in event:
        return Incoming(job, job, "", time, inputs, outputs, stated)
    run = _object(event["run"], "run")
    identity = _text(run, "runId", "run")
    named = Named(external(PartyKind.RUN, "", identity), PartyKind.RUN, job.namespace, identity, facets_of(run))
    return Incoming(named, job, state_of(event), time, inputs, outputs, stated)


def moment(text: str) -> datetime | None:
    """When an event happened, or None where its time says nothing. One without a zone is read as UTC."""
    with suppress(Invalid, OverflowError):
        return parse_time(text.partition("[")[0])  # Java writes 10:00+02:00[Europe/Berlin]
    return None


def state_of(event: dict[str, Any]) -> str:
    """The type of a run's event, in capitals; where there is none that can be read, OTHER."""
    given = event.get("eventType")
    return given.upper()[:MOST_STATE] if isinstance(given, str) and given else "OTHER"


def column_edges(body: bytes, ours: str) -> Iterator[ColumnEdge]:
    """What an event says of columns: the facet `columnLineage` of its datasets, in both forms that producers write."""
    event = msgspec.json.decode(body, type=dict[str, Any])
    for given in [event.get("dataset"), *(event.get("outputs") or [])]:
        said = facets_of(given).get("columnLineage") if isinstance(given, dict) else None
        if not isinstance(said, dict):
            continue
        try:
            made = _dataset(given, ours, foreign=True).ref
        except Invalid:  # a dataset that nobody asked for, of an event about a run: what else it says counts all the same
            continue
        fields = said.get("fields")
        for name, field in fields.items() if isinstance(fields, dict) else ():
            inputs = field.get("inputFields") if isinstance(field, dict) else None
            target = ColumnRef(ref=made, column=name)
            for each in [*_list(inputs), *_list(said.get("dataset"))]:
                if isinstance(each, dict) and isinstance(each.get("field"), str):
                    with suppress(Invalid):  # it names no dataset: what else the event says counts all the same
                        source = ColumnRef(ref=_dataset(each, ours, foreign=False).ref, column=each["field"])
                        yield ColumnEdge(source=source, target=target, use=_use(each))


def _use(field: dict[str, Any]) -> str:
    how = field.get("transformations")
    first = how[0] if isinstance(how, list) and how and isinstance(how[0], dict) else {}
    return str(first.get("subtype") or first.get("type") or field.get("transformationType") or "TRANSFORMATION")


def _job(given: Any) -> Named:
    job = _object(given, "job")
    namespace, name = _text(job, "namespace", "job"), _text(job, "name", "job")
    return Named(external(PartyKind.JOB, namespace, name), PartyKind.JOB, namespace, name, facets_of(job))


def _datasets(event: dict[str, Any], side: str, ours: str) -> Iterator[Named]:
    given = [] if event.get(side) is None else event[side]
    if not isinstance(given, list) or len(given) > MOST_NAMED:
        raise Invalid(f"The event's {side} are no list of at most {MOST_NAMED} datasets.")
    for each in given:
        yield _dataset(each, ours, foreign=side == "outputs")


def _dataset(given: Any, ours: str, *, foreign: bool) -> Named:
    """A dataset. One of ours is the thing itself where it is read; that it was written, only its own room can say."""
    dataset = _object(given, "dataset")
    namespace, name, found = _text(dataset, "namespace", "dataset"), _text(dataset, "name", "dataset"), facets_of(dataset)
    if namespace == ours and not foreign:
        said = found.get("version")
        own = own_ref(name, str(said.get("datasetVersion", "")) if isinstance(said, dict) else "")
        if own is not None:
            return Named(own, None, namespace, name, found)
    return Named(external(PartyKind.DATASET, namespace, name), PartyKind.DATASET, namespace, name, found)


def _stated(job: dict[str, Any], outputs: Sequence[Named], ours: str) -> dict[Ref, list[Ref]]:
    """Explicit lineage: the facet `lineage` of the job by output, else that of an output itself."""
    stated: dict[Ref, list[Ref]] = {}
    for output in outputs:
        said = output.facets.get("lineage")
        if isinstance(said, dict) and isinstance(said.get("inputs"), list):
            stated[output.ref] = list(_inputs(said["inputs"], ours))
    said = job.get("lineage")
    for entry in _list(said.get("entries")) if isinstance(said, dict) else []:
        if isinstance(entry, dict) and entry.get("type", "DATASET") == "DATASET" and isinstance(entry.get("inputs"), list):
            with suppress(Invalid):
                named = _dataset(entry, ours, foreign=True)
                stated[named.ref] = list(_inputs(entry["inputs"], ours))
    return stated


def _inputs(given: Sequence[Any], ours: str) -> Iterator[Ref]:
    for each in given[:MOST_NAMED]:
        if isinstance(each, dict) and each.get("type", "DATASET") == "DATASET":
            with suppress(Invalid):
                yield _dataset(each, ours, foreign=False).ref


def _object(given: Any, what: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Invalid(f"The event has no {what}.", mend="An event has a job, perhaps with a run; or a dataset.")
    return given


def _text(given: dict[str, Any], key: str, what: str) -> str:
    found = given.get(key)
    if not isinstance(found, str) or not found or "\x00" in found:
        raise Invalid(f"The event's {what} has no {key}.")
    return found


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def _quoted(given: Any) -> str:
    return repr(given if len(str(given)) <= 60 else f"{str(given)[:60]}...")


def facets_of(given: dict[str, Any]) -> dict[str, Any]:
    """The facets of a part of an event; whatever is none is passed over."""
    found = given.get("facets")
    return found if isinstance(found, dict) else {}
