"""What the tests of the record stand on: real databases, a real S3 server, an authorizer that allows everything."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelwright.store.objects import Objects, S3Settings


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Settings]:
    """An S3-speaking server on loopback, with the bucket `objects`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(urllib.request.Request(f"{address}/objects", method="PUT"), timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, "the S3 server ended"
                assert time.monotonic() < deadline, "the S3 server did not start"
                time.sleep(0.2)
        yield S3Settings(
            endpoint=address,
            region="us-east-1",
            access_key_id="test",
            secret_access_key="test",
            allow_http=True,
            retries=1,
        )
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """Empty objects, in a folder and in S3."""
    if request.param == "folder":
        return Objects.open(f"file://{tmp_path}/objects")
    return Objects.open(f"s3://objects/{tmp_path.name}", request.getfixturevalue("s3_server"))
