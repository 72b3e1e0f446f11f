"""The service that takes registered models in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from msgspec.structs import replace

from modelwright.core.errors import BadRef, Conflict
from modelwright.core.hashing import digest_value
from modelwright.core.operations import Resource, Room, operation
from modelwright.core.paging import every
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert
from modelwright.models import titles
from modelwright.models.folders import record_of
from modelwright.models.intake.records import ForeignModel, ForeignVersion, Registered
from modelwright.models.records import CHAMPION, ModelRecord, Stage
from modelwright.models.registry import RESERVED
from modelwright.models.tables import set_origin, set_stage, set_title, stages_of
from modelwright.serving.records import MLMODEL
from modelwright.store import Transaction, Version, catalog, things

STAGE_TAG = "mlflow.stage"  # a stage elsewhere is no stage here: nothing gets onto one but by a gate
ALIAS_TAG = "mlflow.alias."  # of a model: an alias that could not be set, followed by its name
NO_STAGE = frozenset({"", "None"})
ARCHIVED = "Archived"  # set aside there and here: that asks no gate
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class ModelIntake(Room):
    """The way in for registered models and their versions.

    Versions keep their numbers, and nothing gets past a gate: a stage becomes a tag, and so does the alias `champion`.
    """

    room: ClassVar[str] = "model_intake"
    kind: ClassVar[Kind] = Kind.MODEL

    def resource_named(self, tx: Any, parameter: str, value: str) -> Resource:
        """Rights on a title are rights on the ref that it has, or would get."""
        titles.check_title(value)
        return Resource(Kind.MODEL, titles.name_for(tx, value))

    # At the caller's side

    def record_for(self, version: ForeignVersion, files: Mapping[str, str], *, run: Ref | None) -> ModelRecord:
        """What a version is made of: an MLflow folder if its files are here, or else a mere address."""
        content = self.blobs.read(files[MLMODEL]) if MLMODEL in files else None
        sizes = {digest: self.blobs.size(digest) for digest in set(files.values())}
        record = record_of(files if content is not None else {}, content, sizes=sizes)
        return replace(
            record,
            source=version.source or version.location or f"models:/{version.name}/{version.number}",
            run=run,
            link=version.run_link,
            logged_as=version.logged_as,
        )

    # On the record

    @operation("register", on="title")
    def here(self, tx: Transaction, title: str) -> Registered | None:
        """What a model has here, said as it would be there; None if there is no such model."""
        ref = titles.find(tx, title)
        if ref is None:
            return None
        thing = things.get(tx, ref)
        found: dict[int, ForeignVersion] = {}
        for each in every(partial(catalog.list_versions, tx, ref)):
            assert each.ref.version is not None
            found[each.ref.version] = _foreign(title, each, stages_of(tx, [each.ref])[each.ref])
        return Registered(tags=thing.tags, description=thing.description, aliases=thing.aliases, versions=found)

    @operation("register", event="model_intake.model.brought", on="title")
    def model(self, tx: Transaction, title: str, new: ForeignModel, *, source: str) -> Ref:
        """Bring a model without its versions; its description and tags are made what they are there."""
        ref = titles.find(tx, title)
        if ref is None:
            ref = Ref(Kind.MODEL, titles.name_for(tx, title))
            things.create(tx, ref)
            set_title(tx, ref.name, title)
        held = things.get(tx, ref)
        changed = {key: value for key, value in _allowed(new.tags).items() if held.tags.get(key) != value}
        for key, value in changed.items():
            catalog.set_tag(tx, ref, key, value)
        if new.description and held.description != new.description:
            catalog.describe(tx, ref, new.description)
        _date(tx, ref, new.created, new.updated)
        tx.note(resource=ref, outputs=[ref], after={"source": source, "title": title, "tags": len(changed)})
        return ref

    @operation("register", event="model_intake.version.brought", on="title")
    def version(self, tx: Transaction, title: str, new: ForeignVersion, record: ModelRecord | None, *, source: str) -> Ref:
        """Bring a version under its number, or (without a record) make tags and description what they are there.

        `Conflict` if that number was given here to another one, even to one that was deleted.
        """
        ref = titles.get(tx, title)
        pinned = ref.at(new.number)
        tags = _allowed(new.tags) | ({} if new.stage in NO_STAGE | {ARCHIVED} else {STAGE_TAG: new.stage})
        if record is None:
            for key, value in tags.items():
                catalog.set_tag(tx, pinned, key, value)
            if new.description:
                catalog.describe(tx, pinned, new.description)
        else:
            if not things.count_from(tx, ref, new.number):
                raise Conflict(
                    f"{pinned} cannot be brought: its number was given here already.",
                    mend="Rename the model here or there, and import again.",
                )
            record = replace(record, authors=list(dict.fromkeys([*record.authors, tx.principal.effective_id])))
            made = catalog.add(
                tx,
                Kind.MODEL,
                ref.name,
                digest=digest_value(record),
                record=record,
                description=new.description,
                tags=tags,
                needs=record.needs,
                anew=True,
            )
            set_origin(tx, made.ref, record)
        if new.stage == ARCHIVED and stages_of(tx, [pinned])[pinned] is Stage.CANDIDATE:
            set_stage(tx, pinned, Stage.ARCHIVED)
        _date(tx, pinned, new.created, new.updated)
        inputs = record.needs if record is not None else []
        tx.note(resource=pinned, inputs=inputs, outputs=[pinned], after={"source": source, "title": title})
        return pinned

    @operation("register", event="model_intake.aliases.brought", on="title")
    def aliases(self, tx: Transaction, title: str, aliases: dict[str, int], *, source: str) -> list[str]:
        """Bring aliases; returns those that became tags.

        `champion` is what is live here, and moves only through its gate; and of some the name cannot be an alias here.
        """
        ref = titles.get(tx, title)
        held, tagged, moved = things.get(tx, ref), [], []
        for alias, number in aliases.items():
            if not _can_be_alias(ref, alias):
                tagged.append(alias)
                if held.tags.get(ALIAS_TAG + alias) != str(number):
                    catalog.set_tag(tx, ref, ALIAS_TAG + alias, str(number))
                    moved.append(alias)
            elif held.aliases.get(alias) != number:
                catalog.set_alias(tx, ref.at(number), alias, reason=f"as in {source}")
                moved.append(alias)
        if moved:
            tx.note(resource=ref, outputs=[ref], after={"source": source, "aliases": moved})
        else:
            tx.unchanged()
        return tagged


def _can_be_alias(ref: Ref, alias: str) -> bool:
    try:
        return alias != CHAMPION and Ref(ref.kind, ref.name, alias).selector == alias
    except BadRef:
        return False


def _allowed(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags of a name that means something here are not taken from elsewhere."""
    return {key: value for key, value in tags.items() if not key.startswith(RESERVED)}


def _date(tx: Transaction, ref: Ref, created: int, updated: int) -> None:
    if created:
        things.date(tx, ref, created=_EPOCH + created * _MILLISECOND, changed=_EPOCH + (updated or created) * _MILLISECOND)


def _foreign(title: str, version: Version, stage: Stage) -> ForeignVersion:
    record = convert(version.record, ModelRecord)
    tags = dict(version.tags)
    assert version.ref.version is not None
    return ForeignVersion(
        name=title,
        number=version.ref.version,
        source=record.source,
        run=record.run.name if record.run else "",
        run_link=record.link,
        logged_as=record.logged_as,
        stage=ARCHIVED if stage is Stage.ARCHIVED else tags.pop(STAGE_TAG, "None"),
        description=version.description,
        user=version.created_by,
        created=(version.created_at - _EPOCH) // _MILLISECOND,
        updated=(version.changed_at - _EPOCH) // _MILLISECOND,
        tags=tags,
    )
