"""Finding files: whose a place is, what lies there, what lies below it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import places
from modelwright.experiments import queries as experiments_of
from modelwright.experiments.artifacts.records import Entry, LeftUpload, Located
from modelwright.experiments.logged import queries as logged_of
from modelwright.experiments.logged.tables import files, upload_parts, uploads
from modelwright.experiments.records import Artifact
from modelwright.experiments.tables import artifact_of, artifacts, experiments, from_micros, runs, to_micros
from modelwright.store import Transaction, scopes
from modelwright.store.driver import Prepared

_f, _a, _r, _e = files.c, artifacts.c, runs.c, experiments.c


class Shelf(msgspec.Struct, frozen=True):
    """Where the files of one thing are kept: in a run's own table, or below a path of its experiment."""

    experiment: int
    experiment_name: str
    run: int | None  # its key
    path: str  # empty for the root of the experiment
    discarded: bool

    def where(self, name: str) -> Any:
        """The condition for one file, and the table."""
        if self.run is not None:
            return artifacts, (_a.run == self.run, _a.name == name)
        return files, (_f.experiment == self.experiment, _f.path == self.full(name))

    def key(self, name: str) -> dict[str, Any]:
        """What one file goes by in that table."""
        if self.run is not None:
            return {"run": self.run, "name": name}
        return {"experiment": self.experiment, "path": self.full(name)}

    def full(self, name: str) -> str:
        """A name below the thing as one below the shelf."""
        return f"{self.path}/{name}" if self.path and name else self.path or name


def shelf(tx: Transaction, ref: Ref) -> Shelf:
    """Where the files of a run, a logged model or an experiment are kept."""
    if ref.kind is Kind.RUN:
        row = experiments_of.run_row(tx, ref)
        return Shelf(row.experiment, row.experiment_name, row.key, "", row.deleted is not None)
    if ref.kind is Kind.LOGGED_MODEL:
        row = logged_of.row(tx, ref)
        discarded = row.deleted is not None or row.experiment_deleted is not None
        return Shelf(row.experiment, row.experiment_name, None, places.of_model(ref.name), discarded)
    if ref.kind is Kind.EXPERIMENT:
        row = experiments_of.experiment_row(tx, ref)
        return Shelf(row.id, row.name, None, "", row.deleted is not None)
    raise Invalid(f"{ref} keeps no files.", mend="Name a run, a logged model or an experiment.")


def experiment_at(tx: Transaction, place: str) -> tuple[Any, str]:
    """The row of the experiment that a place lies below, and the rest of the place.

    Its first part is the experiment's number; or the beginning is what an experiment was given as its own location. A
    number always is a number: no location can get between an experiment and its files.
    """
    head, _, rest = place.partition("/")
    if head.isascii() and head.isdigit():
        found = experiments_of.experiment_numbered(tx, int(head)) if len(head) < 11 else None
        if found is not None and str(found.id) == head:
            return found, rest
    elif place:
        wanted = places.roots(place)
        query = sa.select(experiments).where(_e.artifact_location.in_(wanted)).order_by(_e.id)
        by_location: dict[str, Any] = {}
        for each in tx.execute(query):
            by_location.setdefault(each.artifact_location.rstrip("/"), each)
        for location in wanted:
            if location in by_location:
                return by_location[location], place[len(location) - len(places.SCHEME) :].lstrip("/")
    raise _nothing_at(place)


def numbers(tx: Transaction) -> list[int]:
    """The numbers of the experiments that the caller may see."""
    seen = sa.select(_e.id).where(experiments_of.visible(tx, _e.name)).order_by(_e.id)
    return [each.id for each in tx.execute(seen)]


def located(tx: Transaction, place: str) -> Located:
    """What a place belongs to, and the file there."""
    row, rest = experiment_at(tx, place)
    at = places.read(rest)
    if at.model:
        ref = Ref(Kind.LOGGED_MODEL, at.model)
        if logged_of.row(tx, ref).experiment != row.id:
            raise _nothing_at(place)
    elif at.run:
        found = experiments_of.run_identified(tx, at.run)
        if found is None or found.experiment != row.id:
            raise _nothing_at(place)
        ref = Ref(Kind.RUN, at.run)
    else:
        ref = Ref(Kind.EXPERIMENT, row.name)
    return Located(ref=ref, name=at.name, file=file(tx, shelf(tx, ref), at.name) if at.name else None)


def root(tx: Transaction, ref: Ref, of: Shelf) -> str:
    """The address of a thing's files."""
    row = experiments_of.experiment_numbered(tx, of.experiment)
    assert row is not None
    location = places.location(row.id, row.artifact_location)
    if of.run is not None:
        return f"{location}/{ref.name}/{places.FOLDER}"
    return f"{location}/{of.path}" if of.path else location


def file(tx: Transaction, of: Shelf, name: str) -> Artifact | None:
    """One file of a thing."""
    if of.run is not None:
        row = _FILE.first(tx.connection, run=of.run, name=name)
        return None if row is None else artifact_of(row)
    table, same = of.where(name)
    found = tx.execute(sa.select(table).where(*same)).first()
    if found is None:
        return None
    return Artifact(name=name, digest=found.digest, size=found.size, media_type=found.media_type)


_FILE = Prepared(sa.select(artifacts).where(_a.run == sa.bindparam("run"), _a.name == sa.bindparam("name")), "run", "name")


def add(tx: Transaction, of: Shelf, name: str, values: dict[str, Any]) -> None:
    """Enter a file that is not there yet; `Conflict` where its name is a folder's, or leads into another file."""
    if of.run is not None:
        experiments_of.RUN_FILES.refuse_clash(tx, of.run, name)
    else:
        _BELOW_EXPERIMENTS.refuse_clash(tx, of.experiment, of.full(name))
    (_ADD_TO_RUN if of.run is not None else _ADD_BELOW).run(tx.connection, **of.key(name), **values)


_BELOW_EXPERIMENTS = experiments_of.FileNames(_f.path, _f.experiment)
_ADD_TO_RUN = Prepared(artifacts.insert(), *artifacts.c.keys())
_ADD_BELOW = Prepared(files.insert(), *files.c.keys())


def below(tx: Transaction, of: Shelf, folder: str) -> list[Artifact]:
    """Every file below a folder of a thing, in order of name."""
    if of.run is not None:
        query = sa.select(artifacts).where(_a.run == of.run, *_within(_a.name, folder)).order_by(_a.name)
        return [artifact_of(each) for each in tx.execute(query)]
    start = of.full(folder)
    query = sa.select(files).where(_f.experiment == of.experiment, *_within(_f.path, start)).order_by(_f.path)
    cut = len(of.path) + 1 if of.path else 0
    return [
        Artifact(name=each.path[cut:], digest=each.digest, size=each.size, media_type=each.media_type)
        for each in tx.execute(query)
    ]


def listing(tx: Transaction, of: Shelf, folder: str) -> list[Entry]:
    """What lies right in a folder of a thing; a file's own name lists nothing."""
    found = entries(below(tx, of, folder), folder)
    if of.run is None and not of.path:  # an experiment's own folder shows its runs as well
        found = sorted([*found, *_folders_of_runs(tx, of, folder)], key=lambda entry: entry.name)
    return found


def entries(found: Iterable[Artifact], folder: str) -> list[Entry]:
    """Files as a listing of one folder: those deeper down stand for the folder they lie in."""
    start = len(folder) + 1 if folder else 0
    shown: dict[str, Entry] = {}
    for each in found:
        part, slash, _ = each.name[start:].partition("/")
        name = each.name[:start] + part
        if slash:
            shown.setdefault(name + "/", Entry(name=name, is_folder=True))
        else:
            shown[name] = Entry(name=name, is_folder=False, size=each.size, digest=each.digest)
    return [shown[key] for key in sorted(shown, key=lambda key: shown[key].name)]


def _folders_of_runs(tx: Transaction, of: Shelf, folder: str) -> list[Entry]:
    if folder:
        return []
    kept = sa.exists().where(_a.run == _r.key)
    found = tx.execute(sa.select(_r.id).where(_r.experiment == of.experiment, kept).order_by(_r.id))
    return [Entry(name=each.id, is_folder=True) for each in found]


def _within(column: Any, folder: str) -> tuple[Any, ...]:
    """Names below a folder, by comparison, which an index answers: `0` is what follows `/`."""
    return (column >= f"{folder}/", column < f"{folder}0") if folder else ()


def overdue_files(tx: Transaction, path: str, before: int) -> list[tuple[Ref, str, int, int, int]]:
    """Runs below a path of experiments that ended before a time (microseconds since 1970) and have files.

    Each with its experiment, its end, how many files it has and their bytes; the oldest first.
    """
    query = sa.select(_r.id, _e.name, _r.ended, sa.func.count().label("files"), sa.func.sum(_a.size).label("size"))
    query = query.select_from(runs.join(artifacts, _a.run == _r.key).join(experiments, _e.id == _r.experiment))
    query = query.where(scopes.under(_e.name, path), _r.ended < before).group_by(_r.id, _e.name, _r.ended)
    rows = tx.execute(query.order_by(_r.ended, _r.id))
    return [(Ref(Kind.RUN, each.id), each.name, each.ended, each.files, int(each.size)) for each in rows]


def files_of(tx: Transaction, run: Ref) -> list[Artifact]:
    """Every file of a run; none where there is no such run."""
    found = experiments_of.run_identified(tx, run.name)
    if found is None:
        return []
    return [artifact_of(each) for each in tx.execute(sa.select(artifacts).where(_a.run == found.key).order_by(_a.name))]


def drop_files(tx: Transaction, run: Ref) -> None:
    """Take every file away from a run: their names lead nowhere any more, and the objects are the caller's affair."""
    found = experiments_of.run_identified(tx, run.name)
    if found is not None:
        tx.execute(artifacts.delete().where(_a.run == found.key))


def _nothing_at(place: str) -> NotFound:
    return NotFound(f"There is nothing at {place[:300]!r}.")


def left(tx: Transaction, before: datetime) -> list[LeftUpload]:
    """The uploads of which nothing was heard since a moment, the oldest first, with what has come of each."""
    u, p = uploads.c, upload_parts.c
    came = (
        sa.select(p.upload, sa.func.count().label("parts"), sa.func.sum(p.size).label("size")).group_by(p.upload).subquery()
    )
    query = sa.select(uploads, came.c.parts.label("came"), came.c.size).join(came, came.c.upload == u.id, isouter=True)
    return [
        LeftUpload(
            id=row.id,
            ref=Ref.parse(row.ref),
            name=row.name,
            heard_at=from_micros(row.heard),
            parts=row.came or 0,
            size=int(row.size or 0),
        )
        for row in tx.execute(query.where(u.heard < to_micros(before)).order_by(u.heard, u.id))
    ]
