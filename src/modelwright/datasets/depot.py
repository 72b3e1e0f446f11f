"""A depot: versions of datasets kept in a folder or under a prefix of a bucket, with no database.

Below its address lie `objects/` (content, as a workspace keeps it) and `datasets/<name>/<number>.json`, one document for
each version. A number is given out by writing its document where none is, so two who push at once get two numbers.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from modelwright.core.clock import SystemClock
from modelwright.core.errors import Conflict, Corrupt, Invalid, NotFound
from modelwright.core.principals import operating_system_user
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import decode, encode
from modelwright.datasets.identity import content_digest
from modelwright.datasets.manifest import packs_of, read_manifest
from modelwright.datasets.records import DatasetRecord, DatasetVersion
from modelwright.store.buckets import S3Settings, unreachable
from modelwright.store.objects import Objects, Stored, open_store
from modelwright.store.storage import BATCH, GRACE, Collected, Unreachable, left_over, reached_from, refuse_short

_COLLECTING: Final = "collecting/"  # what a collector writes before it looks what is needed, and takes away at its end
_WORKS: Final = 1800.0  # seconds after that, in which it may delete
_BELIEVED: Final = 2 * _WORKS  # seconds after that, in which it is waited for: then it was killed
_LOOK: Final = 0.2  # seconds between two looks whether it is done
_STEP: Final = 1000  # objects that are deleted before it looks at the clock
_DOCUMENT: Final = re.compile(r"datasets/(?P<name>.+)/(?P<number>[1-9][0-9]*)\.json")


class Depot:
    """A `Holder` of versions without a database."""

    def __init__(self, place: str, s3: S3Settings, *, grace: float = GRACE, patience: float = 60.0) -> None:
        """`place` is a folder or `s3://bucket/prefix`; a folder is made. `Invalid` for anything else.

        What somebody began to write there and has not touched for `grace` seconds goes with the next version. For
        `patience` seconds a version waits for somebody who is collecting.
        """
        self._grace, self._patience = grace, patience
        if "://" in place and not place.startswith(("s3://", "file://")):
            raise Invalid(f"A depot cannot lie at {place!r}.", mend="Give a folder or s3://bucket/prefix.")
        self.address = place.rstrip("/")
        self.blobs = Objects.open(f"{self.address}/objects", s3)
        self._documents = open_store(self.address, s3)
        self._named: dict[str, list[str]] = {}

    def names(self) -> list[str]:
        """The datasets that it has versions of."""
        return sorted({name for name, _ in self._listed("datasets/")})

    def history(self, ref: Ref | str) -> Sequence[DatasetVersion]:
        """Every version of a dataset, newest first."""
        name = (Ref.parse(ref) if isinstance(ref, str) else ref).name
        numbers = sorted((number for each, number in self._listed(f"datasets/{name}/") if each == name), reverse=True)
        return [self._read(name, number) for number in numbers]

    def register(
        self,
        name: str,
        *,
        record: DatasetRecord,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> DatasetVersion:
        """Write a version's document under the next number. What it names is stored already.

        `Conflict` where somebody collects there, and is not done within a while, or has let go of something that it needs.
        """
        from obstore import put
        from obstore.exceptions import AlreadyExistsError, BaseError

        self.blobs.tidy(time.time() - self._grace)  # what pushes that were killed had begun; nobody else would look for it

        number = max((number for each, number in self._listed(f"datasets/{name}/") if each == name), default=0)
        moment = SystemClock().now()
        version = DatasetVersion(
            ref=Ref(Kind.DATASET, name, number or 1),
            digest=content_digest(record),
            created_at=moment,
            changed_at=moment,
            created_by=operating_system_user().id,
            description=description,
            tags=dict(tags or {}),
            **{field: getattr(record, field) for field in DatasetRecord.__struct_fields__},
        )
        while True:
            number += 1
            version = replace(version, ref=Ref(Kind.DATASET, name, number))
            try:
                put(self._documents, _path(name, number), encode(version), mode="create")
            except AlreadyExistsError:
                continue
            except BaseError as error:
                raise unreachable(f"The depot at {self.address}", error) from None
            self._wait_for_collectors(version)
            self._refuse_lost(version)
            return version

    def unreachable(self, *, grace: float = GRACE, limit: int = 1000) -> Unreachable:
        """What no version here needs, as of pushes that were killed, and what of it is older than `grace` seconds."""
        refuse_short(self.blobs, grace)
        here = list(self.blobs.entries())
        documents = f"the documents of {self.address}/datasets"
        return left_over(self.blobs, here, self._needed(), grace=grace, limit=limit, looked_at=[documents])

    def collect(self, *, grace: float = GRACE) -> Collected:
        """Let go of that. A push that goes on meanwhile keeps what it stored, as that is young.

        What it takes over of a push that was killed longer ago may go before it ends: then it fails, and begins again. It
        says beforehand that it is at work: whoever writes a version's document looks for that afterwards, and waits, so
        that either the document is found here, or what went is noticed there.
        """
        gone = Collected(unfinished=self.blobs.tidy(time.time() - max(grace, GRACE)))
        while True:
            found = [each.digest for each in self.unreachable(grace=grace, limit=BATCH).objects]
            step = self._let_go(found, grace) if found else []
            if not step:
                return gone
            gone = replace(gone, count=gone.count + len(step), size=gone.size + sum(each.size for each in step))

    def _let_go(self, digests: Sequence[str], grace: float) -> Sequence[Stored]:
        """Delete those that no version needs by now, and that nobody has stored again meanwhile."""
        with self._collecting() as begun:
            needed = self._needed()
            there = self.blobs.stored_each([digest for digest in digests if digest not in needed])
            going = [each for each in there if each is not None and time.time() - each.at > grace]
            for start in range(0, len(going), _STEP):
                if time.monotonic() - begun > _WORKS:
                    raise Conflict(f"To collect in {self.address} took too long.", mend="Begin again.")
                self.blobs.delete_each([each.digest for each in going[start : start + _STEP]])
        return going

    @contextmanager
    def _collecting(self) -> Iterator[float]:
        """Say that somebody is at work, as long as the block runs; gives when that began, by a clock that only goes on."""
        from obstore import delete, put

        mark, begun = f"{_COLLECTING}{secrets.token_hex(8)}", time.monotonic()
        with self._reached():
            put(self._documents, mark, encode(operating_system_user().id))
        try:
            yield begun
        finally:
            with self._reached():
                delete(self._documents, mark)

    def _wait_for_collectors(self, version: DatasetVersion) -> None:
        """Wait until nobody collects who may not have seen a document that was just written.

        A collector that began longer ago than it may work was killed: by the clock of the place, not by ours.
        """
        import obstore

        path, ends = _path(version.ref.name, version.ref.version or 0), time.monotonic() + self._patience
        with self._reached():
            written = obstore.head(self._documents, path)["last_modified"]
            while any(
                (written - each["last_modified"]).total_seconds() < _BELIEVED
                for page in obstore.list(self._documents, prefix=_COLLECTING)
                for each in page
            ):
                if time.monotonic() >= ends:
                    obstore.delete(self._documents, path)
                    raise Conflict(
                        f"Somebody is collecting in {self.address}.",
                        mend="Push it once more when that is done; of a collector that was killed, in an hour.",
                    )
                time.sleep(_LOOK)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except BaseError as error:
            raise unreachable(f"The depot at {self.address}", error) from None

    def _needed(self) -> set[str]:
        """The digests that the versions' documents lead to. A damaged one still names what can be read in it."""
        from obstore import get

        with self._reached():
            said = [bytes(get(self._documents, _path(*each)).bytes()) for each in self._listed("datasets/")]
        return reached_from((text.decode("utf-8", "replace") for text in said), self.blobs, self._named)

    def _refuse_lost(self, version: DatasetVersion) -> None:
        """`Conflict` where something that a version needs went while it was on its way; then its document goes, too."""
        needed = [each for each in (version.profile, version.manifest) if each is not None]
        try:
            if version.manifest is not None:
                needed += packs_of(self.blobs, read_manifest(self.blobs, version.manifest))
            else:
                needed += [part.digest for part in version.parts]
            lost = None in self.blobs.stored_each(list(dict.fromkeys(needed)))
        except NotFound:
            lost = True
        if not lost:
            return
        from obstore import delete

        delete(self._documents, _path(version.ref.name, version.ref.version or 0))
        raise Conflict(
            f"Something that {version.ref} needs went from {self.address} while it was brought there: somebody collected.",
            mend="Push it once more.",
        )

    def _read(self, name: str, number: int) -> DatasetVersion:
        from obstore import get

        try:
            return decode(bytes(get(self._documents, _path(name, number)).bytes()), DatasetVersion)
        except (msgspec.MsgspecError, Invalid) as error:
            raise Corrupt(f"{self.address}/{_path(name, number)} is no version of a dataset: {error}.") from None

    def _listed(self, prefix: str) -> list[tuple[str, int]]:
        import obstore

        with self._reached():
            paths = [each["path"] for page in obstore.list(self._documents, prefix=prefix) for each in page]
        found: list[Any] = [_DOCUMENT.fullmatch(path) for path in paths]
        return [(match["name"], int(match["number"])) for match in found if match]


def _path(name: str, number: int) -> str:
    return f"datasets/{name}/{number}.json"
