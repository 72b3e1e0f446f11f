"""MLflow's registered models: our models as wholes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from modelwright.core.errors import Conflict, InUse
from modelwright.models import CHAMPION
from modelwright.server.mlflow import prompts
from modelwright.server.mlflow.errors import MlflowError, exists
from modelwright.server.mlflow.messages import Message
from modelwright.server.mlflow.registry import (
    Lookup,
    Named,
    Numbered,
    Pair,
    answering,
    check_alias,
    check_key,
    check_name,
    check_tag,
    check_version,
    newest_of,
    say_model,
    say_version,
    tags_of,
)
from modelwright.server.mlflow.registry_search import Found, search_models
from modelwright.server.mlflow.routing import Endpoint
from modelwright.server.mlflow.stages import canonical, said
from modelwright.server.routing import SIGNED_IN
from modelwright.workspace import Workspace

_AT = "/2.0/mlflow/registered-models"


class Create(Named):
    tags: list[Pair] = []
    description: str = ""


class Update(Named):
    description: str = ""


class Rename(Named):
    new_name: str = ""
    needs: ClassVar[Sequence[str]] = ("name", "new_name")


class SetTag(Named):
    needs: ClassVar[Sequence[str]] = ("name", "key")
    key: str = ""
    value: str = ""


class DeleteTag(Named):
    needs: ClassVar[Sequence[str]] = ("name", "key")
    key: str = ""


class Alias(Named):
    needs: ClassVar[Sequence[str]] = ("name", "alias")
    alias: str = ""


class SetAlias(Numbered):
    needs: ClassVar[Sequence[str]] = ("name", "alias", "version")
    alias: str = ""


class Latest(Named):
    stages: list[str] = []


class Search(Message):
    filter: str = ""
    max_results: int = 100
    order_by: list[str] = []
    page_token: str = ""


def endpoints(workspace: Workspace) -> list[Endpoint]:
    """Everything below `registered-models/`."""
    doing = RegisteredModels(workspace)
    table: tuple[tuple[str, str, type[Message], Any], ...] = (
        ("POST", "create", Create, doing.create),
        ("GET", "get", Named, doing.get),
        ("PATCH", "update", Update, doing.update),
        ("POST", "rename", Rename, doing.rename),
        ("DELETE", "delete", Named, doing.delete),
        ("GET", "search", Search, doing.search),
        ("GET", "get-latest-versions", Latest, doing.latest),
        ("POST", "get-latest-versions", Latest, doing.latest),
        ("POST", "set-tag", SetTag, doing.set_tag),
        ("DELETE", "delete-tag", DeleteTag, doing.delete_tag),
        ("GET", "alias", Alias, doing.by_alias),
        ("POST", "alias", SetAlias, doing.set_alias),
        ("DELETE", "alias", Alias, doing.delete_alias),
    )
    return [Endpoint(method, f"{_AT}/{end}", answering(asked, work), needs=SIGNED_IN) for method, end, asked, work in table]


class RegisteredModels:
    """What is asked about models as wholes."""

    def __init__(self, workspace: Workspace) -> None:
        self._look = Lookup(workspace)
        self._registry = workspace.registry
        self._models = workspace.models

    def create(self, asked: Create) -> Any:
        check_name(asked.name)
        tags = tags_of(asked.tags)
        try:
            made = self._registry.create(asked.name, description=asked.description, tags=tags)
        except Conflict:
            raise self._taken(asked.name, tags) from None
        return {"registered_model": say_model(made)}

    def get(self, asked: Named) -> Any:
        return {"registered_model": say_model(self._look.model(asked.name))}

    def update(self, asked: Update) -> Any:
        ref = self._look.model(asked.name).ref
        self._registry.annotate(ref, asked.description)
        return {"registered_model": say_model(self._registry.show(ref))}

    def rename(self, asked: Rename) -> Any:
        check_name(asked.new_name)
        ref = self._look.model(asked.name).ref
        try:
            renamed = self._registry.rename(ref, asked.new_name, reason="renamed through MLflow")
        except InUse:
            raise
        except Conflict:  # somebody took it meanwhile, or holds it where this caller may not look
            raise exists(f"Registered Model (name={asked.new_name}) already exists.") from None
        return {"registered_model": say_model(renamed)}

    def delete(self, asked: Named) -> Any:
        self._registry.delete(self._look.model(asked.name).ref, reason="deleted through MLflow")

    def search(self, asked: Search) -> Any:
        found: Found[Any] = search_models(self._registry, asked.filter, asked.order_by, asked.max_results, asked.page_token)
        return found.answer("registered_models", say_model)

    def latest(self, asked: Latest) -> Any:
        wanted = {canonical(each) for each in asked.stages}
        newest = newest_of(self._look.model(asked.name).latest)
        kept = [each for each in newest if not wanted or said(each.stage) in wanted]
        return {"model_versions": [say_version(each) for each in kept]} if kept else None

    def set_tag(self, asked: SetTag) -> Any:
        check_tag(asked.key, asked.value)
        prompts.check_kind(asked.key)
        self._registry.tag(self._look.model(asked.name).ref, {asked.key: asked.value})

    def delete_tag(self, asked: DeleteTag) -> Any:
        check_key(asked.key)
        prompts.check_kind(asked.key)
        self._registry.tag(self._look.model(asked.name).ref, {asked.key: None})

    def by_alias(self, asked: Alias) -> Any:
        return {"model_version": say_version(self._look.by_alias(self._look.model(asked.name), asked.alias))}

    def set_alias(self, asked: SetAlias) -> Any:
        """Point an alias at a version. `champion` carries traffic: the version must pass the gates to production first."""
        alias = check_alias(asked.alias, setting=True)
        ref = self._look.version(asked.name, check_version(asked.version)).ref
        if alias == CHAMPION:
            self._models.make_champion(ref, promote=True, reason="alias set through MLflow")
        else:
            self._models.alias(ref, alias, reason="alias set through MLflow")

    def delete_alias(self, asked: Alias) -> Any:
        """Take an alias away; one that is not there is none already."""
        alias, model = check_alias(asked.alias), self._look.model(asked.name)
        if alias not in model.aliases:
            return
        if alias == CHAMPION:
            self._models.drop_champion(model.ref, reason="alias deleted through MLflow")
        else:
            self._models.drop_alias(model.ref, alias, reason="alias deleted through MLflow")

    def _taken(self, name: str, tags: dict[str, str]) -> MlflowError:
        wanted = "prompt" if prompts.is_prompt(tags) else "registered model"
        try:
            there = "prompt" if prompts.is_prompt(self._look.model(name).tags) else "registered model"
        except MlflowError:
            there = wanted  # somebody else's, which this caller may not see
        if wanted == there:
            return exists(f"{'Prompt' if wanted == 'prompt' else 'Registered Model'} (name={name}) already exists.")
        return exists(
            f"Tried to create a {wanted} with name {name!r}, but the name is already taken by a {there}. "
            "A model and a prompt cannot have the same name."
        )
