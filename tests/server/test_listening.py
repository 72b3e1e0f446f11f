"""How a server takes its port."""

from __future__ import annotations

import socket

import pytest

from modelwright.core.errors import Conflict, Invalid
from modelwright.server.listening import address_of, take


def test_answers_are_sent_at_once_and_do_not_wait_for_an_acknowledgement() -> None:
    """asyncio sets TCP_NODELAY only where the socket names its protocol."""
    with take("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
        assert address_of(listener).startswith("http://127.0.0.1:")


def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    with take("127.0.0.1", 0) as listener, pytest.raises(Conflict, match="cannot be listened on"):
        take("127.0.0.1", listener.getsockname()[1])


def test_a_number_that_is_no_port_is_told() -> None:
    with pytest.raises(Invalid, match="is not a port"):
        take("127.0.0.1", 70000)
