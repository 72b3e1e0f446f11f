"""Evaluation datasets, as MLflow's protocol has them: our evaluation sets by their ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import msgspec

from modelwright.core.errors import BadRef, NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert, encode_text
from modelwright.server.mlflow.errors import MlflowError, invalid, missing
from modelwright.server.mlflow.keys import experiment_number
from modelwright.server.mlflow.messages import Message
from modelwright.server.mlflow.routing import Call, Endpoint
from modelwright.server.mlflow.tracking import Tracking
from modelwright.server.routing import SIGNED_IN
from modelwright.traces.evalsets import EvaluationSet, Example, ExampleGiven
from modelwright.traces.evalsets.records import SOURCES

T = TypeVar("T")
AT = "/3.0/mlflow/datasets"
MOST = 1000


class Create(Message):
    needs: ClassVar[Sequence[str]] = ("name",)
    name: str = ""
    experiment_ids: list[str] = []
    tags: str = ""


class One(Message):
    needs: ClassVar[Sequence[str]] = ("dataset_id",)
    dataset_id: str = ""
    tags: str = ""
    key: str = ""
    records: str = ""
    dataset_record_ids: list[str] = []
    experiment_ids: list[str] = []
    max_results: int = MOST
    page_token: str | None = None


class Search(Message):
    experiment_ids: list[str] = []
    filter_string: str = ""
    max_results: int = MOST
    order_by: list[str] = []
    page_token: str | None = None


class EvalsetEndpoints:
    """What answers below `datasets`. Rights are asked by the operations behind it."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking
        self._sets = tracking.workspace.evaluation_sets

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        one = f"{AT}/{{dataset_id}}"
        answers = [
            ("POST", f"{AT}/create", self.create),
            ("POST", f"{AT}/search", self.search),
            ("GET", f"{AT}/search", self.search),
            ("GET", one, self.get),
            ("DELETE", one, self.delete),
            ("POST", f"{one}/records", self.merge),
            ("GET", f"{one}/records", self.records),
            ("DELETE", f"{one}/records", self.drop),
            ("PATCH", f"{one}/tags", self.tag),
            ("DELETE", f"{one}/tags/{{key}}", self.drop_tag),
            ("GET", f"{one}/experiment-ids", self.experiment_ids),
            ("POST", f"{one}/add-experiments", self.place),
            ("POST", f"{one}/remove-experiments", self.take_away),
        ]
        return [Endpoint(method, path, answer, needs=SIGNED_IN) for method, path, answer in answers]

    async def create(self, call: Call) -> Any:
        """A set, new."""
        asked = await call.message(Create)
        refs = await self._refs(call, asked.experiment_ids)
        tags = {key: value for key, value in _tags(asked.tags).items() if value is not None}
        made = await call.run(lambda: self._sets.create(asked.name, experiments=refs, tags=tags))
        return {"dataset": form(made)}

    async def get(self, call: Call) -> Any:
        """One set."""
        return {"dataset": form(await self._of(call, self._sets.show))}

    async def delete(self, call: Call) -> Any:
        """A set, for good."""
        await self._of(call, self._sets.delete)

    async def search(self, call: Call) -> Any:
        """Those that a filter finds, the newest first."""
        asked = await call.message(Search)
        if not 1 <= asked.max_results <= MOST:
            raise invalid(f"Invalid value {asked.max_results} for parameter 'max_results' supplied: 1 to {MOST}.")
        refs = await self._refs(call, asked.experiment_ids, forgiving=True) if asked.experiment_ids else None
        page = await call.run(
            lambda: self._sets.search(
                experiments=refs,
                where=asked.filter_string,
                order_by=asked.order_by,
                limit=asked.max_results,
                after=asked.page_token or None,
            )
        )
        return {
            **({"datasets": [form(each) for each in page.items]} if page.items else {}),
            **({"next_page_token": page.next} if page.next else {}),
        }

    async def merge(self, call: Call) -> Any:
        """Examples, added."""
        asked = await call.message(One)
        given = _examples(asked.records)
        merged = await self._of(call, lambda ref: self._sets.merge(ref, given))
        return {"inserted_count": merged.added, "updated_count": merged.changed}

    async def records(self, call: Call) -> Any:
        """Examples, a page of them as JSON in a text."""
        asked = await call.message(One)
        if not 1 <= asked.max_results <= MOST:
            raise invalid(f"Invalid value {asked.max_results} for parameter 'max_results' supplied: 1 to {MOST}.")
        after = asked.page_token or None
        page = await self._of(call, lambda ref: self._sets.examples(ref, limit=asked.max_results, after=after))
        found = [record_form(each, asked.dataset_id) for each in page.items]
        return {"records": encode_text(found), **({"next_page_token": page.next} if page.next else {})}

    async def drop(self, call: Call) -> Any:
        """Examples, taken out."""
        asked = await call.message(One)
        return {"deleted_count": await self._of(call, lambda ref: self._sets.drop(ref, asked.dataset_record_ids))}

    async def tag(self, call: Call) -> Any:
        """Tags, set."""
        asked = await call.message(One)
        new = _tags(asked.tags)
        return {"dataset": form(await self._of(call, lambda ref: self._sets.tag(ref, new)))}

    async def drop_tag(self, call: Call) -> Any:
        """A tag, taken away."""
        key = call.parts["key"]
        await self._of(call, lambda ref: self._sets.tag(ref, {key: None}))

    async def experiment_ids(self, call: Call) -> Any:
        """The experiments that a set lies beside."""
        found = await self._of(call, self._sets.show)
        return {"experiment_ids": [str(each) for each in found.experiments]} if found.experiments else {}

    async def place(self, call: Call) -> Any:
        """A set, laid beside experiments."""
        refs = await self._refs(call, (await call.message(One)).experiment_ids)
        return {"dataset": form(await self._of(call, lambda ref: self._sets.place(ref, beside=refs)))}

    async def take_away(self, call: Call) -> Any:
        """A set, taken away from experiments."""
        refs = await self._refs(call, (await call.message(One)).experiment_ids, forgiving=True)
        return {"dataset": form(await self._of(call, lambda ref: self._sets.place(ref, away=refs)))}

    async def _refs(self, call: Call, ids: Sequence[str], *, forgiving: bool = False) -> list[Ref]:
        found = []
        for identity in dict.fromkeys(ids):
            experiment = await self._tracking.experiment(call, experiment_number(identity))
            if experiment is not None:
                found.append(experiment.ref)
            elif not forgiving:
                raise missing(f"No Experiment with id={identity} exists")
        return found

    async def _of(self, call: Call, work: Callable[[Ref], T]) -> T:
        """Work on one set; one that may not be seen is told of as one that is not there."""
        identity = call.parts["dataset_id"]
        try:
            return await call.run(lambda: work(Ref(Kind.EVALSET, identity)))
        except (NotFound, BadRef):
            raise _unknown(identity) from None


def form(found: EvaluationSet) -> dict[str, Any]:
    """A set in MLflow's words."""
    return {
        "dataset_id": found.id,
        "name": found.title,
        "digest": found.digest[:36],
        "tags": encode_text(found.tags),
        **({"schema": encode_text(found.fields)} if found.fields else {}),
        **({"profile": encode_text({"num_records": found.examples})} if found.examples else {}),
        "created_time": int(found.created_at.timestamp() * 1000),
        "last_update_time": int(found.updated_at.timestamp() * 1000),
        "created_by": found.created_by,
        "last_updated_by": found.updated_by,
        **({"experiment_ids": [str(each) for each in found.experiments]} if found.experiments else {}),
    }


def record_form(example: Example, dataset_id: str) -> dict[str, Any]:
    """An example in MLflow's words."""
    record: dict[str, Any] = {
        "dataset_record_id": example.id,
        "dataset_id": dataset_id,
        "inputs": example.inputs,
        "tags": example.tags,
        "created_time": example.created,
        "last_update_time": example.updated,
        "created_by": example.created_by,
        "last_updated_by": example.updated_by,
    }
    if example.outputs is not None:
        record["outputs"] = example.outputs
    if example.expectations is not None:
        record["expectations"] = example.expectations
    if example.source is not None:
        data = example.source.get("source_data") or {}
        record |= {"source": example.source, "source_type": example.source.get("source_type", "UNSPECIFIED")}
        name = data.get("trace_id") or data.get("source_id")
        if name:
            record["source_id"] = name
    return record


def _examples(text: str) -> list[ExampleGiven]:
    found = _json(text, "records")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise invalid("records is a list of objects, as JSON in a text.")
    for each in found:
        if not isinstance(each.get("inputs"), dict):
            raise invalid("Each record has 'inputs', which is an object.")
    fields = ("inputs", "outputs", "expectations", "tags", "source")
    given: list[ExampleGiven] = convert(
        [{name: each[name] for name in fields if each.get(name) is not None} for each in found], list[ExampleGiven]
    )
    for example in given:
        source = (example.source or {}).get("source_type", "UNSPECIFIED")
        data = (example.source or {}).get("source_data") or {}
        if source not in SOURCES or not isinstance(data, Mapping):
            raise invalid(f"A record's source is one of {', '.join(SOURCES)}, and its data an object.")
    return given


def _tags(text: str) -> dict[str, str | None]:
    found = _json(text, "tags") if text else {}
    if not isinstance(found, dict):
        raise invalid("tags is an object, as JSON in a text.")
    return {str(key): None if value is None else str(value) for key, value in found.items()}


def _json(text: str, name: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        raise invalid(f"Invalid value for parameter '{name}' supplied: it is not JSON in a text.") from None


def _unknown(identity: str) -> MlflowError:
    return missing(f"Evaluation dataset with id '{identity[:80]}' not found")
