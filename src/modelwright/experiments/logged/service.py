"""The service of logged models."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.operations import Resource, Room, operation
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.core.search import Order, parse, parse_order
from modelwright.experiments import queries as runs
from modelwright.experiments.logged import queries, writing
from modelwright.experiments.logged.language import MODELS
from modelwright.experiments.logged.records import MAX_NAME, LoggedModel, LoggedStatus, Measurement, OnDataset, Sort
from modelwright.experiments.logged.tables import logged
from modelwright.experiments.names import name_for
from modelwright.experiments.tables import to_micros
from modelwright.store import Transaction

MAX_LIMIT, MAX_SKIP = 50_000, 10_000_000
# In a name: MLflow's client makes a part of an address of it.
FORBIDDEN = frozenset("/:.%\"'") | {chr(code) for code in (*range(32), *range(127, 160))}


class LoggedModels(Room):
    """Models as runs logged them: with their parameters, figures and files, before anybody registers one.

    The right to one is the right to the runs of its experiment.
    """

    room: ClassVar[str] = "logged_models"
    kind: ClassVar[Kind] = Kind.RUN

    def resource_named(self, tx: Any, parameter: str, value: str) -> Resource:
        """An experiment by its number."""
        return Resource(Kind.RUN, _experiment(tx, int(value)).name)

    def resource_of(self, tx: Any, ref: Ref) -> Resource:
        """The experiment stands for its models."""
        return Resource(Kind.RUN, queries.row(tx, ref).experiment_name)

    @operation("write", event="experiments.model.logged", on="experiment")
    def create(
        self,
        tx: Transaction,
        experiment: int,
        *,
        name: str = "",
        model_type: str = "",
        run: Ref | None = None,
        params: Mapping[str, str] = {},
        tags: Mapping[str, str] = {},
    ) -> LoggedModel:
        """Begin a logged model, whose files may then be added; `finalise` says that all are there.

        `experiment` is its number, `run` the run that made it. Without a name it gets one that can be said.
        """
        of = _experiment(tx, experiment)
        if of.deleted is not None:
            raise Conflict(f"The experiment {of.title!r} is deleted.", mend="Restore it first: experiments.restore.")
        if run is not None:
            maker = runs.run_row(tx, run)
            if maker.experiment_name != of.name:
                raise NotFound(f"There is no run {run.name!r} in {of.title!r}.")
            if maker.deleted is not None:
                raise Conflict(f"{run} is deleted.", mend="Restore it first: experiments.restore.")
        if not FORBIDDEN.isdisjoint(name) or len(name) > MAX_NAME or len(model_type) > MAX_NAME:
            raise Invalid(
                f"{name[:100]!r} cannot name a logged model.",
                mend=f"Use at most {MAX_NAME} characters, and none of / : . % quotes and control characters.",
            )
        ref = Ref(Kind.LOGGED_MODEL, f"m-{secrets.token_hex(16)}")
        now = _now(tx)
        values = {
            "id": ref.name,
            "experiment": of.id,
            "name": name or name_for(tx.new_id()),
            "model_type": model_type,
            "status": LoggedStatus.PENDING.value,
            "status_message": "",
            "run": run.name if run else "",
            "created": now,
            "created_by": tx.principal.id,
            "updated": now,
        }
        key = tx.execute(logged.insert().values(**values).returning(logged.c.key)).scalar_one()
        writing.add_params(tx, key, params)
        writing.set_tags(tx, key, tags)
        tx.note(resource=ref, inputs=[run] if run else [], outputs=[ref], after={"experiment": of.name, "name": name})
        return self._of(tx, ref)

    @operation("write", event="experiments.model.finalised")
    def finalise(self, tx: Transaction, ref: Ref, *, status: LoggedStatus, message: str = "") -> LoggedModel:
        """Say that the upload is complete (ready) or will not be (failed)."""
        row = self._active(tx, ref)
        if status is LoggedStatus.PENDING:
            raise Invalid("A logged model does not end as pending.", mend="Say ready or failed.")
        if (row.status, row.status_message) == (status, message):
            tx.unchanged()
        else:
            self._change(tx, row, status=status.value, status_message=message[:5000])
            tx.note(resource=ref, outputs=[ref], before={"status": row.status}, after={"status": status})
        return self._of(tx, ref)

    @operation("write", data=True)
    def log(
        self, tx: Transaction, ref: Ref, *, params: Mapping[str, str] = {}, metrics: Sequence[Measurement] = ()
    ) -> None:
        """Add parameters and figures. A parameter keeps its first value; figures are data and leave no event."""
        row = self._active(tx, ref)
        writing.add_params(tx, row.key, params)
        writing.add_metrics(tx, row.key, metrics)
        self._change(tx, row)

    @operation("write", event="experiments.model.tagged")
    def tag(self, tx: Transaction, ref: Ref, tags: Mapping[str, str | None]) -> LoggedModel:
        """Set tags; None takes one away. `NotFound` where there is none to take."""
        row = self._active(tx, ref)
        held = self._of(tx, ref).tags
        for key in [key for key, value in tags.items() if value is None and key not in held]:
            raise NotFound(f"{ref} has no tag {key!r}.", mend=f"Its tags: {', '.join(held) or 'none'}.")
        changed = {key: value for key, value in tags.items() if held.get(key) != value}
        if not changed:
            tx.unchanged()
            return self._of(tx, ref)
        writing.set_tags(tx, row.key, changed)
        self._change(tx, row)
        sets = [f"{key}={value}"[:500] if value is not None else f"-{key}" for key, value in changed.items()]
        tx.note(resource=ref, after={"tags": sets})
        return self._of(tx, ref)

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> LoggedModel:
        """Show one logged model with its parameters, tags and figures, discarded or not."""
        return self._of(tx, ref)

    @operation("read", on="")
    def list(self, tx: Transaction, where: Filter = Filter()) -> Page[LoggedModel]:
        """List logged models, the newest first. `where.under` is a path of experiments, `where.state` a status."""
        return queries.list_models(tx, where)

    @operation("read", on="")
    def search(
        self,
        tx: Transaction,
        experiments: Sequence[int],
        *,
        where: str = "",
        datasets: Sequence[OnDataset] = (),
        order: Sequence[Sort] = (),
        limit: int = 50,
        skip: int = 0,
    ) -> Sequence[LoggedModel]:
        """Find logged models of experiments (by their numbers), the newest first unless `order` says otherwise.

        `where` is a filter: `name = 'forest' AND metrics.auc > 0.9 AND tags.stage LIKE 'c%'`. A figure fits if one of that
        name does, whenever it was taken; with `datasets`, only if it was taken on one of them. Discarded models are not
        found, nor those that the caller may not read.
        """
        if not (1 <= limit <= MAX_LIMIT and 0 <= skip <= MAX_SKIP):
            raise Invalid(f"A page holds 1 to {MAX_LIMIT} models, not {limit}, and begins within {MAX_SKIP}.")
        ordered = []
        for each in order:
            if each.dataset_digest and not each.dataset:
                raise Invalid("An order that names a dataset's digest names the dataset.")
            found = parse_order([each.field if _plain(each.field) else f"metrics.`{each.field[8:]}`"], MODELS)
            ordered.append((Order(found[0].entity, found[0].key, not each.ascending), each))
        condition = parse(where, MODELS)
        query = queries.search(tx, experiments, where=condition, datasets=datasets, order=ordered)
        return queries.models_of(tx, tx.execute(query.offset(skip).limit(limit)).all())

    @operation("write", event="experiments.model.discarded")
    def discard(self, tx: Transaction, ref: Ref, *, reason: str = "") -> None:
        """Put a logged model out of sight until `restore`. Its files stay."""
        row = self._active(tx, ref)
        self._change(tx, row, deleted=_now(tx))
        tx.note(resource=ref, before={"status": row.status})

    @operation("write", event="experiments.model.restored")
    def restore(self, tx: Transaction, ref: Ref, *, reason: str = "") -> LoggedModel:
        """Bring a discarded logged model back."""
        row = queries.row(tx, ref)
        if row.deleted is None:
            tx.unchanged()
        else:
            self._change(tx, row, deleted=None)
            tx.note(resource=ref)
        return self._of(tx, ref)

    def _active(self, tx: Transaction, ref: Ref) -> Any:
        row = queries.row(tx, ref)
        if row.deleted is not None:
            raise NotFound(f"{ref} is discarded.", mend="Restore it first: logged_models.restore.")
        if row.experiment_deleted is not None:
            raise Conflict(f"The experiment of {ref} is deleted.", mend="Restore it first: experiments.restore.")
        return row

    def _of(self, tx: Transaction, ref: Ref) -> LoggedModel:
        return queries.models_of(tx, [queries.row(tx, ref)])[0]

    def _change(self, tx: Transaction, row: Any, **values: Any) -> None:
        tx.execute(logged.update().where(logged.c.key == row.key).values(updated=_now(tx), **values))


def _experiment(tx: Transaction, number: int) -> Any:
    found = runs.experiment_numbered(tx, number)
    if found is None:
        raise NotFound(f"No Experiment with id={number} exists", mend="See what there is: mw list experiment")
    return found


def _now(tx: Transaction) -> int:
    """The time in whole milliseconds, so that what MLflow is told can be searched for."""
    return to_micros(tx.now) // 1000 * 1000


def _plain(field: str) -> bool:
    """Whether a field to order by can be read as it is; the name of a metric may hold anything but a backtick."""
    return not field.startswith("metrics.") or "`" in field
