"""Models at the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.cli.kinds.base import Face, standing, tell_changes, tell_evidence
from modelwright.cli.output import day, facts, say, section, short, when
from modelwright.core.errors import NotFound
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.core.sizes import size
from modelwright.models.records import PROMPT_TAG, PROMPT_TEXT, ModelVersion
from modelwright.store.records import AliasMove

if TYPE_CHECKING:
    from modelwright.core.signature import Column
    from modelwright.models.records import ModelDiff
    from modelwright.workspace import Workspace

MADE_FROM = "made from"
MANY = 12  # parameters that are still shown one by one


class PackageFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a version."""

    path: str
    digest: str
    size: int | None  # bytes; None if the file is no longer stored


class ModelShown(ModelVersion, frozen=True, kw_only=True):
    """A version; with its files where a version was asked for, and the moves of its model's aliases where a model was."""

    files: list[PackageFile] | msgspec.UnsetType = msgspec.UNSET
    alias_history: Sequence[AliasMove] | msgspec.UnsetType = msgspec.UNSET  # newest first


class ModelFace(Face):
    """Versions of models."""

    kind = Kind.MODEL
    columns = ("model", "stage", "aliases", "made", "by", "about")

    def show(self, rooms: Workspace, ref: Ref) -> ModelShown:
        found = rooms.models.show(ref)
        known = {name: getattr(found, name) for name in found.__struct_fields__}
        if ref.selector is None:
            return ModelShown(**known, alias_history=rooms.models.history(ref))
        files = sorted(found.record.files.items())
        stored = [PackageFile(path=path, digest=digest, size=_size(rooms, digest)) for path, digest in files]
        return ModelShown(**known, files=stored)

    def tell(self, rooms: Workspace, found: ModelShown) -> None:
        record, signature = found.record, found.record.signature
        if found.is_prompt:
            hidden = {PROMPT_TEXT, PROMPT_TAG}
            told = {**standing(found), "tags": [f"{k}={v}" for k, v in found.tags.items() if k not in hidden]}
            facts(str(found.ref), {"is": "a prompt", "about": found.description, **told})
            say("")
            say(found.tags.get(PROMPT_TEXT, ""))
            return
        facts(
            str(found.ref),
            {
                "about": found.description,
                "purpose": found.profile.purpose,
                "owner": found.profile.owner,
                "stage": found.stage.value,
                "risk tier": rooms.policy.tier(found.ref).value,
                "format": f"{record.format.value}, {size(record.size)}, {record.framework}",
                "licence": record.licence,
                "signed": _signed(rooms, found) if found.seal else None,
                "example": f"some rows of input, {short(record.example)}" if record.example else None,
                "run": record.run,
                "datasets": "\n".join(map(str, record.datasets)),
                "features": "\n".join(map(str, record.features)),
                "parameters": _few([f"{name}={value}" for name, value in record.params.items()]),
                **{name: value for name, value in standing(found).items() if name != "state"},
            },
        )
        columns = [("in", each) for each in signature.inputs] + [("out", each) for each in signature.outputs]
        section(["", "column", "type", "may be missing"], [[w, c.name, _type(c), _yes(c.nullable)] for w, c in columns])
        if found.files is not msgspec.UNSET:
            sizes = [[each.path, short(each.digest), _told(each.size)] for each in found.files]
            section(["file", "digest", "size"], sizes, right=["size"])
        if found.alias_history is not msgspec.UNSET:
            moves = [[m.alias, m.version or "taken away", when(m.at), m.actor, m.reason] for m in found.alias_history]
            section(["alias", "version", "since", "by", "reason"], moves)
        tell_evidence(rooms, found.ref)

    def list(self, rooms: Workspace, where: Filter) -> Page[ModelVersion]:
        return rooms.models.list(where)

    def within(self, rooms: Workspace, ref: Ref, where: Filter) -> tuple[Face, Page[ModelVersion]]:
        return self, rooms.models.versions(ref, where)

    def row(self, item: ModelVersion) -> Sequence[Any]:
        ref, aliases = str(item.ref).removeprefix("model:"), ", ".join(item.aliases)
        stage = "prompt" if item.is_prompt else item.stage.value
        return [ref, stage, aliases, day(item.created_at), item.created_by, item.description]

    def diff(self, rooms: Workspace, before: Ref, after: Ref) -> ModelDiff:
        return rooms.models.diff(before, after)

    def tell_diff(self, found: ModelDiff) -> None:
        rows = [[_what(each.what), *each.sides] for each in found.changes]
        tell_changes(found.before, found.after, ["what", "before", "after"], rows)
        if not found.compatible:
            say("  Callers of the first cannot call the second as they do now.", style="red")

    def tag(self, rooms: Workspace, ref: Ref, tags: dict[str, str | None], reason: str) -> dict[str, str]:
        return rooms.models.tag(ref, tags, reason=reason).tags

    def retire(self, rooms: Workspace, ref: Ref, successor: Ref | None, reason: str) -> ModelVersion:
        return rooms.models.retire(ref, successor=successor, reason=reason)


def _size(rooms: Workspace, digest: str) -> int | None:
    try:
        return rooms.models.blobs.size(digest)
    except NotFound:
        return None


def _told(count: int | None) -> str:
    return "no longer stored" if count is None else size(count)


def _few(parameters: list[str]) -> list[str] | str:
    """A handful is shown; an estimator's fifty are counted."""
    return parameters if len(parameters) <= MANY else f"{len(parameters)} of them: see --json"


def _what(path: str) -> str:
    """Of what a version was made from, the column tells: the path would say the same ref again."""
    return MADE_FROM if path.startswith(f"{MADE_FROM}.") else path


def _signed(rooms: Workspace, found: ModelShown) -> str | None:
    standing = rooms.signatures.standing(found.ref)
    if standing is None:
        return None
    return f"with the key {standing.key[:12]}, {standing.why or 'which counts here'}"


def _type(column: Column) -> str:
    """Its type and its levels: whether it may be missing stands beside."""
    return msgspec.structs.replace(column, nullable=False).told()


def _yes(value: bool) -> str:
    return "yes" if value else ""
