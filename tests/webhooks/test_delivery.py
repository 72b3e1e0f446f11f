"""Events on their way: read from the ledger, signed, sent, tried again, and never lost."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from modelwright.core.clock import ManualClock
from modelwright.webhooks import (
    DeliveryState,
    Sender,
    Webhook,
    WebhookChange,
    WebhookFormat,
    Webhooks,
    WebhookSettings,
    WebhookStatus,
    WebhookTurn,
)
from modelwright.webhooks.records import Outgoing
from modelwright.workspace import Workspace
from tests.waiting import LONG, eventually

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Post:
    """A workspace, its webhooks by a clock that is set by hand, and the turn that delivers."""

    def __init__(self, here: Workspace, hosts: list[str], key: Path) -> None:
        assert here.home is not None
        self.here = here
        self.clock = ManualClock(BEGIN)
        self.rooms = Webhooks(
            here.home.caller(), settings=WebhookSettings(hosts=hosts, attempts=3), key=key, clock=self.clock
        )
        self.sender = Sender(hosts, timeout=LONG)
        self.turner = WebhookTurn(self.rooms, here.home.caller(), self.sender, lambda tx, event: ())

    def happen(self, name: str = "delay") -> None:
        """One event."""
        self.here.experiments.create(name)

    def turn(self) -> None:
        """A turn, and the attempts that it began: `end` would cancel those that no thread has come to yet."""
        self.turner.turn(BEGIN)
        eventually(lambda: not self.turner._under_way, "An end of the attempts")
        self.turner.end()

    def states(self, webhook: Webhook) -> list[DeliveryState]:
        return [each.state for each in self.rooms.deliveries(webhook.ref).items]


@pytest.fixture
def post(reaching: Workspace, receiver: Any) -> Iterator[Post]:
    assert reaching.home is not None
    yield Post(reaching, [receiver.host], reaching.home.folder / "keys" / "webhooks.key")


def test_an_event_is_told_as_a_cloud_event(post: Post, receiver: Any) -> None:
    post.happen("before")  # what happened before is not told
    made = post.rooms.create("chat", receiver.url, ["experiments"], secret="hush")
    post.happen("delay")
    post.turn()
    path, headers, body = receiver.wait(1)[0]
    event = json.loads(body)
    assert path == "/hook"
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert event["specversion"] == "1.0"
    assert event["type"] == "io.modelwright.experiments.experiment.created.v1"
    assert event["subject"] == "experiment:delay"
    assert event["data"]["action"] == "experiments.experiment.created"
    assert headers["webhook-id"] == event["id"]
    signed = f"{event['id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(b"hush", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert post.states(made) == [DeliveryState.DELIVERED]
    post.turn()
    assert len(receiver.got) == 1


def test_a_cloud_event_can_travel_in_headers(post: Post, receiver: Any) -> None:
    post.rooms.create("chat", receiver.url, ["experiments.experiment.created"], format=WebhookFormat.CLOUDEVENTS_BINARY)
    post.happen("pricing/late")
    post.turn()
    _, headers, body = receiver.wait(1)[0]
    assert headers["content-type"] == "application/json"
    assert headers["ce-type"] == "io.modelwright.experiments.experiment.created.v1"
    assert headers["ce-subject"] == "experiment:pricing/late"
    assert headers["ce-specversion"] == "1.0"
    assert "ce-datacontenttype" not in headers
    assert "webhook-signature" not in headers
    assert json.loads(body)["resource"] == "experiment:pricing/late"


def test_only_what_was_asked_for_is_told(post: Post, receiver: Any) -> None:
    post.rooms.create("models", receiver.url, ["models", "experiments.experiment.create"])
    post.happen()
    post.turn()
    assert receiver.got == []


@pytest.mark.parametrize("status", [500, 503, 429])
def test_what_may_go_better_is_tried_again_with_longer_waits(post: Post, receiver: Any, status: int) -> None:
    receiver.answers = [(status, {}, b"no"), (status, {}, b"no")]
    made = post.rooms.create("chat", receiver.url, ["experiments"])
    post.happen()
    post.turn()
    first = post.rooms.deliveries(made.ref).items[0]
    assert (first.state, first.attempts, first.status, first.error) == (DeliveryState.PENDING, 1, status, "no")
    post.turn()
    assert len(receiver.got) == 1  # it is not time yet
    post.clock.advance(timedelta(seconds=1.01))
    post.turn()
    second = post.rooms.deliveries(made.ref).items[0]
    assert second.due_at is not None and second.due_at - post.clock.now() > timedelta(seconds=1.2)
    post.clock.advance(timedelta(seconds=2.1))
    post.turn()
    assert post.states(made) == [DeliveryState.DELIVERED]
    ids = [headers["webhook-id"] for _, headers, _ in receiver.got]
    assert len(ids) == 3 and len(set(ids)) == 1


def test_a_receiver_may_ask_to_be_left_alone(post: Post, receiver: Any) -> None:
    receiver.answers = [(429, {"Retry-After": "120"}, b"")]
    made = post.rooms.create("chat", receiver.url, ["experiments"])
    post.happen()
    post.turn()
    due = post.rooms.deliveries(made.ref).items[0].due_at
    assert due is not None and timedelta(seconds=119) < due - post.clock.now() <= timedelta(seconds=120)


def test_it_is_given_up_in_the_end_and_can_be_sent_by_hand(post: Post, receiver: Any) -> None:
    receiver.answers = [(500, {}, b"")] * 3
    made = post.rooms.create("chat", receiver.url, ["experiments"])
    post.happen()
    for _ in range(3):
        post.turn()
        post.clock.advance(timedelta(minutes=1))
    given_up = post.rooms.deliveries(made.ref).items[0]
    assert (given_up.state, given_up.attempts) == (DeliveryState.FAILED, 3)
    post.turn()
    assert len(receiver.got) == 3
    post.rooms.redeliver(made.ref, given_up.id, reason="the receiver is mended")
    post.turn()
    assert post.states(made) == [DeliveryState.DELIVERED]


@pytest.mark.parametrize(
    ("status", "headers"), [(400, {}), (404, {}), (301, {"Location": "http://localhost/"}), (307, {"Location": "/other"})]
)
def test_an_answer_that_the_request_is_wrong_ends_it(post: Post, receiver: Any, status: int, headers: Any) -> None:
    receiver.answers = [(status, headers, b"")]
    made = post.rooms.create("chat", receiver.url, ["experiments"])
    post.happen()
    post.turn()
    post.clock.advance(timedelta(hours=1))
    post.turn()
    assert post.states(made) == [DeliveryState.FAILED]
    assert [path for path, _, _ in receiver.got] == ["/hook"]  # and no redirect is followed


def test_a_receiver_that_is_gone_is_told_nothing_more(post: Post, receiver: Any) -> None:
    receiver.answers = [(410, {}, b"")]
    made = post.rooms.create("chat", receiver.url, ["experiments"])
    post.happen("a")
    post.turn()
    assert post.rooms.show(made.ref).status is WebhookStatus.DISABLED
    post.happen("b")
    post.turn()
    assert len(receiver.got) == 1


def test_a_receiver_that_is_not_there_is_tried_again(post: Post, receiver: Any) -> None:
    made = post.rooms.create("chat", receiver.url, ["experiments"])
    receiver.server.shutdown()
    receiver.server.server_close()
    post.happen()
    post.turn()
    found = post.rooms.deliveries(made.ref).items[0]
    assert (found.state, found.status) == (DeliveryState.PENDING, None)
    assert "ConnectError" in found.error


def test_a_name_that_comes_to_mean_an_address_inside_is_not_reached(post: Post, receiver: Any) -> None:
    post.turner._sender = Sender([], timeout=LONG, resolving=lambda host, port: ["127.0.0.1"])
    made = post.rooms.create("chat", f"https://hooks.example.com:{receiver.host.partition(':')[2]}/", ["experiments"])
    post.happen()
    post.turn()
    found = post.rooms.deliveries(made.ref).items[0]
    assert (found.state, receiver.got) == (DeliveryState.FAILED, [])
    assert "public internet" in found.error


def test_what_happens_while_it_is_disabled_is_not_told(post: Post, receiver: Any) -> None:
    made = post.rooms.create("chat", receiver.url, ["experiments"], status=WebhookStatus.DISABLED)
    post.happen("a")
    post.turn()
    post.rooms.update(made.ref, WebhookChange(status=WebhookStatus.ACTIVE))
    post.happen("b")
    post.turn()
    assert [json.loads(body)["subject"] for _, _, body in receiver.wait(1)] == ["experiment:b"]


def test_nothing_is_lost_when_the_process_dies(post: Post, receiver: Any) -> None:
    made = post.rooms.create("chat", receiver.url, ["experiments"], secret="hush")
    post.happen("a")
    post.turner._sender = _Dies()  # the attempt ends without being written down
    post.turn()
    assert post.states(made) == [DeliveryState.PENDING]
    post.happen("b")
    assert post.here.home is not None
    again = Post(post.here, [receiver.host], post.here.home.folder / "keys" / "webhooks.key")
    again.turn()
    told = sorted(json.loads(body)["subject"] for _, _, body in receiver.wait(2))
    assert told == ["experiment:a", "experiment:b"]


class _Dies(Sender):
    def __init__(self) -> None:
        super().__init__([], timeout=1)

    def send(self, outgoing: Any, now: datetime) -> Any:
        raise SystemExit


def test_many_events_arrive_all_and_once(post: Post, receiver: Any) -> None:
    post.rooms.create("chat", receiver.url, ["experiments"])
    for number in range(6):
        post.happen(f"e{number}")
    for _ in range(2):  # a turn begins no more than there are workers
        post.turn()
    told = [json.loads(body)["subject"] for _, _, body in receiver.wait(6)]
    assert sorted(told) == sorted(f"experiment:e{number}" for number in range(6))


def test_a_slow_receiver_keeps_nobody_waiting(post: Post, receiver: Any) -> None:
    post.rooms.create("chat", receiver.url, ["experiments"])
    post.turner._sender = slow = _Slow()
    post.happen()
    post.turner.turn(BEGIN)
    post.happen("another")
    slow.over.set()  # whoever waits for the receiver does not come here before it has waited in vain
    eventually(lambda: slow.waited, "An attempt")
    post.turner.end()
    assert slow.waited == [True]


def test_of_an_answer_that_never_ends_only_the_beginning_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"localhost:{listener.getsockname()[1]}"
        threading.Thread(target=_drip, args=[listener], daemon=True).start()
        outgoing = Outgoing(
            id="1", url=f"http://{host}/", event="e", format=WebhookFormat.MLFLOW, payload={}, attempts=0, webhook="w"
        )
        answer = Sender([host], timeout=0.5).send(outgoing, BEGIN)
    assert answer.status == 200 and 0 < len(answer.body) < 1000


def _drip(listener: socket.socket) -> None:
    """Answers without end, a few bytes at a time."""
    taken, _ = listener.accept()
    with taken, suppress(OSError):
        taken.recv(65536)
        taken.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            taken.sendall(b".")
            threading.Event().wait(0.01)


class _Slow(Sender):
    def __init__(self) -> None:
        super().__init__([], timeout=1)
        self.over = threading.Event()
        self.waited: list[bool] = []

    def send(self, outgoing: Any, now: datetime) -> Any:
        self.waited.append(self.over.wait(LONG))
        raise OSError("too late")


def test_without_its_key_nothing_is_sent_unsigned(post: Post, receiver: Any) -> None:
    made = post.rooms.create("chat", receiver.url, ["experiments"], secret="hush")
    assert post.here.home is not None
    (post.here.home.folder / "keys" / "webhooks.key").write_bytes(bytes(32))
    post.happen()
    post.turn()
    found = post.rooms.deliveries(made.ref).items[0]
    assert (found.state, receiver.got) == (DeliveryState.PENDING, [])
    assert "does not open" in found.error


def test_what_is_over_is_forgotten_after_a_month(post: Post, receiver: Any) -> None:
    made = post.rooms.create("chat", receiver.url, ["experiments"])
    post.happen()
    post.turn()
    post.clock.advance(timedelta(days=31))
    post.turn()
    assert post.states(made) == []


def test_a_deleted_webhook_is_told_nothing_of_what_was_on_its_way(post: Post, receiver: Any) -> None:
    receiver.answers = [(500, {}, b"")]
    made = post.rooms.create("chat", receiver.url, ["experiments"])
    post.happen()
    post.turn()
    post.rooms.delete(made.ref)
    post.clock.advance(timedelta(minutes=1))
    post.turn()
    assert len(receiver.got) == 1
