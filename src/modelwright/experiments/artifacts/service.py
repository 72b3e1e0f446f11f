"""The service of files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

import sqlalchemy as sa

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.operations import Resource, Room, operation
from modelwright.core.refs import Kind, Ref
from modelwright.experiments.artifacts import queries
from modelwright.experiments.artifacts.records import Entry, LeftUpload, Located, Upload, UploadPart, media_type_of
from modelwright.experiments.filenames import check_file_name, check_folder
from modelwright.experiments.logged.tables import upload_parts, uploads
from modelwright.experiments.records import Artifact
from modelwright.experiments.tables import to_micros
from modelwright.store import Transaction, holds

MAX_PARTS = 10_000
ABANDONED = timedelta(days=2)  # an upload of which nothing was heard for so long is forgotten


class Artifacts(Room):
    """Files of runs, of logged models and of experiments: each a name for an object.

    `ref` is what the files belong to. The right to them is the right to the runs of their experiment. A `place` is what
    MLflow's addresses say: `<experiment>/<run>/artifacts/<name>`, `<experiment>/models/<model>/artifacts/<name>`, or
    anything else below an experiment.
    """

    room: ClassVar[str] = "artifacts"
    kind: ClassVar[Kind] = Kind.RUN

    def resource_of(self, tx: Any, ref: Ref) -> Resource:
        """The experiment stands for whatever lies below it."""
        return Resource(Kind.RUN, queries.shelf(tx, ref).experiment_name)

    def resource_named(self, tx: Any, parameter: str, value: str) -> Resource:
        """The experiment that a place lies below, or the one that an upload goes to."""
        if parameter == "upload":
            return self.resource_of(tx, _upload(tx, value).ref)
        return Resource(Kind.RUN, queries.experiment_at(tx, value)[0].name)

    @operation("read", on="place")
    def locate(self, tx: Transaction, place: str) -> Located:
        """Say what a place belongs to, and which file is there."""
        return queries.located(tx, place)

    @operation("write", on="place")
    def admit(self, tx: Transaction, place: str) -> Located:
        """The same for who is about to write there: asked before the content comes."""
        found = queries.located(tx, place)
        _open(found.ref, queries.shelf(tx, found.ref))
        return found

    @operation("read", on="")
    def numbers(self, tx: Transaction) -> Sequence[int]:
        """The experiments that the caller may see, by number: the folders of the very root."""
        return queries.numbers(tx)

    @operation("read")
    def find(self, tx: Transaction, ref: Ref, name: str) -> Artifact:
        """One file, or `NotFound`."""
        found = queries.file(tx, queries.shelf(tx, ref), check_file_name(name))
        if found is None:
            raise NotFound(f"{ref} has no file {name!r}.", mend=f"See what it has: artifacts.list({str(ref)!r}).")
        return found

    @operation("read")
    def root(self, tx: Transaction, ref: Ref) -> str:
        """The address of a thing's files in MLflow's words, such as `mlflow-artifacts:/1/<run>/artifacts`."""
        return queries.root(tx, ref, queries.shelf(tx, ref))

    @operation("read")
    def list(self, tx: Transaction, ref: Ref, *, folder: str = "") -> Sequence[Entry]:
        """List what lies right in a folder. Where there is no such folder, or a file of that name, the list is empty."""
        return queries.listing(tx, queries.shelf(tx, ref), check_folder(folder))

    @operation("read")
    def all(self, tx: Transaction, ref: Ref, *, folder: str = "") -> Sequence[Artifact]:
        """Every file below a folder, however deep."""
        return queries.below(tx, queries.shelf(tx, ref), check_folder(folder))

    @operation("write", data=True)
    def add(self, tx: Transaction, ref: Ref, new: Sequence[Artifact]) -> None:
        """Name stored objects as files. One of the same name is replaced, which leaves an event; a new one leaves none."""
        of = queries.shelf(tx, ref)
        _open(ref, of)
        for each in new:
            self._add(tx, ref, of, each)

    @operation("write", event="experiments.artifact.removed")
    def remove(self, tx: Transaction, ref: Ref, name: str, *, reason: str = "") -> int:
        """Remove a file, or a folder with all that is in it; returns how many went. Objects stay for the collector."""
        of = queries.shelf(tx, ref)
        _open(ref, of)
        name = check_folder(name)
        gone = queries.below(tx, of, name)
        single = queries.file(tx, of, name) if name else None
        gone += [single] if single else []
        if gone:
            holds.refuse(tx, "artifacts", of.experiment_name)
        for each in gone:
            table, same = of.where(each.name)
            tx.execute(table.delete().where(*same))
        if gone:
            shown = [f"{each.digest} {each.name}" for each in gone[:100]]
            tx.note(resource=ref, before={"count": len(gone), "files": shown})
        else:
            tx.unchanged()
        return len(gone)

    # A file that comes in parts

    @operation("write", data=True)
    def begin_upload(self, tx: Transaction, ref: Ref, name: str, *, parts: int) -> Upload:
        """Begin a file that comes in parts. What others left two days ago is forgotten on the way."""
        _open(ref, queries.shelf(tx, ref))
        if not 1 <= parts <= MAX_PARTS:
            raise Invalid(f"A file comes in 1 to {MAX_PARTS} parts, not {parts}.")
        _forget(tx, [each.id for each in queries.left(tx, tx.now - ABANDONED)])
        made = Upload(id=tx.new_id(), ref=ref, name=check_file_name(name), parts=parts)
        tx.execute(uploads.insert().values(id=made.id, ref=str(ref), name=made.name, parts=parts, heard=to_micros(tx.now)))
        return made

    @operation("write", on="upload")
    def upload(self, tx: Transaction, upload: str) -> Upload:
        """An upload under way: asked before the content of a part comes."""
        return _upload(tx, upload)

    @operation("write", on="upload", data=True)
    def add_part(self, tx: Transaction, upload: str, part: UploadPart) -> None:
        """Say that a part is stored as an object; the same number again replaces it."""
        begun = _upload(tx, upload)
        if not 1 <= part.number <= begun.parts:
            raise Invalid(f"The upload {upload} has parts 1 to {begun.parts}, not {part.number}.")
        insert = tx.insert(upload_parts).values(upload=upload, number=part.number, digest=part.digest, size=part.size)
        replaced = {"digest": insert.excluded.digest, "size": insert.excluded.size}
        p = upload_parts.c
        tx.execute(insert.on_conflict_do_update(index_elements=[p.upload, p.number], set_=replaced))
        tx.execute(uploads.update().where(uploads.c.id == upload).values(heard=to_micros(tx.now)))

    @operation("write", on="upload")
    def parts(self, tx: Transaction, upload: str) -> Sequence[UploadPart]:
        """The parts of an upload that are here, in order."""
        _upload(tx, upload)
        p = upload_parts.c
        found = tx.execute(sa.select(upload_parts).where(p.upload == upload).order_by(p.number))
        return [UploadPart(number=each.number, digest=each.digest, size=each.size) for each in found]

    @operation("write", on="upload", data=True)
    def end_upload(self, tx: Transaction, upload: str, *, whole: Artifact | None = None) -> None:
        """End an upload: with the file that its parts have become, or without."""
        begun = _upload(tx, upload)
        if whole is not None:
            of = queries.shelf(tx, begun.ref)
            _open(begun.ref, of)
            self._add(tx, begun.ref, of, whole)
        _forget(tx, [upload])

    @operation("audit.read", on="")
    def left(self, tx: Transaction) -> Sequence[LeftUpload]:
        """The uploads of which nothing was heard for two days, the oldest first: their parts are kept for nobody."""
        return queries.left(tx, tx.now - ABANDONED)

    @operation("erase", event="experiments.uploads.forgotten", on="")
    def forget_left(self, tx: Transaction, *, reason: str = "") -> Sequence[LeftUpload]:
        """Forget those uploads; their parts are the collector's then. One that is heard of meanwhile goes on."""
        found = queries.left(tx, tx.now - ABANDONED)
        _forget(tx, [each.id for each in found])
        if found:
            shown = [f"{each.ref} {each.name}: {each.parts} parts" for each in found[:100]]
            tx.note(resource=Ref(Kind.OBJECT, "all"), before={"count": len(found), "uploads": shown})
        else:
            tx.unchanged()
        return found

    def _add(self, tx: Transaction, ref: Ref, of: queries.Shelf, new: Artifact) -> None:
        name = check_file_name(new.name)
        before = queries.file(tx, of, name)
        values = {"digest": new.digest, "size": new.size, "media_type": new.media_type or media_type_of(name)}
        if before is None:
            queries.add(tx, of, name, values)
        elif before.digest != new.digest:
            table, same = of.where(name)
            tx.execute(table.update().where(*same).values(**values))
            changed = ({"name": name, "digest": before.digest}, {"name": name, "digest": new.digest})
            tx.record("experiments.artifact.replaced", ref, before=changed[0], after=changed[1])


def _forget(tx: Transaction, ids: Sequence[str]) -> None:
    for at in range(0, len(ids), 500):
        some = ids[at : at + 500]
        tx.execute(upload_parts.delete().where(upload_parts.c.upload.in_(some)))
        tx.execute(uploads.delete().where(uploads.c.id.in_(some)))


def _open(ref: Ref, of: queries.Shelf) -> None:
    if of.discarded:
        raise Conflict(f"{ref} is discarded and takes no files.", mend="Restore it first.")


def _upload(tx: Transaction, identity: str) -> Upload:
    found = tx.execute(sa.select(uploads).where(uploads.c.id == identity)).first()
    if found is None:
        raise NotFound(f"There is no upload {identity[:40]!r}.", mend="It has ended, or was left for two days.")
    return Upload(id=found.id, ref=Ref.parse(found.ref), name=found.name, parts=found.parts)
