"""Content of any size, in and out, in constant memory: received into an object, sent from one.

What comes is laid into memory in whole pages, two megabytes at a time, and hashed and written from there in a thread while
the next come; what goes is read and hashed in a thread while the piece before it goes. A thread works only while there is
something to do: a slow sender or reader holds none.
"""

from __future__ import annotations

import asyncio
import functools
import mmap
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import quote

import anyio
from blake3 import blake3
from starlette.requests import Request
from starlette.responses import Response

from modelwright.core.errors import Invalid
from modelwright.store.objects import Incoming, Objects

T = TypeVar("T")
BATCH = 1 << 21  # bytes
Admit = Callable[[Request, str], Awaitable[None]]
THREADS = 16  # that write or read at once
MOST_FREE = 4  # buffers of a batch that are kept for the next who send
POLICY = "default-src 'none'; sandbox"  # of content that somebody else wrote, should a browser show it after all
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class RangeNotSatisfiable(Invalid):
    code = "range-not-satisfiable"
    status = 416


class Transfer:
    """Objects in and out over HTTP."""

    def __init__(self, objects: Objects, admit: Admit) -> None:
        """`admit` raises where an object is not for whoever asks, by whatever name they came to it."""
        self._objects = objects
        self.admit = admit
        self._threads = anyio.CapacityLimiter(THREADS)
        self._free: list[mmap.mmap] = []  # buffers that nobody uses

    async def receive(
        self, stream: AsyncIterator[bytes], done: Callable[[str, int], T], *, first: Callable[[], object] | None = None
    ) -> T:
        """Write a stream into an object, and call `done` with its digest and size (in the thread) once it is kept.

        `first` is called in the thread before a byte is written, and raises where none is to be. Should the sender go
        away, that is raised here, and nothing is kept.
        """
        taking = _Intake(self._objects, first)
        buffer, spare, filled = self._buffer(), None, 0
        writing: asyncio.Future[None] | None = None
        try:
            async for piece in stream:
                rest = memoryview(piece)
                while len(rest):
                    taken = min(len(rest), BATCH - filled)
                    buffer[filled : filled + taken] = rest[:taken]
                    filled, rest = filled + taken, rest[taken:]
                    if filled == BATCH:
                        if writing is not None:
                            await writing
                        writing = self._begin(functools.partial(taking.write, memoryview(buffer)))
                        buffer, spare, filled = spare or self._buffer(), buffer, 0
            if writing is not None:
                await writing
            ended = await self._thread(functools.partial(taking.end, memoryview(buffer)[:filled], done))
        finally:
            await _settled(writing)
            taking.close()
        self._free += [buffer, spare] if spare is not None else [buffer]  # no thread can be at them now
        del self._free[MOST_FREE:]
        return ended

    async def join(self, digests: Sequence[str], done: Callable[[str, int], T]) -> T:
        """Write several objects one after the other into one, and call `done` as `receive` does."""

        def work() -> T:
            with self._objects.incoming() as incoming:
                for digest in digests:
                    for piece in self._objects.stream(digest):
                        incoming.write(piece)
                return done(incoming.keep(), incoming.size)

        return await self._thread(work)

    async def are_joined(self, digests: Sequence[str], whole: str, size: int) -> bool:
        """Whether an object of that digest and size is those, one after the other."""

        def work() -> bool:
            if sum(map(self._objects.size, digests)) != size:
                return False
            hasher = blake3()
            for digest in digests:
                for piece in self._objects.stream(digest):
                    hasher.update(piece)
            return hasher.hexdigest() == whole

        return await self._thread(work)

    def content(self, request: Request, digest: str, size: int, *, name: str, media_type: str) -> Content:
        """An object as the answer to a request for it."""
        return Content(self, request, digest, size, name=name, media_type=media_type)

    async def send(self, send: Any, digest: str, start: int, end: int, size: int, head: Any) -> None:
        """Send an answer's head and the bytes of an object from `start` up to `end`.

        A piece goes out while the one after the next is read, and never before the next is there: so the last goes only
        after the whole was verified, and what is missing is told before the head.
        """
        whole = end - start == size
        pieces = self._objects.stream(digest) if whole else self._objects.part(digest, start, end)

        def next_piece() -> bytes:
            return next(pieces, b"")

        piece = await self._thread(next_piece)
        following = await self._thread(next_piece) if piece else b""
        await send(head)
        while piece:
            reading = self._begin(next_piece) if following else None
            try:
                await send({"type": "http.response.body", "body": piece, "more_body": bool(following)})
                piece, following = following, await reading if reading is not None else b""
            finally:
                await _settled(reading)

    def _buffer(self) -> mmap.mmap:
        """Memory for a batch, in whole pages: where there is any, some that was used, since the first touch costs most."""
        return self._free.pop() if self._free else mmap.mmap(-1, BATCH)

    def _begin(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.ensure_future(self._thread(work))

    async def _thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._threads)


class Content(Response):
    """An object as a download: whole or a range of it, as an attachment that no browser takes for a page.

    The whole is verified while it is read: what is not what its digest says ends in a broken connection before the last of
    it is sent. A range cannot be verified; the ETag is the digest of the whole.
    """

    def __init__(self, transfer: Transfer, request: Request, digest: str, size: int, *, name: str, media_type: str) -> None:
        self.background = None
        self._transfer, self._request, self._digest, self._size = transfer, request, digest, size
        self._bare = request.method == "HEAD"
        etag = f'"{digest}"'
        self.start, self.end, self.status_code = 0, size, 200
        if etag in [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]:
            self.status_code, self.end, self._bare = 304, 0, True
        elif "range" in request.headers and request.headers.get("if-range", etag) == etag:
            self._cut(request.headers["range"])
        headers = {
            "content-disposition": disposition(name),
            "content-type": media_type or "application/octet-stream",
            "x-content-type-options": "nosniff",
            "content-security-policy": POLICY,
            "cache-control": "private, no-cache",  # a name may come to stand for another content: ask, with the ETag
            "accept-ranges": "bytes",
            "etag": etag,
        }
        if self.status_code != 304:
            headers["content-length"] = str(self.end - self.start)
        if self.status_code == 206:
            headers["content-range"] = f"bytes {self.start}-{self.end - 1}/{size}"
        self.raw_headers = [(key.encode(), value.encode("latin-1")) for key, value in headers.items()]

    def _cut(self, wanted: str) -> None:
        """Take in a Range header; one that asks for several ranges, or for something else than bytes, is passed over."""
        found = _RANGE.fullmatch(wanted.strip())
        if found is None or found.groups() == ("", ""):
            return
        first, last = found.groups()
        if first:
            start, end = int(first), min(int(last) + 1, self._size) if last else self._size
        else:
            start, end = max(0, self._size - int(last)), self._size
        if start >= end:
            raise RangeNotSatisfiable(f"The content has {self._size} bytes, and {wanted[:60]!r} is not among them.")
        self.start, self.end, self.status_code = start, end, 206

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it."""
        await self._transfer.admit(self._request, self._digest)
        head = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        if self._bare or self.end == self.start:
            await send(head)
            await send({"type": "http.response.body", "body": b""})
        else:
            await self._transfer.send(send, self._digest, self.start, self.end, self._size, head)


def disposition(name: str) -> str:
    """The header that has a browser save a file, under its own name."""
    file = name.rpartition("/")[2]
    plain = "".join(char if " " <= char <= "~" and char not in '"\\%' else "_" for char in file)
    exact = f"; filename*=UTF-8''{quote(file, safe='')}" if plain != file else ""
    return f'attachment; filename="{plain}"{exact}'


class _Intake:
    """An object on its way in, made with the first of it that is written; in one thread at a time."""

    def __init__(self, objects: Objects, first: Callable[[], object] | None) -> None:
        self._objects = objects
        self._first = first
        self._incoming: Incoming | None = None

    def write(self, piece: memoryview) -> None:
        self._opened().write(piece)

    def end(self, piece: memoryview, done: Callable[[str, int], T]) -> T:
        """Write the last of it and keep it."""
        incoming = self._opened()
        incoming.write(piece)
        return done(incoming.keep(), incoming.size)

    def close(self) -> None:
        if self._incoming is not None:
            self._incoming.close()

    def _opened(self) -> Incoming:
        if self._incoming is None:
            if self._first is not None:
                self._first()
            self._incoming = self._objects.incoming()
        return self._incoming


async def _settled(work: asyncio.Future[Any] | None) -> None:
    """Wait for what is still at work in a thread, whatever comes of it: its file must not be closed under it."""
    if work is not None and not work.done():
        with anyio.CancelScope(shield=True), suppress(Exception):
            await work
