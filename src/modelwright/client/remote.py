"""The remote caller: the same operations, sent as JSON; and the same objects, streamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Corrupt, ModelwrightError, NotFound, Unavailable, error_for
from modelwright.core.hashing import CHUNK, digest_bytes, digest_file, read_chunks
from modelwright.core.operations import Operation, Room
from modelwright.core.principals import Principal
from modelwright.core.wire import decode, encode

API = "/api/v1"
_OCTETS = {"content-type": "application/octet-stream"}


class Remote:
    """A `Caller` whose operations run on a server. One HTTP connection pool; safe to share among threads."""

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 60.0) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=timeout)
        self._blobs = RemoteBlobs(self)

    @property
    def blobs(self) -> Blobs:
        return self._blobs

    @property
    def principal(self) -> Principal:
        return decode(self.send("GET", f"{API}/whoami").content, Principal)

    def call(self, room: Room, operation: Operation[Any, Any, Any, Any], arguments: dict[str, Any]) -> Any:
        """See `Caller.call`."""
        accepted = {name: value for name, value in operation.accept(arguments).items() if name in arguments}
        answer = self.send(
            "POST",
            f"{API}/{operation.path}",
            content=encode(accepted),
            headers={"content-type": "application/json"},
        )
        return decode(answer.content, operation.types()[1])

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request; an error answer is raised as the error it stands for."""
        try:
            answer = self.http.request(method, path, **options)
        except httpx.TransportError as error:
            raise _unreachable(self.http.base_url, error) from None
        if answer.is_error:
            raise error_of(answer)
        return answer

    def close(self) -> None:
        """Give the connections back."""
        self.http.close()


class RemoteBlobs:
    """Objects behind a server. What is sent or fetched is checked against its digest at this end too."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def put(self, data: bytes | Path | Iterable[bytes]) -> str:
        """See `Blobs.put`. A file or bytes that the server has already are not sent again."""
        if isinstance(data, bytes | Path):
            digest = digest_bytes(data) if isinstance(data, bytes) else digest_file(data)
            if self.exists(digest):
                return digest
        body = read_chunks(data) if isinstance(data, Path) else data
        answer = self._remote.send("POST", f"{API}/objects", content=body, headers=_OCTETS)
        return str(msgspec.json.decode(answer.content)["digest"])

    def read(self, digest: str) -> bytes:
        return b"".join(self.stream(digest))

    def stream(self, digest: str) -> Iterator[bytes]:
        from blake3 import blake3

        hasher = blake3()
        try:
            with self._remote.http.stream("GET", f"{API}/objects/{digest}") as answer:
                if answer.is_error:
                    answer.read()
                    raise error_of(answer)
                for piece in answer.iter_bytes(CHUNK):
                    hasher.update(piece)
                    yield piece
        except httpx.TransportError as error:
            raise _unreachable(self._remote.http.base_url, error) from None
        if hasher.hexdigest() != digest:
            raise Corrupt(f"The object {digest} arrived with other bytes than its digest says.")

    def fetch(self, digest: str, path: Path) -> Path:
        part = path.with_name(f"{path.name}.part")
        try:
            with part.open("wb") as file:
                for piece in self.stream(digest):
                    file.write(piece)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    def exists(self, digest: str) -> bool:
        try:
            self._remote.send("HEAD", f"{API}/objects/{digest}")
        except NotFound:
            return False
        return True

    def size(self, digest: str) -> int:
        return int(self._remote.send("HEAD", f"{API}/objects/{digest}").headers["x-object-size"])


def error_of(answer: httpx.Response) -> ModelwrightError:
    """The error that an HTTP answer stands for."""
    try:
        told = msgspec.json.decode(answer.content)["error"]
        return error_for(told["code"], told["message"], mend=told.get("mend", ""), details=told.get("details", {}))
    except (msgspec.MsgspecError, KeyError, TypeError):
        if answer.status_code == httpx.codes.NOT_FOUND:
            return NotFound(f"{answer.request.url.path} was not found.")
        return Unavailable(f"The server answered {answer.status_code} without saying why.")


def _unreachable(url: object, error: Exception) -> Unavailable:
    return Unavailable(
        f"The server at {url} does not answer: {error}.", mend="Start it with `mw up`, or check the address."
    )
