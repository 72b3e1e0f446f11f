"""A database of MLflow's with a folder of artifacts beside it: made by MLflow itself, filled row by row.

Only what an export has made is written into: a number in the head of the database says so.
"""

from __future__ import annotations

import importlib.util
import math
import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from msgspec.structs import replace

from modelwright.core.errors import Invalid, Unavailable
from modelwright.core.refs import Kind, Ref
from modelwright.exchange.records import Counts
from modelwright.exchange.sources.database import DatabaseSource
from modelwright.exchange.targets import RunWithCurves
from modelwright.experiments.intake import ForeignExperiment, ForeignLoggedModel, ForeignRun, Series
from modelwright.experiments.records import NAME_TAG, DatasetRead, ModelRole, Number
from modelwright.models.intake import ForeignModel, ForeignVersion

DATABASE, ARTIFACTS, REGISTRY = "mlflow.db", "artifacts", "registry"
MAKE = """
import sys
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
SqlAlchemyStore(sys.argv[1], sys.argv[2])
"""
LOGGED = {"pending": 1, "ready": 2, "failed": 3}
HIGHEST = 1.7976931348623157e308  # what MLflow's own store writes for an infinity
ROWS = 50_000  # in one statement
EXPORT = 0x4D774578  # "MwEx", as the application that a database of SQLite's is of
SPACE = uuid.UUID("6b1f6d2c-0a4b-5c7e-9f51-3a1f0c6f7d11")  # of the ids that are made from what they stand for

T = TypeVar("T", ForeignExperiment, ForeignLoggedModel)


class DatabaseTarget:
    """Writes `mlflow.db` and `artifacts` into a folder."""

    shows_discarded = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.name = str(self.folder)
        self._artifacts = self.folder / ARTIFACTS
        self._path = self.folder / DATABASE
        if not self._path.exists():
            self._make()
        self._check()
        self._source = DatabaseSource(f"sqlite:///{self._path}")
        self._engine = sa.create_engine(f"sqlite:///{self._path}")
        sa.event.listen(self._engine, "connect", _without_keys)
        self._metadata = sa.MetaData()
        self._metadata.reflect(self._engine, resolve_fks=False)
        if "logged_models" not in self._metadata.tables:
            raise Invalid(f"{self._path} is of a version of MLflow before 3.0.", mend="Name a new folder.")
        self._locations: dict[str, str] = {}
        self._experiments: dict[str, str] = {}  # of runs and logged models
        self._versions: dict[tuple[str, int], ForeignVersion] = {}  # as they were when the export began

    def close(self) -> None:
        """Give the connections back."""
        self._source.close()
        self._engine.dispose()

    @property
    def notes(self) -> list[str]:
        """How it is opened."""
        return [f"Open it with: mlflow ui --backend-store-uri sqlite:///{self._path}"]

    @property
    def remarks(self) -> dict[str, list[str]]:
        """None: everything is as it is here."""
        return {}

    # Writing

    def experiments(self, new: Sequence[ForeignExperiment]) -> int:
        """See `Target`. They keep their numbers."""
        rows, tags = [], []
        self._locations = {each.id: str(self._artifacts / each.id) for each in new}
        fresh = _fresh([replace(each, location=self._locations[each.id]) for each in new], self._source.experiments())
        for each in fresh:
            rows.append(
                {
                    "experiment_id": int(each.id),
                    "name": each.title,
                    "artifact_location": each.location,
                    "lifecycle_stage": "deleted" if each.deleted else "active",
                    "creation_time": each.created,
                    "last_update_time": each.updated,
                }
            )
            tags += [{"experiment_id": int(each.id), "key": key, "value": value} for key, value in each.tags.items()]
        with self._engine.begin() as connection:
            ids = [row["experiment_id"] for row in rows]
            self._replace(connection, "experiment_tags", "experiment_id", ids, tags)
            self._replace(connection, "experiments", "experiment_id", ids, rows)
        return len(fresh)

    def lacking(self, runs: Sequence[ForeignRun]) -> list[str]:
        """See `Target`."""
        self._experiments |= {each.id: each.experiment for each in runs}
        held = {each.id: each for each in self._source.some_runs([each.id for each in runs])}
        return [each.id for each in runs if each.id not in held or _facts(each) != _facts(held[each.id])]

    def runs(self, new: Sequence[RunWithCurves]) -> None:
        """See `Target`. Each is written anew, in one transaction with the others of the call."""
        rows: dict[str, list[dict[str, Any]]] = {
            name: [] for name in ("runs", "params", "tags", "metrics", "latest_metrics", "inputs", "input_tags")
        }
        datasets: dict[str, dict[str, Any]] = {}
        for run, series in new:
            rows["runs"].append(self._run(run))
            rows["params"] += [{"run_uuid": run.id, "key": key, "value": value} for key, value in run.params.items()]
            named = {NAME_TAG: run.name} if run.name else {}
            rows["tags"] += [{"run_uuid": run.id, "key": key, "value": value} for key, value in (named | run.tags).items()]
            for each in series:
                rows["metrics"] += _points(run.id, each)
            for name, (value, step, time) in run.latest.items():
                rows["latest_metrics"].append(_point(run.id, name, value, step, time))
            for read in run.datasets:
                self._read(run, read, rows, datasets)
            for used in run.models:
                kind = "INPUT" if used.role is ModelRole.INPUT else "OUTPUT"
                rows["inputs"].append(_edge(f"RUN_{kind}", run.id, f"MODEL_{kind}", used.model, used.step))
        ids = [run.id for run, _ in new]
        inputs = self._metadata.tables["inputs"].c
        with self._engine.begin() as connection:
            mine = sa.or_(inputs.destination_id.in_(ids), inputs.source_id.in_(ids))
            old = connection.execute(sa.select(inputs.input_uuid).where(mine)).scalars().all()
            self._replace(connection, "input_tags", "input_uuid", old, rows["input_tags"])
            self._replace(connection, "inputs", "input_uuid", old, rows["inputs"])
            self._replace(connection, "datasets", "dataset_uuid", list(datasets), list(datasets.values()))
            for name in ("params", "tags", "metrics", "latest_metrics", "runs"):
                self._replace(connection, name, "run_uuid", ids, rows[name])

    def logged_models(self, new: Sequence[ForeignLoggedModel]) -> int:
        """See `Target`."""
        self._experiments |= {each.id: each.experiment for each in new}
        placed = [replace(each, location=str(self._place(each.location))) for each in new]
        fresh = _fresh(placed, self._source.logged_models())
        names = ("logged_models", "logged_model_params", "logged_model_tags", "logged_model_metrics")
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for each in fresh:
            own = {"model_id": each.id, "experiment_id": int(each.experiment)}
            rows["logged_models"].append(
                {
                    **own,
                    "name": each.name,
                    "artifact_location": each.location,
                    "creation_timestamp_ms": each.created,
                    "last_updated_timestamp_ms": each.updated,
                    "status": LOGGED[each.status],
                    "lifecycle_stage": "deleted" if each.deleted else "active",
                    "model_type": each.model_type or None,
                    "source_run_id": each.run or None,
                    "status_message": each.status_message or None,
                }
            )
            rows["logged_model_params"] += [{**own, "param_key": k, "param_value": v} for k, v in each.params.items()]
            rows["logged_model_tags"] += [{**own, "tag_key": k, "tag_value": v} for k, v in each.tags.items()]
            rows["logged_model_metrics"] += [
                {
                    **own,
                    "metric_name": figure.metric,
                    "metric_timestamp_ms": figure.time,
                    "metric_step": figure.step,
                    "metric_value": _column(figure.value)[0],
                    "run_id": figure.run,
                    "dataset_name": figure.dataset or None,
                    "dataset_digest": figure.dataset_digest or None,
                }
                for figure in each.figures
            ]
        ids = [each.id for each in fresh]
        with self._engine.begin() as connection:
            for name in reversed(names):
                self._replace(connection, name, "model_id", ids, rows[name])
        return len(fresh)

    def models(self, new: Sequence[ForeignModel]) -> int:
        """See `Target`."""
        self._versions = {(each.name, each.number): each for each in self._source.versions()}
        held = {each.name: replace(each, aliases={}) for each in self._source.models()}
        fresh = [each for each in new if held.get(each.name) != replace(each, aliases={})]
        rows = [
            {"name": e.name, "creation_time": e.created, "last_updated_time": e.updated, "description": e.description}
            for e in fresh
        ]
        tags = [{"name": each.name, "key": key, "value": value} for each in fresh for key, value in each.tags.items()]
        with self._engine.begin() as connection:
            ids = [each.name for each in fresh]
            self._replace(connection, "registered_model_tags", "name", ids, tags)
            self._replace(connection, "registered_models", "name", ids, rows)
        return len(fresh)

    def version(self, new: ForeignVersion, *, own_files: bool) -> bool:
        """See `Target`."""
        stored = str(self._place(new.location)) if own_files else ""
        written = replace(new, source=new.source or stored or "unknown", location=stored, stage=new.stage or "None")
        held = self._versions.get((new.name, new.number))
        if held is not None and replace(held, logged_as=new.logged_as) == written:
            return False
        row = {
            "name": new.name,
            "version": new.number,
            "creation_time": new.created,
            "last_updated_time": new.updated,
            "description": new.description,
            "user_id": new.user or None,
            "current_stage": written.stage,
            "source": written.source,
            "storage_location": stored or None,
            "run_id": new.run or None,
            "run_link": new.run_link or None,
            "status": "READY",
        }
        tags = [{"name": new.name, "version": new.number, "key": key, "value": value} for key, value in new.tags.items()]
        with self._engine.begin() as connection:
            for name, rows in (("model_version_tags", tags), ("model_versions", [row])):
                table = self._metadata.tables[name]
                connection.execute(table.delete().where(table.c.name == new.name, table.c.version == new.number))
                self._insert(connection, name, rows)
        return True

    def aliases(self, model: ForeignModel) -> None:
        """See `Target`."""
        rows = [{"name": model.name, "alias": alias, "version": number} for alias, number in model.aliases.items()]
        with self._engine.begin() as connection:
            self._replace(connection, "registered_model_aliases", "name", [model.name], rows)

    def held(self, location: str) -> dict[str, int]:
        """See `Target`."""
        top = self._place(location)
        return {each.relative_to(top).as_posix(): each.stat().st_size for each in top.rglob("*") if each.is_file()}

    def put(self, location: str, path: str, content: Iterable[bytes], size: int) -> None:
        """See `Target`. The file gets its name when it is whole."""
        file = self._place(location) / path
        part = self.folder / ".file.part"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as out:
                for piece in content:
                    out.write(piece)
            part.replace(file)
        except OSError as error:
            raise Unavailable(
                f"{file} cannot be written: {error.strerror or error}.",
                mend="See that there is room and the right to write, and run the same command again: it goes on.",
            ) from None

    def finish(self, experiments: Sequence[ForeignExperiment], runs: Sequence[ForeignRun]) -> None:
        """Nothing is left to do: what is deleted was written so."""

    def counts(self) -> Counts:
        """See `Target`."""
        found = self._source.counts()
        if "0" not in self._locations:
            found.experiments -= 1  # the one that MLflow makes by itself
        for path in self._artifacts.rglob("*"):
            if path.is_file():
                parts = path.relative_to(self._artifacts).parts
                if parts[0] == REGISTRY:
                    continue
                if parts[1] == "models":
                    found.logged_files += 1
                else:
                    found.artifacts += 1
                    found.artifact_bytes += path.stat().st_size
        return found

    # Rows

    def _run(self, run: ForeignRun) -> dict[str, Any]:
        return {
            "run_uuid": run.id,
            "name": run.name,
            "source_type": "UNKNOWN",
            "source_name": "",
            "entry_point_name": "",
            "user_id": run.user,
            "status": run.status.value.upper(),
            "start_time": run.started,
            "end_time": run.ended,
            "deleted_time": (run.deleted_at or run.ended or run.started) if run.deleted else None,
            "source_version": "",
            "lifecycle_stage": "deleted" if run.deleted else "active",
            "artifact_uri": str(self._place(run.location)),
            "experiment_id": int(run.experiment),
        }

    def _read(
        self, run: ForeignRun, read: DatasetRead, rows: dict[str, list[dict[str, Any]]], datasets: dict[str, dict[str, Any]]
    ) -> None:
        identity = uuid.uuid5(SPACE, "\n".join([run.experiment, read.name, read.digest])).hex
        datasets[identity] = {
            "dataset_uuid": identity,
            "experiment_id": int(run.experiment),
            "name": read.name,
            "digest": read.digest,
            "dataset_source_type": read.source_type,
            "dataset_source": read.source,
            "dataset_schema": read.schema or None,
            "dataset_profile": read.profile or None,
        }
        edge = _edge("DATASET", identity, "RUN", run.id, 0)
        rows["inputs"].append(edge)
        own = {"input_uuid": edge["input_uuid"]}
        rows["input_tags"] += [{**own, "name": key, "value": value} for key, value in read.tags.items()]

    def _replace(
        self, connection: sa.Connection, name: str, key: str, ids: Sequence[Any], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        table = self._metadata.tables[name]
        for start in range(0, len(ids), 500):
            connection.execute(table.delete().where(table.c[key].in_(ids[start : start + 500])))
        self._insert(connection, name, rows)

    def _insert(self, connection: sa.Connection, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        table = self._metadata.tables[name]
        for start in range(0, len(rows), ROWS):
            connection.execute(table.insert(), [dict(row) for row in rows[start : start + ROWS]])

    def _place(self, location: str) -> Path:
        """Where the files of a thing lie."""
        ref = Ref.parse(location)
        if ref.kind is Kind.MODEL:
            return self._artifacts / REGISTRY / ref.name / str(ref.version)
        own = Path(ref.name) if ref.kind is Kind.RUN else Path("models", ref.name)
        return self._artifacts / self._experiments[ref.name] / own / "artifacts"

    def _make(self) -> None:
        """Have MLflow make its tables, in a process of its own."""
        if importlib.util.find_spec("mlflow") is None:
            raise Invalid(
                "MLflow itself makes the tables of its database, and is not installed here.",
                mend="pip install mlflow; or export into a running server: mw export mlflow http://...",
            )
        new = self.folder / f".{DATABASE}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for left in self.folder.glob(f"{new.name}*"):  # of an export that was stopped, with SQLite's own files
                left.unlink()
            held = next(self.folder.iterdir(), None)
        except OSError as error:
            raise Invalid(
                f"Nothing can be written into {self.folder}: {error.strerror or error}.",
                mend="Name a folder of your own, or one that does not exist yet.",
            ) from None
        if held is not None:
            raise Invalid(
                f"{self.folder} holds other things ({held.name}) and no export.", mend="Name a new or an empty folder."
            )
        made = subprocess.run(  # noqa: S603 - this Python, and words of our own
            [sys.executable, "-c", MAKE, f"sqlite:///{new}", str(self._artifacts)],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise Unavailable(f"MLflow could not make {self._path}: {made.stderr.strip()[-500:]}")
        with closing(sqlite3.connect(new)) as database:
            database.execute(f"PRAGMA application_id = {EXPORT}")
        new.replace(self._path)

    def _check(self) -> None:
        """Raise unless an export made the database and it can be written."""
        try:
            with closing(sqlite3.connect(self._path)) as database:
                (number,) = database.execute("PRAGMA application_id").fetchone()
        except sqlite3.Error as error:
            raise Invalid(f"{self._path} cannot be opened: {error}.", mend="Name a new or an empty folder.") from None
        if number != EXPORT:
            raise Invalid(
                f"{self._path} was not made by an export, and is not written into.", mend="Name a new or an empty folder."
            )
        if not os.access(self._path, os.W_OK):
            raise Invalid(f"You may not write {self._path}.", mend="Name a folder of your own.")


def _fresh(new: Sequence[T], held: Iterable[T]) -> list[T]:
    """Those that are not held as they are."""
    by_id = {each.id: each for each in held}
    return [each for each in new if by_id.get(each.id) != each]


def _facts(run: ForeignRun) -> Any:
    """What is compared to see whether a run is there as it is here."""
    plain = (run.experiment, run.name, run.status, run.started, run.ended, run.user, run.deleted, run.points)
    return (plain, run.params, run.tags, sorted(map(repr, run.datasets)), sorted(map(repr, run.models)))


def _points(run: str, series: Series) -> list[dict[str, Any]]:
    return [
        _point(run, series.metric, value, step, time)
        for value, step, time in zip(series.values, series.steps, series.times, strict=True)
    ]


def _point(run: str, name: str, value: Number, step: int, time: int) -> dict[str, Any]:
    column, is_nan = _column(value)
    return {
        "run_uuid": run,
        "key": name,
        "value": 0.0 if is_nan else column,
        "timestamp": time,
        "step": step,
        "is_nan": is_nan,
    }


def _column(value: Number) -> tuple[float | None, bool]:
    figure = float(value)
    if math.isnan(figure):
        return None, True
    return (figure, False) if math.isfinite(figure) else (math.copysign(HIGHEST, figure), False)


def _edge(source_type: str, source: str, destination_type: str, destination: str, step: int) -> dict[str, Any]:
    identity = uuid.uuid5(SPACE, "\n".join([source_type, source, destination_type, destination])).hex
    return {
        "input_uuid": identity,
        "source_type": source_type,
        "source_id": source,
        "destination_type": destination_type,
        "destination_id": destination,
        "step": step,
    }


def _without_keys(connection: Any, _: Any) -> None:
    """Rows that point at each other are replaced one table after the other."""
    connection.execute("PRAGMA foreign_keys=OFF")
