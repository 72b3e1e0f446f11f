"""A depot: versions of datasets kept in a folder or under a prefix of a bucket, with no database.

Below its address lie `objects/` (content, as a workspace keeps it) and `datasets/<name>/<number>.json`, one document for
each version. A number is given out by writing its document where none is, so two who push at once get two numbers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from modelwright.core.clock import SystemClock
from modelwright.core.errors import Corrupt, Invalid
from modelwright.core.principals import operating_system_user
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import decode, encode
from modelwright.datasets.identity import content_digest
from modelwright.datasets.records import DatasetRecord, DatasetVersion
from modelwright.store.buckets import S3Settings, unreachable
from modelwright.store.objects import Objects, open_store
from modelwright.store.storage import GRACE

_DOCUMENT: Final = re.compile(r"datasets/(?P<name>.+)/(?P<number>[1-9][0-9]*)\.json")


class Depot:
    """A `Holder` of versions without a database."""

    def __init__(self, place: str, s3: S3Settings, *, grace: float = GRACE) -> None:
        """`place` is a folder or `s3://bucket/prefix`; a folder is made. `Invalid` for anything else.

        What somebody began to write there and has not touched for `grace` seconds goes with the next version.
        """
        self._grace = grace
        if "://" in place and not place.startswith(("s3://", "file://")):
            raise Invalid(f"A depot cannot lie at {place!r}.", mend="Give a folder or s3://bucket/prefix.")
        self.address = place.rstrip("/")
        self.blobs = Objects.open(f"{self.address}/objects", s3)
        self._documents = open_store(self.address, s3)

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
        """Write a version's document under the next number. What it names is stored already."""
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
            return version

    def _read(self, name: str, number: int) -> DatasetVersion:
        from obstore import get

        try:
            return decode(bytes(get(self._documents, _path(name, number)).bytes()), DatasetVersion)
        except (msgspec.MsgspecError, Invalid) as error:
            raise Corrupt(f"{self.address}/{_path(name, number)} is no version of a dataset: {error}.") from None

    def _listed(self, prefix: str) -> list[tuple[str, int]]:
        import obstore
        from obstore.exceptions import BaseError

        try:
            paths = [each["path"] for page in obstore.list(self._documents, prefix=prefix) for each in page]
        except BaseError as error:
            raise unreachable(f"The depot at {self.address}", error) from None
        found: list[Any] = [_DOCUMENT.fullmatch(path) for path in paths]
        return [(match["name"], int(match["number"])) for match in found if match]


def _path(name: str, number: int) -> str:
    return f"datasets/{name}/{number}.json"
