"""Features online over HTTP: a hot path that goes past routing, transactions and the record.

POST /features/online   {"views": ["features:weather"], "keys": [{"origin": "JFK"}], "now": ..., "max_age": "1h"}
                        and where the data are for some purposes alone, "purpose": "credit-risk";
                        answers {"names": [...], "rows": [[...], ...], "views": [the versions]}, or with
                        Accept: application/vnd.apache.arrow.stream the same as an Arrow table

A client that sends one after the other with the same head takes the shortcut from the second on: its reads of the present
are answered together with those that come in the same turn of the loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from starlette.requests import Request

from modelwright.core.errors import Invalid, ModelwrightError
from modelwright.core.operations import Resource
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import decoder
from modelwright.features.reading import OnlineReader
from modelwright.server.gathering import MOST, Answers, Gathering, Read
from modelwright.server.requests import Doorkeeper, speaks
from modelwright.server.security import Guard, send_error
from modelwright.server.shortcuts import Line, Shortcut
from modelwright.workspace import Workspace

PATH: Final = "/features/online"
ARROW: Final = "application/vnd.apache.arrow.stream"
VERB: Final = "read"
FRESH: Final = 1.0  # seconds for which `features:weather` stays the version that it was found to be
MOST_KEYS: Final = 10_000
RENEWED: Final = 0.8  # of that time, after which it is looked up anew while reads go on
INLINE: Final = MOST  # keys of a store on this machine that are read without a thread

MOST_LISTED: Final = 1000  # texts of views that are remembered
LONGEST_LISTED: Final = 4096  # bytes of one of them

Named = tuple[object, ...]  # whose reader of what


class Asking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a read."""

    views: list[Ref]
    keys: list[dict[str, Any]]
    now: datetime | list[datetime] | None = None
    max_age: str | None = None
    purpose: str = ""


class _Hurried(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body as the shortcut takes it: what is read at another time, or must be so and so fresh, goes the long way."""

    views: msgspec.Raw
    keys: list[dict[str, Any]]
    purpose: str = ""


class OnlineReads:
    """The ASGI application of the one path; every view that is read needs the right to read it."""

    path = PATH
    methods = ("POST",)
    needs = VERB

    def __init__(self, workspace: Workspace, door: Doorkeeper) -> None:
        self._workspace = workspace
        self._door = door
        self._decode = decoder(Asking).decode
        self._readers: dict[Named, tuple[float, Answers]] = {}  # with when it was asked for
        self._making: dict[Named, asyncio.Future[Answers]] = {}
        self._decode_hurried = msgspec.json.Decoder(_Hurried).decode
        self._listed: dict[bytes, list[Ref]] = {}  # views by their text in bodies
        self._gathering = Gathering()

    def answers(self, scope: Any) -> bool:
        """Whether a request is for here: a page of the same path is asked for with GET."""
        return bool(scope["path"] == PATH and scope["method"] == "POST")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            kind, content = await self._answer(Request(scope, receive))
        except ModelwrightError as error:
            await send_error(send, error)
            return
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def shortcut(self, scope: Any, guard: Guard) -> Shortcut | None:
        """See `shortcuts.Offering`: for those who want JSON."""
        headers, client = dict(scope["headers"]), scope["client"]
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json" or ARROW.encode() in headers.get(b"accept", b""):
            return None
        who = self._door.recognising(client[0] if client else "", headers.get(b"authorization", b"").decode("latin-1"))
        return _Hurry(self, who, guard)

    def hurried(self, principal: Principal, body: bytes, line: Line, guard: Guard) -> bool:
        """Read along with others, if the reader is there and all of it was asked and allowed a moment ago."""
        try:
            asking = self._decode_hurried(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        views = self._views(bytes(asking.views))
        held = self._readers.get(_named(principal, asking.purpose, views))
        if held is None or time.monotonic() >= held[0] + FRESH * RENEWED or len(asking.keys) > INLINE:
            return False
        if not held[1].reader.near or not (
            principal.trusted or all(self._door.may(principal, VERB, _resource(view)) for view in views)
        ):
            return False
        self._gathering.add(Read(held[1], asking.keys, line), guard)
        return True

    def _views(self, text: bytes) -> list[Ref]:
        """The views that are named in a body; none where it names no such."""
        found = self._listed.get(text)
        if found is None:
            try:
                found = _decode_views(text)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                found = []
            if len(self._listed) > MOST_LISTED:
                self._listed.clear()
            if len(text) <= LONGEST_LISTED:
                self._listed[text] = found
        return found

    async def _answer(self, request: Request) -> tuple[str, bytes]:
        principal = await self._door.principal(request)
        speaks(request, "application/json")
        asking = self._read(await request.body())
        for view in asking.views:
            await self._door.allowed(principal, VERB, _resource(view))
        answers = await self._reader(principal, asking)
        reader = answers.reader
        arrow = ARROW in request.headers.get("accept", "")

        def work() -> tuple[str, bytes]:
            return self._arrow(reader, asking) if arrow else self._json(answers, asking)

        if reader.near and not arrow and len(asking.keys) <= INLINE:
            return work()
        return await self._door.run(principal, work)

    async def _reader(self, principal: Principal, asking: Asking) -> Answers:
        """The reader of these views, at most `FRESH` old. All who want one at once wait for the same.

        It is made anew shortly before its time is over, while reads go on with the old one.
        """
        named, now = _named(principal, asking.purpose, asking.views), time.monotonic()
        held = self._readers.get(named)
        if held is not None and now < held[0] + FRESH * RENEWED:
            return held[1]
        making = self._making.get(named)
        if making is None:
            making = self._making[named] = asyncio.ensure_future(self._made(named, principal, asking, now))
            making.add_done_callback(lambda done: self._ended(named, done))
        if held is not None and now < held[0] + FRESH:
            return held[1]
        return await asyncio.shield(making)  # who hangs up leaves it to the others

    async def _made(self, named: Named, principal: Principal, asking: Asking, now: float) -> Answers:
        features = self._workspace.features
        reader = await self._door.run(principal, lambda: features.reader(asking.views, purpose=asking.purpose))
        if len(self._readers) > 1000:
            self._readers.clear()
        answers = Answers(reader)
        self._readers[named] = now, answers
        return answers

    def _ended(self, named: Named, done: asyncio.Future[Answers]) -> None:
        self._making.pop(named, None)
        if not done.cancelled() and done.exception() is not None:  # whoever waits is told; the old one is not kept on
            self._readers.pop(named, None)

    def _read(self, body: bytes) -> Asking:
        try:
            asking: Asking = self._decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid(f"The body is no read of features: {error}.") from None
        if not asking.views:
            raise Invalid("No view is named.", mend='Name some: {"views": ["features:weather"], "keys": [...]}')
        for view in asking.views:
            if view.kind is not Kind.FEATURES:
                raise Invalid(f"{view} is no feature view.")
        if len(asking.keys) > MOST_KEYS:
            raise Invalid(f"{len(asking.keys)} keys in one read; it takes {MOST_KEYS} at most.", mend="Send several.")
        return asking

    @staticmethod
    def _json(answers: Answers, asking: Asking) -> tuple[str, bytes]:
        rows = answers.reader.values(asking.keys, now=asking.now, max_age=asking.max_age)
        return "application/json", answers.of(rows)

    @staticmethod
    def _arrow(reader: OnlineReader, asking: Asking) -> tuple[str, bytes]:
        import pyarrow as pa

        table = reader.table(asking.keys, now=asking.now, max_age=asking.max_age)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return ARROW, sink.getvalue().to_pybytes()


class _Hurry:
    """See `shortcuts.Shortcut`: whoever sends the same head as before."""

    def __init__(self, reads: OnlineReads, who: Callable[[], Principal | None], guard: Guard) -> None:
        self._reads = reads
        self._who = who
        self._guard = guard

    def take(self, body: bytes, line: Line) -> bool:
        principal = self._who()
        return principal is not None and self._reads.hurried(principal, body, line, self._guard)


_decode_views = decoder(list[Ref]).decode


def _named(principal: Principal, purpose: str, views: Sequence[Ref]) -> Named:
    """Whose reader of what: what is masked differs from one to the other."""
    return (None if principal.trusted else principal, purpose, *views)


def _resource(view: Ref) -> Resource:
    return Resource(Kind.FEATURES, view.name)
