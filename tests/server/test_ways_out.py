"""The canary walks: a planted value of a masked class is looked for at every way out, by somebody who may not see it.

Operations are taken from the rooms as they are, so a new one that reads is walked by itself, or fails here until somebody
says how it is called. What runs at the caller's side is held to the list of what brings something out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from msgspec.structs import replace

from modelwright.core.errors import Denied, ModelwrightError
from modelwright.core.operations import Operation, Room, operations_of
from modelwright.core.refs import Ref
from modelwright.core.wire import decode
from modelwright.datasets import Datasets, Pattern, Profile
from modelwright.datasets.manifest import packs_of, read_manifest
from modelwright.experiments import Artifact
from modelwright.features import Features, FeatureView, column
from modelwright.testing import serving
from modelwright.workspace import ServerSettings, Settings, Workspace, WorkspaceSettings, open_workspace
from tests.server.conftest import Locked

CANARY = "canary.bird@nest.example"
BORN, NUMBER = "1811-11-11", "4217000001"
SONGS = ("canary", BORN, NUMBER)
REFS = [
    "dataset:born@1",
    "dataset:people@1",
    "dataset:people@2",
    "dataset:people@3",
    "dataset:people",
    "features:mails@1",
    "experiment:x",
]

# Arguments by name, for whatever operation has such a parameter and no default for it.
ARGUMENTS: dict[str, Any] = {
    "other": "dataset:people@1", "name": "people", "views": ["features:mails@1"], "view": "features:mails@1",
    "keys": [{"id": "1"}], "last": 3, "purpose": "fraud", "where": {}, "experiments": ["experiment:x"], "seq": 1,
    "first": 1, "second": 2, "ids": ["tr-x"], "source": "dataset:people@2", "action": "promote", "verb": "read",
    "generation": "x",
    "values": ["x"], "kind": "dataset", "experiment": "experiment:x", "folder": "", "refs": ["dataset:people@2"],
    "upload": "x", "principal": "eve", "resource": "dataset:people@2", "identity": "x", "environment": "production",
    "text": "people", "moment": "2026-01-01T00:00:00Z", "column": "email", "deployment": "deployment:x",
    "since": "2020-01-01T00:00:00Z", "until": "2030-01-01T00:00:00Z", "runs": ["x"], "models": ["m-x"], "title": "people",
    "metric": "m", "scorer": "x", "gate": "x",
}  # fmt: skip

# Operations that take what no table of names can give: one is told a record and says masks, the other sums up traces.
ELSEWHERE = {"privacy/foresee", "traces/figures"}


@pytest.fixture(scope="module")
def nest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Locked, httpx.Client, Workspace, dict[str, Any]]]:
    """A served workspace with the canary in a dataset, in a view that stands online, in checks, logs and reports."""
    folder = tmp_path_factory.mktemp("nest")
    settings = Settings(
        workspace=WorkspaceSettings(name="test"),
        server=ServerSettings(authentication="required", turn_every=60.0),
        features={"log_share": 1.0},
    )
    with open_workspace(folder / "locked", settings=settings) as here, serving(here) as url:
        at = pa.array([1_700_000_000_000_000] * 3, pa.timestamp("us", "UTC"))
        mails = {"id": ["1", "2", "3"], "email": [CANARY, "ada@example.org", "bob@example.org"], "at": at}
        here.datasets.add("people", pa.table(mails), key="id", time_column="at")
        changed = mails | {"email": [CANARY, "cyd@example.org", "bob@example.org"]}
        second = here.datasets.add("people", pa.table(changed), reason="a mistake")
        aside = mails | {"email": [CANARY + ".uk", "ada@example.org", "bob@example.org"]}
        here.datasets.add("people", pa.table(aside), parent="dataset:people@1")
        born = pa.array([datetime(1811, 11, 11, tzinfo=UTC), datetime(1850, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
        numbers = {"id": ["1", "2"], "born": born, "dialled": [int(NUMBER), int(NUMBER) + 1]}
        here.datasets.add("born", pa.table(numbers), key="id", time_column="born", personal=["born", "dialled"])
        here.datasets.check(second.ref, [Pattern(column="email", regex="nobody")])
        here.features.apply(
            FeatureView(name="mails", entity="id", source=second.ref, event_time="at", features=[column("email")])
        )
        here.features.materialise("features:mails")
        here.features.reader(["features:mails"]).rows([{"id": "1"}])
        here.features.replay()
        locked = Locked(here, url)
        token = locked.token("eve", ("scientist", "*"), ("auditor", "*"))
        eve = locked.workspace(token)
        packs = list(packs_of(here.caller.blobs, read_manifest(here.caller.blobs, second.manifest or "")))
        eve.experiments.create("x")
        run = eve.experiments.start("x").ref
        found = {"run": str(run), "packs": packs, "profile": second.profile, "folder": folder}
        with locked.client(token) as client:
            yield locked, client, eve, found


def sung(text: str) -> str | None:
    """Which of the planted values is told."""
    return next((song for song in SONGS if song in text), None)


def calls(operation: Operation[Any, Any, Any, Any], extra: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The arguments that an operation is tried with; None where a parameter is known to no table."""
    known = ARGUMENTS | extra
    given = {}
    for each in operation.parameters:
        if each.name == "ref" or each.default is not each.empty:
            continue
        if each.name not in known:
            return None
        given[each.name] = known[each.name]
    if any(each.name == "ref" for each in operation.parameters):
        return [{**given, "ref": ref} for ref in [*REFS, extra["run"]]]
    return [given]


def reading(here: Workspace) -> list[tuple[Room, Operation[Any, Any, Any, Any]]]:
    return [(room, each) for room, each in operations_of(here.rooms) if not each.writes]


def test_no_operation_that_reads_tells_what_its_caller_may_not_see(nest: Any) -> None:
    locked, client, _, extra = nest
    names = extra | {"digest": extra["profile"], "place": "1", "report": extra["profile"]}
    unknown, broken, answered = set(), [], 0
    for _, operation in reading(locked.here):
        tried = calls(operation, names)
        if tried is None:
            unknown.add(operation.path)
            continue
        for arguments in tried:
            answer = client.post(f"/api/v1/{operation.path}", json=arguments)
            assert sung(answer.text) is None, f"{operation.path} {arguments} tells {sung(answer.text)}"
            if answer.status_code >= 500:
                broken.append((operation.path, arguments))
            answered += answer.status_code == 200
    assert not broken  # an operation asked for a thing of another kind says so
    assert unknown == ELSEWHERE
    assert answered > 80


def test_no_page_shows_it(nest: Any) -> None:
    locked, client, *_ = nest
    headers = {"accept": "text/html"}
    paths = [
        "/datasets", "/datasets/born@1", "/record/dataset:born@1",
        "/datasets/people@2", "/datasets/people@2?against=1", "/datasets/people@3?merge=2", "/features",
        "/features/mails@1", "/record/dataset:people@2", "/audit", "/retention", "/privacy", "/runs", "/policies",
    ]  # fmt: skip
    for path in paths:
        answer = client.get(path, headers=headers)
        assert sung(answer.text) is None, path
        assert answer.status_code in (200, 403), f"{path}: {answer.status_code}"
    for event in range(locked.here.record.head().size):
        assert sung(client.get(f"/audit/{event}", headers=headers).text) is None


def test_no_object_and_no_artifact_that_names_one_gives_it_out(nest: Any) -> None:
    locked, client, eve, extra = nest
    for digest in [*extra["packs"], extra["profile"]]:
        assert client.get(f"/api/v1/objects/{digest}").status_code == 403
    size = locked.here.caller.blobs.size(extra["packs"][0])
    run = Ref.parse(extra["run"])
    try:
        eve.artifacts.add(run, [Artifact(name="mine.bin", digest=extra["packs"][0], size=size, media_type="")])
    except ModelwrightError:
        return
    place = eve.artifacts.root(run).removeprefix("mlflow-artifacts:/")
    for prefix in ("/api/2.0/mlflow-artifacts/artifacts", "/ajax-api/2.0/mlflow-artifacts/artifacts"):
        answer = client.get(f"{prefix}/{place}/mine.bin")
        assert answer.status_code in (403, 404) and sung(answer.text) is None
    shown = client.get("/get-artifact", params={"path": "mine.bin", "run_uuid": run.name})
    assert shown.status_code in (403, 404)


# What runs at the caller's side and brings something out, each with how it is tried.
OUT: dict[str, Any] = {
    "datasets.read": lambda w, f: w.datasets.read("dataset:people@2").to_pylist(),
    "datasets.rows": lambda w, f: w.datasets.rows(replace(w.datasets.show("dataset:people@2"), masks=[])).to_pylist(),
    "datasets.head": lambda w, f: w.datasets.head("dataset:people@2"),
    "datasets.arrow": lambda w, f: w.datasets.arrow("dataset:people@2").to_table().to_pylist(),
    "datasets.relation": lambda w, f: w.datasets.relation("dataset:people@2").fetchall(),
    "datasets.profile": lambda w, f: [w.datasets.profile(f"dataset:{name}") for name in ("people@2", "born@1")],
    "datasets.sketch": lambda w, f: w.datasets.sketch("dataset:people@2"),
    "datasets.kept_sketch": lambda w, f: w.datasets.kept_sketch((f / "sketch").read_text()),
    "datasets.suggest": lambda w, f: w.datasets.suggest("dataset:people@2"),
    "datasets.diff": lambda w, f: w.datasets.diff("dataset:people@1", "dataset:people@2"),
    "datasets.merge": lambda w, f: w.datasets.merge("dataset:people@2", "dataset:people@3", plan=True),
    "datasets.check": lambda w, f: w.datasets.check("dataset:people@2", [Pattern(column="email", regex="x")]),
    "datasets.hold": lambda w, f: w.datasets.hold("dataset:people@2"),
    "datasets.export": lambda w, f: w.datasets.export("dataset:people@2", f / "out.csv").read_text(),
    "datasets.push": lambda w, f: (w.datasets.push("dataset:people@2", str(f / "depot")), everything(f / "depot")),
    "datasets.checkout": lambda w, f: (w.datasets.checkout("dataset:people@2", f / "tree"), everything(f / "tree")),
    "datasets.files": lambda w, f: w.datasets.files("dataset:people@2"),
    "datasets.open": lambda w, f: w.datasets.open("dataset:people@2", "x").read(),
    "datasets.status": lambda w, f: w.datasets.status(f),
    "datasets.history": lambda w, f: w.datasets.history("dataset:people"),
    "features.training": lambda w, f: w.features.training(asked(), ["features:mails"]).table.to_pylist(),
    "features.plan_sql": lambda w, f: w.features.plan_sql(["features:mails"]),
    "features.verify": lambda w, f: w.features.verify("features:mails"),
    "features.replay": lambda w, f: w.features.replay(["features:mails"]),
    "features.reader": lambda w, f: w.features.reader(["features:mails"]).rows([{"id": "1"}]),
    "features.materialise": lambda w, f: w.features.materialise("features:mails"),
}  # fmt: skip
# What brings something in, keeps house at the caller's side, or is for the rooms above.
NOT_OUT = {
    *(
        f"datasets.{name}"
        for name in ("add", "add_files", "add_in_place", "add_listed", "pull", "prune", "extended", "shaped", "keep_sketch")
    ),
    *(
        f"datasets.{name}"
        for name in (
            "close",
            "known",
            "permit_of",
            "consents",
            "depot",
            "pseudonymizer",
            "reasons_against",
            "require_clear",
            "sketch_rows",
        )
    ),
    *(f"features.{name}" for name in ("apply", "close", "over")),
}


def asked() -> pa.Table:
    at = pa.array([1_700_000_100_000_000], pa.timestamp("us", "UTC"))
    return pa.table({"id": ["1"], "event_timestamp": at})


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def local_methods() -> set[str]:
    """The public methods of datasets and features that are no operations."""
    found = set()
    for kind in (Datasets, Features):
        for name in dir(kind):
            value = getattr(kind, name)
            if not name.startswith("_") and callable(value) and not isinstance(value, Operation | type):
                found.add(f"{kind.room}.{name}")
    return found - {f"{kind.room}.{name}" for kind in (Datasets, Features) for name in dir(Room)}


def test_nothing_at_the_callers_side_brings_it_out(nest: Any, tmp_path: Path) -> None:
    locked, _, eve, extra = nest
    profile = decode(locked.here.caller.blobs.read(extra["profile"]), Profile)
    (tmp_path / "sketch").write_text(profile.segments[0].sketch)
    for name, way in OUT.items():
        try:
            found = way(eve, tmp_path)
        except ModelwrightError as error:
            found = str(error)
        assert sung(repr(found)) is None, f"{name} brings it out"


def test_every_method_at_the_callers_side_is_walked_or_said_to_bring_nothing_out() -> None:
    assert local_methods() == OUT.keys() | NOT_OUT
    assert not OUT.keys() & NOT_OUT


def test_the_canary_is_there_for_who_may_see_it(nest: Any) -> None:
    locked, *_ = nest
    assert CANARY in repr(locked.here.datasets.read("dataset:people@2").to_pylist())
    assert CANARY in repr(locked.here.features.online([Ref.parse("features:mails")], [{"id": "1"}]))


def test_reads_about_people_lie_sealed_in_the_log_and_are_replayed_all_the_same(nest: Any) -> None:
    locked, *_ = nest
    locked.here.read_log.flush()
    assert locked.here.home is not None
    logged = everything(locked.here.home.folder / "reads")
    assert b"features:mails@1" in logged
    assert CANARY.encode() not in logged and b'"id"' not in logged
    reads = locked.here.features.logged(Ref.parse("features:mails@1"))
    assert reads and reads[0].values == [CANARY]


def test_who_may_erase_prunes_what_they_may_not_read_in_clear(locked: Locked) -> None:
    here = locked.here
    for seed in range(3):
        here.datasets.add(
            "people", pa.table({"id": [1, 2], "email": [f"ada{seed}@a.example", f"bob{seed}@b.example"]}), key="id"
        )
    here.access.define_role("eraser", ["read", "erase"])
    dan = locked.workspace(locked.token("dan", ("eraser", "*")))
    with pytest.raises(Denied):
        dan.caller.blobs.read(here.datasets.show(Ref.parse("dataset:people@1")).profile or "")
    plan = dan.datasets.prune("dataset:people", last=1, plan=True)
    assert plan.size > 0 and len(plan.objects) > 4
    done = dan.datasets.prune("dataset:people", last=1)
    assert ([each.ref.version for each in done.gone], done.size) == ([2, 1], plan.size)
    assert dan.storage.remove(done.objects, grace=0).size == done.size
    assert here.datasets.read("dataset:people@3").num_rows == 2
