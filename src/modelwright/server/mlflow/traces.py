"""Traces and assessments, as MLflow's protocol has them in its third version, and in its second for older clients."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import msgspec

from modelwright.core.errors import BadRef, NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Experiment, Lifecycle
from modelwright.server.mlflow.errors import MlflowError, invalid, missing
from modelwright.server.mlflow.keys import experiment_number
from modelwright.server.mlflow.messages import SEEN, Message
from modelwright.server.mlflow.routing import Call, Endpoint
from modelwright.server.mlflow.trace_forms import (
    AssessmentMessage,
    InfoMessage,
    Location,
    Pair,
    assessment_form,
    assessment_of,
    change_of,
    given,
    info_form,
    no_trace,
    trace_form,
    v2_form,
    v2_state,
)
from modelwright.server.mlflow.tracking import Tracking, not_active
from modelwright.server.routing import SIGNED_IN
from modelwright.traces import FigureQuery, PromptUse, Summary, Trace, TraceGiven, TraceInfo, View
from modelwright.traces.records import PLACE, PLACE_TAG

T = TypeVar("T")
V2, V3 = "/2.0/mlflow/traces", "/3.0/mlflow/traces"
MOST = 500  # traces on one page
MOST_BATCH = 500
SIZES_KEY = "mlflow.trace.sizeStats"


class StartTrace(Message):
    needs: ClassVar[Sequence[str]] = ("trace",)

    class Whole(Message):
        trace_info: InfoMessage | None = None

    trace: Whole | None = None


class OneTrace(Message):
    needs: ClassVar[Sequence[str]] = ("trace_id",)
    trace_id: str = ""
    allow_partial: str | bool = ""


class ManyTraces(Message):
    trace_ids: list[str] = []
    experiment_ids: list[str] = []


class Search(Message):
    locations: list[Location] = []
    experiment_ids: list[str] = []  # the second version's
    filter: str = ""
    max_results: int = 100
    order_by: list[str] = []
    page_token: str | None = None


class Tag(Message):
    needs: ClassVar[Sequence[str]] = ("key",)
    trace_id: str = ""
    request_id: str = ""
    key: str = ""
    value: str = ""


class Delete(Message):
    needs: ClassVar[Sequence[str]] = ("experiment_id",)
    experiment_id: str = ""
    max_timestamp_millis: int | None = None
    max_traces: int | None = None
    request_ids: list[str] = []


class LinkRun(Message):
    needs: ClassVar[Sequence[str]] = ("run_id",)
    trace_ids: list[str] = []
    run_id: str = ""


class LinkPrompts(Message):
    needs: ClassVar[Sequence[str]] = ("trace_id",)

    class Prompt(Message):
        name: str = ""
        version: str = ""

    trace_id: str = ""
    prompt_versions: list[Prompt] = []


class Correlate(Message):
    experiment_ids: list[str] = []
    filter_string1: str = ""
    filter_string2: str = ""
    base_filter: str = ""


class Metrics(Message):
    needs: ClassVar[Sequence[str]] = ("experiment_ids", "view_type", "metric_name", "aggregations")

    class Aggregation(Message):
        aggregation_type: str = ""
        percentile_value: float | None = None

    experiment_ids: list[str] = []
    view_type: str = ""
    metric_name: str = ""
    aggregations: list[Aggregation] = []
    dimensions: list[str] = []
    filters: list[str] = []
    time_interval_seconds: int | None = None
    start_time_ms: int | None = None
    end_time_ms: int | None = None
    max_results: int = 1000
    page_token: str | None = None


class Assess(Message):
    needs: ClassVar[Sequence[str]] = ("assessment",)
    trace_id: str = ""
    assessment_id: str = ""
    assessment: AssessmentMessage | None = None
    update_mask: str | list[str] = ""


class V2Trace(Message):
    experiment_id: str = ""
    request_id: str = ""
    timestamp_ms: int = 0
    status: str | int = ""
    request_metadata: list[Pair] = []
    tags: list[Pair] = []


class TraceEndpoints:
    """What answers below `traces`. Rights are asked by the operations behind it, on the experiment."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking
        self._traces = tracking.workspace.traces

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint. A plain path is found before one with parts, so `get` is no trace's id."""
        answers = [
            ("POST", V3, self.start),
            ("POST", f"{V3}/search", self.search),
            ("GET", f"{V3}/get", self.get),
            ("GET", f"{V3}/batchGet", self.batch),
            ("POST", f"{V3}/batchGetInfos", self.infos),
            ("POST", f"{V3}/calculate-filter-correlation", self.correlate),
            ("POST", f"{V3}/metrics", self.figures),
            ("POST", f"{V3}/link-to-run", self.link_run),
            ("POST", f"{V2}/link-to-run", self.link_run),
            ("POST", f"{V3}/link-prompts", self.link_prompts),
            ("POST", f"{V2}/link-prompts", self.link_prompts),
            ("POST", f"{V3}/delete-traces", self.delete),
            ("POST", f"{V2}/delete-traces", self.delete),
            ("GET", f"{V3}/{{trace_id}}", self.info),
            ("PATCH", f"{V3}/{{trace_id}}/tags", self.tag),
            ("DELETE", f"{V3}/{{trace_id}}/tags", self.drop_tag),
            ("PATCH", f"{V2}/{{request_id}}/tags", self.tag),
            ("DELETE", f"{V2}/{{request_id}}/tags", self.drop_tag),
            ("POST", f"{V3}/{{trace_id}}/assessments", self.assess),
            ("GET", f"{V3}/{{trace_id}}/assessments/{{assessment_id}}", self.assessment),
            ("PATCH", f"{V3}/{{trace_id}}/assessments/{{assessment_id}}", self.reassess),
            ("DELETE", f"{V3}/{{trace_id}}/assessments/{{assessment_id}}", self.withdraw),
            ("POST", V2, self.start_v2),
            ("GET", V2, self.search_v2),
            ("PATCH", f"{V2}/{{request_id}}", self.end_v2),
            ("GET", f"{V2}/{{request_id}}/info", self.info_v2),
        ]
        return [Endpoint(method, path, answer, needs=SIGNED_IN) for method, path, answer in answers]

    async def start(self, call: Call) -> Any:
        """What the client knows of a trace, before or after its spans."""
        asked = await call.message(StartTrace)
        info = asked.trace.trace_info if asked.trace is not None else None
        if info is None or not info.trace_id:
            raise invalid("Missing value for required parameter 'trace.trace_info.trace_id'.")
        if info.trace_location is None:
            raise invalid("Missing value for required parameter 'trace.trace_info.trace_location'.")
        made = await self._start(call, info.trace_location.number, given(info))
        form = info_form(made)
        form["tags"] = {**form["tags"], PLACE_TAG: PLACE}  # else a client whose spans come later looks for a place for them
        return {"trace": {"trace_info": form}}

    async def info(self, call: Call) -> Any:
        """One without its spans."""
        asked = await call.message(OneTrace)
        found = await self._of(call, asked.trace_id, lambda ref: self._traces.info(ref))
        return {"trace": {"trace_info": info_form(found)}}

    async def get(self, call: Call) -> Any:
        """One with its spans, once all are there."""
        asked = await call.message(OneTrace)
        found = await self._of(call, asked.trace_id, lambda ref: self._traces.show(ref))
        partial = str(asked.allow_partial).lower() == "true"
        if not partial and not _complete(found):
            raise missing(f"Trace with ID {found.info.id} is not fully exported yet, please try again later.")
        return {"trace": trace_form(found)}

    async def batch(self, call: Call) -> Any:
        """Several with their spans; what is not there is left out."""
        found = await self._batch(call, spans=True)
        return {"traces": [trace_form(each) for each in found]} if found else {}

    async def infos(self, call: Call) -> Any:
        """Several without."""
        found = await self._batch(call, spans=False)
        return {"trace_infos": [info_form(each.info) for each in found]} if found else {}

    async def search(self, call: Call) -> Any:
        """Those that a filter finds, newest first."""
        asked = await call.message(Search)
        return await self._search(call, [each.number for each in asked.locations], asked, info_form)

    async def correlate(self, call: Call) -> Any:
        """How two filters go together."""
        asked = await call.message(Correlate)
        refs = await self._refs(call, asked.experiment_ids)
        found = await call.run(
            lambda: self._traces.correlate(refs, asked.filter_string1, asked.filter_string2, where=asked.base_filter)
        )
        return {
            **({} if found.npmi is None else {"npmi": found.npmi}),
            **({} if found.npmi_smoothed is None else {"npmi_smoothed": found.npmi_smoothed}),
            "filter1_count": found.first,
            "filter2_count": found.second,
            "joint_count": found.both,
            "total_count": found.total,
        }

    async def figures(self, call: Call) -> Any:
        """Traces, spans or assessments, summed up."""
        asked = await call.message(Metrics)
        refs = await self._refs(call, asked.experiment_ids)
        query = _query(asked)
        page = await call.run(
            lambda: self._traces.figures(refs, query, limit=asked.max_results, after=asked.page_token or None)
        )
        points = [
            {
                "metric_name": each.metric,
                "dimensions": each.dimensions | ({} if each.time is None else {"time_bucket": each.time.isoformat()}),
                "values": {name.upper(): value for name, value in each.values.items()},
            }
            for each in page.items
        ]
        return {
            **({"data_points": points} if points else {}),
            **({"next_page_token": page.next} if page.next else {}),
        }

    async def tag(self, call: Call) -> Any:
        """A tag, set."""
        asked = await call.message(Tag)
        identity = asked.trace_id or asked.request_id
        await self._of(call, identity, lambda ref: self._traces.tag(ref, asked.key, asked.value))

    async def drop_tag(self, call: Call) -> Any:
        """A tag, taken away."""
        asked = await call.message(Tag)
        identity = asked.trace_id or asked.request_id
        info = await self._of(call, identity, lambda ref: self._traces.info(ref))
        if asked.key not in info.tags:
            raise missing(f"No trace tag with key '{asked.key[:250]}' for trace with ID '{info.id}'")
        await self._of(call, identity, lambda ref: self._traces.tag(ref, asked.key, None))

    async def delete(self, call: Call) -> Any:
        """Traces, for good."""
        asked = await call.message(Delete)
        found = await self._experiment(call, asked.experiment_id)
        by_time = asked.max_timestamp_millis is not None
        if by_time is bool(asked.request_ids):
            raise invalid("Either `max_timestamp_millis` or `trace_ids` must be specified, but not both.")
        if not by_time and asked.max_traces is not None:
            raise invalid("`max_traces` can't be specified if `trace_ids` is specified.")
        if asked.max_traces is not None and asked.max_traces <= 0:
            raise invalid(f"`max_traces` must be a positive integer, received {asked.max_traces}.")
        count = await call.run(
            lambda: self._traces.delete(
                found.ref,
                ids=None if by_time else asked.request_ids,
                until=asked.max_timestamp_millis,
                most=asked.max_traces,
            )
        )
        return {"traces_deleted": count}

    async def link_run(self, call: Call) -> Any:
        """Traces and the run they belong to."""
        asked = await call.message(LinkRun)
        if not asked.trace_ids:
            raise invalid("Missing value for required parameter 'trace_ids'.")
        ref = self._run(asked.run_id)
        try:
            await call.run(lambda: self._traces.link(ref, asked.trace_ids))
        except (NotFound, BadRef) as error:
            about = str(error) if "Trace" in str(error) else f"Run with id={asked.run_id[:80]} not found"
            raise missing(about) from None

    async def link_prompts(self, call: Call) -> Any:
        """A trace and the versions of prompts that it made use of."""
        asked = await call.message(LinkPrompts)
        used = [PromptUse(name=each.name, version=each.version) for each in asked.prompt_versions]
        await self._of(call, asked.trace_id, lambda ref: self._traces.link_prompts(ref, used))

    async def assess(self, call: Call) -> Any:
        """A judgement, new."""
        asked = await call.message(Assess)
        assert asked.assessment is not None
        new = assessment_of(asked.assessment)
        made = await self._of(call, asked.trace_id, lambda ref: self._traces.assess(ref, new))
        return {"assessment": assessment_form(made)}

    async def assessment(self, call: Call) -> Any:
        """One judgement."""
        identity, assessment = call.parts["trace_id"], call.parts["assessment_id"]
        found = await self._judged(call, identity, assessment, lambda ref: self._traces.assessment(ref, assessment))
        return {"assessment": assessment_form(found)}

    async def reassess(self, call: Call) -> Any:
        """A judgement, changed where the mask says."""
        asked = await call.message(Assess)
        assert asked.assessment is not None
        change = change_of(asked.assessment, asked.update_mask)
        identity, assessment = call.parts["trace_id"], call.parts["assessment_id"]
        made = await self._judged(call, identity, assessment, lambda ref: self._traces.reassess(ref, assessment, change))
        return {"assessment": assessment_form(made)}

    async def withdraw(self, call: Call) -> Any:
        """A judgement, taken back."""
        identity, assessment = call.parts["trace_id"], call.parts["assessment_id"]
        await self._of(call, identity, lambda ref: self._traces.withdraw(ref, assessment))

    # The second version

    async def start_v2(self, call: Call) -> Any:
        """A trace that begins; its id is made here."""
        asked = await call.message(V2Trace)
        info = TraceGiven(
            id=f"tr-{secrets.token_hex(16)}",
            state=v2_state("IN_PROGRESS"),
            started=asked.timestamp_ms,
            metadata=_pairs(asked.request_metadata),
            tags=_pairs(asked.tags),
        )
        return {"trace_info": v2_form(await self._start(call, asked.experiment_id, info))}

    async def end_v2(self, call: Call) -> Any:
        """A trace that has ended."""
        asked = await call.message(V2Trace)

        def work(ref: Ref) -> TraceInfo:
            before = self._traces.info(ref)
            info = TraceGiven(
                id=before.id,
                state=v2_state(asked.status),
                started=before.started,
                milliseconds=max(asked.timestamp_ms - before.started, 0),
                metadata=_pairs(asked.request_metadata),
                tags=_pairs(asked.tags),
            )
            return self._traces.start(Ref(Kind.EXPERIMENT, before.experiment), info)

        return {"trace_info": v2_form(await self._of(call, asked.request_id, work))}

    async def info_v2(self, call: Call) -> Any:
        """One without its spans."""
        found = await self._of(call, call.parts["request_id"], lambda ref: self._traces.info(ref))
        return {"trace_info": v2_form(found)}

    async def search_v2(self, call: Call) -> Any:
        """Those that a filter finds."""
        asked = await call.message(Search)
        return await self._search(call, asked.experiment_ids, asked, v2_form)

    # What they share

    async def _start(self, call: Call, experiment_id: str, info: TraceGiven) -> TraceInfo:
        found = await self._experiment(call, experiment_id)
        if found.lifecycle is Lifecycle.DELETED:
            raise not_active(experiment_id)
        return await call.run(lambda: self._traces.start(found.ref, info))

    async def _search(self, call: Call, ids: Sequence[str], asked: Search, form: Callable[[TraceInfo], Any]) -> Any:
        if not ids:
            raise invalid("At least one experiment ID or location must be given to search traces in.")
        if not 1 <= asked.max_results <= MOST:
            why = f"It must be at least 1 and at most {MOST}."
            raise invalid(f"Invalid value {asked.max_results} for parameter 'max_results' supplied: {why}")
        refs = await self._refs(call, ids)
        page = await call.run(
            lambda: self._traces.search(
                refs,
                where=asked.filter,
                order_by=asked.order_by,
                limit=asked.max_results,
                after=asked.page_token or None,
            )
        )
        return {
            **({"traces": [form(each) for each in page.items]} if page.items else {}),
            **({"next_page_token": page.next} if page.next else {}),
        }

    async def _batch(self, call: Call, *, spans: bool) -> list[Trace]:
        asked = await call.message(ManyTraces)
        if not asked.trace_ids:
            raise invalid("Missing value for required parameter 'trace_ids'.")
        if len(asked.trace_ids) > MOST_BATCH:
            raise invalid(f"'trace_ids' names {len(asked.trace_ids)} traces; at most {MOST_BATCH} are given at once.")
        found = await call.run(lambda: self._traces.batch(asked.trace_ids, spans=spans))
        if not asked.experiment_ids:
            return found
        wanted = set(asked.experiment_ids)
        return [each for each in found if str(each.info.experiment_id) in wanted]

    async def _refs(self, call: Call, ids: Sequence[str]) -> list[Ref]:
        """The experiments with these ids; what is not there has no traces."""
        found = []
        for identity in dict.fromkeys(ids):
            try:
                number = experiment_number(identity)
            except MlflowError as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    continue
                raise
            experiment = await self._tracking.experiment(call, number)
            if experiment is not None:
                found.append(experiment.ref)
        return found

    async def _experiment(self, call: Call, experiment_id: str) -> Experiment:
        found = await self._tracking.experiment(call, experiment_number(experiment_id))
        if found is None:
            raise missing(f"No Experiment with id={experiment_id} exists")
        return found

    async def _of(self, call: Call, identity: str, work: Callable[[Ref], T]) -> T:
        """Work on one trace. One that is not there and one that may not be seen are told of in the same words."""
        if not identity:
            raise invalid("Missing value for required parameter 'trace_id'.")
        try:
            return await call.run(lambda: work(Ref(Kind.TRACE, identity)))
        except (NotFound, BadRef):
            raise no_trace(identity) from None

    async def _judged(self, call: Call, identity: str, assessment: str, work: Callable[[Ref], T]) -> T:
        """The same for one of its assessments."""
        info = await self._of(call, identity, lambda ref: self._traces.info(ref))
        if assessment not in {each.id for each in info.assessments}:
            raise missing(f"Assessment with ID '{assessment[:80]}' not found for trace '{info.id}'")
        return await self._of(call, identity, work)

    def _run(self, identity: str) -> Ref:
        try:
            return Ref(Kind.RUN, identity)
        except BadRef:
            raise missing(f"Run with id={identity[:80]} not found") from None


def _query(asked: Metrics) -> FigureQuery:
    how = [{"how": each.aggregation_type.lower(), "percentile": each.percentile_value} for each in asked.aggregations]
    try:
        view = msgspec.convert(asked.view_type.lower(), View)
        summaries = msgspec.convert(how, list[Summary])
    except msgspec.ValidationError as error:
        raise invalid(f"Not a view or an aggregation of traces' metrics: {str(error)[:SEEN]}.") from None
    return FigureQuery(
        view=view,
        metric=asked.metric_name,
        how=summaries,
        by=asked.dimensions,
        where=asked.filters,
        every=asked.time_interval_seconds,
        since=asked.start_time_ms,
        until=asked.end_time_ms,
    )


def _complete(trace: Trace) -> bool:
    """Whether all spans arrived that the client said there are."""
    told = trace.info.metadata.get(SIZES_KEY)
    if not trace.spans or told is None:
        return bool(trace.spans)
    try:
        wanted = msgspec.json.decode(told, type=dict[str, Any]).get("num_spans", 0)
    except msgspec.MsgspecError:
        return True
    return not isinstance(wanted, int) or len(trace.spans) >= wanted


def _pairs(pairs: Sequence[Pair]) -> dict[str, str]:
    return {each.key: each.value for each in pairs}
