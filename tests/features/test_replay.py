"""Logged online reads are held against what a training set says of the same moments, and skew is an alert."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from modelwright.core.errors import Invalid
from modelwright.core.refs import Ref
from modelwright.features import FeatureSettings, FeatureView, count, expression
from modelwright.features.turn import FeatureTurn
from modelwright.monitoring.records import AlertState, Aspect
from modelwright.monitoring.skew import SkewTurn
from modelwright.workspace import Settings, Workspace, open_workspace

SOURCE, VIEW = Ref.parse("dataset:paid"), Ref.parse("features:counts")
NOW = datetime.now(UTC)


def paid(*rows: tuple[str, float]) -> pa.Table:
    at = pa.array([NOW - timedelta(hours=hours) for _, hours in rows], pa.timestamp("us", tz="UTC"))
    return pa.table({"card": [card for card, _ in rows], "happened": at})


view = FeatureView(
    name="counts",
    entity="card",
    source=SOURCE,
    event_time="happened",
    features=[count(window="10h", name="often")],
    request={"amount": "float"},
    on_demand=[expression("each", "amount / often")],
)


@pytest.fixture
def here(prepared: Path) -> Iterator[Workspace]:
    with open_workspace(prepared, settings=Settings(features={"log_share": 1.0})) as workspace:
        workspace.datasets.add("paid", paid(("a", 3), ("a", 2)))
        workspace.features.apply(view)
        workspace.features.materialise(VIEW)
        yield workspace


def read(here: Workspace, *cards: str) -> list[dict[str, Any]]:
    return here.features.reader([VIEW]).rows([{"card": card, "amount": 10.0} for card in cards])


def test_reads_that_were_right_are_evidence_and_are_replayed_once(here: Workspace) -> None:
    assert read(here, "a", "z")[0] == {"often": 2, "each": 5.0}
    here.features.online([VIEW], [{"card": "a", "amount": 1.0}])
    (found,) = here.features.replay()
    assert (found.rows, found.values, found.mismatches, found.equal) == (3, 6, 0, True)
    (said,) = here.record.evidence(VIEW.at(1), "online-offline")
    assert said.id == found.evidence
    assert here.features.replay() == []
    read(here, "a")
    assert [each.rows for each in here.features.replay([VIEW])] == [1]
    assert here.features.replay([VIEW], after=NOW - timedelta(days=1))[0].rows == 4


def test_a_view_with_what_requests_bring_is_verified_by_drawing_them(prepared: Path) -> None:
    brought = {"amount": "float", "code": "text", "first": "time", "n": "int", "known": "bool"}
    demanded = [
        expression("each", "sqrt(amount) / often"),
        expression("number", "CAST(code AS INTEGER)"),
        expression("secs", "epoch(first)"),
        expression("more", "n + CAST(known AS INTEGER)"),
    ]
    with open_workspace(prepared, settings=Settings()) as here:
        here.datasets.add("paid", paid(("a", 30), ("a", 20), ("b", 10)))
        ref = here.features.apply(replace(view, request=brought, on_demand=demanded)).ref
        here.features.materialise(ref, NOW, since=NOW - timedelta(days=1))
        (found,) = here.features.verify([ref], 50)
        assert (found.rows, found.values, found.equal) == (50, 250, True)
        key = {"card": "a", "amount": 1.0, "code": "7", "first": NOW, "n": 1, "known": True}
        with pytest.raises(Invalid, match="'amount' is no float in every key"):
            here.features.online([ref], [key, key | {"amount": "x"}], now=NOW)


def test_what_came_late_or_was_not_online_is_skew_until_it_agrees_again(here: Workspace) -> None:
    turn = SkewTurn(here.monitoring, here.features)
    assert turn.turn(NOW) == []
    read(here, "a")
    here.datasets.add("paid", paid(("a", 3), ("a", 2), ("a", 1)))  # the third was there when it was asked for, but not here
    (found,) = here.features.replay()
    assert (found.mismatches, found.stale, found.equal) == (2, 2, False)
    assert {(e.feature, e.online, e.offline) for e in found.examples} == {("often", 2, 3), ("each", 5.0, 10 / 3)}
    assert len(turn.turn(NOW)) == 1
    assert turn.turn(NOW) == []
    assert SkewTurn(here.monitoring, here.features).turn(NOW) == []  # a new process judges nothing twice
    (alert,) = here.monitoring.alerts().items
    assert (alert.cause, alert.state, alert.monitor, alert.findings) == (
        Aspect.SKEW,
        AlertState.FIRING,
        VIEW.at(1),
        ["each", "often"],
    )
    here.features.materialise(VIEW)
    read(here, "a")
    assert here.features.replay()[0].equal
    assert len(turn.turn(NOW)) == 1
    assert here.monitoring.alerts().items[0].state is AlertState.CLEARED


def test_that_nothing_could_be_compared_is_an_alert_that_says_so(here: Workspace) -> None:
    at = pa.array([], pa.timestamp("us", tz="UTC"))
    nobody = pa.table({"card": pa.array([], pa.string()), "amount": pa.array([], pa.float64()), "event_timestamp": at})
    (found,) = here.features.verify([VIEW], nobody)
    assert (found.rows, found.equal) == (0, False)
    SkewTurn(here.monitoring, here.features).turn(NOW)
    (alert,) = here.monitoring.alerts().items
    assert alert.summary.startswith("Features online could not be held against offline: There was nothing to compare")


def test_rows_to_compare_that_lack_something_are_told(here: Workspace) -> None:
    at = pa.array([NOW, None], pa.timestamp("us", tz="UTC"))
    with pytest.raises(Invalid, match="no column 'amount'"):
        here.features.verify([VIEW], pa.table({"card": ["a", "a"], "event_timestamp": at}))
    with pytest.raises(Invalid):
        here.features.verify([VIEW], pa.table({"card": ["a", "a"], "amount": [1.0, 1.0], "event_timestamp": at}))


def test_a_server_folds_and_replays_by_itself(here: Workspace) -> None:
    turn = FeatureTurn(here.features, here.pushes, FeatureSettings(fold_every=10, verify_every=60))
    assert turn.turn(NOW) == []
    here.pushes.push(SOURCE, paid(("a", 1)))
    read(here, "a")
    assert turn.turn(NOW + timedelta(seconds=9)) == []
    assert turn.turn(NOW + timedelta(seconds=10)) == ["Folded the pushes of dataset:paid into dataset:paid@2."]
    assert turn.turn(NOW + timedelta(seconds=60)) == ["1 logged reads of features:counts@1 agree with offline."]
    assert turn.turn(NOW + timedelta(seconds=130)) == []


def test_a_view_that_pushes_passed_by_is_materialised_by_the_server(here: Workspace) -> None:
    here.pushes.push(SOURCE, paid(("a", 1)))
    here.pushes.fold(SOURCE)
    here.features.materialise(VIEW, source=SOURCE.at(1))
    here.pushes.push(SOURCE, paid(("a", 0.5)))
    assert read(here, "a")[0]["often"] == 2
    assert here.pushes.freshness(VIEW).behind == 2
    told = FeatureTurn(here.features, here.pushes, FeatureSettings()).turn(NOW)
    assert told == [
        "Folded the pushes of dataset:paid into dataset:paid@3.",
        "Materialised features:counts@1, which pushes had passed by.",
    ]
    assert (read(here, "a")[0]["often"], here.pushes.freshness(VIEW).behind) == (4, 0)


def test_old_days_of_the_log_go_and_a_broken_line_is_passed_over(here: Workspace) -> None:
    assert here.home is not None
    folder = here.home.folder / "reads"
    folder.mkdir()
    (folder / "2020-01-01.jsonl").write_text("{}\n")
    read(here, "a")
    here.features.close()
    (today,) = folder.glob("*.jsonl")
    with today.open("a") as file:
        file.write('{"view": "features:cou')
    assert here.features.replay()[0].rows == 1
