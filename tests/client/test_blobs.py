"""Objects through HTTP: whole or not at all, and never more than a piece of them in memory."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from blake3 import blake3

from modelwright.client.remote import Remote
from modelwright.core.errors import Corrupt, NotFound, Unavailable
from modelwright.testing import serving
from modelwright.workspace import Workspace
from tests.waiting import LONG, eventually

MIB = 2**20


def stored(here: Workspace) -> list[Path]:
    assert here.home is not None
    return [path for path in (here.home.folder / "objects").rglob("*") if path.is_file()]


@pytest.fixture
def blobs(embedded: Workspace) -> Iterator[Any]:
    with serving(embedded) as url:
        remote = Remote(url)
        yield remote.blobs
        remote.close()


def test_what_is_put_comes_back(blobs: Any, tmp_path: Path) -> None:
    content = hashlib.sha256(b"seed").digest() * 100_000
    source = tmp_path / "source"
    source.write_bytes(content)
    digest = blake3(content).hexdigest()
    assert not blobs.exists(digest)
    assert blobs.put(content[i : i + 999_999] for i in range(0, len(content), 999_999)) == digest
    assert blobs.put(content) == blobs.put(source) == digest
    assert blobs.exists(digest) and blobs.size(digest) == len(content)
    assert blobs.read(digest) == content
    assert blobs.fetch(digest, tmp_path / "copy").read_bytes() == content
    empty = blobs.put(iter(()))
    assert blobs.read(empty) == b"" == blobs.read(blobs.put(b""))


def test_what_is_not_there_is_not_found(blobs: Any, tmp_path: Path) -> None:
    for digest in ("0" * 64, "x", "../../workspace.db"):
        assert not blobs.exists(digest)
        for ask in (blobs.read, blobs.size, lambda d: blobs.fetch(d, tmp_path / "copy")):
            with pytest.raises(NotFound):
                ask(digest)
    assert list(tmp_path.glob("copy*")) == []


def test_an_upload_whose_source_fails_stores_nothing(embedded: Workspace) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"x" * MIB
        raise OSError("the disk is gone")

    with serving(embedded) as url:
        remote = Remote(url)
        with pytest.raises(OSError, match="the disk is gone"):
            remote.blobs.put(breaks())
        remote.close()
    assert stored(embedded) == []  # now that the server has ended all that it was at


def test_an_upload_whose_sender_vanishes_stores_nothing_and_frees_its_place(embedded: Workspace) -> None:
    with serving(embedded) as url:
        parts = urlsplit(url)
        for _ in range(20):  # more than there are places
            with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
                head = "POST /api/v1/objects HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
                connection.sendall(f"{head}Content-Length: {4 * MIB}\r\n\r\n".encode() + b"x" * MIB)
        remote = Remote(url)
        digest = remote.blobs.put(b"still at it")
        assert remote.blobs.read(digest) == b"still at it"
        eventually(lambda: len(stored(embedded)) == 1, "An end of what vanished")  # not even a part is left
        remote.close()


def test_a_damaged_object_is_corrupt_and_no_file_appears(blobs: Any, embedded: Workspace, tmp_path: Path) -> None:
    digest = blobs.put(b"a" * (3 * MIB))
    (path,) = stored(embedded)
    path.chmod(0o600)
    path.write_bytes(b"a" * (3 * MIB - 1) + b"b")
    with pytest.raises(Corrupt):
        blobs.fetch(digest, tmp_path / "copy")
    assert list(tmp_path.glob("copy*")) == []


def test_a_download_that_ends_early_is_told(stranger: Any, tmp_path: Path) -> None:
    def half(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 500)

    with stranger(half) as url, pytest.raises(Unavailable, match="stopped answering"):
        Remote(url).blobs.fetch("0" * 64, tmp_path / "copy")
    assert list(tmp_path.glob("copy*")) == []


def test_a_server_that_stored_something_else_is_found_out(stranger: Any) -> None:
    def lies(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(404 if handler.command == "HEAD" else 201)
        handler.send_header("content-type", "application/json")
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(b'{"digest": "%s"}' % (b"0" * 64))

    with stranger(lies) as url, pytest.raises(Corrupt, match="other bytes"):
        Remote(url).blobs.put(b"mine")


MEASURED = """
import resource, sys
from modelwright.client.remote import Remote
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
blobs, size = Remote(sys.argv[1]).blobs, int(sys.argv[2])
piece = bytes(2**20)
blobs.read(blobs.put(piece))
before = peak()
digest = blobs.put(piece for _ in range(size))
assert sum(map(len, blobs.stream(digest))) == size * 2**20
print(peak() - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_object(tmp_path: Path) -> None:
    """300 MiB each way; both ends are processes of their own, so that each one's peak is its own."""
    (tmp_path / "modelwright.toml").touch()
    address = tmp_path / "address"
    command = [
        sys.executable,
        "-m",
        "modelwright.cli",
        "up",
        "-w",
        str(tmp_path),
        "--port",
        "0",
        "-q",
        "--address-file",
        str(address),
    ]
    server = subprocess.Popen(command)
    try:
        while not address.exists():
            time.sleep(0.05)
            assert server.poll() is None
        url = address.read_text()
        before = _peak(server.pid)
        done = subprocess.run([sys.executable, "-c", MEASURED, url, "300"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) < 60
        assert _peak(server.pid) - before < 120
    finally:
        server.terminate()
        server.wait(LONG)


def _peak(pid: int) -> int:
    """The most memory a process ever had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024
