from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from mmap import mmap
from pathlib import Path

import msgspec
import obstore
import pytest

from modelwright.core.errors import Corrupt, Invalid, NotFound, Unavailable
from modelwright.core.hashing import digest_bytes
from modelwright.store.buckets import S3Settings
from modelwright.store.direct import write_past_cache
from modelwright.store.objects import Objects

BIG = os.urandom(1 << 16) * 300  # about 20 MB: three parts


def _pieces(data: bytes, size: int = 1 << 20):
    return (data[i : i + size] for i in range(0, len(data), size))


@pytest.mark.parametrize("content", [b"", b"hello", BIG], ids=["empty", "small", "big"])
def test_what_was_put_as_bytes_file_or_stream_is_read_back_under_one_digest(
    objects: Objects, content: bytes, tmp_path: Path
):
    source = tmp_path / "source"
    source.write_bytes(content)
    assert objects.put(_pieces(content)) == objects.put(source) == objects.put(content) == digest_bytes(content)
    digest = digest_bytes(content)
    assert objects.read(digest) == content
    assert objects.size(digest) == len(content)
    assert objects.exists(digest)
    assert objects.fetch(digest, tmp_path / "out").read_bytes() == content
    assert list(objects.list()) == [digest]


def test_an_unknown_digest_is_not_found(objects: Objects, tmp_path: Path):
    unknown = "0" * 64
    assert not objects.exists(unknown)
    for attempt in (objects.read, objects.size, objects.verify, lambda d: objects.fetch(d, tmp_path / "out")):
        with pytest.raises(NotFound, match=unknown):
            attempt(unknown)
    assert list(tmp_path.glob("*out*")) == []
    objects.delete(unknown)


def test_what_is_no_digest_is_refused_before_it_becomes_a_path(objects: Objects):
    for text in ("", "../../etc/passwd", "A" * 64, "0" * 63):
        with pytest.raises(Invalid):
            objects.read(text)


def test_damaged_content_is_never_handed_out(objects: Objects, tmp_path: Path):
    digest = objects.put(b"truth")
    obstore.put(objects._store, f"{digest[:2]}/{digest}", b"trust")
    with pytest.raises(Corrupt, match=digest):
        objects.read(digest)
    with pytest.raises(Corrupt):
        objects.fetch(digest, tmp_path / "out")
    assert list(tmp_path.glob("*out*")) == []


def test_putting_an_object_again_mends_a_torn_one(objects: Objects):
    digest = objects.put(b"whole")
    obstore.put(objects._store, f"{digest[:2]}/{digest}", b"who")
    assert objects.put(b"whole") == digest
    assert objects.read(digest) == b"whole"


def test_a_stream_that_fails_leaves_nothing(objects: Objects):
    def broken():
        yield b"half"
        raise ValueError("the source ended early")

    with pytest.raises(ValueError, match="early"):
        objects.put(broken())
    assert list(objects.list()) == []


class Changing(type(Path())):
    """A file that somebody writes to between two readings of it."""

    def open(self, *arguments, **options):
        before = Path(self).read_bytes()
        opened = super().open(*arguments, **options)
        Path(self).with_name("next").write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        Path(self).with_name("next").replace(self)  # who has it open already reads it as it was
        return opened


def test_a_file_that_changes_while_it_is_stored_is_no_object(objects: Objects, tmp_path: Path):
    (tmp_path / "file").write_bytes(BIG)
    with pytest.raises(Corrupt, match="changed while it was being stored"):
        objects.put(Changing(tmp_path / "file"))
    assert list(objects.list()) == []


def test_many_writers_of_one_content_agree(objects: Objects):
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(objects.put(_pieces(b"same" * 1000)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert list(objects.list()) == [answers[0]]


def test_deleting_removes_only_that_object(objects: Objects):
    gone, kept = objects.put(b"gone"), objects.put(b"kept")
    objects.delete(gone)
    objects.delete(gone)
    assert list(objects.list()) == [kept]


def test_many_are_asked_for_and_deleted_at_once(objects: Objects):
    kept, *others = [objects.put(f"{number}".encode()) for number in range(30)]
    missing = "f" * 64
    assert [each and each.digest for each in objects.stored_each([*others, missing])] == [*others, None]
    objects.delete_each([*others, missing])
    objects.delete_each([])
    assert list(objects.list()) == [kept]


def test_a_folder_is_for_its_owner_only_and_keeps_no_unfinished_writes(tmp_path: Path):
    objects = Objects.open(tmp_path / "a" / "objects")
    digest = objects.put(b"private")
    file = tmp_path / "a" / "objects" / digest[:2] / digest
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for folder in (file.parent, file.parent.parent, tmp_path / "a"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list((tmp_path / "a" / "objects" / ".incoming").iterdir()) == []


def test_a_bucket_that_does_not_answer_is_unavailable():
    nowhere = S3Settings(
        endpoint="http://127.0.0.1:9",
        region="us-east-1",
        access_key_id="x",
        secret_access_key="x",
        allow_http=True,
        retries=0,
    )
    with pytest.raises(Unavailable, match="s3://nowhere"):
        Objects.open("s3://nowhere", nowhere).put(b"x")


def test_a_bucket_that_is_not_there_is_told(s3_server: S3Settings):
    with pytest.raises(Unavailable, match="no such bucket") as refused:
        Objects.open("s3://not-made-yet/prefix", s3_server).put(b"x")
    assert "Make the bucket" in refused.value.mend


def test_an_address_that_is_neither_a_folder_nor_a_bucket_is_refused():
    with pytest.raises(Invalid, match="ftp"):
        Objects.open("ftp://host/folder")


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="file"):
        Objects.open(tmp_path / "file" / "objects")


_STREAM = """
import resource, sys
from pathlib import Path
import msgspec
from modelwright.store.buckets import S3Settings
from modelwright.store.objects import Objects
objects = Objects.open(sys.argv[1], msgspec.json.decode(sys.argv[2], type=S3Settings))
objects.put(b"warm")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
digest = objects.put(bytes([i]) * (1 << 20) for i in range(200))
assert objects.put(objects.fetch(digest, Path(sys.argv[3]) / "copy")) == digest
assert sum(map(len, objects.stream(digest))) == 200 << 20
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_object(objects: Objects, s3_server: S3Settings, tmp_path: Path):
    command = [sys.executable, "-c", _STREAM, objects.location, msgspec.json.encode(s3_server).decode(), str(tmp_path)]
    grown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(grown.stdout) < 100 * 1024  # kilobytes, for 200 MB in, out and in again


@pytest.mark.parametrize("begin", [0, 4096, 5], ids=["of a page", "of another", "of none"])
@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, 3_000_000])
def test_memory_is_stored_the_same_wherever_it_begins_and_ends(objects: Objects, begin: int, size: int):
    memory = mmap(-1, 4 << 20)
    memory[:] = os.urandom(4 << 20)
    wanted = memory[begin : begin + size]
    digest = objects.put(memoryview(memory)[begin : begin + size])
    assert digest == digest_bytes(wanted)
    assert objects.read(digest) == wanted


def test_what_is_written_past_the_cache_and_then_as_always_is_one_content(tmp_path: Path):
    memory = mmap(-1, 4 << 20)
    memory[:] = os.urandom(4 << 20)
    whole = memoryview(memory)
    for place in filter(Path.is_dir, (tmp_path, Path("/var/tmp"))):  # the one may lie in memory, the other on a disk
        with tempfile.NamedTemporaryFile(dir=place) as file:
            done = write_past_cache(file.fileno(), whole[:2_000_000])
            assert done in (0, 2_000_000 // 4096 * 4096)
            os.write(file.fileno(), whole[done:2_000_000])
            assert Path(file.name).read_bytes() == memory[:2_000_000]


KILLED = """
import os, signal, sys
import msgspec
from modelwright.store.buckets import S3Settings
from modelwright.store.objects import Objects

with Objects.open(sys.argv[1], msgspec.json.decode(sys.argv[2], type=S3Settings)).incoming() as incoming:
    incoming.write(b"half of it")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_is_found_and_nothing_that_is_being_written(
    objects: Objects, s3_server: S3Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    given = [objects.location, msgspec.json.encode(s3_server).decode()]
    done = subprocess.run([sys.executable, "-c", KILLED, *given], capture_output=True)
    assert done.returncode == -9, done.stderr
    (tmp_path / "of somebody else").write_bytes(b"x")
    (left,) = objects.unfinished(time.time() + 60)
    assert left.read_bytes() == b"half of it"
    assert objects.unfinished(time.time() - 3600) == []
    os.utime(left, (0, 0))
    assert objects.tidy(0.0) == 0  # by its last change of any sort it is young
    assert objects.tidy(time.time() + 60) == 1
    with objects.incoming() as incoming:
        incoming.write(b"going on")
        assert objects.tidy(time.time() - 3600) == 0
        assert len(objects.unfinished(time.time() + 60)) == 1  # what is written now is found by its place, and is too young
        digest = incoming.keep()
    assert objects.read(digest) == b"going on" and (tmp_path / "of somebody else").exists()
    assert list(objects.list()) == [digest] and objects.unfinished(time.time() + 60) == []
