"""The remote caller: the same operations, sent as JSON; and the same objects, streamed."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from modelwright.core.blobs import Blobs
from modelwright.core.errors import (
    Corrupt,
    Denied,
    Invalid,
    ModelwrightError,
    NotFound,
    Unauthenticated,
    Unavailable,
    error_for,
)
from modelwright.core.hashing import CHUNK, digest_bytes, digest_file, read_chunks
from modelwright.core.operations import Operation, Room
from modelwright.core.principals import Principal
from modelwright.core.wire import decode, encode

API = "/api/v1"
T = TypeVar("T")

_BY_STATUS = {401: Unauthenticated, 403: Denied, 404: NotFound}  # for answers without a body, as those to HEAD
_PARTIAL = 206
_JSON = {"content-type": "application/json"}
_OCTETS = {"content-type": "application/octet-stream"}


class Remote:
    """A `Caller` whose operations run on a server. One HTTP connection pool; safe to share among threads."""

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 60.0) -> None:
        """`timeout` is in seconds, for each step: to connect, and between two pieces of an answer."""
        if token is not None and not (token.isascii() and token.isprintable()):
            raise Unauthenticated("The token has a character that no token has.", mend="Copy it again, whole.")
        headers = {"authorization": f"Bearer {token}"} if token else {}
        try:
            # without TLS there is no certificate to check, and reading the authorities takes 25 ms
            self.http = httpx.Client(
                base_url=url.rstrip("/"), headers=headers, timeout=timeout, verify=url.startswith("https")
            )
        except httpx.InvalidURL as error:
            raise Invalid(f"{url!r} is not an address: {error}.", mend="Write http://HOST:PORT.") from None
        self._blobs = RemoteBlobs(self)

    @property
    def blobs(self) -> Blobs:
        return self._blobs

    @property
    def principal(self) -> Principal:
        return _read(self.send("GET", f"{API}/whoami", again=True), Principal)

    def call(self, room: Room, operation: Operation[Any, Any, Any, Any], arguments: dict[str, Any]) -> Any:
        """See `Caller.call`. An operation that only reads is sent once more if the connection breaks."""
        accepted = {name: value for name, value in operation.accept(arguments).items() if name in arguments}
        path, again = f"{API}/{operation.path}", not operation.writes
        return _read(self.send("POST", path, again=again, content=encode(accepted), headers=_JSON), operation.types()[1])

    @property
    def opened(self) -> httpx.Client:
        """The connections; `Unavailable` once they were given back."""
        if self.http.is_closed:
            told = f"The workspace at {self.http.base_url} was closed here."
            raise Unavailable(told, mend="Open it again: mw.connect(address).")
        return self.http

    def send(self, method: str, path: str, *, again: bool = False, **options: Any) -> httpx.Response:
        """One request; an error answer is raised as the error it stands for. `again`: twice does no harm."""
        try:
            answer = self.opened.request(method, path, **options)
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            if again and not isinstance(error, httpx.ConnectError):
                return self.send(method, path, **options)
            raise self.unreachable(error) from None
        except httpx.RequestError as error:
            raise self.unreachable(error) from None
        if answer.is_error:
            raise error_of(answer)
        return answer

    def unreachable(self, error: Exception) -> Unavailable:
        """What a failure on the way means: whether the request can have had an effect decides what is to be done."""
        told = str(error).rstrip(".") or type(error).__name__
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol):
            mend = "Start it with `mw up`, or check the address."
            return Unavailable(f"The server at {self.http.base_url} does not answer: {told}.", mend=mend)
        mend = "Look whether what you asked for has happened before you try again."
        return Unavailable(f"The server at {self.http.base_url} stopped answering: {told}.", mend=mend)

    def close(self) -> None:
        """Give the connections back."""
        self.http.close()


class RemoteBlobs:
    """Objects behind a server. What is sent or fetched is checked against its digest at this end too."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def put(self, data: bytes | memoryview | Path | Iterable[bytes]) -> str:
        """See `Blobs.put`. A file or bytes that the server has already are not sent again."""
        from blake3 import blake3

        if isinstance(data, memoryview):
            data = bytes(data)
        if isinstance(data, bytes | Path):
            digest = digest_bytes(data) if isinstance(data, bytes) else digest_file(data)
            if self.exists(digest):
                return digest
        hasher = blake3()

        def pieces() -> Iterator[bytes]:
            for piece in [data] if isinstance(data, bytes) else read_chunks(data) if isinstance(data, Path) else data:
                hasher.update(piece)
                yield piece

        answer = self._remote.send("POST", f"{API}/objects", content=pieces(), headers=_OCTETS)
        stored: str = _read(answer, dict[str, str])["digest"]
        if stored != hasher.hexdigest():
            raise Corrupt(f"The server stored other bytes than were sent: {stored}.", mend="Try again.")
        return stored

    def read(self, digest: str) -> bytes:
        return b"".join(self.stream(digest))

    def stream(self, digest: str) -> Iterator[bytes]:
        """See `Blobs.stream`. What breaks off is asked for once more, from there on.

        A server breaks off before the end of what is not what its digest says, too: then the rest shows that here.
        """
        from blake3 import blake3

        hasher, arrived = blake3(), 0
        try:
            for piece in self._from(digest, 0):
                hasher.update(piece)
                arrived += len(piece)
                yield piece
        except httpx.RequestError as error:
            if not arrived or isinstance(error, httpx.ConnectError):
                raise self._remote.unreachable(error) from None
            try:
                for piece in self._from(digest, arrived):
                    hasher.update(piece)
                    yield piece
            except httpx.RequestError:
                raise self._remote.unreachable(error) from None
        if hasher.hexdigest() != digest:
            raise Corrupt(
                f"The object {digest} arrived with other bytes than its digest says.",
                mend="Look for damage where the server runs: mw doctor.",
                details={"digest": digest, "found": hasher.hexdigest()},
            )

    def _from(self, digest: str, start: int) -> Iterator[bytes]:
        """The pieces of an object from a byte on."""
        headers = {"range": f"bytes={start}-"} if start else {}
        with self._remote.opened.stream("GET", f"{API}/objects/{digest}", headers=headers) as answer:
            if answer.is_error:
                answer.read()
                raise error_of(answer)
            if start and answer.status_code != _PARTIAL:
                raise httpx.RemoteProtocolError("the server does not send the rest alone")
            yield from answer.iter_bytes(CHUNK)

    def part(self, digest: str, start: int, end: int) -> Iterator[bytes]:
        """See `Blobs.part`. The digest of the whole cannot be checked."""
        if start >= end:
            return
        wanted = {"range": f"bytes={start}-{end - 1}"}
        try:
            with self._remote.opened.stream("GET", f"{API}/objects/{digest}", headers=wanted) as answer:
                if answer.is_error:
                    answer.read()
                    raise error_of(answer)
                if answer.status_code != httpx.codes.PARTIAL_CONTENT:
                    raise _stranger(answer)
                yield from answer.iter_bytes(CHUNK)
        except httpx.RequestError as error:
            raise self._remote.unreachable(error) from None

    def fetch(self, digest: str, path: Path) -> Path:
        part = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
        try:
            with part.open("xb") as file:
                file.writelines(self.stream(digest))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    def exists(self, digest: str) -> bool:
        try:
            self.size(digest)
        except NotFound:
            return False
        return True

    def size(self, digest: str) -> int:
        try:
            answer = self._remote.send("HEAD", f"{API}/objects/{digest}", again=True)
        except Denied:  # why, an answer to HEAD cannot say
            answer = self._remote.send("GET", f"{API}/objects/{digest}", again=True, headers={"range": "bytes=0-0"})
        if "x-object-size" not in answer.headers:
            raise _stranger(answer)
        return int(answer.headers["x-object-size"])


def error_of(answer: httpx.Response) -> ModelwrightError:
    """The error that an HTTP answer stands for."""
    if not _is_json(answer):
        return _stranger(answer)
    try:
        told = msgspec.json.decode(answer.content)["error"]
        return error_for(told["code"], told["message"], mend=told.get("mend", ""), details=told.get("details", {}))
    except (msgspec.MsgspecError, KeyError, TypeError):
        kind = _BY_STATUS.get(answer.status_code, Unavailable)
        return kind(f"The server answered {answer.status_code} for {answer.request.url.path} without saying why.")


def _read(answer: httpx.Response, wanted: type[T]) -> T:
    if not _is_json(answer):
        raise _stranger(answer)
    return decode(answer.content, wanted)


def _is_json(answer: httpx.Response) -> bool:
    return str(answer.headers.get("content-type", "")).partition(";")[0] == "application/json"


def _stranger(answer: httpx.Response) -> Unavailable:
    """For an answer that no server of ours gives; 503 is what ours says, in plain text, when it has too many guests."""
    where = f"{answer.request.url.scheme}://{answer.request.url.netloc.decode()}"
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return Unavailable(f"The server at {where} has too much to do.", mend="Try again in a moment.")
    return Unavailable(
        f"What answers at {where} is not a Modelwright server: it says {answer.status_code}.", mend="Check the address."
    )
