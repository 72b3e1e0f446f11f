"""What was put online and is not there any more is named, and put back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from modelwright.client import connect
from modelwright.core.errors import Conflict, Unavailable
from modelwright.core.refs import Ref
from modelwright.features import FeatureView, count
from modelwright.testing import serving
from modelwright.workspace import Workspace

KEY = [{"plane": "N1"}]


def view(here: Workspace, name: str) -> Ref:
    at = datetime.now(UTC) - timedelta(days=1)
    here.datasets.add(
        "hops", pa.table({"plane": ["N1", "N2"], "at": pa.array([at, at], pa.timestamp("us", "UTC"))}), time_column="at"
    )
    made = FeatureView(
        name=name, entity="plane", source="dataset:hops", event_time="at", features=[count(window="7d", name="hops")]
    )
    return here.features.apply(made).ref


def lose(here: Workspace, ref: Ref) -> None:
    """As a store that was emptied: the record still says that it stands there."""
    assert here.pushes.online is not None
    here.pushes.online.drop(ref)


def test_what_was_lost_is_named_and_put_back_as_far_as_it_went(embedded: Workspace) -> None:
    ref = view(embedded, "hops")
    begin = datetime.now(UTC) - timedelta(hours=2)
    embedded.features.materialise(ref, since=begin)
    assert embedded.pushes.lost() == []
    lose(embedded, ref)
    with pytest.raises(Unavailable, match="mw features materialise"):
        embedded.features.online([ref], KEY)
    (lost,) = embedded.pushes.lost()
    assert (lost.view, lost.since, lost.rows, lost.source) == (ref, begin, 2, Ref.parse("dataset:hops@1"))
    embedded.features.materialise(lost.view, since=lost.since)
    assert embedded.pushes.lost() == []
    assert embedded.features.online([ref], KEY) == [{"hops": 1}]


def test_nothing_is_lost_that_stands_there_whatever_the_door(workspace: Workspace) -> None:
    ref = view(workspace, "hops")
    workspace.features.materialise(ref)
    assert workspace.pushes.lost() == []
    assert workspace.features.find("hops", limit=1)[0].cost.source_rows == 2


def test_the_command_puts_it_back_and_the_doctor_tells_of_it(
    embedded: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    from modelwright.cli.entry import run

    ref = view(embedded, "hops")
    embedded.features.materialise(ref)
    lose(embedded, ref)
    Path(embedded.address, "modelwright.toml").write_text('[workspace]\nname = "test"\n')
    at = ["--workspace", str(embedded.address)]
    assert run(["doctor", *at]) == 1
    assert "mw features materialise --lost" in capsys.readouterr().out.replace("\n", " ")
    assert run(["features", "materialise", "--lost", *at]) == 0
    assert "features:hops@1" in capsys.readouterr().out
    assert run(["features", "materialise", "--lost", *at]) == 0
    assert "Nothing is lost" in capsys.readouterr().out
    assert run(["features", "materialise", *at]) == 2
    assert run(["doctor", *at]) == 0
    assert "1 view stands online" in capsys.readouterr().out


def test_where_the_store_does_not_answer_views_are_found_and_a_push_is_kept(
    embedded: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    from modelwright.cli.entry import run

    ref = view(embedded, "hops")
    embedded.features.materialise(ref)
    project = Path(embedded.address)
    (project / "rows.jsonl").write_text(json.dumps({"plane": "N1", "at": "2026-01-01T00:00:00Z"}))
    (project / "modelwright.toml").write_text(f'[features]\nonline = "postgresql://nobody@/none?host={project}"\n')
    at = ["--workspace", str(project)]
    for _ in range(2):
        assert run(["features", "push", "dataset:hops", str(project / "rows.jsonl"), "--id", "a", *at]) == 8
        said = capsys.readouterr().err.replace("\n", " ")
        assert "dataset:hops has push 1 (id a), and it is not online yet." in said and "does not answer" in said
    assert run(["features", "find", *at]) == 0
    told = capsys.readouterr()
    assert "features:hops" in told.out and "not known" in told.out and "does not answer" in told.err
    with connect(project) as there, serving(there) as url:
        for page in ("", "/hops"):
            shown = httpx.get(f"{url}/features{page}", headers={"Accept": "text/html"})
            assert shown.status_code == 200 and "does not answer" in shown.text
    assert run(["show", "features:hops", *at]) == 0
    assert "does not answer" in capsys.readouterr().out
    (project / "modelwright.toml").write_text("")
    assert embedded.pushes.push("dataset:hops", [{"plane": "N1", "at": datetime.now(UTC).isoformat()}]).number == 2
    assert embedded.pushes.freshness(ref).behind == 0
    lose(embedded, ref)
    assert run(["features", "freshness", *at]) == 0
    assert "Not in the online store any more" in capsys.readouterr().err


def test_a_view_that_was_retired_or_never_put_online_is_not_missed(embedded: Workspace) -> None:
    ref = view(embedded, "hops")
    assert embedded.pushes.lost() == []
    embedded.features.materialise(ref)
    embedded.features.retire(ref)
    lose(embedded, ref)
    assert embedded.pushes.lost() == []


def test_who_materialises_the_present_while_another_does_gets_what_stands_there(embedded: Workspace) -> None:
    ref = view(embedded, "hops")
    plan = embedded.features.plan(ref)
    later = embedded.features.materialise(ref)

    class Before:
        """What is asked for was planned before the other was put online."""

        blobs, principal = embedded.caller.blobs, embedded.caller.principal

        def call(self, room, operation, arguments):
            return plan if operation.name == "plan" else embedded.caller.call(room, operation, arguments)

    assert embedded.features.over(Before()).materialise(ref) == later
    with pytest.raises(Conflict, match="not taken back"):
        embedded.features.materialise(ref, later.until - timedelta(hours=1))


def test_a_push_tells_of_rows_that_are_still_to_come(embedded: Workspace) -> None:
    ref = view(embedded, "hops")
    embedded.features.materialise(ref)
    now = datetime.now(UTC)
    rows = [{"plane": "N1", "at": (now + timedelta(hours=hours)).isoformat()} for hours in (-1, 0, 1, 48)]
    assert embedded.pushes.push("dataset:hops", rows, id="a").ahead == 2
    assert embedded.features.online([ref], KEY) == [{"hops": 3}]
    assert embedded.features.verify(str(ref))[0].equal


def test_one_view_is_named_by_itself(embedded: Workspace) -> None:
    ref = view(embedded, "hops")
    embedded.features.materialise(ref)
    asked = pa.table({"plane": ["N1"], "event_timestamp": pa.array([datetime.now(UTC)], pa.timestamp("us", "UTC"))})
    assert embedded.features.training(asked, ref).table["hops"].to_pylist() == [1]
    assert embedded.features.reader("features:hops").rows(KEY) == [{"hops": 1}]
    compared = [*embedded.features.verify(ref), *embedded.features.replay(str(ref))]
    assert all(each.equal and each.view == ref for each in compared)
