"""A bucket that cannot be used says why, in words of whoever has to mend it, and which setting to look at."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from msgspec.structs import replace

from modelwright.core.errors import Invalid, NotFound, Unavailable
from modelwright.store.buckets import S3Settings
from modelwright.store.objects import Objects

SETTINGS = S3Settings(region="us-east-1", access_key_id="k", secret_access_key="s", allow_http=True, retries=0)
DIGEST = "ab" * 32


class Answering(ThreadingHTTPServer):
    """A server that answers every request in one way."""

    status, code = 200, ""


@pytest.fixture
def answering() -> Iterator[Answering]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            if not server.status:
                self.close_connection = True
                return
            body = f"<Error><Code>{server.code}</Code><Message>no</Message></Error>".encode() if server.code else b""
            self.send_response(server.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    server = Answering(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("status", "code", "why", "mend"),
    [
        (403, "SignatureDoesNotMatch", "the secret key does not fit the access key", "secret_access_key"),
        (403, "InvalidAccessKeyId", "does not know this access key", "access_key_id"),
        (403, "AccessDenied", "does not allow that with these credentials", "allowed to list the bucket"),
        (403, "RequestTimeTooSkewed", "clock", "Set the clock"),
        (401, "", "does not allow that with these credentials", "access_key_id"),
        (404, "NoSuchBucket", "there is no such bucket", "Make the bucket"),
        (301, "PermanentRedirect", "in another region", "region"),
        (0, "", "broke the connection off", "Try again"),
        (503, "SlowDown", r"an error of its own \(503, SlowDown\)", "Try again"),
    ],
)
def test_what_a_server_refuses_is_told_with_its_reason(answering: Answering, status: int, code: str, why: str, mend: str):
    answering.status, answering.code = status, code
    objects = Objects.open("s3://lake/prefix", replace(SETTINGS, endpoint=f"http://127.0.0.1:{answering.server_port}"))
    for ask in (lambda: list(objects.list()), lambda: objects.read(DIGEST)):
        with pytest.raises(Unavailable, match=f"The objects at s3://lake/prefix cannot be reached: .*{why}") as told:
            ask()
        assert mend in told.value.mend
        assert "Generic" not in told.value.message


def test_where_nothing_answers_the_endpoint_is_named():
    objects = Objects.open("s3://lake", replace(SETTINGS, endpoint="http://127.0.0.1:9"))
    with pytest.raises(Unavailable, match=r"nothing answers at http://127\.0\.0\.1:9 \(Connection refused\)") as told:
        objects.exists(DIGEST)
    assert "endpoint of [objects]" in told.value.mend


def test_a_server_that_is_silent_has_not_answered_in_time():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        objects = Objects.open("s3://lake", replace(SETTINGS, endpoint=endpoint, timeout="100ms"))
        with pytest.raises(Unavailable, match=f"{endpoint} did not answer in time") as told:
            objects.exists(DIGEST)
    assert "timeout" in told.value.mend


@pytest.mark.parametrize(
    ("wrong", "why", "mend"),
    [
        ({"endpoint": "minio:9000"}, "no endpoint of a server", "endpoint = "),
        ({"endpoint": "nonsense"}, "no endpoint of a server", "endpoint = "),
        ({"endpoint": "http://minio:9000", "allow_http": False}, "without TLS", "allow_http = true"),
        ({"timeout": "fast"}, "cannot be reached so.*fast", "[objects]"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_before_anything_is_asked(wrong: dict[str, object], why: str, mend: str):
    with pytest.raises(Invalid, match=why) as told:
        Objects.open("s3://lake", replace(SETTINGS, **wrong))
    assert mend in told.value.mend


def test_a_bucket_that_is_gone_is_no_missing_object(s3_server: S3Settings):
    with pytest.raises(Unavailable, match="no such bucket"):
        Objects.open("s3://was-here/prefix", s3_server).read(DIGEST)
    with pytest.raises(NotFound, match="There is no object") as told:
        Objects.open("s3://objects/prefix", s3_server).read(DIGEST)
    assert "mw doctor" in told.value.mend
