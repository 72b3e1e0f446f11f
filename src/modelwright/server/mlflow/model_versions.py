"""MLflow's model versions: versions of our catalog, made of what is stored here already or of an address elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from msgspec.structs import replace

from modelwright.core.errors import NotFound
from modelwright.experiments import Artifact
from modelwright.models import ModelVersion
from modelwright.server.mlflow import prompts
from modelwright.server.mlflow.artifacts import checked_path
from modelwright.server.mlflow.errors import invalid, missing
from modelwright.server.mlflow.folders import Folders
from modelwright.server.mlflow.messages import Message
from modelwright.server.mlflow.registry import (
    Lookup,
    Named,
    Numbered,
    Pair,
    answering,
    check_key,
    check_name,
    check_tag,
    say_version,
    tags_of,
)
from modelwright.server.mlflow.registry_search import Found, search_versions
from modelwright.server.mlflow.routing import Call, Endpoint
from modelwright.server.mlflow.sources import Origin, Source, check_claims, check_link, check_placeholder, read_source
from modelwright.server.mlflow.stages import ACTIVE, STAGES, canonical, said
from modelwright.server.mlflow.version_files import VersionFiles
from modelwright.server.routing import SIGNED_IN
from modelwright.server.transfer import Transfer
from modelwright.workspace import Workspace

_AT = "/2.0/mlflow/model-versions"


class Create(Named):
    needs: ClassVar[Sequence[str]] = ("name", "source")
    source: str = ""
    run_id: str = ""
    model_id: str = ""
    run_link: str = ""
    description: str = ""
    tags: list[Pair] = []


class Update(Numbered):
    description: str = ""


class SetTag(Numbered):
    needs: ClassVar[Sequence[str]] = ("name", "version", "key")
    key: str = ""
    value: str = ""


class DeleteTag(Numbered):
    needs: ClassVar[Sequence[str]] = ("name", "version", "key")
    key: str = ""


class File(Numbered):
    needs: ClassVar[Sequence[str]] = ("name", "version", "path")
    path: str = ""


class Transition(Numbered):
    needs: ClassVar[Sequence[str]] = ("name", "version", "stage")
    stage: str = ""
    archive_existing_versions: bool = False


class Search(Message):
    filter: str = ""
    max_results: int = 200_000
    order_by: list[str] = []
    page_token: str = ""


def endpoints(workspace: Workspace, transfer: Transfer) -> list[Endpoint]:
    """Everything below `model-versions/`."""
    doing = ModelVersions(workspace)
    table: tuple[tuple[str, str, type[Message], Any], ...] = (
        ("POST", "create", Create, doing.create),
        ("GET", "get", Numbered, doing.get),
        ("GET", "get-download-uri", Numbered, doing.where),
        ("PATCH", "update", Update, doing.update),
        ("DELETE", "delete", Numbered, doing.delete),
        ("GET", "search", Search, doing.search),
        ("POST", "transition-stage", Transition, doing.transition),
        ("POST", "set-tag", SetTag, doing.set_tag),
        ("DELETE", "delete-tag", DeleteTag, doing.delete_tag),
    )
    offered = [
        Endpoint(method, f"{_AT}/{end}", answering(asked, work), needs=SIGNED_IN) for method, end, asked, work in table
    ]

    async def file(call: Call) -> Any:
        asked = await call.message(File)
        found = await call.run(lambda: doing.file(asked))
        return transfer.content(call.request, found.digest, found.size, name=found.name, media_type=found.media_type)

    return [*offered, Endpoint("GET", "/model-versions/get-artifact", file, needs=SIGNED_IN)]


class ModelVersions:
    """What is asked about versions."""

    def __init__(self, workspace: Workspace) -> None:
        self._look = Lookup(workspace)
        self._registry = workspace.registry
        self._models = workspace.models
        self._folders = Folders(workspace, self._look)
        self._files = VersionFiles(workspace.models)

    def create(self, asked: Create) -> Any:
        check_name(asked.name, reading=True)
        check_link(asked.run_link)
        tags = tags_of(asked.tags)
        model = self._look.model(asked.name)
        if prompts.is_prompt(tags) is not prompts.is_prompt(model.tags):
            there, wanted = ("prompt", "model") if prompts.is_prompt(model.tags) else ("model", "prompt")
            raise invalid(f"{asked.name!r} is a {there}, and cannot have a version that is a {wanted}.")
        if prompts.is_prompt(tags):
            check_placeholder(asked.source)
            made = self._models.log_folder(
                model.ref.name,
                {},
                source=asked.source,
                params={prompts.TEXT: tags.get(prompts.TEXT, "")},
                description=asked.description,
                tags=tags,
                reason="prompt registered through MLflow",
            )
            return {"model_version": say_version(made)}
        source = read_source(asked.source)
        check_claims(source, asked.run_id, asked.model_id)
        if source.origin is Origin.VERSION:
            return self._said(self._copied(asked, source, tags))
        folder = self._folders.find(source, asked.run_id, asked.model_id)
        made = self._models.log_folder(
            model.ref.name,
            folder.files,
            source=asked.source,
            run=folder.run,
            datasets=folder.datasets,
            features=folder.features,
            params=folder.params,
            authors=folder.authors,
            logged_as=folder.logged,
            link=asked.run_link,
            description=asked.description,
            tags=tags,
            reason="registered through MLflow",
        )
        return {"model_version": say_version(made)}

    def _copied(self, asked: Create, source: Source, tags: dict[str, str]) -> ModelVersion:
        """A version made of the same files as another one, which the caller may read."""
        like = self._look.chosen(source.name, source.selector)
        if prompts.is_prompt(like.tags):
            raise invalid(f"Invalid model version source: '{asked.source[:200]}'. It is a prompt.")
        run = like.record.run.name if like.record.run else ""
        if asked.run_id not in ("", run) or asked.model_id not in ("", like.record.logged_as):
            raise invalid(f"Invalid model version source: '{asked.source[:200]}'. Its run_id is {run or 'none'}.")
        return self._models.register(
            self._look.model(asked.name).ref.name,
            record=replace(like.record, source=asked.source, link=asked.run_link or like.record.link),
            description=asked.description,
            tags=tags,
            anew=True,
            reason=f"a copy of {like.ref}, through MLflow",
        )

    def get(self, asked: Numbered) -> Any:
        return self._said(self._look.version(asked.name, asked.version))

    def where(self, asked: Numbered) -> Any:
        """Where a client finds the files: an address that it can download from."""
        return {"artifact_uri": self._folders.where(self._look.version(asked.name, asked.version))}

    def file(self, asked: File) -> Artifact:
        """One file of a version."""
        name = checked_path(asked.path)
        try:
            return self._files.file(self._look.version(asked.name, asked.version), name)
        except NotFound:
            raise missing(f"No such artifact: {name!r} of version {asked.version} of {asked.name}") from None

    def update(self, asked: Update) -> Any:
        ref = self._look.version(asked.name, asked.version).ref
        self._registry.annotate(ref, asked.description)
        return self._said(self._models.show(ref))

    def delete(self, asked: Numbered) -> Any:
        self._models.delete(self._look.version(asked.name, asked.version).ref, reason="deleted through MLflow")

    def search(self, asked: Search) -> Any:
        found: Found[Any] = search_versions(
            self._registry, asked.filter, asked.order_by, asked.max_results, asked.page_token
        )
        return found.answer("model_versions", say_version)

    def transition(self, asked: Transition) -> Any:
        """Move a version to a stage, through every gate on the way; the gates' reasons are the error."""
        stage = canonical(asked.stage)
        if asked.archive_existing_versions and stage not in ACTIVE:
            raise invalid(
                f"Model version transition cannot archive existing model versions because '{stage}' is not an Active "
                f"stage. Valid stages are {', '.join(sorted(ACTIVE))}."
            )
        version = self._look.version(asked.name, asked.version)
        if said(version.stage) == stage and not asked.archive_existing_versions:
            return self._said(version)
        moved = self._models.place(
            version.ref,
            STAGES[stage],
            instead=asked.archive_existing_versions,
            reason=f"moved to {stage} through MLflow",
        )
        return self._said(moved)

    def set_tag(self, asked: SetTag) -> Any:
        check_tag(asked.key, asked.value)
        version = self._look.version(asked.name, asked.version)
        prompts.check_text(version, asked.key, asked.value)
        self._models.tag(version.ref, {asked.key: asked.value})

    def delete_tag(self, asked: DeleteTag) -> Any:
        check_key(asked.key)
        version = self._look.version(asked.name, asked.version)
        prompts.check_text(version, asked.key, None)
        self._models.tag(version.ref, {asked.key: None})

    def _said(self, version: ModelVersion) -> Any:
        return {"model_version": say_version(version)}
