"""Where artifacts lie: a folder, a bucket. What is behind a server is in `sources.server`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from modelwright.core.errors import Unavailable

BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "wasb", "wasbs"})
PROXY = "mlflow-artifacts"
PATIENCE = "60s"
PIECE = 1 << 20
OWN_PARTS = 3  # of the path of a run's files, 1/3f0c.../artifacts, which is the same below every root
LOGGED_PARTS = 4  # of those of a logged model, 1/models/m-3f0c.../artifacts


class File(NamedTuple):
    """A file by its path below the place where it lies."""

    path: str
    size: int


class Place(Protocol):
    """A folder of artifacts, wherever it is."""

    def files(self) -> list[File]:
        """Every file below it, by path; none where there is no such folder. `Unavailable` where it cannot be reached."""
        ...

    def read(self, path: str) -> Path | Iterable[bytes]:
        """The content of one of them."""
        ...


def streamed(content: Path | Iterable[bytes]) -> Iterator[bytes]:
    """A content piece by piece, whatever it was read as."""
    if not isinstance(content, Path):
        yield from content
        return
    with content.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


class Folder:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def files(self) -> list[File]:
        """See `Place`. What a link leads to is brought only if it lies below the folder itself."""
        if not self.root.is_dir():
            return []
        top = self.root.resolve()
        found = []
        for path in self.root.rglob("*"):
            if path.is_file() and path.resolve().is_relative_to(top):
                found.append(File(path.relative_to(self.root).as_posix(), path.stat().st_size))
        return sorted(found)

    def read(self, path: str) -> Path:
        """See `Place`."""
        return self.root / path


class Bucket:
    """A prefix of a bucket; credentials are found as its provider's own tools find them."""

    def __init__(self, url: str) -> None:
        from obstore.store import from_url

        self.url = url
        self._store: Any = from_url(
            url,
            client_options={"timeout": PATIENCE, "allow_http": True},  # where the environment names such an endpoint
            retry_config={"max_retries": 2},
        )

    def files(self) -> list[File]:
        """See `Place`."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            found = [File(each["path"], int(each["size"])) for page in obstore.list(self._store) for each in page]
        except BaseError as error:
            raise self._unavailable("listed", error) from None
        return sorted(found)

    def read(self, path: str) -> Iterator[bytes]:
        """See `Place`."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            for piece in obstore.get(self._store, path).stream():
                yield bytes(piece)
        except (BaseError, FileNotFoundError) as error:
            raise self._unavailable(f"read: {path}", error) from None

    def _unavailable(self, what: str, error: Exception) -> Unavailable:
        return Unavailable(
            f"{self.url} cannot be {what}: {str(error).splitlines()[0][:300]}",
            mend="Set the credentials and the endpoint in the environment as for the provider's own tools.",
        )


class Roots:
    """Finds the place that a location means, given where the artifacts of the store have been put (`root`)."""

    def __init__(self, root: str | None) -> None:
        self.root = root

    def place(self, location: str) -> Place | None:
        """The place, or None where nobody can tell from here."""
        parts = urlsplit(location)
        if parts.scheme == PROXY:
            return None if self.root is None else below(self.root, parts.path.strip("/"))
        if parts.scheme in BUCKETS:
            return Bucket(location)
        if parts.scheme not in ("", "file"):
            return None
        folder = Path(unquote(parts.path) if parts.scheme else location)
        if self.root is None:
            return Folder(folder)
        kept = LOGGED_PARTS if "models" in folder.parts[-LOGGED_PARTS:-1] else OWN_PARTS
        moved = below(self.root, str(PurePosixPath(*folder.parts[-kept:])))
        return Folder(folder) if isinstance(moved, Folder) and not moved.root.is_dir() else moved


def below(root: str, path: str) -> Place | None:
    """The place at a path below a root; None for a path that leads out of it."""
    if any(part == ".." for part in path.split("/")):
        return None
    parts = urlsplit(root)
    if parts.scheme in BUCKETS:
        return Bucket(f"{root.rstrip('/')}/{path}" if path else root)
    folder = Path(unquote(parts.path) if parts.scheme == "file" else root)
    return Folder(folder / path)


class Within:
    """A folder within a place."""

    def __init__(self, place: Place, path: str) -> None:
        self._place = place
        self._path = path.strip("/") + "/"

    def files(self) -> list[File]:
        """See `Place`."""
        start = len(self._path)
        return [File(each.path[start:], each.size) for each in self._place.files() if each.path.startswith(self._path)]

    def read(self, path: str) -> Path | Iterable[bytes]:
        """See `Place`."""
        return self._place.read(self._path + path)
