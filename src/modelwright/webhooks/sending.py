"""One attempt to deliver: to the address that was looked at, without following redirects, reading little of the answer."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import datetime
from email.utils import parsedate_to_datetime

from modelwright.core.errors import Invalid
from modelwright.webhooks.address import Resolve, aim, resolve
from modelwright.webhooks.records import Answer, Outgoing
from modelwright.webhooks.telling import request

MOST_READ = 4096  # bytes of an answer
MOST_WAIT = 3600.0  # seconds that a receiver can ask to be left alone
AGENT = "modelwright-webhooks"


class Sender:
    """Sends, and tells what came of it; it never raises for what a receiver does."""

    def __init__(self, allowed: Collection[str], *, timeout: float, resolving: Resolve = resolve) -> None:
        self._allowed = frozenset(each.lower() for each in allowed)
        self._timeout = timeout
        self._resolving = resolving

    def send(self, outgoing: Outgoing, now: datetime) -> Answer:
        """Try once."""
        import httpx

        try:
            target = aim(outgoing.url, self._allowed, resolving=self._resolving)
        except Invalid as error:
            return Answer(status=0, error=str(error))  # not to be tried again: see `Answer.again`
        except OSError as error:
            return Answer(error=f"{error}.")
        headers, body = request(outgoing, seconds=int(now.timestamp()))
        headers |= {"Host": target.authority, "User-Agent": AGENT}
        named = {"sni_hostname": target.host}  # the certificate must be that of the name
        until = time.monotonic() + self._timeout
        try:
            with (
                httpx.Client(trust_env=False, follow_redirects=False, timeout=self._timeout) as client,
                client.stream("POST", target.url, content=body, headers=headers, extensions=named) as answer,
            ):
                read = b""
                for piece in answer.iter_raw():  # as it comes: a receiver that answers byte by byte is left in time, too
                    read += piece
                    if len(read) >= MOST_READ or time.monotonic() > until:
                        break
                wait = _wait(answer.headers.get("retry-after", ""), now)
                return Answer(status=answer.status_code, body=read[:MOST_READ].decode("utf-8", "replace"), wait=wait)
        except httpx.HTTPError as error:
            return Answer(error=f"{type(error).__name__}: {error}"[:500])


def _wait(header: str, now: datetime) -> float | None:
    """What Retry-After asks for, in seconds."""
    if header.isascii() and header.isdigit() and len(header) < 9:
        return min(float(header), MOST_WAIT)
    try:
        asked = (parsedate_to_datetime(header) - now).total_seconds()
    except (TypeError, ValueError):
        return None
    return min(max(asked, 0.0), MOST_WAIT)
