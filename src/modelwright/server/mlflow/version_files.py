"""The files of a registered version at an address of their own: those that were registered, whatever became of the run.

`mlflow-artifacts:/registered/<model>@<version>/<file>` is answered from the version's record, with the right to read the
model; nothing can be written there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from modelwright.core.errors import NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Artifact, media_type_of
from modelwright.models import Models, ModelVersion

SCHEME = "mlflow-artifacts:/"
SHELF = "registered"
_PLACE = re.compile(SHELF + r"/([A-Za-z0-9_.\-/]+)@([1-9][0-9]{0,8})(?:/(.*))?", re.DOTALL)


def address(version: ModelVersion) -> str:
    """Where a client downloads the files of a version."""
    return f"{SCHEME}{SHELF}/{version.ref.name}@{version.ref.version}"


class VersionFiles:
    """Finds and lists the files of versions by their place in the proxy."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def covers(self, place: str) -> bool:
        """Whether a place is one of a version."""
        return _PLACE.fullmatch(place) is not None

    def find(self, place: str) -> Artifact:
        """The file at a place, or `NotFound`."""
        version, name = self._at(place)
        return self.file(version, name)

    def file(self, version: ModelVersion, name: str) -> Artifact:
        """One file of a version, or `NotFound`."""
        digest = version.record.files.get(name)
        if digest is None:
            raise NotFound(f"{version.ref} has no file {name!r}.")
        return Artifact(name=name, digest=digest, size=self._models.blobs.size(digest), media_type=media_type_of(name))

    def list(self, place: str) -> list[dict[str, Any]]:
        """What lies right in a folder; paths are relative to it."""
        version, folder = self._at(place)
        return sorted(
            self._listed(version.record.files, f"{folder}/" if folder else ""), key=lambda each: str(each["path"])
        )

    def _listed(self, files: Mapping[str, str], folder: str) -> Iterator[dict[str, Any]]:
        below = {path[len(folder) :]: digest for path, digest in files.items() if path.startswith(folder)}
        for name in {path.partition("/")[0] for path in below if "/" in path}:
            yield {"path": name, "is_dir": True}
        for path, digest in below.items():
            if "/" not in path:
                yield {"path": path, "is_dir": False, "file_size": self._models.blobs.size(digest)}

    def _at(self, place: str) -> tuple[ModelVersion, str]:
        found = _PLACE.fullmatch(place)
        if found is None:
            raise NotFound(f"There is nothing at {place[:200]!r}.")
        return self._models.show(Ref(Kind.MODEL, found[1], int(found[2]))), found[3] or ""
