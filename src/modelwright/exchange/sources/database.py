"""An MLflow database, read as it lies: SQLite or PostgreSQL, of any version of MLflow from 2.0 on.

Only tables and columns that are there are asked for. The connection can only read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from modelwright.core.errors import Invalid, NotFound, Unavailable
from modelwright.exchange.files import Place, Roots
from modelwright.exchange.records import Counts
from modelwright.exchange.sources import database_traces
from modelwright.exchange.sources.traces import ForeignTrace
from modelwright.experiments.intake import ForeignExperiment, ForeignFigure, ForeignLoggedModel, ForeignRun, Series
from modelwright.experiments.records import NAME_TAG, DatasetRead, ModelRole, ModelUse, Number, RunStatus
from modelwright.models.intake import ForeignModel, ForeignVersion

PAGE = 200  # runs whose parameters, tags and inputs are read in one go
FETCH = 10_000  # rows
DEFAULT_WORKSPACE = "default"
GONE_STAGE = "Deleted_Internal"  # of a version that was deleted; its row stays
STATUSES = {1: "pending", 2: "ready", 3: "failed"}
TABLES = (
    "experiments",
    "experiment_tags",
    "runs",
    "params",
    "tags",
    "metrics",
    "latest_metrics",
    "datasets",
    "inputs",
    "input_tags",
    "logged_models",
    "logged_model_params",
    "logged_model_tags",
    "logged_model_metrics",
    "registered_models",
    "registered_model_tags",
    "registered_model_aliases",
    "model_versions",
    "model_version_tags",
    *database_traces.TABLES,
)
NEEDED = ("experiments", "runs", "params", "tags", "metrics", "latest_metrics")


class DatabaseSource:
    """Reads a database of MLflow's."""

    def __init__(self, url: str, *, root: str | None = None) -> None:
        self.engine, self.name = _open(url)
        self._roots = Roots(root)
        try:
            present = set(sa.inspect(self.engine).get_table_names())
            self._metadata = sa.MetaData()
            self._metadata.reflect(self.engine, only=[name for name in TABLES if name in present], resolve_fks=False)
        except sa.exc.SQLAlchemyError as error:
            raise Unavailable(
                f"{self.name} cannot be read: {str(error).splitlines()[0][:300]}",
                mend="See that it is there, and that this address and this password are right.",
            ) from None
        self._traces = database_traces.TracesThere(self._metadata.tables, self._rows, self._here, self.place)
        if missing := [name for name in NEEDED if name not in present]:
            raise Invalid(
                f"{self.name} is no database of MLflow's: it has no table {missing[0]!r}.",
                mend="Name the database that the server was started with (--backend-store-uri).",
            )

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    @property
    def notes(self) -> list[str]:
        """What is in the database and is not brought."""
        found = []
        experiments = self._metadata.tables["experiments"]
        if (table := self._table("trace_info")) is not None:
            both = table.join(experiments, experiments.c.experiment_id == table.c.experiment_id)
            of_deleted = sa.select(sa.func.count()).select_from(both).where(experiments.c.lifecycle_stage == "deleted")
            if number := self._one(self._here(of_deleted, experiments)):
                found.append(f"{number} traces of deleted experiments stay where they are.")
        if "workspace" in experiments.c:
            others = sa.select(sa.func.count(sa.distinct(experiments.c.workspace)))
            number = self._one(others.where(experiments.c.workspace != DEFAULT_WORKSPACE))
            if number:
                found.append(f"Only MLflow's workspace {DEFAULT_WORKSPACE!r} is brought; there are {number} others.")
        return found

    # Experiments and runs

    def sizes(self) -> Counts:
        """By counting rows."""
        e, r = self._metadata.tables["experiments"], self._metadata.tables["runs"]
        found = Counts(
            experiments=self._one(self._here(sa.select(sa.func.count()).select_from(e), e)),
            runs=self._one(self._of_runs(sa.select(sa.func.count()).select_from(r))),
        )
        self._count_registry(found)
        return found

    def experiments(self) -> Iterator[ForeignExperiment]:
        """Every experiment, in order of its id."""
        e = self._metadata.tables["experiments"]
        tags = self._pairs("experiment_tags", "experiment_id")
        for row in self._rows(self._here(sa.select(e), e).order_by(e.c.experiment_id)):
            yield ForeignExperiment(
                id=str(row.experiment_id),
                title=row.name,
                location=row.artifact_location or "",
                deleted=row.lifecycle_stage == "deleted",
                created=getattr(row, "creation_time", None) or 0,
                updated=getattr(row, "last_update_time", None) or 0,
                tags=tags.get(row.experiment_id, {}),
            )

    def runs(self) -> Iterator[ForeignRun]:
        """Every run, in order of its id."""
        r = self._metadata.tables["runs"]
        last = ""
        while True:
            query = self._of_runs(sa.select(r)).where(r.c.run_uuid > last).order_by(r.c.run_uuid).limit(PAGE)
            rows = list(self._rows(query))
            if not rows:
                return
            yield from self._complete(rows)
            last = rows[-1].run_uuid

    def some_runs(self, ids: Sequence[str]) -> Iterator[ForeignRun]:
        """Those of some runs that are there."""
        r = self._metadata.tables["runs"]
        for start in range(0, len(ids), PAGE):
            rows = list(self._rows(self._of_runs(sa.select(r)).where(r.c.run_uuid.in_(ids[start : start + PAGE]))))
            if rows:
                yield from self._complete(rows)

    def series(self, runs: Sequence[str]) -> Iterator[tuple[str, Series]]:
        """All points of some runs, metric by metric, run by run."""
        m = self._metadata.tables["metrics"].c
        for start in range(0, len(runs), PAGE):
            wanted = runs[start : start + PAGE]
            query = sa.select(m.run_uuid, m.key, m.timestamp, m.step, m.value, m.is_nan).where(m.run_uuid.in_(wanted))
            held: tuple[str, str] | None = None
            steps: list[int] = []
            times: list[int] = []
            values: list[Number] = []
            for run, key, time, step, value, is_nan in self._rows(query.order_by(m.run_uuid, m.key)):
                if held != (run, key):
                    if held is not None:
                        yield held[0], Series(held[1], steps, times, values)
                    held, steps, times, values = (run, key), [], [], []
                steps.append(step)
                times.append(time)
                values.append("NaN" if is_nan else value)
            if held is not None:
                yield held[0], Series(held[1], steps, times, values)

    def _complete(self, rows: Sequence[Any]) -> Iterator[ForeignRun]:
        ids = [row.run_uuid for row in rows]
        params = self._pairs("params", "run_uuid", ids)
        tags = self._pairs("tags", "run_uuid", ids)
        datasets, models = self._inputs(ids)
        metrics = self._counted("latest_metrics", ids)
        points = self._counted("metrics", ids)
        for row in rows:
            mine = tags.get(row.run_uuid, {})
            name = mine.pop(NAME_TAG, None)
            yield ForeignRun(
                id=row.run_uuid,
                experiment=str(row.experiment_id),
                name=row.name or name or "",
                status=RunStatus(row.status.lower()),
                started=row.start_time or 0,
                ended=row.end_time,
                user=row.user_id or "",
                location=row.artifact_uri or "",
                deleted=row.lifecycle_stage == "deleted",
                deleted_at=getattr(row, "deleted_time", None),
                params=params.get(row.run_uuid, {}),
                tags=mine,
                datasets=datasets.get(row.run_uuid, []),
                models=models.get(row.run_uuid, []),
                metrics=metrics.get(row.run_uuid, 0),
                points=points.get(row.run_uuid, 0),
            )

    def _inputs(self, runs: Sequence[str]) -> tuple[dict[str, list[DatasetRead]], dict[str, list[ModelUse]]]:
        datasets: dict[str, list[DatasetRead]] = {}
        models: dict[str, list[ModelUse]] = {}
        inputs, described = self._table("inputs"), self._table("datasets")
        if inputs is None or described is None:
            return datasets, models
        i, d = inputs.c, described.c
        query = sa.select(i.input_uuid, i.destination_id, described).join(described, d.dataset_uuid == i.source_id)
        query = query.where(i.source_type == "DATASET", i.destination_type == "RUN", i.destination_id.in_(runs))
        rows = list(self._rows(query.order_by(i.destination_id, d.name, d.digest)))
        tags = self._pairs("input_tags", "input_uuid", [row.input_uuid for row in rows], key="name")
        for row in rows:
            datasets.setdefault(row.destination_id, []).append(
                DatasetRead(
                    name=row.name,
                    digest=row.digest,
                    source_type=row.dataset_source_type or "",
                    source=row.dataset_source or "",
                    schema=row.dataset_schema or "",
                    profile=row.dataset_profile or "",
                    tags=tags.get(row.input_uuid, {}),
                )
            )
        step = i.step if "step" in i else sa.literal(0).label("step")
        uses = sa.select(i.source_type, i.source_id, i.destination_id, step).where(i.source_id.in_(runs))
        uses = uses.where(i.source_type.in_(("RUN_INPUT", "RUN_OUTPUT")))
        for row in self._rows(uses.order_by(i.source_id, i.source_type, i.destination_id)):
            role = ModelRole.INPUT if row.source_type == "RUN_INPUT" else ModelRole.OUTPUT
            models.setdefault(row.source_id, []).append(ModelUse(model=row.destination_id, role=role, step=row.step or 0))
        return datasets, models

    # Models

    def logged_models(self) -> Iterator[ForeignLoggedModel]:
        """Every logged model, in order of its id."""
        table = self._table("logged_models")
        if table is None:
            return
        params = self._pairs("logged_model_params", "model_id", key="param_key", value="param_value")
        tags = self._pairs("logged_model_tags", "model_id", key="tag_key", value="tag_value")
        e = self._metadata.tables["experiments"]
        query = sa.select(table).join(e, e.c.experiment_id == table.c.experiment_id)
        for row in self._rows(self._here(query, e).order_by(table.c.model_id)):
            yield ForeignLoggedModel(
                id=row.model_id,
                experiment=str(row.experiment_id),
                name=row.name,
                status=STATUSES.get(row.status, "pending"),
                status_message=row.status_message or "",
                model_type=row.model_type or "",
                run=row.source_run_id or "",
                location=row.artifact_location,
                deleted=row.lifecycle_stage == "deleted",
                created=row.creation_timestamp_ms,
                updated=row.last_updated_timestamp_ms,
                params=params.get(row.model_id, {}),
                tags=tags.get(row.model_id, {}),
                figures=list(self._figures(row.model_id)),
            )

    def _figures(self, model: str) -> Iterator[ForeignFigure]:
        m = self._metadata.tables["logged_model_metrics"].c
        query = sa.select(self._metadata.tables["logged_model_metrics"]).where(m.model_id == model)
        for row in self._rows(query.order_by(m.metric_name, m.metric_timestamp_ms, m.metric_step, m.run_id)):
            yield ForeignFigure(
                metric=row.metric_name,
                value="NaN" if row.metric_value is None else row.metric_value,
                time=row.metric_timestamp_ms,
                step=row.metric_step,
                run=row.run_id,
                dataset=row.dataset_name or "",
                dataset_digest=row.dataset_digest or "",
            )

    def models(self) -> Iterator[ForeignModel]:
        """Every registered model, by name."""
        table = self._table("registered_models")
        if table is None:
            return
        tags = self._pairs("registered_model_tags", "name")
        aliases: dict[str, dict[str, int]] = {}
        if (said := self._table("registered_model_aliases")) is not None:
            for row in self._rows(self._here(sa.select(said), said).order_by(said.c.name, said.c.alias)):
                aliases.setdefault(row.name, {})[row.alias] = int(row.version)
        for row in self._rows(self._here(sa.select(table), table).order_by(table.c.name)):
            yield ForeignModel(
                name=row.name,
                description=row.description or "",
                created=row.creation_time or 0,
                updated=row.last_updated_time or row.creation_time or 0,
                tags=tags.get(row.name, {}),
                aliases=aliases.get(row.name, {}),
            )

    def versions(self) -> Iterator[ForeignVersion]:
        """Every version of every registered model, by name and number."""
        table = self._table("model_versions")
        if table is None:
            return
        v = table.c
        tags: dict[tuple[str, int], dict[str, str]] = {}
        if (said := self._table("model_version_tags")) is not None:
            for row in self._rows(self._here(sa.select(said), said).order_by(said.c.key)):
                tags.setdefault((row.name, row.version), {})[row.key] = row.value or ""
        logged = {each.id for each in self._names_of_logged()}
        query = self._here(sa.select(table), table).where(v.current_stage != GONE_STAGE)
        for row in self._rows(query.order_by(v.name, v.version)):
            source = row.source or ""
            model = source.removeprefix("models:/") if source.startswith("models:/m-") else ""
            yield ForeignVersion(
                name=row.name,
                number=int(row.version),
                source=source,
                location=getattr(row, "storage_location", None) or "",
                run=row.run_id or "",
                run_link=getattr(row, "run_link", None) or "",
                logged_as=model if model in logged else "",
                stage=row.current_stage or "None",
                description=row.description or "",
                user=row.user_id or "",
                created=row.creation_time or 0,
                updated=row.last_updated_time or row.creation_time or 0,
                tags=tags.get((row.name, row.version), {}),
            )

    def traces(self) -> Iterator[ForeignTrace]:
        """Every trace of an experiment that is not deleted, in order of its id."""
        yield from self._traces.all()

    def _names_of_logged(self) -> Iterator[Any]:
        table = self._table("logged_models")
        if table is not None:
            yield from self._rows(sa.select(table.c.model_id.label("id")))

    # Counting and files

    def counts(self) -> Counts:
        """How much there is, asked of the tables one by one; what belongs to nothing is not counted."""
        e, r = self._metadata.tables["experiments"], self._metadata.tables["runs"]
        alive = self._here(sa.select(sa.func.count()).select_from(e), e)

        def of_runs(name: str, *where: Any) -> int:
            table = self._metadata.tables[name]
            count = sa.select(sa.func.count()).select_from(table.join(r, r.c.run_uuid == table.c.run_uuid))
            return self._one(self._of_runs(count).where(*where))

        found = Counts(
            experiments=self._one(alive),
            experiments_deleted=self._one(alive.where(e.c.lifecycle_stage == "deleted")),
            runs=self._one(self._of_runs(sa.select(sa.func.count()).select_from(r))),
            runs_deleted=self._one(
                self._of_runs(sa.select(sa.func.count()).select_from(r)).where(r.c.lifecycle_stage == "deleted")
            ),
            params=of_runs("params"),
            tags=of_runs("tags", self._metadata.tables["tags"].c.key != NAME_TAG),
            metrics=of_runs("latest_metrics"),
            points=of_runs("metrics"),
        )
        if (tags := self._table("experiment_tags")) is not None:
            joined = tags.join(e, e.c.experiment_id == tags.c.experiment_id)
            found.experiment_tags = self._one(self._here(sa.select(sa.func.count()).select_from(joined), e))
        if (inputs := self._table("inputs")) is not None:
            i = inputs.c
            datasets = self._metadata.tables["datasets"]
            joined = inputs.join(r, r.c.run_uuid == i.destination_id).join(datasets, datasets.c.dataset_uuid == i.source_id)
            read = sa.select(sa.func.count()).select_from(joined).where(i.source_type == "DATASET")
            found.dataset_inputs = self._one(self._of_runs(read))
            linked = sa.select(sa.func.count()).select_from(inputs.join(r, r.c.run_uuid == i.source_id))
            found.model_links = self._one(self._of_runs(linked).where(i.source_type.in_(("RUN_INPUT", "RUN_OUTPUT"))))
        if (logged := self._table("logged_models")) is not None:
            for name, key in (("logged_params", "logged_model_params"), ("logged_tags", "logged_model_tags")):
                setattr(found, name, self._one(self._of_logged(self._metadata.tables[key])))
            found.logged_figures = self._one(self._of_logged(self._metadata.tables["logged_model_metrics"]))
            found.logged_models = self._one(
                self._here(
                    sa.select(sa.func.count()).select_from(logged.join(e, e.c.experiment_id == logged.c.experiment_id)),
                    e,
                )
            )
        self._traces.count(found)
        self._count_registry(found)
        return found

    def _count_registry(self, found: Counts) -> None:
        if (models := self._table("registered_models")) is not None:
            found.registered_models = self._one(self._here(sa.select(sa.func.count()).select_from(models), models))
        versions = self._table("model_versions")
        if versions is None:
            return
        v = versions.c
        there = self._here(sa.select(sa.func.count()).select_from(versions), versions)
        found.versions = self._one(there.where(v.current_stage != GONE_STAGE))
        alive = self._here(sa.select(v.name, v.version), versions).where(v.current_stage != GONE_STAGE).subquery()
        for name, key in (("version_tags", "model_version_tags"), ("aliases", "registered_model_aliases")):
            if (table := self._table(key)) is not None:
                both = sa.and_(alive.c.name == table.c.name, alive.c.version == table.c.version)
                joined = sa.select(sa.func.count()).select_from(table.join(alive, both))
                setattr(found, name, self._one(self._here(joined, table)))

    def place(self, location: str) -> Place | None:
        """Where the files of a location can be had, or None."""
        return self._roots.place(location)

    # Asking

    def _table(self, name: str) -> sa.Table | None:
        return self._metadata.tables.get(name)

    def _here(self, query: Any, table: sa.Table) -> Any:
        """Only what belongs to the default workspace, where there are workspaces."""
        return query.where(table.c.workspace == DEFAULT_WORKSPACE) if "workspace" in table.c else query

    def _of_runs(self, query: Any) -> Any:
        """Only runs of experiments that are there and belong to the default workspace."""
        e, r = self._metadata.tables["experiments"], self._metadata.tables["runs"]
        there = self._here(sa.select(e.c.experiment_id), e)
        return query.where(r.c.experiment_id.in_(there))

    def _of_logged(self, table: sa.Table) -> Any:
        logged, e = self._metadata.tables["logged_models"], self._metadata.tables["experiments"]
        joined = table.join(logged, logged.c.model_id == table.c.model_id)
        joined = joined.join(e, e.c.experiment_id == logged.c.experiment_id)
        return self._here(sa.select(sa.func.count()).select_from(joined), e)

    def _pairs(
        self,
        name: str,
        owner: str,
        owners: Sequence[Any] | None = None,
        *,
        key: str = "key",
        value: str = "value",
    ) -> dict[Any, dict[str, str]]:
        table = self._table(name)
        if table is None or (owners is not None and not owners):
            return {}
        query = self._here(sa.select(table.c[owner], table.c[key], table.c[value]), table)
        if owners is not None:
            query = query.where(table.c[owner].in_(owners))
        found: dict[Any, dict[str, str]] = {}
        for whose, what, said in self._rows(query.order_by(table.c[owner], table.c[key])):
            found.setdefault(whose, {})[what] = said if said is not None else ""
        return found

    def _counted(self, name: str, runs: Sequence[str]) -> dict[str, int]:
        c = self._metadata.tables[name].c
        query = sa.select(c.run_uuid, sa.func.count()).where(c.run_uuid.in_(runs)).group_by(c.run_uuid)
        return {row[0]: row[1] for row in self._rows(query)}

    def _one(self, query: Any) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def _rows(self, query: Any) -> Iterable[Any]:
        try:
            with self.engine.connect().execution_options(yield_per=FETCH) as connection:
                yield from connection.execute(query)
        except sa.exc.SQLAlchemyError as error:
            raise Unavailable(
                f"{self.name} cannot be read: {str(error).splitlines()[0][:300]}",
                mend="Run the same command again: it goes on.",
            ) from None


def _open(url: str) -> tuple[sa.Engine, str]:
    """An engine that can only read, and the name of the database without a password."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise Invalid(f"{url!r} is not the address of a database.") from None
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        path = Path(parsed.database or "").absolute()
        if not path.is_file():
            raise NotFound(f"There is no file {path}.", mend="Name the database that MLflow uses: sqlite:///path/mlflow.db")
        return sa.create_engine(f"sqlite:///file:{path}?mode=ro&uri=true"), f"sqlite:///{path}"
    if kind in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
        shown = parsed.set(drivername="postgresql", password=None).render_as_string()
        return sa.create_engine(parsed, execution_options={"postgresql_readonly": True}), shown
    raise Invalid(
        f"A database of the kind {kind} cannot be read directly.",
        mend="SQLite and PostgreSQL can; of any other, start MLflow's server and name its address: http://...",
    )
