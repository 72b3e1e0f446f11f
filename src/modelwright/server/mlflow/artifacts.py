"""The artifact proxy: files by MLflow's addresses, in and out in constant memory, and the listings of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar

import msgspec
from starlette.responses import Response

from modelwright.core.errors import Invalid, ModelwrightError, NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import (
    Artifact,
    Artifacts,
    BadFileName,
    Located,
    Upload,
    UploadPart,
    check_folder,
    media_type_of,
)
from modelwright.server.mlflow.errors import NOT_OFFERED, MlflowError, invalid, missing
from modelwright.server.mlflow.messages import Message, lacking, read_body, read_query
from modelwright.server.mlflow.routing import Call, Endpoint
from modelwright.server.mlflow.version_files import VersionFiles
from modelwright.server.routing import SIGNED_IN
from modelwright.server.transfer import Transfer
from modelwright.store import acting_as

ROOT = "/2.0/mlflow-artifacts"
SCHEME = "mlflow-artifacts:/"
Target = tuple[Ref, str]  # what a file belongs to, and its name there
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,255}")


class Proxy:
    """What answers below `mlflow-artifacts`, and the older addresses of the same files."""

    def __init__(self, artifacts: Artifacts, versions: VersionFiles, transfer: Transfer) -> None:
        self._artifacts = artifacts
        self._versions = versions
        self._transfer = transfer

    async def put(self, call: Call) -> Any:
        """Take a file in. The right is asked before the first byte of it is stored, and again when the last one is."""
        place = _place(call)
        if call.scope["query_string"] or place != call.parts["path"]:  # `x?y` would become x, and so would `x/`
            raise invalid("Invalid path: a file's name holds no question mark, and no slash at its end.")
        await self._take(call, place)
        return {}

    async def get(self, call: Call) -> Any:
        """Give a file out."""
        place = _place(call)
        if self._versions.covers(place):
            found = await call.run(_named(place, lambda: self._versions.find(place)))
            return self._content(call, found)
        return await self._give(call, place, await call.run(_named(place, lambda: self._artifacts.locate(place))))

    async def folder(self, call: Call) -> Any:
        """List a folder; paths are relative to it."""
        query = await call.message(Folder)
        place = checked_path(query.path)
        listed = self._versions.list if self._versions.covers(place) else self._listed
        found = await call.run(_named(place, lambda: listed(place)))
        return {"files": found} if found else {}

    async def delete(self, call: Call) -> Any:
        """Remove a file or a folder."""
        place = _place(call)

        def work() -> None:
            at = self._artifacts.admit(place)
            if not at.name and at.ref.kind is Kind.EXPERIMENT:
                raise invalid("Invalid path: everything below an experiment cannot be removed at once.")
            self._artifacts.remove(at.ref, at.name)

        await call.run(_named(place, work))
        return {}

    # The older addresses of the same files

    async def of_run(self, call: Call) -> Any:
        """`get-artifact`: a file of a run."""
        query = await call.message(OfRun)
        name = checked_path(query.path)
        if not name:
            raise lacking("path")
        return await self._file(call, run_ref(query.identity), name)

    async def upload(self, call: Call) -> Any:
        """`upload-artifact`: a file of a run, taken in."""
        query = _query(call)
        name, identity = checked_path(query.path), query.identity
        if not name:
            raise lacking("path")
        ref = run_ref(identity)

        def admit() -> Target:
            self._artifacts.add(ref, [])
            return ref, name

        await self._receive(call, _named(identity, admit))
        return {}

    async def list_run(self, call: Call) -> Any:
        """`artifacts/list`: a folder of a run; paths are relative to the run."""
        query = await call.message(OfRun)
        ref, folder = run_ref(query.identity), checked_path(query.path)
        work = _named(query.identity, lambda: (self._artifacts.root(ref), self._artifacts.list(ref, folder=folder)))
        root, found = await call.run(work)
        return {"root_uri": root, **({"files": list(shown(found))} if found else {})}

    def _listed(self, place: str) -> list[dict[str, Any]]:
        if not place:
            return [{"path": str(number), "is_dir": True} for number in self._artifacts.numbers()]
        at = self._artifacts.locate(place)
        found = self._artifacts.list(at.ref, folder=at.name)
        return [_shown(each, at.name) for each in found]

    async def _file(self, call: Call, ref: Ref, name: str) -> Response:
        found = await call.run(_named(name, lambda: self._artifacts.find(ref, name)))
        return self._content(call, found)

    def _content(self, call: Call, found: Artifact) -> Response:
        return self._transfer.content(call.request, found.digest, found.size, name=found.name, media_type=found.media_type)

    async def _give(self, call: Call, place: str, at: Located) -> Response:
        if at.file is None:
            raise missing(f"No such artifact: {place!r}")
        return self._transfer.content(
            call.request, at.file.digest, at.file.size, name=at.name, media_type=at.file.media_type
        )

    async def _take(self, call: Call, place: str) -> None:
        def admit() -> Target:
            at = self._artifacts.admit(place)
            if not at.name:
                raise invalid("Invalid path: it names a folder, not a file.")
            return at.ref, at.name

        await self._receive(call, _named(place, admit))

    async def _receive(self, call: Call, admit: Callable[[], Target]) -> None:
        """Take in the body of a request, for where `admit` says that it belongs."""
        principal, target = await call.principal(), list[Target]()

        def first() -> None:
            with acting_as(principal):
                target.append(admit())

        def done(digest: str, size: int) -> None:
            ((ref, name),) = target
            with acting_as(principal):
                self._artifacts.add(ref, [Artifact(name=name, digest=digest, size=size, media_type=media_type_of(name))])

        await self._transfer.receive(call.stream(), done, first=first)


class Parts:
    """Files that come in parts.

    The client sends parts without the credentials that it has for this server, so they are given back to it at first.
    """

    def __init__(self, artifacts: Artifacts, transfer: Transfer) -> None:
        self._artifacts = artifacts
        self._transfer = transfer

    async def begin(self, call: Call) -> Any:
        """Begin an upload: where each part goes, and with which headers it is let in."""
        place, wanted = _place(call), read_body(await call.body(), Begin)

        def work() -> Upload:
            at = self._artifacts.admit(place)
            return self._artifacts.begin_upload(at.ref, _file_of(at, wanted.path), parts=wanted.num_parts)

        made = await call.run(_named(place, work))
        base = f"{call.request.url.scheme}://{call.request.headers['host']}/api{ROOT}/mpu/part/{made.id}"
        sent = call.request.headers.get("authorization")
        headers = {"Authorization": sent} if sent else {}
        return {
            "upload_id": made.id,
            "credentials": [{"url": f"{base}/{n}", "part_number": n, "headers": headers} for n in range(1, made.parts + 1)],
        }

    async def part(self, call: Call) -> Any:
        """Take one part in; its ETag says what was stored."""
        upload, number = call.parts["upload"], call.parts["number"]
        if not (number.isascii() and number.isdigit() and len(number) < 6):
            raise invalid(f"Invalid value {number[:40]!r} for parameter 'part_number' supplied.")
        principal = await call.principal()

        def first() -> None:
            with acting_as(principal):
                self._artifacts.upload(upload)

        def done(digest: str, size: int) -> str:
            with acting_as(principal):
                self._artifacts.add_part(upload, UploadPart(number=int(number), digest=digest, size=size))
            return digest

        digest = await self._transfer.receive(call.stream(), done, first=first)
        return Response(status_code=200, headers={"etag": f'"{digest}"'})

    async def complete(self, call: Call) -> Any:
        """Make one file of the parts named, in order of their numbers, each as its ETag says.

        Who asks again since the answer was lost is told that it is done: the upload is over, and the file holds its parts.
        """
        place, wanted = _place(call), read_body(await call.body(), Complete)
        try:
            parts = await call.run(lambda: self._chosen(wanted))
        except NotFound:
            if await self._is_done(call, place, wanted):
                return {}
            raise
        principal = await call.principal()

        def done(digest: str, size: int) -> None:
            with acting_as(principal):
                name = self._artifacts.upload(wanted.upload_id).name
                whole = Artifact(name=name, digest=digest, size=size, media_type=media_type_of(name))
                self._artifacts.end_upload(wanted.upload_id, whole=whole)

        await self._transfer.join([part.digest for part in parts], done)
        return {}

    async def abort(self, call: Call) -> Any:
        """Forget an upload and its parts."""
        _place(call)
        wanted = await call.message(Abort)
        await call.run(lambda: self._artifacts.end_upload(wanted.upload_id))
        return {}

    async def _is_done(self, call: Call, place: str, wanted: Complete) -> bool:
        """Whether the file that the parts were to become is there, with their content."""

        def find() -> Artifact:
            at = self._artifacts.admit(place)
            return self._artifacts.find(at.ref, _file_of(at, wanted.path))

        parts = sorted(wanted.parts, key=lambda part: part.part_number)
        with suppress(ModelwrightError, MlflowError):
            held = await call.run(find)
            return await self._transfer.are_joined([part.etag.strip('"') for part in parts], held.digest, held.size)
        return False

    def _chosen(self, wanted: Complete) -> list[UploadPart]:
        here = {part.number: part for part in self._artifacts.parts(wanted.upload_id)}
        chosen = []
        for each in sorted(wanted.parts, key=lambda part: part.part_number):
            part = here.get(each.part_number)
            if part is None or each.etag.strip('"') != part.digest:
                raise invalid(
                    f"Part {each.part_number} of the upload is not here, or has another content than its ETag says."
                )
            chosen.append(part)
        if not chosen or [part.number for part in chosen] != list(range(1, len(chosen) + 1)):
            raise invalid("The parts of an upload are numbered from 1 without a gap.")
        return chosen


class Folder(Message):
    """Which folder to list."""

    path: str = ""


class OfRun(Message):
    """A file or a folder of a run, which goes by two names."""

    run_id: str = ""
    run_uuid: str = ""
    path: str = ""

    @property
    def identity(self) -> str:
        """The id of the run."""
        return self.run_id or self.run_uuid


class Begin(Message):
    """An upload that begins."""

    path: str = ""
    num_parts: int = 1


class Part(Message):
    """A part that was sent."""

    part_number: int = 0
    etag: str = ""


class Complete(Message):
    """An upload whose parts are all here."""

    needs: ClassVar[Sequence[str]] = ("upload_id",)
    path: str = ""
    upload_id: str = ""
    parts: list[Part] = msgspec.field(default_factory=list)


class Abort(Message):
    """An upload that will not be completed."""

    needs: ClassVar[Sequence[str]] = ("upload_id",)
    path: str = ""
    upload_id: str = ""


def endpoints(artifacts: Artifacts, versions: VersionFiles, transfer: Transfer) -> list[Endpoint]:
    """Every endpoint of the proxy."""
    proxy, parts = Proxy(artifacts, versions, transfer), Parts(artifacts, transfer)
    file = ROOT + "/artifacts/{path*}"
    return [
        Endpoint("PUT", file, proxy.put, needs="write"),
        Endpoint("GET", file, proxy.get, needs="read"),
        Endpoint("HEAD", file, proxy.get, needs="read"),
        Endpoint("DELETE", file, proxy.delete, needs="write"),
        Endpoint("GET", ROOT + "/artifacts", proxy.folder, needs="read"),
        Endpoint("POST", ROOT + "/mpu/create/{path*}", parts.begin, needs="write"),
        Endpoint("PUT", ROOT + "/mpu/part/{upload}/{number}", parts.part, needs="write"),
        Endpoint("POST", ROOT + "/mpu/complete/{path*}", parts.complete, needs="write"),
        Endpoint("POST", ROOT + "/mpu/abort/{path*}", parts.abort, needs="write"),
        Endpoint("GET", "/2.0/mlflow/artifacts/list", proxy.list_run, needs="read"),
        Endpoint("GET", "/get-artifact", proxy.of_run, needs="read"),
        Endpoint("POST", "/2.0/mlflow/upload-artifact", proxy.upload, needs="write"),
        Endpoint("GET", ROOT + "/presigned/{path*}", _no_presigned, needs=SIGNED_IN),
        Endpoint("POST", "/2.0/mlflow/artifacts/presigned-upload-url", _no_presigned, needs=SIGNED_IN),
        Endpoint("POST", "/2.0/mlflow/artifacts/presigned-download-url", _no_presigned, needs=SIGNED_IN),
    ]


async def _no_presigned(call: Call) -> Any:
    await call.principal()
    raise MlflowError(
        NOT_OFFERED,
        "Addresses signed in advance are not offered by this server: files go through it.",
        mend="Leave MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD unset; the plain path is at least as fast.",
    )


def run_ref(identity: str) -> Ref:
    """The ref of a run by its id."""
    if not identity:
        raise lacking("run_id")
    if not _RUN.fullmatch(identity):
        raise invalid(f"Invalid run ID: {identity[:100]!r}")
    return Ref(Kind.RUN, identity)


def shown(entries: Sequence[Any], below: str = "") -> Iterator[dict[str, Any]]:
    """Entries of a listing as MLflow tells them; their paths are relative to `below`."""
    return (_shown(each, below) for each in entries)


def _shown(entry: Any, below: str) -> dict[str, Any]:
    path = entry.name[len(below) + 1 :] if below else entry.name
    size = {} if entry.is_folder else {"file_size": entry.size}
    return {"path": path, "is_dir": entry.is_folder, **size}


def _place(call: Call) -> str:
    place = checked_path(call.parts["path"])
    if not place:
        raise invalid("Invalid path: it is empty.")
    return place


def checked_path(path: str) -> str:
    """A path from elsewhere, if it can name a file or a folder; empty for the root."""
    try:
        return check_folder(path)
    except BadFileName as error:
        raise invalid(f"Invalid path: {error}") from None


def _query(call: Call) -> OfRun:
    return read_query(call.scope["query_string"], OfRun)


def _file_of(at: Located, sent: str) -> str:
    """The name of a file that comes in parts: the address names its folder, the message the file as it is called there."""
    file = sent.replace("\\", "/").rpartition("/")[2]
    if not file:
        raise lacking("path")
    return checked_path(f"{at.name}/{file}" if at.name else file)


def _named(place: str, work: Callable[[], Any]) -> Callable[[], Any]:
    """The work, told in the words of whoever asked: what is not found, or not theirs to see, is the place they named."""

    def named() -> Any:
        try:
            return work()
        except BadFileName as error:
            raise invalid(f"Invalid path: {error}") from None
        except NotFound:
            raise missing(f"No such artifact: {place[:300]!r}") from None
        except Invalid as error:
            raise invalid(str(error)) from None

    return named
