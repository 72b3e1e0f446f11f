"""Events of the ledger in the words of MLflow's webhooks: models, versions, aliases, tags, and the same of prompts.

A prompt is a model with a tag, as MLflow keeps it. What is said beside the event (a title, tags, a source) is what
stands when the event is read: a moment after it happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from modelwright.core.clock import isoformat
from modelwright.core.errors import NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.models import Models, ModelVersion, Registry
from modelwright.store import Event, Transaction
from modelwright.webhooks.queries import Told, details

IS_PROMPT, TEXT = "mlflow.prompt.is_prompt", "mlflow.prompt.text"

EXAMPLES: dict[str, dict[str, Any]] = {  # what a test of a webhook sends
    "registered_model.created": {"name": "example", "tags": {"key": "value"}, "description": "An example"},
    "model_version.created": {
        "name": "example", "version": "1", "source": "models:/m-0", "run_id": "0", "tags": {"key": "value"},
        "description": "An example",
    },
    "model_version_tag.set": {"name": "example", "version": "1", "key": "key", "value": "value"},
    "model_version_tag.deleted": {"name": "example", "version": "1", "key": "key"},
    "model_version_alias.created": {"name": "example", "alias": "champion", "version": "1"},
    "model_version_alias.deleted": {"name": "example", "alias": "champion"},
    "prompt.created": {"name": "example", "tags": {"key": "value"}, "description": "An example"},
    "prompt_version.created": {
        "name": "example", "version": "1", "template": "Hello {{name}}!", "tags": {"key": "value"},
        "description": "An example",
    },
    "prompt_tag.set": {"name": "example", "key": "key", "value": "value"},
    "prompt_tag.deleted": {"name": "example", "key": "key"},
    "prompt_version_tag.set": {"name": "example", "version": "1", "key": "key", "value": "value"},
    "prompt_version_tag.deleted": {"name": "example", "version": "1", "key": "key"},
    "prompt_alias.created": {"name": "example", "alias": "production", "version": "1"},
    "prompt_alias.deleted": {"name": "example", "alias": "production"},
    "budget_policy.exceeded": {"budget_policy_id": "example"},
}  # fmt: skip


def body(name: str, at: str, data: dict[str, Any]) -> dict[str, Any]:
    """The body that MLflow's webhooks have: `name` is `entity.action`."""
    entity, _, action = name.partition(".")
    return {"entity": entity, "action": action, "timestamp": at, "data": data}


class MlflowWords:
    """Says events of models as MLflow does; everything else it has no words for."""

    def __init__(self, models: Models, registry: Registry) -> None:
        self._models = models
        self._registry = registry
        self._tellers: dict[str, Callable[[Transaction, Event, Ref], Iterator[tuple[str, dict[str, Any]]]]] = {
            "registry.model.created": self._created,
            "registry.tags.set": self._tagged,
            "models.version.registered": self._registered,
            "models.tags.set": self._version_tagged,
            "catalog.tag.set": self._tagged_by_record,
            "catalog.alias.moved": self._aliased,
            "catalog.alias.dropped": self._unaliased,
        }

    def __call__(self, tx: Transaction, event: Event) -> Sequence[Told]:
        """What MLflow would tell of an event: names such as `model_version.created`, with their bodies."""
        teller = self._tellers.get(event.action)
        if teller is None:
            return ()
        ref = Ref.parse(event.resource)
        if ref.kind is not Kind.MODEL:
            return ()
        at = isoformat(event.ts)
        return [(name, body(name, at, data)) for name, data in teller(tx, event, ref)]

    def _created(self, tx: Transaction, event: Event, ref: Ref) -> Iterator[tuple[str, dict[str, Any]]]:
        title, tags, description = self._about(ref)
        name = "prompt.created" if _is_prompt(tags) else "registered_model.created"
        yield name, {"name": title, "tags": tags, "description": description}

    def _registered(self, tx: Transaction, event: Event, ref: Ref) -> Iterator[tuple[str, dict[str, Any]]]:
        found = self._version(ref)
        if found is None:
            return
        if ref.version == 1 and self._began_with(event, ref):
            yield from self._created(tx, event, ref.whole)
        data: dict[str, Any] = {"name": found.title, "version": str(ref.version)}
        if _is_prompt(found.tags):
            data |= {"template": found.tags.get(TEXT, ""), "tags": found.tags, "description": found.description or None}
            yield "prompt_version.created", data
        else:
            run = found.record.run.name if found.record.run else None
            data |= {"source": found.record.source or str(found.ref), "run_id": run, "tags": found.tags}
            yield "model_version.created", data | {"description": found.description or None}

    def _version_tagged(self, tx: Transaction, event: Event, ref: Ref) -> Iterator[tuple[str, dict[str, Any]]]:
        found = self._version(ref)
        yield from self._tags(ref, *_changed(details(tx, event.after), found.tags if found is not None else {}))

    def _tagged(self, tx: Transaction, event: Event, ref: Ref) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from self._tags(ref.whole, *_changed(details(tx, event.after), self._about(ref.whole)[1]))

    def _tagged_by_record(self, tx: Transaction, event: Event, ref: Ref) -> Iterator[tuple[str, dict[str, Any]]]:
        said = details(tx, event.after)
        key, value = str(said["tag"]), said["value"]
        yield from self._tags(ref, {} if value is None else {key: str(value)}, [key] if value is None else [])

    def _tags(self, ref: Ref, given: dict[str, str], taken: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        title, tags, _ = self._about(ref.whole)
        entity = "prompt" if _is_prompt(tags) else "model"
        data: dict[str, Any] = {"name": title}
        if ref.version is not None:
            entity, data = f"{entity}_version", data | {"version": str(ref.version)}
        elif entity == "model":
            return  # MLflow says nothing of the tags of a whole model
        for key, value in given.items():
            yield f"{entity}_tag.set", data | {"key": key, "value": value}
        for key in taken:
            yield f"{entity}_tag.deleted", data | {"key": key}

    def _aliased(self, tx: Transaction, event: Event, ref: Ref) -> Iterator[tuple[str, dict[str, Any]]]:
        title, tags, _ = self._about(ref.whole)
        name = "prompt_alias.created" if _is_prompt(tags) else "model_version_alias.created"
        yield name, {"name": title, "alias": event.after["alias"], "version": str(event.after["version"])}

    def _unaliased(self, tx: Transaction, event: Event, ref: Ref) -> Iterator[tuple[str, dict[str, Any]]]:
        title, tags, _ = self._about(ref.whole)
        name = "prompt_alias.deleted" if _is_prompt(tags) else "model_version_alias.deleted"
        yield name, {"name": title, "alias": event.before["alias"]}

    def _about(self, ref: Ref) -> tuple[str, dict[str, str], str | None]:
        """Title, tags and description of a model; of one that is gone already, its name."""
        try:
            found = self._registry.show(ref)
        except NotFound:
            return ref.name, {}, None
        return found.title, found.tags, found.description or None

    def _version(self, ref: Ref) -> ModelVersion | None:
        try:
            return self._models.show(ref)
        except NotFound:
            return None

    def _began_with(self, event: Event, ref: Ref) -> bool:
        """Whether the model came to be with its first version, and not before by itself."""
        try:
            return self._registry.show(ref.whole).created_at == event.ts
        except NotFound:
            return False


def _is_prompt(tags: dict[str, str]) -> bool:
    return tags.get(IS_PROMPT, "").lower() == "true"


def _changed(said: dict[str, Any], tags: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """The tags that an event says were set, and those that were taken away.

    An event has key and value in one word. Which is which where a key has `=` in it, the present `tags` say.
    """
    known = {f"{key}={value}": key for key, value in tags.items()}
    given: dict[str, str] = {}
    for pair in map(str, said.get("tags", [])):
        key = known.get(pair, pair.partition("=")[0])
        given[key] = pair[len(key) + 1 :]
    return given, [str(key) for key in said.get("untagged", [])]
