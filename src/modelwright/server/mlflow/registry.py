"""What registered models and model versions have in common: finding them by MLflow's names, and saying them in its JSON.

MLflow's name of a model is its title: any text, exact to the byte. Rights, the ledger and everything else speak of its
ref, which a title leads to.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from modelwright.core.errors import BadRef, NotFound
from modelwright.core.refs import LATEST, Kind, Ref
from modelwright.models import Model, ModelVersion
from modelwright.server.mlflow.errors import invalid, missing
from modelwright.server.mlflow.messages import Message, lacking, milliseconds
from modelwright.server.mlflow.routing import Call
from modelwright.server.mlflow.stages import canonical, said
from modelwright.workspace import Workspace

MAX_KEY, MAX_VALUE, MAX_ALIAS = 250, 100_000, 255
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_KEY = re.compile(r"[\w.\-/: ]+")
_ALIAS = re.compile(r"[\w\-]+")
_REPRESENTABLE = re.compile(r"(?![0-9]+$)[A-Za-z0-9_][A-Za-z0-9_\-]*")
_RESERVED = re.compile(r"(?i:latest)|[vV][0-9]+")
W = TypeVar("W", bound=Message)


class Pair(Message):
    """A tag."""

    key: str = ""
    value: str = ""


class Named(Message):
    """A request about a model."""

    needs: ClassVar[Sequence[str]] = ("name",)
    name: str = ""


class Numbered(Message):
    """A request about a version."""

    needs: ClassVar[Sequence[str]] = ("name", "version")
    name: str = ""
    version: str | int = ""


class AliasSaid(Message):
    """An alias and the version that it stands for."""

    alias: str
    version: str


class VersionSaid(Message):
    """A version in MLflow's JSON."""

    name: str
    version: str
    creation_timestamp: int
    last_updated_timestamp: int
    current_stage: str
    status: str = ""
    user_id: str = ""
    description: str = ""
    source: str = ""
    run_id: str = ""
    run_link: str = ""
    model_id: str = ""
    tags: list[Pair] = []
    aliases: list[str] = []


class ModelSaid(Message):
    """A model in MLflow's JSON."""

    name: str
    creation_timestamp: int
    last_updated_timestamp: int
    user_id: str = ""
    description: str = ""
    latest_versions: list[VersionSaid] = []
    tags: list[Pair] = []
    aliases: list[AliasSaid] = []


def answering(wanted: type[W], work: Callable[[W], Any]) -> Callable[[Call], Awaitable[Any]]:
    """An endpoint's answer: read the request, and do the work in a thread as whoever asks."""

    async def answer(call: Call) -> Any:
        asked = await call.message(wanted)
        return await call.run(lambda: work(asked))

    return answer


class Lookup:
    """Finds models and versions by what MLflow calls them."""

    def __init__(self, workspace: Workspace) -> None:
        self._models = workspace.models
        self._registry = workspace.registry

    def model(self, name: str) -> Model:
        """The model that MLflow calls `name`; RESOURCE_DOES_NOT_EXIST in its words.

        A name with a slash can only be one of our own paths: MLflow makes none, and reads them all the same.
        """
        check_name(name, reading=True)
        try:
            return self._registry.show(Ref(Kind.MODEL, name)) if "/" in name else self._registry.titled(name)
        except (NotFound, BadRef):
            raise missing(f"Registered Model with name={name[:300]} not found") from None

    def version(self, name: str, version: str | int) -> ModelVersion:
        """One version by its number."""
        number = check_version(version)
        ref = self.model(name).ref
        try:
            return self._models.show(ref.at(number))
        except NotFound:
            raise missing(f"Model Version (name={name[:300]}, version={version}) not found") from None

    def chosen(self, name: str, selector: str) -> ModelVersion:
        """One version as `models:/` names it: by its number, a stage, `latest`, or `@` and an alias."""
        if selector[:1].isdecimal():
            return self.version(name, selector)
        model = self.model(name)
        if selector.startswith("@"):
            return self.by_alias(model, selector[1:])
        if selector.lower() == LATEST:
            return self.by_alias(model, LATEST)
        stage = canonical(selector)
        for each in newest_of(model.latest):
            if said(each.stage) == stage:
                return each
        raise missing(f"Model Version (name={name[:300]}, stage={stage}) not found")

    def by_alias(self, model: Model, alias: str) -> ModelVersion:
        """The version that an alias stands for, `latest` included, in any case."""
        if alias.lower() == LATEST:
            if not model.latest:
                raise missing(f"Latest version not found for model {model.title}.")
            return max(model.latest, key=lambda version: version.ref.version or 0)
        number = model.aliases.get(check_alias(alias))
        if number is None:
            raise invalid(f"Registered model alias {alias[:80]} not found.")
        return self._models.show(model.ref.at(number))


def check_name(name: str, *, reading: bool = False) -> None:
    """INVALID_PARAMETER_VALUE for what cannot be the name of a registered model."""
    if not name.strip():
        raise lacking("name")
    if ":" in name or ("/" in name and not reading):
        raise invalid(f"Invalid model name '{name[:200]}'. Names cannot contain '/' or ':'.")
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise invalid(f"Invalid value {name[:200]!r} for parameter 'name' supplied: it looks like a path to elsewhere.")


def check_version(version: str | int) -> int:
    """A version's number, written in one way only."""
    if _VERSION.fullmatch(str(version)) is None:
        raise invalid(f"Parameter 'version' must be an integer counted from 1, got '{str(version)[:80]}'.")
    return int(version)


def check_alias(alias: str, *, setting: bool = False) -> str:
    """An alias as it may be asked for, or be set."""
    if not alias:
        raise invalid("Registered model alias name cannot be empty.")
    if _ALIAS.fullmatch(alias) is None:
        raise invalid(
            f"Invalid alias name: '{alias[:80]}'. Names may only contain alphanumerics, underscores (_), and dashes (-)."
        )
    if setting and _RESERVED.fullmatch(alias):
        raise invalid(f"'{alias[:80]}' is reserved: a version is named by its number, the newest by latest.")
    if setting and (len(alias) > MAX_ALIAS or _REPRESENTABLE.fullmatch(alias) is None):
        raise invalid(
            f"Invalid alias name: '{alias[:80]}'. Here an alias has at most {MAX_ALIAS} ASCII characters, does not begin "
            "with a dash, and is not just digits."
        )
    return alias


def check_tag(key: str, value: str) -> None:
    """INVALID_PARAMETER_VALUE for a tag that MLflow would not take either."""
    check_key(key)
    if len(value) > MAX_VALUE:
        raise invalid(f"'value' exceeds the maximum length of {MAX_VALUE} characters")


def check_key(key: str) -> None:
    """INVALID_PARAMETER_VALUE for a key of a tag that is empty, too long or dressed as a path."""
    if not key:
        raise lacking("key")
    if len(key) > MAX_KEY:
        raise invalid(f"'key' exceeds the maximum length of {MAX_KEY} characters")
    if _KEY.fullmatch(key) is None:
        raise invalid(
            f"Invalid value {key[:80]!r} for parameter 'key' supplied: Names may only contain alphanumerics, "
            "underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."
        )
    if any(part in ("", ".", "..") for part in key.split("/")):
        raise invalid(
            f"Invalid value {key[:80]!r} for parameter 'key' supplied: Names may be treated as files in certain cases, "
            "and must not resolve to other names when treated as such."
        )


def tags_of(pairs: Sequence[Pair]) -> dict[str, str]:
    """Tags by key; of a key that comes twice the last counts."""
    for each in pairs:
        check_tag(each.key, each.value)
    return {each.key: each.value for each in pairs}


def say_version(version: ModelVersion) -> VersionSaid:
    """A version in MLflow's JSON."""
    record = version.record
    return VersionSaid(
        name=version.title,
        version=str(version.ref.version),
        creation_timestamp=milliseconds(version.created_at),
        last_updated_timestamp=milliseconds(version.changed_at),
        current_stage=said(version.stage),
        status="READY",
        user_id=version.created_by,
        description=version.description,
        source=record.source or str(version.ref),
        run_id=record.run.name if record.run else "",
        run_link=record.link,
        model_id=record.logged_as,
        tags=_pairs(version.tags),
        aliases=sorted(version.aliases),
    )


def say_model(model: Model) -> ModelSaid:
    """A model in MLflow's JSON."""
    return ModelSaid(
        name=model.title,
        creation_timestamp=milliseconds(model.created_at),
        last_updated_timestamp=milliseconds(model.changed_at),
        user_id=model.created_by,
        description=model.description,
        latest_versions=[say_version(each) for each in newest_of(model.latest)],
        tags=_pairs(model.tags),
        aliases=[AliasSaid(alias=alias, version=str(number)) for alias, number in sorted(model.aliases.items())],
    )


def newest_of(versions: Sequence[ModelVersion]) -> list[ModelVersion]:
    """The newest version of each of MLflow's stages, of which one may be two of ours."""
    found: dict[str, ModelVersion] = {}
    for each in sorted(versions, key=lambda version: version.ref.version or 0, reverse=True):
        found.setdefault(said(each.stage), each)
    return list(found.values())


def _pairs(tags: Mapping[str, str]) -> list[Pair]:
    return [Pair(key=key, value=value) for key, value in sorted(tags.items())]
