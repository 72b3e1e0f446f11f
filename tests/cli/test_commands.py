"""Every command on a project with a trained model: in its folder and through a server, for people and for programs."""

from __future__ import annotations

import json
import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelwright.client import connect
from modelwright.core.refs import Ref
from modelwright.experiments import Point
from modelwright.store.objects import Objects
from modelwright.traces import Span, SpanBatch, SpanStatus

LOW = ["autonomy=person-decides", "people=none", "money=none", "undo=at-once", "rights=no", "safety=no"]
LOW += ["personal_data=none", "vulnerable=no", "regulated=no", "outside=no"]


def test_init_makes_a_project_of_a_folder_that_is_in_use_and_touches_nothing_in_it(mw: Any, tmp_path: Path) -> None:
    used = tmp_path / "used"
    used.mkdir()
    (used / "train.py").write_text("mine")
    (used / ".gitignore").write_text("*.pyc")
    made = mw("init", used, "--json")
    assert made.code == 0 and made.json["files"] == [".gitignore", "modelwright.toml"]
    assert (used / "train.py").read_text() == "mine" and (used / ".gitignore").read_text() == "*.pyc\n.modelwright/\n"
    assert mw("list", "model", "-w", used, "--json").json["items"] == []
    again = mw("init", used, "--json")
    assert again.code == 4 and again.error["code"] == "conflict" and "already" in again.error["message"]
    onto_a_file = mw("init", used / "train.py", "--json")
    assert onto_a_file.code == 4 and (used / "train.py").read_text() == "mine"


def test_init_writes_the_same_sample_data_each_time(mw: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        made = mw("init", tmp_path / name, "--json")
        assert made.code == 0 and "pipeline.py" in made.json["files"] and made.json["name"] == name
    one, two = ((tmp_path / name / "data" / "parcels.csv").read_bytes() for name in ("one", "two"))
    assert one == two and b'name = "two"' in (tmp_path / "two" / "modelwright.toml").read_bytes()


@pytest.mark.slow
def test_the_same_verbs_work_on_every_kind(mw: Any, place: str) -> None:
    run = mw("list", "run", "-w", place, "--json").json["items"][0]["id"]
    execution = mw("list", "execution", "-w", place, "--json").json["items"][0]["id"]
    evidence = mw("list", "evidence", "--about", "model:late@1", "-w", place, "--json").json["items"][0]["id"]
    shown = {
        "dataset:parcels@1": "2,400",
        "features:depots": "depot_late_rate",
        "model:late@1": "candidate",
        f"run:{run}": "test/roc_auc",
        f"execution:{execution}": "succeeded",
        "experiment:train": "runs",
        "pipeline:train": "pipeline.py:train",
        f"evidence:{evidence}": "model:late@1",
        "policy:standard": "data-checks",
        "workspace:parcels": "clock",
    }
    for ref, word in shown.items():
        told = mw("show", ref, "-w", place)
        assert told.code == 0 and word in told.out, (ref, told)
        assert max(map(len, told.out.splitlines())) <= 80, ref
        assert mw("show", ref, "-w", place, "--json").json
        kind = ref.partition(":")[0]
        if kind not in ("policy", "workspace"):
            assert mw("history", ref, "-w", place).code == 0
            assert mw("lineage", ref, "-w", place).code == 0
        if kind != "evidence":
            assert mw("list", kind, "-w", place).code == 0
            assert mw("list", kind, "-w", place, "--json").code == 0
    for kind in ("deployment", "rollout", "monitor", "alert", "incident", "principal"):
        assert mw("list", kind, "-w", place, "--json").json["items"] == []


def test_a_list_looks_into_one_thing_and_says_where_to_go_on(mw: Any, place: str, tmp_path: Path) -> None:
    changed = tmp_path / "more.csv"
    changed.write_text("parcel,depot\nP1,north\n")
    added = mw("data", "add", "other", changed, "-w", place, "--json", "--tag", "from=test", "--key", "parcel")
    assert added.json["version"]["ref"] == "dataset:other@1"
    changed.write_text("parcel,depot\nP1,south\nP1,north\n,north\n")
    doubled = mw("data", "add", "doubled", changed, "-w", place, "--key", "parcel").err
    assert "The key parcel does not name rows alone: it has 1 different value in 2 rows and none in 1." in doubled
    changed.write_text("parcel,depot\nP1,south\nP2,south\n")
    assert mw("data", "add", "other", changed, "-w", place).out == "dataset:other@2: 2 rows, 2 columns\n"
    again = mw("data", "add", "other", changed, "-w", place, "--tag", "from=elsewhere")
    assert again.out == "dataset:other@2: 2 rows, 2 columns, as before\n" and "tags stay as they were" in again.err
    assert mw("data", "add", "other", changed, "-w", place, "--json").json["as_before"] and not added.json["as_before"]
    versions = mw("list", "dataset:other", "-w", place, "--json").json["items"]
    assert [each["ref"] for each in versions] == ["dataset:other@2", "dataset:other@1"]
    first = mw("list", "dataset:other", "-w", place, "-n", "1", "--json").json
    assert first["next"] and "--after" in mw("list", "dataset:other", "-w", place, "-n", "1").err
    diff = mw("diff", "dataset:other@1", "2", "-w", place)
    assert "added" in diff.out and "depot (1)" in diff.out
    assert "changed  parcel=P1: depot north → south" in diff.out and "added    parcel=P2, depot=south" in diff.out
    assert mw("data", "diff", "dataset:other@1", "-w", place, "--json").json["rows"]["changed"] == 1
    assert mw("data", "diff", "other@1", "2", "-w", place).out == diff.out  # of datasets only: that need not be said
    assert mw("data", "show", "other", "-w", place).out == mw("show", "dataset:other", "-w", place).out
    assert "not of the kind dataset" in mw("data", "show", "model:other", "-w", place).err
    assert mw("diff", "dataset:other", "-w", place).code == 2
    assert mw("list", "experiment:train", "-w", place, "--json").json["items"][0]["experiment"] == "train"
    assert mw("list", "pipeline:train", "-w", place, "--json").json["items"][0]["state"] == "succeeded"


def test_a_broken_row_is_told_and_nothing_is_loaded(mw: Any, place: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text("a,b\n1,2\n3\n")
    refused = mw("data", "add", "broken", broken, "-w", place, "--json")
    assert refused.code == 2 and "broken.csv" in refused.error["message"]
    assert mw("show", "dataset:broken", "-w", place).code == 3


def test_data_checks_give_evidence_and_their_own_exit_code(
    mw: Any, place: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    passed = mw("data", "check", "dataset:parcels", "-w", place)
    assert passed.code == 0 and "All of 6 checks passed" in passed.out
    strict = tmp_path / "strict.toml"
    strict.write_text('[[check]]\nkind = "range"\ncolumn = "weight_kg"\nmaximum = 1\n')
    failed = mw("data", "check", "dataset:parcels", strict, "-w", place, "--json")
    assert failed.code == 10 and failed.json["verdict"] == "fail"
    suggested = tmp_path / "suggested.toml"
    suggested.write_text(mw("data", "suggest", "dataset:parcels", "-w", place).out)
    assert mw("data", "check", "dataset:parcels", suggested, "-w", place).code == 0
    assert len(mw("data", "head", "dataset:parcels", "-n", "2", "-w", place, "--json").json) == 2


def test_features_go_online_and_agree_with_offline(
    mw: Any, place: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert mw("features", "apply", "-w", place, "--json").json[0]["ref"] == "features:depots@1"
    assert "as before" in mw("features", "apply", "-w", place).out
    promise = project / "promise.toml"
    promise.write_text('owner = "ops"\n[[column]]\nname = "depot"\ntype = "text"\n')
    assert mw("data", "contract", "dataset:parcels", promise, "-w", place).code == 0
    assert mw("data", "hold", "dataset:parcels", "-w", place).code == 0
    assert "contract:parcels@1 is kept." in mw("show", "features:depots", "-w", place).out
    online = mw("features", "materialise", "features:depots", "--since", "2026-02-01", "-w", place, "--json")
    assert online.json[0]["rows"] == 4
    compared = mw("features", "verify", "features:depots", "-n", "20", "-w", place)
    assert compared.code == 0 and "equal" in compared.out
    key = json.dumps(dict.fromkeys(mw("show", "features:depots", "-w", place, "--json").json["view"]["entity"], "nowhere"))
    read = mw("features", "read", "features:depots", "-k", key, "-w", place, "--json")
    assert read.code == 0 and len(read.json) == 1
    assert mw("features", "read", "features:depots", "-k", "{}", "-w", place).code == 2
    (use,) = mw("features", "find", "depots", "-w", place, "--json").json
    assert (use["version"]["ref"], use["consumers"][0]["ref"]) == ("features:depots@1", "model:late@1")
    assert mw("features", "find", "no such words", "-w", place, "--json").json == []
    assert mw("features", "freshness", "features:depots", "-w", place, "--json").json[0]["behind"] == 0
    assert [each["view"] for each in mw("features", "freshness", "-w", place, "--json").json] == ["features:depots@1"]
    assert "Sort by changed, importance" in mw("features", "find", "--sort", "size", "-w", place).err
    assert mw("features", "freshness", "depots", "-w", place, "--json").json[0]["view"] == "features:depots@1"
    assert mw("features", "verify", "--logged", "-w", place, "--json").code == 0
    assert mw("features", "verify", "-w", place).code == 2
    assert mw("features", "diff", "depots@1", "1", "-w", place).code == 0


def test_rows_are_pushed_once_and_folded_into_a_version(mw: Any, place: str, tmp_path: Path) -> None:
    (tmp_path / "stream.csv").write_text("card,amount\na,1.5\n")
    (tmp_path / "rows.jsonl").write_text('{"card": "b", "amount": 2.5}\n{"card": "c", "amount": 3}\n')
    assert mw("data", "add", "stream", tmp_path / "stream.csv", "-w", place).code == 0
    for repeated in (False, True):
        made = mw("features", "push", "dataset:stream", tmp_path / "rows.jsonl", "--id", "1", "-w", place, "--json")
        assert (made.json["rows"], made.json["repeated"]) == (2, repeated)
    assert mw("features", "fold", "dataset:stream", "-w", place, "--json").json["version"].startswith("dataset:stream@")
    assert len(mw("data", "head", "dataset:stream", "-w", place, "--json").json) == 3


def test_rows_that_cannot_be_pushed_are_told_with_their_line(mw: Any, place: str, tmp_path: Path) -> None:
    (tmp_path / "taps.csv").write_text("card,at,amount\na,2026-03-01T08:00:00Z,1.5\n")
    assert mw("data", "add", "taps", tmp_path / "taps.csv", "-w", place).code == 0
    good = b'{"card": "b", "at": "2026-03-01T08:00:00Z", "amount": 1}\n'
    for content, said in (
        (b"", "has no rows"),
        (good + b"\n[1, 2]\n", "line 3 is no JSON object: Expected `object`"),
        (good + b'{"card": "b"', "line 2 is no JSON object"),
        (b"\xff\xfe\n", "line 1 is no JSON object"),
        (good.replace(b": 1}", b': "nine"}'), "'amount' is double, and Could not convert 'nine'"),
        (good.replace(b"00Z", b"00"), "'at' is timestamp[us, tz=UTC], and 2026-03-01T08:00:00 has no time zone"),
        (good.replace(b"2026-", b"last "), "'at' is timestamp"),
    ):
        (tmp_path / "rows.jsonl").write_bytes(content)
        told = mw("features", "push", "dataset:taps", tmp_path / "rows.jsonl", "-w", place, "--json")
        assert told.code == 2 and said in told.error["message"], (content, told.error)
    gone = mw("features", "push", "dataset:taps", tmp_path / "nothing.jsonl", "-w", place, "--json")
    assert gone.code == 3 and "nothing.jsonl cannot be read" in gone.error["message"]
    (tmp_path / "rows.jsonl").write_bytes(good)
    pinned = mw("features", "push", "dataset:taps@1", tmp_path / "rows.jsonl", "-w", place, "--json")
    assert pinned.code == 2 and "as a whole, not to dataset:taps@1" in pinned.error["message"]
    assert mw("features", "push", "dataset:taps", tmp_path / "rows.jsonl", "-w", place).out.startswith("1 row is push")
    assert "no online read was logged" in mw("features", "verify", "--logged", "-w", place).out.lower()


def test_the_way_to_production_and_back(mw: Any, place: str) -> None:
    at = ("-w", place)
    refused = mw("promote", "model:late@1", "production", "-m", "now", *at, "--json")
    assert refused.code == 4 and "staging" in refused.error["mend"]
    gate = mw("gate", "model:late@1", *at)
    assert gate.code == 10 and "model-card" in gate.out and "mw approve model:late@1" in gate.out
    assert mw("gate", "model:late@1", *at, "--json").json["passed"] is False
    assert mw("approve", "model:late@1", "-m", "looked at it", *at).code == 10  # whoever made it
    asked = mw("waive", "model:late@1", "slices", "-m", "one depot only", "--ask", *at)
    assert asked.code == 0 and "risk officer" in asked.out
    assert mw("waive", "model:late@1", "slices", "-m", "x", "--control", "y", *at).code == 2  # no end
    classified = mw("classify", "model:late", *LOW, "-m", "internal", *at)
    assert "risk tier low" in classified.out
    assert "autonomy" in mw("classify", "model:late", "--questions").out
    assert mw("promote", "model:late@1", "staging", "-m", "first", *at).out == "model:late@1 is in staging.\n"
    assert mw("card", "model:late@1", "--attach", *at).out.startswith("---")
    assert mw("promote", "model:late@1", "production", "-m", "good", *at, "--json").json["stage"] == "production"
    assert len(mw("policy", "gates", "model:late", *at, "--json").json) == 2
    live = mw("deploy", "late", "model:late@1", "production", "--create", "-m", "go", *at)
    assert live.code == 0 and "100 %" in live.out
    assert "late@1" in mw("live", *at).out and "was live" in mw("live", "model:late", *at).out
    assert mw("live", "--at", "2020-01-01", *at, "--json").json == []
    assert "late" in mw("list", "deployment", *at).out and "production" in mw("show", "deployment:late", *at).out
    assert mw("kill", "late", *at).code == 2  # nobody is there to be asked
    assert "switch: off" in mw("kill", "late", "-y", *at).out
    fallback = mw("kill", "late", "--fallback", json.dumps({"probability": 0.2}), *at, "--json").json
    assert fallback["placements"][0]["switch"] == "fallback"
    assert "switch" not in mw("kill", "late", "--on", *at).out
    assert mw("rollback", "late", *at).code == 4 and mw("rollout", "pause", "late", *at).code in (3, 4)
    assert "Lead time" in mw("figures", "2020-01-01", *at).out


def test_training_goes_on_after_a_version_is_live(mw: Any, project: Path) -> None:
    at = ("-w", project)
    mw("classify", "model:late", *LOW, *at)
    for stage in ("staging", "production"):
        assert mw("promote", "model:late@1", stage, "-m", "go", *at).code == 0
    assert mw("deploy", "late", "model:late@1", "production", "--create", *at).code == 0
    assert mw("run", "train", *at, "--json").json["state"] == "succeeded"
    again = mw("run", "train", "--set", "rounds=20", "--why", *at)
    assert again.code == 0 and "parameter rounds changed: 60 → 20" in again.out
    assert "made model:late@2" in again.out
    compared = mw("list", "evidence", "--about", "model:late@2", "--text", "comparison", *at, "--json").json["items"]
    assert "model:late@1" in json.dumps(compared)
    assert "package.size" in mw("diff", "model:late@1", "2", *at).out
    runs = [each["id"] for each in mw("list", "run", *at, "--json").json["items"]]
    assert "rounds" in mw("diff", f"run:{runs[-1]}", f"run:{runs[0]}", *at).out


def test_tags_and_retirement(mw: Any, place: str) -> None:
    at = ("-w", place)
    run = mw("list", "run", *at, "--json").json["items"][0]["id"]
    for ref in ("model:late@1", "dataset:parcels@1", "features:depots@1", f"run:{run}"):
        assert mw("tag", ref, "team=post", "old=yes", *at).code == 0
        assert mw("tag", ref, "old=", *at, "--json").json["team"] == "post"
        assert "old" not in mw("show", ref, *at, "--json").json["tags"]
    assert mw("list", "model", "--tag", "team=post", *at, "--json").json["items"]
    assert mw("retire", "model:late@1", "-m", "over", *at).code == 2
    assert mw("retire", "model:late@1", "-m", "over", "-y", *at).out == "model:late@1 is retired.\n"
    assert mw("retire", f"run:{run}", "-m", "over", "-y", *at).code == 2  # runs do not retire


def test_a_version_shows_the_levels_of_its_columns_and_whose_signature_it_bears(
    mw: Any, place: str, tmp_path: Path
) -> None:
    import pandas as pd
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from sklearn.dummy import DummyClassifier

    levels = [f"depot {number}" for number in range(10)]
    rows = pd.DataFrame({"depot": pd.Categorical(levels), "stops": range(10)})
    with connect(place) as rooms:
        rooms.models.log("grade", DummyClassifier().fit(rows, [0, 1] * 5), example=rows)
    told = " ".join(mw("show", "model:grade@1", "-w", place).out.split())
    assert re.search(r"in depot STRING: depot 0, depot 1, .*depot 7 and 2 more", told)
    assert "signed" not in told
    key, own = tmp_path / "key.pem", ec.generate_private_key(ec.SECP256R1())
    key.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert mw("sign", "model:grade@1", "--key", key, "-w", place).code == 0
    told = mw("show", "model:grade@1", "-w", place).out
    assert re.search(r"signed +with the key [0-9a-f]{12}, which is none of the trusted ones", told)


def test_a_model_shows_the_moves_of_its_aliases_and_a_version_its_files(mw: Any, place: str) -> None:
    at = ("-w", place)
    with connect(place) as rooms:
        rooms.models.alias(Ref.parse("model:late@1"), "shadow", reason="to compare")
        rooms.models.drop_alias(Ref.parse("model:late"), "shadow", reason="compared")
    whole = mw("show", "model:late", *at, "--json").json
    moves = [(each["alias"], each.get("version"), each["reason"]) for each in whole["alias_history"]]
    assert moves == [("shadow", None, "compared"), ("shadow", 1, "to compare")]
    assert all(each["at"] and each["actor"] for each in whole["alias_history"]) and "files" not in whole
    told = mw("show", "model:late", *at).out
    assert "taken away" in told and "to compare" in told and max(map(len, told.splitlines())) <= 80
    version = mw("show", "model:late@1", *at, "--json").json
    assert {each["path"]: each["digest"] for each in version["files"]} == version["record"]["files"]
    assert sum(each["size"] for each in version["files"]) == version["record"]["size"] > 0
    assert "alias_history" not in version
    told = mw("show", "model:late@1", *at).out
    assert all(each["path"] in told and each["digest"][:12] in told for each in version["files"])


def test_incidents_from_report_to_resolution(mw: Any, place: str) -> None:
    at = ("-w", place)
    mw("classify", "model:late", *LOW, *at)
    mw("promote", "model:late@1", "staging", "-m", "first", *at)
    assert mw("deploy", "late", "model:late@1", "staging", "--create", *at).code == 0
    assert mw("incident", "report", "late", "Too many late", "--severity", "2", *at).out.startswith("incident:1 is open")
    assert mw("incident", "note", "1", "Found it", "--owner", "ada", *at, "--json").json["owner"] == "ada"
    assert "Too many late" in mw("incident", "show", "1", *at).out
    assert mw("incident", "show", "1", "--report", *at).out.startswith("#")
    assert mw("incident", "contain", "1", *at).code == 0
    resolved = mw("incident", "resolve", "1", "--cause", "A storm", "--action", "ada:Add wind", *at, "--json").json
    assert resolved["actions"][0]["owner"] == "ada"
    assert mw("incident", "list", *at).out == "" and "resolved" in mw("incident", "list", "--all", *at).out
    assert mw("show", "incident:1", *at).code == 0 and mw("alerts", *at, "--json").json["items"] == []
    assert mw("alerts", "-a", "7", *at).code == 3


def test_webhooks_are_made_changed_and_deleted(mw: Any, project: Path) -> None:
    at = ("-w", project)
    nothing = mw("webhook", "create", "chat", "https://hooks.example.org/x", *at, "--json")
    assert nothing.code == 2 and "--event" in nothing.error["mend"]
    made = mw("webhook", "create", "chat", "https://hooks.example.org/x", "--event", "models", "--secret", "s3", *at)
    assert made.code == 0 and made.out.endswith("is told of models from now on, signed.\n")
    hook = mw("list", "webhook", *at, "--json").json["items"][0]["id"]
    assert "chat" in mw("list", "webhook", *at).out
    changed = mw("webhook", "change", hook, "--disable", "--event", "deployments", *at, "--json").json
    assert (changed["status"], changed["events"], changed["signed"]) == ("disabled", ["deployments"], True)
    shown = mw("show", f"webhook:{hook}", *at)
    assert "disabled" in shown.out and "with a secret" in shown.out and "s3" not in shown.out
    assert mw("webhook", "deliveries", hook, *at).err.startswith("Nothing was sent")
    assert mw("webhook", "redeliver", hook, "none", *at).code == 3
    assert mw("webhook", "delete", hook, *at).code == 2 and mw("webhook", "delete", hook, "-y", *at).code == 0
    assert mw("list", "webhook", *at, "--json").json["items"] == []


def test_traces_are_found_and_shown_span_by_span(mw: Any, project: Path) -> None:
    at, hour = ("-w", project), 3_600_000_000_000
    with connect(project) as rooms:
        chat = rooms.experiments.create("chat").ref
        inner = Span(trace="a" * 32, id="2" * 16, parent="1" * 16, name="ask", start=hour, end=hour + 2_000_000)
        outer = Span(
            trace="a" * 32, id="1" * 16, name="answer", start=hour, end=2 * hour, status=SpanStatus.ERROR, message="no"
        )
        rooms.traces.log(chat, [SpanBatch(spans=[outer, inner])])
    found = mw("traces", "chat", "--filter", "status = 'ERROR'", *at, "--json").json["items"]
    assert [each["id"] for each in found] == ["tr-" + "a" * 32]
    assert "answer" in mw("traces", *at).out and "answer" in mw("list", "trace", *at).out
    assert mw("traces", "chat", "--filter", "status = 'OK'", *at).err == "There is none.\n"
    told = mw("show", "trace:tr-" + "a" * 32, *at).out
    assert re.search(r"answer +error +3600\.0 s +no\n  ask +unset +2 ms", told)
    assert mw("traces", "nobody", *at).code == 3


def test_policies_are_shown_simulated_and_adopted(mw: Any, place: str, tmp_path: Path) -> None:
    at = ("-w", place)
    file = tmp_path / "policy.toml"
    file.write_text(mw("policy", "show", "--toml", *at).out)
    assert "[tier.low]" in file.read_text() and "Risk tier low" in mw("policy", "show", *at).out
    assert "would have blocked 0" in mw("policy", "simulate", file, *at).out
    assert mw("policy", "adopt", file, *at).code == 2  # nobody is there to be asked
    assert mw("policy", "adopt", file, "-y", *at).out == "policy:standard@1 is in force.\n"
    file.write_text(file.read_text().replace("max_age_days = 180", "max_age_days = 90"))
    assert mw("policy", "adopt", file, "-y", *at, "--json").json["ref"] == "policy:standard@2"
    assert "~" in mw("policy", "diff", "policy:standard@1", "2", *at).out
    assert mw("policy", "assign", "model:late", "standard", *at).code == 0
    assert mw("policy", "waivers", *at, "--json").json == []
    assert mw("policy", "adopt", tmp_path / "none.toml", *at).code == 2


def test_the_ledger_is_verified_exported_and_signed(mw: Any, place: str, tmp_path: Path) -> None:
    at = ("-w", place)
    assert "whole" in mw("audit", "verify", *at).out
    note = tmp_path / "kept.note"
    sealed = mw("audit", "checkpoint", "--out", note, *at, "--json").json
    assert sealed["size"] > 10
    kept = mw("audit", "verify", "--checkpoint", note, *at, "--json")
    assert kept.code == 0 and kept.json["findings"] == []
    exported = mw("audit", "export", tmp_path / "ledger.zip", *at)
    assert exported.code == 0 and (tmp_path / "ledger.zip").is_file()
    assert mw("audit", "proof", "0", *at, "--json").json["seq"] == 0
    assert len(mw("audit", "events", "-n", "3", *at, "--json").json["items"]) == 3
    assert mw("audit", "events", "--action", "models", *at).code == 0
    assert mw("audit", "rotate-key", "-m", "yearly", "-y", *at).code == 0
    assert mw("doctor", *at).code == 0


def test_a_damaged_ledger_has_its_own_exit_code(mw: Any, project: Path) -> None:
    import sqlite3

    with sqlite3.connect(project / ".modelwright" / "workspace.db") as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute("UPDATE ledger_events SET body = CAST(replace(body, 'root', 'toor') AS BLOB) WHERE seq = 4")
    found = mw("audit", "verify", "-w", project, "--json")
    assert found.code == 7 and found.json["findings"][0]["seq"] == 4
    assert mw("doctor", "-w", project).code == 1


def test_rows_that_are_kept_as_a_file_are_told_to_be(mw: Any, project: Path, tmp_path: Path) -> None:
    for name, told in (("rows.csv.gz", True), ("Rows.JSON", True), ("photo.png", False)):
        (tmp_path / name).write_bytes(b"content of " + name.encode())
        added = mw("data", "add", "kept", tmp_path / name, "-w", project)
        assert added.code == 0 and ("would be a table" in added.err) == told
    assert "would be" not in mw("data", "add", "kept", tmp_path / "rows.csv.gz", "--files", "-w", project).err


def test_a_dataset_that_is_not_there_has_no_log_and_nothing_is_exported_to_a_dash(mw: Any, project: Path) -> None:
    missing = mw("data", "log", "nosuch", "-w", project)
    assert missing.code == 3 and "There is no dataset named 'nosuch'" in missing.err
    refused = mw("data", "export", "dataset:parcels", "-", "-w", project)
    assert refused.code == 2 and "exported to files" in refused.err
    assert not Path("-").exists()


def test_columns_of_any_name_and_number_can_be_read(mw: Any, project: Path, tmp_path: Path) -> None:
    odd = {"a\nb": [1, 2], " ": ["x\ty", "\u202e"], "z" * 500: ["y" * 5000, None], "inf": [math.inf, 1.0]}
    pq.write_table(pa.table(odd), tmp_path / "odd.parquet")
    pq.write_table(pa.table({f"c{number:03}": [number] * 2 for number in range(500)}), tmp_path / "wide.parquet")
    for name in ("odd", "wide"):
        assert mw("data", "add", name, tmp_path / f"{name}.parquet", "-w", project).code == 0
    shown = mw("data", "show", "dataset:odd", "-w", project).out
    assert max(map(len, shown.splitlines())) <= 160 and len(shown.splitlines()) < 25
    assert r"a\nb" in shown and '" "' in shown and "infinite" in shown and "…" in shown
    head = mw("data", "head", "dataset:odd", "-w", project).out
    assert r"x\ty" in head and r"\u202e" in head
    wide = mw("data", "head", "dataset:wide", "-w", project).out.splitlines()
    assert wide[0].split() == ["column", "row", "1", "row", "2"]
    assert wide[-1].split() == ["c499", "499", "499"] and len(wide) == 502


def test_a_backup_comes_back_in_a_new_folder_and_never_over_another(mw: Any, project: Path, tmp_path: Path) -> None:
    saved = mw("backup", tmp_path / "saved", "-w", project, "--json")
    assert saved.code == 0
    assert mw("backup", tmp_path / "saved", "-w", project).code == 4
    again = mw("restore", tmp_path / "saved", tmp_path / "again", "--json")
    assert again.code == 0 and again.json["root"] == saved.json["root"]
    assert (tmp_path / "again" / "modelwright.toml").read_bytes() == (project / "modelwright.toml").read_bytes()
    listed = mw("list", "model", "-w", tmp_path / "again", "--json").json["items"]
    assert [each["ref"] for each in listed] == ["model:late@1"]
    assert mw("restore", tmp_path / "saved", tmp_path / "again").code == 4
    (tmp_path / "fourth" / ".modelwright" / "objects").mkdir(parents=True)  # a folder that somebody has looked at
    (tmp_path / "fourth" / ".modelwright" / "restoring").write_text(str(tmp_path / "saved"))  # as a kill leaves it
    (tmp_path / "fourth" / "modelwright.toml").write_text('[workspace]\nname = "fourth"\n')
    begun = mw("list", "model", "-w", tmp_path / "fourth")
    assert begun.code == 4 and f"mw restore {tmp_path / 'saved'} {tmp_path / 'fourth'}" in begun.err
    assert mw("restore", tmp_path / "again", tmp_path / "fourth").code == 3  # no backup
    assert mw("restore", tmp_path / "saved", tmp_path / "fourth").code == 0
    assert mw("list", "model", "-w", tmp_path / "fourth").code == 0
    victim = next((tmp_path / "saved" / "objects").rglob("*/*"))
    victim.write_bytes(b"other")
    damaged = mw("restore", tmp_path / "saved", tmp_path / "third", "--json")
    assert damaged.code == 7 and victim.name in damaged.error["message"]


def test_wrong_words_are_answered_with_the_right_ones(mw: Any, project: Path) -> None:
    at = ("-w", project)
    assert "Did you mean model?" in mw("list", "modle", *at).err
    assert "models" in mw("list", "evidence", *at).err or "--about" in mw("list", "evidence", *at).err
    assert mw("promote", "model:late@1", "prod", *at).code == 2
    assert mw("promote", "dataset:parcels", "staging", *at).code == 2
    assert "^" in mw("show", "model:la te", *at).err
    assert mw("tag", "model:late@1", "novalue", *at).code == 2
    assert mw("kill", "late", "--fallback", "{", *at).code == 2
    assert mw("backup", "somewhere", "-w", "http://127.0.0.1:1").code == 2


def test_two_runs_are_compared_and_a_run_has_no_versions(mw: Any, project: Path) -> None:
    with connect(str(project)) as rooms:
        for rate in (1, 2):
            with rooms.experiments.run("pair", name="alike", capture=False) as run:
                run.log_params({"rate": rate})
                for number in range(5):
                    run.log_metric(f"m{number}", rate / (number + 1))
    at = ("-w", project)
    second, first = (each["run"]["id"] for each in mw("runs", "pair", *at, "--json").json["items"])
    for other in (f"run:{second}", second):
        told = mw("diff", f"run:{first}", other, *at)
        assert told.code == 0 and f"alike …{first[-6:]}" in told.out and "rate" in told.out
    assert f"alike …{second[-6:]}" in mw("compare", first, second, *at).out
    some = mw("compare", first, second, "--like", "M3", *at)
    assert "m3" in some.out and "m2" not in some.out and "rate" not in some.out
    assert "has 'nothing' in its name" in mw("compare", first, second, "--like", "nothing", *at).err
    assert [row["name"] for row in mw("compare", first, second, "--like", "ra", *at, "--json").json["params"]] == ["rate"]
    for wrong, word in (
        ("2", "has no versions"),
        (first, "differs in nothing from itself"),
        (None, "With which other run"),
    ):
        refused = mw("diff", f"run:{first}", *([wrong] if wrong else []), *at)
        assert refused.code == 2 and word in refused.err and f"mw diff run:{first} run:" in refused.err
    assert "has no versions" in mw("show", f"run:{first}@2", *at).err
    assert "alone differs from nothing" in mw("compare", first, first, *at).err
    assert "m4" not in mw("runs", "pair", *at).out
    assert "m4 0.4" in mw("runs", "pair", "--order", "metrics.m4 DESC", *at).out
    assert mw("views", "pair", *at).code == 0 and mw("views", "nowhere", *at).code == 3
    kept = mw("runs", "pair", "--filter", "metrics.m4 > 0.1", "--order", "metrics.m4 DESC", "--save", "the böst", *at)
    assert kept.code == 0 and "Saved as 'the böst': /runs?experiment=pair&where=metrics.m4+%3E+0.1&order=" in kept.err
    assert mw("compare", first, second, "--save", "both", "--json", *at).json["runs"][0]["id"] == first
    assert [each["page"] for each in mw("views", "pair", *at, "--json").json] == ["compare", "runs"]
    assert mw("runs", "--save", "of all", *at).code == 2
    meant = mw("runs", "metrics.m4 > 0.1", *at)
    assert meant.code == 2 and 'mw runs --filter "metrics.m4 > 0.1"' in meant.err
    assert mw("runs", "nowhere", *at).code == 3


def test_versions_are_signed_and_verified(mw: Any, place: str, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    own = ec.generate_private_key(ec.SECP256R1())
    key, public, bundle = tmp_path / "key.pem", tmp_path / "public.pem", tmp_path / "model.sig"
    key.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    refused = mw("verify-model", "model:late@1", "-w", place)
    assert refused.code == 10 and "is not signed" in refused.err
    assert mw("sign", "model:late@1", "--key", key, "--out", bundle, "-m", "release", "-w", place).code == 0
    assert "sigstore.bundle" in bundle.read_text()
    assert "as it was signed: 1 file." in mw("verify-model", "model:late@1", "--key", public, "-w", place).out
    assert mw("verify-model", "model:late@1", "-w", place).code == 10  # nobody said that this key counts


def test_a_signed_model_is_handed_over_and_verified_by_whoever_has_the_public_key(
    mw: Any, place: str, tmp_path: Path
) -> None:
    import model_signing
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    own, folder, bundle = ec.generate_private_key(ec.SECP256R1()), tmp_path / "late", tmp_path / "theirs.sig"
    key, public = tmp_path / "key.pem", tmp_path / "public.pem"
    key.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    assert "1 file in" in mw("export", "model", "model:late@1", folder, "-w", place).out
    signing = model_signing.signing.Config().use_elliptic_key_signer(private_key=key)
    signing.sign(folder, bundle)  # where the key is
    assert mw("sign", "model:late@1", "--bundle", bundle, "--key", public, "-w", place).code == 0
    assert mw("verify-model", "model:late@1", "--key", public, "-w", place).code == 0

    assert mw("export", "model", "model:late@1", folder, "-w", place).code == 4  # it holds something
    told = mw("export", "model", "model:late@1", tmp_path / "again", "-w", place, "--json").json
    assert [*told["files"]] == ["model.skops"] and told["signature"] == str(tmp_path / "again.sig")
    offline = ["verify-model", tmp_path / "again", "--signature", tmp_path / "again.sig"]
    assert "as it was signed: 1 file" in mw(*offline, "--key", public).out
    assert mw(*offline).code == 2  # by whose key?
    (tmp_path / "again" / "model.skops").write_bytes(b"other")
    changed = mw(*offline, "--key", public)
    assert changed.code == 7 and "model.skops" in changed.err


def test_what_nothing_refers_to_is_shown_and_let_go_of(mw: Any, place: str) -> None:
    plan = mw("gc", "--plan", "--older-than", "0", "--json", "-w", place)
    assert plan.code == 0 and plan.json["kept"] > 0
    done = mw("gc", "--older-than", "0", "-y", "--json", "-w", place)
    assert done.code == 0 and done.json["count"] == plan.json["count"]
    assert "Nothing would go." in mw("gc", "--plan", "--older-than", "0", "-w", place).out


def test_a_depot_is_cleared_of_what_no_version_needs(mw, tmp_path):
    place, depot = tmp_path / "place", tmp_path / "depot"
    mw("init", place)
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a").write_text("a")
    assert mw("data", "add", "f", tmp_path / "f", "-w", place).code == 0
    refused = mw("gc", "--depot", depot, "-w", place)
    assert refused.code and "There is no folder" in refused.err and not depot.exists()
    assert mw("data", "push", "dataset:f", depot, "-w", place).code == 0
    Objects.open(depot / "objects").put(b"left")
    of = ("gc", "--depot", depot, "--older-than", "0", "-w", place)
    assert "1 object would go, 4 B: no digest in the documents of" in mw(*of, "--plan").out
    assert "1 object went, 4 B." in mw(*of, "-y").out
    assert "Nothing would go." in mw(*of, "--plan").out


def test_a_folder_goes_in_and_comes_out_again(mw: Any, place: str, tmp_path: Path) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "out"
    (folder / "cats").mkdir(parents=True)
    (folder / "cats" / "one.png").write_bytes(b"one")
    (folder / "two.csv").write_text("a,b\n1,2\n")
    added = mw("data", "add", "pictures", folder, "-w", place)
    assert added.out.startswith("dataset:pictures@1: 2 files, ")
    assert mw("data", "status", folder, "-w", place).out == f"{folder} is dataset:pictures@1.\n"
    (folder / "new").touch()
    assert mw("data", "status", folder, "-w", place, "--json").json["added"] == ["new"]
    assert mw("data", "add", "pictures", folder, "-w", place, "--json").json["version"]["files"] == 3
    assert [each["path"] for each in mw("data", "files", "dataset:pictures", "*.csv", "-w", place, "--json").json] == [
        "two.csv"
    ]
    assert "added" in mw("data", "diff", "dataset:pictures@1", "2", "-w", place).out
    assert len(mw("data", "log", "pictures", "-w", place, "--json").json["items"]) == 2
    assert "3 files" in mw("data", "log", "dataset:pictures", "-w", place).out

    done = mw("data", "checkout", "dataset:pictures@1", out, "-w", place)
    assert done.out == f"{out} is dataset:pictures@1: 2 written\n"
    (out / "two.csv").write_text("mine")
    refused = mw("data", "checkout", "dataset:pictures@2", out, "-w", place, "--json")
    assert (refused.code, refused.error["code"]) == (4, "conflict")
    assert mw("data", "checkout", "dataset:pictures@2", out, "-w", place, "--force").code == 0
    again = mw("data", "checkout", "dataset:pictures@1", out, "-w", place, "--json").json
    assert (again["removed"], again["kept"]) == (1, 2)
    assert mw("data", "add", "raw", folder / "two.csv", "-w", place, "--files", "--json").json["version"]["files"] == 1
    assert mw("data", "add", "raw", folder, "-w", place, "--key", "a").code == 2
    assert mw("show", "dataset:pictures", "-w", place).code == 0


@pytest.mark.parametrize("arguments", [("add", "x"), ("checkout", "dataset:x@1"), ("status",)])
def test_a_link_that_leads_to_itself_is_told(mw: Any, place: str, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    link = tmp_path / "loop"
    link.symlink_to(link)
    told = mw("data", *arguments, link, *(["--files"] if arguments[0] == "add" else []), "-w", place)
    assert told.code in (2, 3), told
    assert "Traceback" not in told.err and ("leads to itself" in told.err or "no" in told.err), told


def test_runs_that_nobody_will_end_are_told_apart_and_can_be_ended(
    mw: Any, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    title = "Long (trips) / 2026"
    with connect(place) as there:
        now = there.workspace.status().now
        old, older, fresh = (
            there.experiments.start(title, started_at=now - timedelta(days=days)).ref for days in (3, 9, 0)
        )
        heard = now - timedelta(days=2)
        there.experiments.log(old, points=[Point.of("loss", 0.5, step=1, time=heard)])
    listed = mw("list", "run", "--state", "running", "-w", place).out
    assert "running, silent 2.0 d" in listed and "running, silent 9.0 d" in listed and listed.count("silent") == 2
    assert f"mw end {old}" in mw("show", old, "-w", place).out
    assert "silent" not in mw("show", fresh, "-w", place).out
    if not place.startswith("http"):
        checks = {each["name"]: each for each in mw("doctor", "--json", "-w", place).json}
        assert "2 runs are said to run" in checks["silent runs"]["what"]
    ended = mw("end", "--silent", "7d", "--experiment", title, "-m", "its machine is gone", "-y", "--json", "-w", place)
    assert [each["id"] for each in ended.json] == [older.name] and ended.json[0]["status"] == "killed"
    (event,) = [each for each in mw("history", older, "--json", "-w", place).json["items"] if "killed" in each["action"]]
    assert event["reason"] == "its machine is gone"
    told = mw("end", old, "--as", "failed", "-w", place)
    assert told.code == 0 and f"{old} is failed" in told.out
    with connect(place) as there:
        assert there.experiments.show(old).ended_at == heard
        assert there.experiments.show(fresh).status == "running"
    assert mw("end", old, "-w", place).code == 4
    assert "No run was silent" in mw("end", "--silent", "36h", "-y", "-w", place).out
    for wrong in (["end"], ["end", old, "--silent", "1d"], ["end", "--silent", "soon"], ["end", old, "--as", "running"]):
        assert mw(*wrong, "-w", place).code == 2


def test_lists_of_what_lies_in_an_experiment_say_its_title(mw: Any, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    title = "Chat (prod) / 2026"
    with connect(place) as there:
        made = there.experiments.create(title)
        there.traces.log(made.ref, [SpanBatch(spans=[Span(trace="b" * 32, id="c" * 16, name="answer", start=1, end=2)])])
        model = there.logged_models.create(made.id, name="m").ref
    for what in ("trace", "logged-model"):
        assert title in mw("list", what, "-w", place).out
    assert title in mw("traces", "-w", place).out
    for ref in (f"trace:tr-{'b' * 32}", model):
        assert f"{title} ({made.ref})" in mw("show", ref, "-w", place).out
