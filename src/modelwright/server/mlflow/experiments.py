"""MLflow's experiments: ours by their numbers and titles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from modelwright.core.errors import Conflict
from modelwright.experiments import Experiment, Lifecycle
from modelwright.experiments.values import MAX_TITLE
from modelwright.server.mlflow.errors import exists, invalid, missing
from modelwright.server.mlflow.forms import Pair, experiment_form
from modelwright.server.mlflow.keys import check_key, experiment_number, wrong
from modelwright.server.mlflow.messages import Message
from modelwright.server.mlflow.routing import Call, Endpoint
from modelwright.server.mlflow.tracking import Tracking, not_active
from modelwright.server.routing import SIGNED_IN

MAX_TAG = 20_000  # characters of a tag's value
_AT = "/2.0/mlflow/experiments"


class ByName(Message):
    needs: ClassVar[Sequence[str]] = ("experiment_name",)
    experiment_name: str = ""


class ById(Message):
    needs: ClassVar[Sequence[str]] = ("experiment_id",)
    experiment_id: str = ""


class Create(Message):
    needs: ClassVar[Sequence[str]] = ("name",)
    name: str = ""
    artifact_location: str = ""
    tags: list[Pair] = msgspec.field(default_factory=list)


class Update(ById):
    new_name: str | None = None


class SetTag(ById):
    needs: ClassVar[Sequence[str]] = ("experiment_id", "key")
    key: str = ""
    value: str = ""


class DeleteTag(ById):
    needs: ClassVar[Sequence[str]] = ("experiment_id", "key")
    key: str = ""


class ExperimentEndpoints:
    """What answers below `experiments/`, but for the searches."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking
        self._experiments = tracking.workspace.experiments

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        answers = [
            ("GET", "get", self.get),
            ("GET", "get-by-name", self.get_by_name),
            ("POST", "create", self.create),
            ("POST", "update", self.update),
            ("POST", "delete", self.delete),
            ("POST", "restore", self.restore),
            ("POST", "set-experiment-tag", self.set_tag),
            ("POST", "delete-experiment-tag", self.delete_tag),
        ]
        return [Endpoint(method, f"{_AT}/{name}", answer, needs=SIGNED_IN) for method, name, answer in answers]

    async def get(self, call: Call) -> Any:
        """One by its number, deleted or not."""
        asked = await call.message(ById)
        return {"experiment": experiment_form(await self._numbered(call, asked.experiment_id))}

    async def get_by_name(self, call: Call) -> Any:
        """One by its title, deleted or not."""
        asked = await call.message(ByName)
        found = await self._tracking.experiment(call, asked.experiment_name)
        if found is None:
            raise missing(f"Could not find experiment with name '{asked.experiment_name[:MAX_TITLE]}'")
        return {"experiment": experiment_form(found)}

    async def create(self, call: Call) -> Any:
        """A new one; a title that is taken, be it by a deleted one, is an error."""
        asked = await call.message(Create)
        if len(asked.name) > MAX_TITLE:
            raise invalid(f"'name' exceeds the maximum length of {MAX_TITLE} characters")
        location = _checked_location(asked.artifact_location)
        tags = {tag.key: _checked_tag(tag.key, tag.value) for tag in asked.tags}
        await self._tracking.default(call)

        def work() -> Experiment:
            try:
                return self._experiments.create(asked.name, artifact_location=location, tags=tags, new=True)
            except Conflict as error:
                deleted = error.details.get("lifecycle") == Lifecycle.DELETED
                why = " is in the deleted state; restore it or choose another name" if deleted else " already exists"
                raise exists(f"Experiment '{asked.name}'{why}.") from None

        return {"experiment_id": str((await call.run(work)).id)}

    async def update(self, call: Call) -> Any:
        """Another title."""
        asked = await call.message(Update)
        found = await self._numbered(call, asked.experiment_id)
        if asked.new_name is None:
            return None
        if not asked.new_name:
            raise wrong(asked.new_name, "name", "A name is not empty.")
        if len(asked.new_name) > MAX_TITLE:
            raise invalid(f"'name' exceeds the maximum length of {MAX_TITLE} characters")
        if found.lifecycle is not Lifecycle.ACTIVE:
            raise not_active(asked.experiment_id)
        new_name = asked.new_name
        try:
            await call.run(lambda: self._experiments.rename(found.ref, new_name))
        except Conflict:
            raise exists(f"Experiment '{new_name}' already exists.") from None
        return None

    async def delete(self, call: Call) -> Any:
        """Put away, with its runs."""
        found = await self._standing(call, Lifecycle.ACTIVE)
        await call.run(lambda: self._experiments.discard(found.ref))

    async def restore(self, call: Call) -> Any:
        """Brought back, with the runs that went along."""
        found = await self._standing(call, Lifecycle.DELETED)
        await call.run(lambda: self._experiments.restore(found.ref))

    async def set_tag(self, call: Call) -> Any:
        """Set one tag."""
        asked = await call.message(SetTag)
        value = _checked_tag(asked.key, asked.value)
        found = await self._active(call, asked.experiment_id)
        await call.run(lambda: self._experiments.tag_experiment(found.ref, {asked.key: value}))

    async def delete_tag(self, call: Call) -> Any:
        """Take one tag away."""
        asked = await call.message(DeleteTag)
        check_key(asked.key)
        found = await self._active(call, asked.experiment_id)
        if asked.key not in found.tags:
            raise missing(f"No tag with name: {asked.key} in experiment with id {asked.experiment_id}")
        await call.run(lambda: self._experiments.tag_experiment(found.ref, {asked.key: None}))

    async def _numbered(self, call: Call, text: str) -> Experiment:
        found = await self._tracking.experiment(call, experiment_number(text))
        if found is None:
            raise missing(f"No Experiment with id={text} exists")
        return found

    async def _active(self, call: Call, text: str) -> Experiment:
        found = await self._numbered(call, text)
        if found.lifecycle is not Lifecycle.ACTIVE:
            raise not_active(text)
        return found

    async def _standing(self, call: Call, wanted: Lifecycle) -> Experiment:
        asked = await call.message(ById)
        found = await self._numbered(call, asked.experiment_id)
        if found.lifecycle is not wanted:
            raise missing(f"No Experiment with id={asked.experiment_id} exists in the {wanted.value} state")
        return found


def _checked_tag(key: str, value: str) -> str:
    check_key(key)
    if len(value) > MAX_TAG:
        raise invalid(f"'value' exceeds the maximum length of {MAX_TAG} characters")
    return value


def _checked_location(location: str) -> str:
    if not location:
        return ""
    try:
        parts = urlsplit(location)
    except ValueError:
        raise wrong(location, "artifact_location", "It is no address.") from None
    if parts.query or parts.fragment:
        raise wrong(location, "artifact_location", "It must have neither a query nor a fragment.")
    if not parts.scheme and not location.startswith("/"):
        raise wrong(location, "artifact_location", "Give an address or an absolute path.")
    return location.rstrip("/") or location
