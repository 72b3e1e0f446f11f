"""Models as wholes: made before their first version, titled, found, renamed, and deleted when nothing needs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwright.core.errors import Conflict, InUse, Invalid, Refused
from modelwright.core.operations import Resource, Room, operation
from modelwright.core.paging import Page
from modelwright.core.refs import Kind, Ref
from modelwright.models import queries, titles
from modelwright.models.records import CHAMPION, Model, ModelVersion
from modelwright.models.searching import Search
from modelwright.models.tables import forget, set_title, titles_of
from modelwright.store import Transaction, catalog, things

RESERVED = "modelwright."  # tags that begin so mean something here, such as which policy holds


class Registry(Room):
    """Models as wholes: made before their first version, titled, found, renamed and deleted. Of versions: `Models`."""

    room, kind = "registry", Kind.MODEL

    def resource_named(self, tx: Transaction, parameter: str, value: str) -> Resource:
        """Rights on a title are rights on the ref that it has, or would get."""
        if parameter == "title":
            titles.check_title(value)
            value = titles.name_for(tx, value)
        return super().resource_named(tx, parameter, value)

    @operation("register", event="registry.model.created", on="title")
    def create(
        self,
        tx: Transaction,
        title: str,
        *,
        description: str = "",
        tags: dict[str, str] | None = None,
        reason: str = "",
    ) -> Model:
        """Make a model that has no version yet; `Conflict` where there is one of that title.

        The title is any text without `/` and `:`. The ref has the same name where it follows the grammar and is free;
        otherwise what can be read of the title, and digits of its digest.
        """
        if (found := titles.find(tx, title)) is not None:
            raise Conflict(f"There is a model named {title!r} already: {found}.")
        ref = Ref(Kind.MODEL, titles.name_for(tx, title))
        checked = _checked(tags or {})
        things.create(tx, ref, description=description)
        set_title(tx, ref.name, title)
        for key, value in checked.items():
            catalog.set_tag(tx, ref, key, value)
        tx.note(resource=ref, after={"title": title})
        return self._model(tx, ref)

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> Model:
        """A model as a whole: its title, tags, aliases and the newest version on each stage."""
        return self._model(tx, ref)

    @operation("read", on="title")
    def titled(self, tx: Transaction, title: str) -> Model:
        """The model of exactly this title; `NotFound` for one that merely looks like it."""
        return self._model(tx, titles.get(tx, title))

    @operation("read", on="")
    def search(self, tx: Transaction, search: Search = Search()) -> Page[Model]:
        """The models that fit a condition and that the caller may read; by default all, in order of their titles."""
        page = queries.search_models(tx, search)
        return Page(items=queries.models(tx, page.items), next=page.next)

    @operation("read", on="")
    def search_versions(self, tx: Transaction, search: Search = Search()) -> Page[ModelVersion]:
        """The versions, of any model, that fit a condition; by default all, the last changed first."""
        page = queries.search_versions(tx, search)
        return Page(items=queries.complete(tx, page.items), next=page.next)

    @operation("register", event="registry.model.renamed")
    def rename(self, tx: Transaction, ref: Ref, title: str, *, reason: str = "") -> Model:
        """Give a model another title. Its ref stays, and with it versions, aliases, history, evidence and rights.

        `InUse` while a version is the champion or depended on, since whoever calls it knows it by its name; `Conflict`
        where the title is another model's.
        """
        whole = things.get(tx, ref).ref
        titles.check_title(title)
        before = titles_of(tx, [ref.name])[ref.name]
        if title == before:
            tx.unchanged()
            return self._model(tx, whole)
        if (holder := titles.find(tx, title)) is not None:
            raise Conflict(f"There is a model named {title!r} already: {holder}.")
        if held := _live(tx, whole):
            raise InUse(f"{whole} is live and keeps its name: {', '.join(held)}.", details={"dependants": held})
        set_title(tx, whole.name, title)
        catalog.touch(tx, whole)
        tx.note(resource=whole, before={"title": before}, after={"title": title})
        return self._model(tx, whole)

    @operation("register", event="registry.description.set")
    def annotate(self, tx: Transaction, ref: Ref, description: str, *, reason: str = "") -> Ref:
        """Replace the description of a version, or (without a selector) of the model; nothing else about it changes."""
        found = things.get(tx, ref).ref if ref.selector is None else catalog.resolve(tx, ref)
        catalog.describe(tx, found, description)
        tx.note(resource=found)
        return found

    @operation("register", event="registry.tags.set")
    def tag(self, tx: Transaction, ref: Ref, tags: dict[str, str | None], *, reason: str = "") -> Model:
        """Set tags on a model as a whole; a value of None takes the tag away. `models.tag` is for its versions."""
        before = things.get(tx, ref)
        for key, value in _checked(tags).items():
            catalog.set_tag(tx, before.ref, key, value)
        catalog.touch(tx, before.ref)
        tx.note(resource=before.ref, before={"tags": pairs(before.tags)}, after=changed_tags(tags))
        return self._model(tx, before.ref)

    @operation("erase", event="registry.model.deleted")
    def delete(self, tx: Transaction, ref: Ref, *, reason: str) -> Ref:
        """Delete a model with all its versions; `InUse` names every alias, deployment or other thing that holds one.

        Should a model of the same title come again, its versions count on from here.
        """
        if ref.selector is not None:
            raise Invalid(f"{ref} is one version.", mend="Use models.delete for it, or leave the selector out.")
        title = titles_of(tx, [ref.name])[ref.name]
        gone = things.delete(tx, ref)
        forget(tx, ref.name)
        tx.note(resource=ref, inputs=gone, before={"title": title, "versions": len(gone)})
        return ref

    def _model(self, tx: Transaction, ref: Ref) -> Model:
        return queries.models(tx, [things.get(tx, ref)])[0]


def pairs(tags: Mapping[str, Any]) -> list[str]:
    """Tags as text: their keys are free, those of an event are not."""
    return [f"{key}={value}" for key, value in sorted(tags.items()) if value is not None]


def changed_tags(tags: Mapping[str, Any]) -> dict[str, list[str]]:
    """What an event says of a change of tags: those that were set, and the keys of those that were taken away."""
    untagged = sorted(key for key, value in tags.items() if value is None)
    return {"tags": pairs(tags), **({"untagged": untagged} if untagged else {})}


def _live(tx: Transaction, whole: Ref) -> list[str]:
    """Why a model counts as live: its champion, and whatever else depends on a version of it."""
    champion = things.get(tx, whole).aliases.get(CHAMPION)
    others = [str(each) for each in catalog.dependants(tx, whole) if each.whole != whole]
    return ([f"@{CHAMPION} (version {champion})"] if champion else []) + others


def _checked(tags: Mapping[str, str | None]) -> Mapping[str, str | None]:
    for key in tags:
        if key.startswith(RESERVED):
            raise Refused(
                f"The tag {key!r} is not set by hand.", mend=f"Choose a key that does not begin with {RESERVED!r}."
            )
    return tags
