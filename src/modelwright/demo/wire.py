"""A plain connection to a server: a replay asks thousands of times, and a larger client takes longer than the answer."""

from __future__ import annotations

import http.client
import select
from typing import Any
from urllib.parse import urlsplit

import msgspec

from modelwright.core.errors import Unavailable

PATIENCE = 60.0  # seconds that an answer may take


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    body: bytes

    @property
    def good(self) -> bool:
        """Whether it is what was asked for."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body as the JSON that it is."""
        return msgspec.json.decode(self.body)


class Wire:
    """One connection that is kept, for one thread."""

    def __init__(self, url: str, token: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}

    def request(self, method: str, path: str, value: Any = None) -> Answer:
        """Ask, with a value as JSON if there is one; `Unavailable` when the server went away."""
        if self._ended():
            self._connection.close()
        body = None if value is None else msgspec.json.encode(value)
        try:
            self._connection.request(method, path, body, self._headers)
            answer = self._connection.getresponse()
            return Answer(answer.status, answer.read())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unavailable(f"The server went away: {error}.") from None

    def _ended(self) -> bool:
        """Whether the server has closed the connection meanwhile: nothing else makes it readable between two questions."""
        return self._connection.sock is not None and bool(select.select([self._connection.sock], [], [], 0)[0])

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
