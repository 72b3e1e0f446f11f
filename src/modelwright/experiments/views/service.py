"""The service of saved views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import sqlalchemy as sa

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.names import path_for
from modelwright.core.operations import Resource, Room, operation
from modelwright.core.refs import Kind, Ref
from modelwright.experiments.views.records import MAX_NAME, MAX_QUERY, Page, View
from modelwright.experiments.views.tables import view_of, views
from modelwright.store import Transaction

_v = views.c


class Views(Room):
    """Saved views of an experiment's runs. The right to them is that to the experiment's runs."""

    room: ClassVar[str] = "views"
    kind: ClassVar[Kind] = Kind.RUN

    def resource_of(self, tx: Any, ref: Ref) -> Resource:
        """The runs of the experiment."""
        return Resource(Kind.RUN, ref.name)

    def resource_named(self, tx: Any, parameter: str, value: str) -> Resource:
        """The runs of an experiment by its name or its title."""
        return Resource(Kind.RUN, path_for(value))

    @operation("write", event="experiments.view.saved", on="experiment")
    def save(self, tx: Transaction, experiment: str, name: str, *, page: Page, query: str, reason: str = "") -> View:
        """Keep how a page of runs is set up, under a name; one of that name is replaced. `query` is that of its address."""
        experiment, name = path_for(experiment), name.strip()
        if not name or len(name) > MAX_NAME:
            raise Invalid(f"A view's name has 1 to {MAX_NAME} characters, not {len(name)}.")
        if len(query) > MAX_QUERY or not query.isascii() or any(sign in query for sign in "#\\ \r\n\t<>\"'"):
            raise Invalid(
                f"That is not the query of an address, or has more than {MAX_QUERY} characters.",
                mend="Give what stands behind the question mark in the address of the page.",
            )
        ref, held = Ref(Kind.EXPERIMENT, experiment), self._find(tx, experiment, name)
        if held is not None and (held.page, held.query) == (page, query):
            tx.unchanged()
            return held
        tx.execute(views.delete().where(_v.experiment == experiment, _v.name == name))
        row = {"experiment": experiment, "name": name, "page": page, "query": query}
        tx.execute(views.insert().values(**row, created_at=tx.stamp, created_by=tx.principal.id))
        before = {"query": held.query} if held is not None else None
        tx.note(resource=ref, before=before, after={"view": name, "page": page, "query": query})
        return self._known(tx, experiment, name)

    @operation("read", on="experiment")
    def show(self, tx: Transaction, experiment: str, name: str) -> View:
        """One saved view."""
        return self._known(tx, path_for(experiment), name)

    @operation("read", on="experiment")
    def list(self, tx: Transaction, experiment: str) -> Sequence[View]:
        """The saved views of an experiment (its name or title), by name."""
        of = _v.experiment == path_for(experiment)
        return [view_of(row) for row in tx.execute(sa.select(views).where(of).order_by(_v.name))]

    @operation("write", event="experiments.view.deleted", on="experiment")
    def delete(self, tx: Transaction, experiment: str, name: str, *, reason: str = "") -> View:
        """Forget a saved view; the runs in it stay."""
        experiment = path_for(experiment)
        gone = self._known(tx, experiment, name)
        tx.execute(views.delete().where(_v.experiment == experiment, _v.name == gone.name))
        tx.note(
            resource=Ref(Kind.EXPERIMENT, experiment), before={"view": gone.name, "page": gone.page, "query": gone.query}
        )
        return gone

    def _find(self, tx: Transaction, experiment: str, name: str) -> View | None:
        row = tx.execute(sa.select(views).where(_v.experiment == experiment, _v.name == name)).first()
        return None if row is None else view_of(row)

    def _known(self, tx: Transaction, experiment: str, name: str) -> View:
        found = self._find(tx, experiment, name.strip())
        if found is None:
            raise NotFound(
                f"The experiment {experiment!r} has no saved view {name[:MAX_NAME]!r}.",
                mend="See what there is: mw views EXPERIMENT",
            )
        return found
