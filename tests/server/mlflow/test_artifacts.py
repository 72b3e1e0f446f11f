"""Files through MLflow's own client: in, out, listed, removed, in parts; and what browsers and curl ask for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from modelwright.core.errors import NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import UploadPart
from modelwright.store import EventFilter
from modelwright.workspace import Settings, Workspace, WorkspaceSettings, open_workspace
from tests.waiting import eventually

FILES = "/api/2.0/mlflow-artifacts/artifacts"


class Here:
    """A run, and the address of its files."""

    def __init__(self, served: Any, name: str) -> None:
        self.run = served.here.experiments.start(f"files/{name}")
        self.root = f"{FILES}/{self.run.experiment_id}/{self.run.id}/artifacts"
        self.uri = f"mlflow-artifacts:/{self.run.experiment_id}/{self.run.id}/artifacts"


@pytest.fixture
def here(served: Any, request: pytest.FixtureRequest) -> Here:
    return Here(served, request.node.name[:60].replace("[", "-").replace("]", ""))


@pytest.fixture
def repository(served: Any, here: Here) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(here.uri, tracking_uri=served.url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "things"
    (made / "deep" / "er").mkdir(parents=True)
    (made / "a file with spaces.txt").write_text("spaces")
    (made / "Größe 数.csv").write_text("a,b\n1,2\n")
    (made / "deep" / "er" / "empty").touch()
    return made


def paths(found: Any) -> list[tuple[str, bool, int | None]]:
    return [(each.path, each.is_dir, each.file_size) for each in found]


def test_a_folder_goes_in_and_comes_out_as_it_was(repository: Any, folder: Path, tmp_path: Path) -> None:
    repository.log_artifacts(str(folder), "up")
    assert paths(repository.list_artifacts()) == [("up", True, None)]
    assert paths(repository.list_artifacts("up")) == [
        ("up/Größe 数.csv", False, 8),
        ("up/a file with spaces.txt", False, 6),
        ("up/deep", True, None),
    ]
    out = Path(repository.download_artifacts("up", str(tmp_path)))
    assert sorted(str(each.relative_to(out)) for each in out.rglob("*") if each.is_file()) == [
        "Größe 数.csv",
        "a file with spaces.txt",
        "deep/er/empty",
    ]
    assert (out / "Größe 数.csv").read_text() == "a,b\n1,2\n"


def test_what_comes_in_through_mlflow_is_what_our_own_sdk_shows(
    served: Any, here: Here, repository: Any, folder: Path
) -> None:
    repository.log_artifacts(str(folder))
    shown = {each.name: each for each in served.here.experiments.show(here.run.ref).artifacts}
    assert set(shown) == {"Größe 数.csv", "a file with spaces.txt", "deep/er/empty"}
    assert served.here.caller.blobs.read(shown["a file with spaces.txt"].digest) == b"spaces"


def test_what_our_own_sdk_logs_mlflow_downloads(served: Any, here: Here, repository: Any) -> None:
    handle = served.here.experiments.follow(here.run)
    handle.log_artifact(b"native", "plots/roc.txt")
    assert Path(repository.download_artifacts("plots/roc.txt")).read_bytes() == b"native"


def test_a_listing_of_a_file_or_of_nothing_is_empty(served: Any, here: Here, repository: Any, folder: Path) -> None:
    repository.log_artifact(str(folder / "a file with spaces.txt"), "up")
    assert repository.list_artifacts("up/a file with spaces.txt") == []
    assert repository.list_artifacts("never") == []


def test_the_very_root_shows_the_experiments(served: Any, here: Here) -> None:
    roots = served.call("GET", "2.0/mlflow-artifacts/artifacts").json()["files"]
    assert {"path": str(here.run.experiment_id), "is_dir": True} in roots


def test_paths_are_relative_to_the_folder_there_and_to_the_run_here(served: Any, here: Here) -> None:
    served.http.put(f"{here.root}/up/deep/x.txt", content=b"x")
    place = here.uri.removeprefix("mlflow-artifacts:/")
    proxied = served.call("GET", "2.0/mlflow-artifacts/artifacts", path=f"{place}/up")
    assert proxied.json() == {"files": [{"path": "deep", "is_dir": True}]}
    listed = served.call("GET", "2.0/mlflow/artifacts/list", run_id=here.run.id, path="up/deep").json()
    assert listed == {"root_uri": here.uri, "files": [{"path": "up/deep/x.txt", "is_dir": False, "file_size": 1}]}


def test_a_file_of_the_same_name_takes_its_place_and_that_is_on_the_record(served: Any, here: Here) -> None:
    for content in (b"first", b"second", b"second"):
        assert served.http.put(f"{here.root}/x.txt", content=content).json() == {}
    assert served.http.get(f"{here.root}/x.txt").content == b"second"
    events = served.here.record.history(here.run.ref).items
    assert [event.action for event in events].count("experiments.artifact.replaced") == 1


def test_a_name_is_a_file_or_a_folder_and_never_both(served: Any, here: Here, repository: Any, tmp_path: Path) -> None:
    (tmp_path / "model").write_text("a file")
    (tmp_path / "env.yaml").write_text("of a folder")
    repository.log_artifact(str(tmp_path / "model"))
    with pytest.raises(Exception, match=r"'model' cannot be a file and hold 'model/env\.yaml' as well"):
        repository.log_artifact(str(tmp_path / "env.yaml"), "model")
    repository.log_artifact(str(tmp_path / "env.yaml"), "deep/in/it")
    (tmp_path / "deep").write_text("a file")
    with pytest.raises(Exception, match=r"'deep' cannot be a file and hold 'deep/in/it/env\.yaml'"):
        repository.log_artifact(str(tmp_path / "deep"))
    repository.log_artifact(str(tmp_path / "model"))  # again is the same
    (tmp_path / "out").mkdir()
    repository.download_artifacts("", str(tmp_path / "out"))
    assert sorted(str(each.relative_to(tmp_path / "out")) for each in (tmp_path / "out").rglob("*") if each.is_file()) == [
        "deep/in/it/env.yaml",
        "model",
    ]


def test_files_and_folders_are_removed(served: Any, here: Here, repository: Any, folder: Path) -> None:
    repository.log_artifacts(str(folder), "up")
    repository.log_artifact(str(folder / "a file with spaces.txt"))
    repository.delete_artifacts("up/deep")
    assert [each.path for each in repository.list_artifacts("up")] == ["up/Größe 数.csv", "up/a file with spaces.txt"]
    repository.delete_artifacts("a file with spaces.txt")
    repository.delete_artifacts("a file with spaces.txt")  # twice is no error
    assert [each.path for each in repository.list_artifacts()] == ["up"]
    repository.delete_artifacts()
    assert repository.list_artifacts() == []
    assert served.here.experiments.show(here.run.ref).artifacts == []
    removed = [each for each in served.here.record.history(here.run.ref).items if each.action.endswith(".removed")]
    assert len(removed) == 3


def test_a_file_that_is_not_there_is_told_in_mlflows_words(served: Any, here: Here) -> None:
    for path in (
        f"{here.root}/x",
        f"{FILES}/999999/x",
        f"{FILES}/{here.run.experiment_id}/nobody/artifacts/x",
        f"{FILES}/x/y",
    ):
        answer = served.http.get(path)
        assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert served.http.put(path.replace(here.run.id, "nobody"), content=b"x").status_code == 404


def test_a_run_of_another_experiment_is_not_reached_by_way_of_this_one(served: Any, here: Here) -> None:
    served.http.put(f"{here.root}/x.txt", content=b"x")
    other = served.here.experiments.start("files/other")
    crossed = f"{FILES}/{other.experiment_id}/{here.run.id}/artifacts/x.txt"
    assert served.http.get(crossed).status_code == 404
    assert served.http.put(crossed, content=b"y").status_code == 404
    assert served.http.get(f"{here.root}/x.txt").content == b"x"


def test_a_discarded_run_can_be_read_and_takes_nothing(served: Any, here: Here) -> None:
    served.http.put(f"{here.root}/x.txt", content=b"x")
    served.here.experiments.discard(here.run.ref)
    assert served.http.get(f"{here.root}/x.txt").content == b"x"
    for answer in (served.http.put(f"{here.root}/y", content=b"y"), served.http.delete(f"{here.root}/x.txt")):
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_what_belongs_to_no_run_lies_below_the_experiment(served: Any, here: Here) -> None:
    place = f"{FILES}/{here.run.experiment_id}/traces/tr-1/artifacts/traces.json"
    assert served.http.put(place, content=b"{}").status_code == 200
    assert served.http.get(place).content == b"{}"
    experiment = Ref(Kind.EXPERIMENT, here.run.experiment)
    assert served.here.artifacts.find(experiment, "traces/tr-1/artifacts/traces.json").size == 2
    below = served.call("GET", "2.0/mlflow-artifacts/artifacts", path=str(here.run.experiment_id)).json()["files"]
    assert {"path": "traces", "is_dir": True} in below
    assert served.http.delete(f"{FILES}/{here.run.experiment_id}").status_code == 400


def test_an_experiment_may_have_a_place_of_its_own(served: Any) -> None:
    served.here.experiments.create("files/placed", artifact_location="mlflow-artifacts:/far/away")
    run = served.here.experiments.start("files/placed")
    assert served.here.artifacts.root(run.ref) == f"mlflow-artifacts:/far/away/{run.id}/artifacts"
    place = f"{FILES}/far/away/{run.id}/artifacts/x.txt"
    assert served.http.put(place, content=b"x").status_code == 200
    assert served.here.artifacts.find(run.ref, "x.txt").size == 1
    assert served.http.get(f"{FILES}/far/x.txt").status_code == 404


# As a browser and curl see it


def test_no_browser_takes_a_file_for_a_page(served: Any, here: Here) -> None:
    for name, kind in (
        ("x.html", "text/html"),
        ("x.svg", "image/svg+xml"),
        ("MLmodel", "text/plain"),
        ("x", "octet-stream"),
    ):
        served.http.put(f"{here.root}/{name}", content=b"<script>alert(1)</script>", headers={"content-type": "text/html"})
        answer = served.http.get(f"{here.root}/{name}")
        assert kind in answer.headers["content-type"]
        assert answer.headers["content-disposition"].startswith("attachment; ")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_a_name_cannot_break_out_of_its_header(served: Any, here: Here) -> None:
    served.http.put(f"{here.root}/a%22;%20x=%22ü.html", content=b"x")
    told = served.http.get(f"{here.root}/a%22;%20x=%22ü.html").headers["content-disposition"]
    assert told == """attachment; filename="a_; x=__.html"; filename*=UTF-8''a%22%3B%20x%3D%22%C3%BC.html"""


def test_a_part_of_a_file_is_given(served: Any, here: Here) -> None:
    data = os.urandom(3_000_000)
    served.http.put(f"{here.root}/big", content=data)
    ranges = {"0-0": (0, 1), "1000000-2999999": (1_000_000, 3_000_000), "2999990-": (2_999_990, 3_000_000)}
    ranges |= {"-5": (2_999_995, 3_000_000), "5-99999999": (5, 3_000_000)}
    for asked, (start, end) in ranges.items():
        answer = served.http.get(f"{here.root}/big", headers={"range": f"bytes={asked}"})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/3000000"
        assert answer.content == data[start:end]
    assert served.http.get(f"{here.root}/big", headers={"range": "bytes=3000000-"}).status_code == 416
    for passed_over in ("bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes=a-b"):
        assert served.http.get(f"{here.root}/big", headers={"range": passed_over}).status_code == 200


def test_who_has_a_file_need_not_have_it_again(served: Any, here: Here) -> None:
    served.http.put(f"{here.root}/x", content=b"x")
    tag = served.http.get(f"{here.root}/x").headers["etag"]
    assert served.http.get(f"{here.root}/x", headers={"if-none-match": tag}).status_code == 304
    served.http.put(f"{here.root}/x", content=b"y")
    assert served.http.get(f"{here.root}/x", headers={"if-none-match": tag}).content == b"y"
    stale = served.http.get(f"{here.root}/x", headers={"range": "bytes=0-0", "if-range": tag})
    assert stale.status_code == 200
    head = served.http.head(f"{here.root}/x")
    assert (head.content, head.headers["content-length"]) == (b"", "1")


def test_the_older_addresses_lead_to_the_same_files(served: Any, here: Here) -> None:
    sent = served.http.post(f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={here.run.id}&path=up/x.txt", content=b"x")
    assert sent.json() == {}
    assert served.http.get("/get-artifact", params={"run_uuid": here.run.id, "path": "up/x.txt"}).content == b"x"
    for fields in ({"path": "up/x.txt"}, {"run_id": here.run.id}):
        answer = served.http.get("/get-artifact", params=fields)
        assert answer.status_code == 400 and "Missing value for required parameter" in answer.json()["message"]


# Large ones


def test_a_large_file_goes_through_and_is_what_it_was(served: Any, here: Here, tmp_path: Path) -> None:
    piece = os.urandom(1 << 20)
    whole = hashlib.sha256()

    def pieces() -> Any:
        for number in range(40):
            content = number.to_bytes(4) + piece
            whole.update(content)
            yield content

    assert served.http.put(f"{here.root}/large", content=pieces()).status_code == 200
    found = hashlib.sha256()
    with served.http.stream("GET", f"{here.root}/large") as answer:
        for each in answer.iter_bytes():
            found.update(each)
    assert found.digest() == whole.digest()


def test_an_upload_that_breaks_off_leaves_nothing(served: Any, here: Here) -> None:
    def pieces() -> Any:
        yield os.urandom(3 << 20)
        raise RuntimeError("the sender went away")

    with pytest.raises(RuntimeError):
        served.http.put(f"{here.root}/broken", content=pieces())
    assert served.http.get(f"{here.root}/broken").status_code == 404
    incoming = Path(served.here.home.objects.location) / ".incoming"
    eventually(lambda: list(incoming.iterdir()) == [], "An end of the upload")


def test_wrong_bytes_are_never_handed_out_whole(served: Any, here: Here) -> None:
    import httpx

    served.http.put(f"{here.root}/rotten", content=b"good" * 600_000)
    digest = served.here.artifacts.find(here.run.ref, "rotten").digest
    stored = Path(served.here.home.objects.location) / digest[:2] / digest
    stored.write_bytes(b"evil" * 600_000)
    with pytest.raises(httpx.RemoteProtocolError):
        served.http.get(f"{here.root}/rotten")


# In parts


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1000")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(1 << 20))


@pytest.mark.usefixtures("in_parts")
def test_a_file_may_come_in_parts(served: Any, here: Here, repository: Any, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(os.urandom(3_500_000))
    repository.log_artifact(str(large), "up")
    assert paths(repository.list_artifacts("up")) == [("up/large.bin", False, 3_500_000)]
    assert served.http.get(f"{here.root}/up/large.bin").content == large.read_bytes()


def begin(served: Any, here: Here, parts: int) -> tuple[str, list[str]]:
    place = here.root.replace("/artifacts/", "/mpu/create/", 1)
    made = served.http.post(f"{place}/up", json={"path": "/home/a/x.bin", "num_parts": parts}).json()
    return made["upload_id"], [each["url"] for each in made["credentials"]]


def test_parts_become_a_file_only_as_they_were_sent(served: Any, here: Here) -> None:
    upload, urls = begin(served, here, 2)
    tags = [
        served.http.put(url, content=content).headers["etag"] for url, content in zip(urls, (b"one", b"two"), strict=True)
    ]
    place = here.root.replace("/artifacts/", "/mpu/complete/", 1) + "/up"
    for wrong in ([], [(2, tags[1])], [(1, tags[1])], [(1, tags[0]), (3, tags[1])]):
        parts = [{"part_number": number, "etag": tag} for number, tag in wrong]
        answer = served.http.post(place, json={"path": "x.bin", "upload_id": upload, "parts": parts})
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    parts = [{"part_number": number, "etag": tag} for number, tag in ((2, tags[1]), (1, tags[0]))]
    assert served.http.post(place, json={"path": "x.bin", "upload_id": upload, "parts": parts}).json() == {}
    assert served.http.get(f"{here.root}/up/x.bin").content == b"onetwo"
    assert served.http.put(urls[0], content=b"more").status_code == 404


def test_who_did_not_hear_that_an_upload_in_parts_is_complete_is_told_so_again(served: Any, here: Here) -> None:
    upload, urls = begin(served, here, 2)
    tags = [
        served.http.put(url, content=content).headers["etag"] for url, content in zip(urls, (b"one", b"two"), strict=True)
    ]
    place = here.root.replace("/artifacts/", "/mpu/complete/", 1) + "/up"
    parts = [{"part_number": number, "etag": tag} for number, tag in ((2, tags[1]), (1, tags[0]))]
    message = {"path": "/home/a/x.bin", "upload_id": upload, "parts": parts}
    assert [served.http.post(place, json=message).status_code for _ in range(2)] == [200, 200]
    for wrong in (
        {"path": "y.bin"},
        {"path": ""},
        {"parts": parts[:1]},
        {"parts": [{"part_number": 1, "etag": tags[1]}, {"part_number": 2, "etag": tags[0]}]},
        {"parts": [{"part_number": 1, "etag": "0" * 64}]},
        {"parts": [{"part_number": 1, "etag": "../x"}]},
    ):
        assert served.http.post(place, json=message | wrong).status_code == 404, wrong
    served.http.put(f"{here.root}/up/x.bin", content=b"other")
    assert served.http.post(place, json=message).status_code == 404
    assert served.http.get(f"{here.root}/up/x.bin").content == b"other"


def test_an_upload_in_parts_can_be_given_up(served: Any, here: Here) -> None:
    upload, urls = begin(served, here, 1)
    served.http.put(urls[0], content=b"one")
    place = here.root.replace("/artifacts/", "/mpu/abort/", 1) + "/up"
    assert served.http.post(place, json={"path": "x.bin", "upload_id": upload}).json() == {}
    assert served.http.post(place, json={"path": "x.bin", "upload_id": upload}).status_code == 404
    assert served.http.get(f"{here.root}/up/x.bin").status_code == 404


def test_parts_have_numbers_within_what_was_said(served: Any, here: Here) -> None:
    _, urls = begin(served, here, 1)
    for number in ("0", "2", "-1", "x", "99999999"):
        assert served.http.put(urls[0].rpartition("/")[0] + f"/{number}", content=b"x").status_code == 400
    place = here.root.replace("/artifacts/", "/mpu/create/", 1)
    for parts in (0, -1, 10_001):
        assert served.http.post(f"{place}/up", json={"path": "x", "num_parts": parts}).status_code == 400


def test_addresses_signed_in_advance_are_not_offered(served: Any, here: Here) -> None:
    answer = served.http.get(here.root.replace("/artifacts/", "/presigned/", 1) + "/x")
    assert (answer.status_code, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED")


def test_a_thing_that_keeps_no_files_is_told_so(served: Any) -> None:
    with pytest.raises(NotFound):
        served.here.artifacts.find(Ref(Kind.RUN, "nobody"), "x")


@pytest.fixture
def replayed(prepared: Path) -> Iterator[Workspace]:
    """A workspace on the simulated clock."""
    settings = Settings(workspace=WorkspaceSettings(clock="simulated", starts="2026-01-01T00:00:00Z"))
    with open_workspace(prepared, settings=settings) as here:
        yield here


def test_parts_that_somebody_left_are_forgotten_and_those_of_an_upload_under_way_are_not(replayed: Workspace) -> None:
    run = replayed.experiments.start("delay").ref
    blobs, artifacts, clock = replayed.caller.blobs, replayed.artifacts, replayed.home.clock

    def later(days: float) -> None:
        replayed.workspace.advance(clock.now() + timedelta(days=days))

    def part(upload: str, number: int, content: bytes) -> str:
        digest = blobs.put(content)
        artifacts.add_part(upload, UploadPart(number=number, digest=digest, size=len(content)))
        return digest

    left, going_on = (artifacts.begin_upload(run, name, parts=3).id for name in ("left.bin", "large.bin"))
    gone, kept = part(left, 1, b"left"), [part(going_on, 1, b"one")]
    later(1.5)
    kept.append(part(going_on, 2, b"two"))
    later(1)
    (found,) = artifacts.left()
    assert (found.id, found.name, found.parts, found.size) == (left, "left.bin", 1, 4)
    assert replayed.storage.unreachable(grace=0.0).count == 0
    assert [each.id for each in artifacts.forget_left(reason="nobody sends it")] == [left]
    assert artifacts.forget_left() == []
    assert [each.digest for each in replayed.storage.unreachable(grace=0.0).objects] == [gone]
    assert replayed.storage.collect(grace=0.0).count == 1
    assert [each.digest for each in artifacts.parts(going_on)] == kept
    with pytest.raises(NotFound, match="was left for two days"):
        artifacts.parts(left)
    (event,) = [each for each in replayed.record.events(EventFilter(limit=20)).items if "uploads" in each.action]
    assert event.reason == "nobody sends it"
