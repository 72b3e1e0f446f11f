"""Where tables of a lake lie: a folder or a prefix of a bucket, as each of the libraries wants to be told of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from modelwright.core.errors import Invalid, Unavailable
from modelwright.core.hashing import digest_bytes
from modelwright.datasets.lakes.records import Stamp
from modelwright.store.buckets import S3Settings, unreachable
from modelwright.store.objects import open_store

if TYPE_CHECKING:
    from obstore.store import ObjectStore

TAIL: Final = 64 << 10  # bytes at a file's end that tell it from another
_FEW: Final = 8  # files that are asked for one by one
_BUCKETS: Final = ("s3://", "s3a://", "s3n://")


class Place(Protocol):
    """A folder or a prefix. Paths are below it, with `/`."""

    root: str  # its address: absolute, without a slash at its end

    def stamps(self, paths: Sequence[str]) -> Mapping[str, Stamp]:
        """What those of some files are that are there."""

    def names(self, folder: str) -> Sequence[str]:
        """The names of the files in a folder below it; none where there is no such folder."""

    def read(self, path: str) -> bytes | None:
        """A small file; None where it is not there."""

    @property
    def filesystem(self) -> tuple[Any, str]:
        """Arrow's file system, and what stands before a path in it."""

    @property
    def options(self) -> Mapping[str, str]:
        """What deltalake has to know to reach it."""

    @property
    def properties(self) -> Mapping[str, str]:
        """What pyiceberg has to know to reach it."""


def place_of(address: str, s3: S3Settings) -> Place:
    """The place at a path, a `file:` address or `s3://bucket/prefix`; `Invalid` for any other."""
    plain = plain_address(address)
    if plain.startswith("s3://"):
        return Bucket(plain, s3)
    if "://" in plain:
        raise Invalid(f"A table cannot be read at {address!r}.", mend="Give a folder or s3://bucket/prefix.")
    return Folder(str(Path(plain).resolve()))


def plain_address(address: str) -> str:
    """An address as it is written here: a path without `file:`, `s3://` for each of S3's names; no slash at its end."""
    for scheme in _BUCKETS:
        if address.startswith(scheme):
            return f"s3://{address.removeprefix(scheme).rstrip('/')}"
    if address.startswith("file:"):
        address = f"/{address.removeprefix('file:').lstrip('/')}"
    return address.rstrip("/") or "/"


def below(root: str, address: str) -> str | None:
    """The path of a file below a place; None where it lies elsewhere."""
    plain = plain_address(address)
    if not plain.startswith(f"{root.rstrip('/')}/"):
        return None
    path = plain[len(root.rstrip("/")) + 1 :]
    return None if ".." in path.split("/") or path.startswith("/") else path


def lies_in(address: str, roots: Sequence[str]) -> bool:
    """Whether an address is one of some places, or lies below one."""
    resolved = [plain_address(root) for root in roots]
    resolved = [root if root.startswith("s3://") else str(Path(root).resolve()) for root in resolved]
    return any(address == root or below(root, address) is not None for root in resolved)


class Folder:
    """A folder of this machine."""

    def __init__(self, root: str) -> None:
        self.root = root

    def stamps(self, paths: Sequence[str]) -> Mapping[str, Stamp]:
        return {path: stamp for path in paths if (stamp := self._stamp(path)) is not None}

    def names(self, folder: str) -> Sequence[str]:
        place = Path(self.root) / folder
        return [each.name for each in place.iterdir() if each.is_file()] if place.is_dir() else []

    def read(self, path: str) -> bytes | None:
        file = Path(self.root) / path
        return file.read_bytes() if file.is_file() else None

    @property
    def filesystem(self) -> tuple[Any, str]:
        from pyarrow.fs import LocalFileSystem

        return LocalFileSystem(), f"{self.root}/"

    @property
    def options(self) -> Mapping[str, str]:
        return {}

    @property
    def properties(self) -> Mapping[str, str]:
        return {}

    def _stamp(self, path: str) -> Stamp | None:
        try:
            file = (Path(self.root) / path).resolve(strict=True)
            if not file.is_relative_to(self.root):
                raise Invalid(
                    f"{path} in {self.root} is a link to somewhere else.", mend="Have the table hold its own files."
                )
            with file.open("rb") as opened:
                size = opened.seek(0, 2)
                opened.seek(max(0, size - TAIL))
                return Stamp(path, size, digest_bytes(opened.read()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unavailable(f"{path} in {self.root} cannot be read: {error.strerror or error}.") from None


class Bucket:
    """A prefix of a bucket. Credentials are the workspace's, else found as the provider's own tools find them."""

    def __init__(self, root: str, s3: S3Settings) -> None:
        self.root = root
        self._s3 = s3
        self._store: ObjectStore = open_store(root, s3)

    def stamps(self, paths: Sequence[str]) -> Mapping[str, Stamp]:
        import obstore

        wanted = set(paths)
        with _reaching(self.root):
            if len(wanted) > _FEW:  # a listing tells of a thousand at once
                pages = obstore.list(self._store, chunk_size=1000)
                found = {each["path"]: each for page in pages for each in page if each["path"] in wanted}
            else:
                found = {path: each for path in wanted if (each := self._head(path)) is not None}
        return {path: Stamp(path, each["size"], str(each["e_tag"])) for path, each in found.items()}

    def names(self, folder: str) -> Sequence[str]:
        import obstore

        with _reaching(self.root):
            listed = obstore.list_with_delimiter(self._store, prefix=folder)
            return [each["path"].rpartition("/")[2] for each in listed["objects"]]

    def read(self, path: str) -> bytes | None:
        import obstore

        with _reaching(self.root):
            try:
                return bytes(obstore.get(self._store, path).bytes())
            except FileNotFoundError:
                return None

    @property
    def filesystem(self) -> tuple[Any, str]:
        from pyarrow.fs import S3FileSystem

        said = {
            "access_key": self._s3.access_key_id,
            "secret_key": self._s3.secret_access_key,
            "session_token": self._s3.session_token,
            "region": self._s3.region,
            "endpoint_override": self._s3.endpoint,
            "scheme": "http" if self._s3.allow_http else None,
        }
        return S3FileSystem(**{name: value for name, value in said.items() if value}), self.root.removeprefix("s3://") + "/"

    @property
    def options(self) -> Mapping[str, str]:
        said = {
            "AWS_ACCESS_KEY_ID": self._s3.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self._s3.secret_access_key,
            "AWS_SESSION_TOKEN": self._s3.session_token,
            "AWS_REGION": self._s3.region,
            "AWS_ENDPOINT_URL": self._s3.endpoint,
            "AWS_ALLOW_HTTP": "true" if self._s3.allow_http else None,
        }
        return {name: value for name, value in said.items() if value}

    @property
    def properties(self) -> Mapping[str, str]:
        said = {
            "s3.access-key-id": self._s3.access_key_id,
            "s3.secret-access-key": self._s3.secret_access_key,
            "s3.session-token": self._s3.session_token,
            "s3.region": self._s3.region,
            "s3.endpoint": self._s3.endpoint,
        }
        return {name: value for name, value in said.items() if value}

    def _head(self, path: str) -> Any:
        import obstore

        try:
            return obstore.head(self._store, path)
        except FileNotFoundError:
            return None


@contextmanager
def _reaching(root: str) -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except BaseError as error:
        raise unreachable(root, error) from None
