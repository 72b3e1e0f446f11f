"""The experiments themselves: named series of runs, put away and brought back whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from modelwright.core.errors import Conflict
from modelwright.core.names import path_for
from modelwright.core.operations import Resource, Room, operation
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import queries, writing
from modelwright.experiments.records import Experiment
from modelwright.experiments.values import check_title
from modelwright.store import Transaction


class Series(Room):
    """What can be done with an experiment; `Experiments` adds what can be done with its runs."""

    room: ClassVar[str] = "experiments"
    kind: ClassVar[Kind] = Kind.RUN

    def resource_of(self, tx: Any, ref: Ref) -> Resource:
        """The experiment that a run belongs to stands for the run."""
        if ref.kind is Kind.EXPERIMENT:
            return Resource(Kind.RUN, ref.name)
        return Resource(Kind.RUN, queries.run_row(tx, ref).experiment_name)

    def resource_named(self, tx: Any, parameter: str, value: str) -> Resource:
        """An experiment by its name or its title."""
        return Resource(Kind.RUN, path_for(value))

    @operation("write", event="experiments.experiment.created")
    def create(
        self,
        tx: Transaction,
        name: str,
        *,
        description: str = "",
        artifact_location: str = "",
        tags: Mapping[str, str] = {},
        new: bool = False,
    ) -> Experiment:
        """Create an experiment, or return the one of that name. Starting a run creates its experiment by itself.

        `name` may be any text: it becomes the title, and the name of the ref is made from it where it is none itself. An
        experiment that was discarded holds its name, and is what is returned; with `new`, a name that is taken is a
        `Conflict`. `description`, `artifact_location` and `tags` are those of a new one: one that is there keeps its own.
        """
        check_title(name)
        ref = Ref(Kind.EXPERIMENT, path_for(name))
        there = queries.experiment_named(tx, ref.name)
        if there is not None:
            if new:
                state = queries.lifecycle(there)
                raise Conflict(f"There is an experiment {there.title!r} already.", details={"lifecycle": state.value})
            if name not in (there.title, there.name):
                raise Conflict(
                    f"The name {ref.name} that {name!r} would get belongs to the experiment {there.title!r}.",
                    mend="Choose another title.",
                )
            tx.unchanged()
        else:
            row = writing.add_experiment(tx, name, description=description, artifact_location=artifact_location)
            writing.set_experiment_tags(tx, row.id, tags)
            tx.note(resource=ref, after={"title": name} if name != ref.name else None)
        return queries.experiment(tx, ref)

    @operation("read")
    def experiment(self, tx: Transaction, ref: Ref) -> Experiment:
        """Show one experiment, discarded or not."""
        return queries.experiment(tx, ref)

    @operation("read", on="")
    def list_experiments(self, tx: Transaction, where: Filter = Filter()) -> Page[Experiment]:
        """List experiments by name, with the number of their runs. `where.state` is active, deleted or all."""
        return queries.list_experiments(tx, where)

    @operation("write", event="experiments.experiment.tagged")
    def tag_experiment(self, tx: Transaction, ref: Ref, tags: Mapping[str, str | None]) -> Experiment:
        """Set tags of an experiment; None takes one away."""
        found = queries.experiment(tx, ref)
        changed = {key: value for key, value in tags.items() if found.tags.get(key) != value}
        if not changed:
            tx.unchanged()
            return found
        writing.set_experiment_tags(tx, found.id, changed)
        sets = [f"{key}={value}" if value is not None else f"-{key}" for key, value in changed.items()]
        tx.note(resource=ref, after={"tags": sets})
        return queries.experiment(tx, ref)

    @operation("write", event="experiments.experiment.renamed", on="name")
    def rename(self, tx: Transaction, ref: Ref, name: str, *, reason: str = "") -> Experiment:
        """Give an experiment another name or title. It needs the right to write on the old and on the new one."""
        check_title(name)
        row = queries.experiment_row(tx, ref)
        self.tag_experiment(ref, {})  # changes nothing, but asks for the right on the old name
        if row.title == name:
            tx.unchanged()
            return queries.experiment(tx, ref)
        to = Ref(Kind.EXPERIMENT, path_for(name))
        if row.deleted is not None:
            raise Conflict(f"The experiment {row.title!r} is deleted.", mend="Restore it first: experiments.restore.")
        if queries.experiment_named(tx, to.name) not in (None, row):
            raise Conflict(f"There is an experiment {name!r} already.", mend="Choose another name.")
        writing.rename_experiment(tx, row, title=name, name=to.name)
        tx.note(resource=to, inputs=[ref], outputs=[to], before={"title": row.title}, after={"title": name})
        return queries.experiment(tx, to)

    @operation("write", event="experiments.run.discarded")
    def discard(self, tx: Transaction, ref: Ref, *, reason: str = "") -> None:
        """Put a run, or an experiment with its runs, out of sight until `restore`. It keeps its name and takes nothing."""
        if ref.kind is not Kind.EXPERIMENT:
            row = queries.run_row(tx, ref)
            if row.deleted is not None:
                tx.unchanged()
                return
            writing.change_run(tx, row.key, deleted=writing.now(tx))
            tx.note(resource=ref)
            return
        row = queries.experiment_row(tx, ref)
        if row.deleted is not None:
            tx.unchanged()
            return
        writing.discard_experiment(tx, row.id)
        tx.note(resource=ref, action="experiments.experiment.discarded")

    @operation("write", event="experiments.run.restored")
    def restore(self, tx: Transaction, ref: Ref, *, reason: str = "") -> None:
        """Bring a discarded run back, or an experiment with the runs that were discarded along with it."""
        if ref.kind is not Kind.EXPERIMENT:
            row = queries.run_row(tx, ref)
            if row.deleted is None:
                tx.unchanged()
                return
            writing.change_run(tx, row.key, deleted=None)
            tx.note(resource=ref)
            return
        row = queries.experiment_row(tx, ref)
        if row.deleted is None:
            tx.unchanged()
            return
        writing.restore_experiment(tx, row)
        tx.note(resource=ref, action="experiments.experiment.restored")
