"""Finding views, and who uses them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from modelwright.core.errors import NotFound
from modelwright.core.refs import Ref
from modelwright.core.wire import to_plain
from modelwright.evaluation import Plan
from modelwright.features import FeatureView, count
from modelwright.features.counts import ReadCounts, Tally
from modelwright.features.records import Order
from modelwright.store.records import Verdict
from modelwright.workspace import Workspace

ROWS = pa.table({"card": [1, 2, 3, 4], "amount": [1.0, 2.0, 3.0, 4.0], "age": [30.0, 40.0, 50.0, 60.0]})
cards = FeatureView(
    name="payments/cards",
    entity="card",
    source="dataset:paid",
    features=["amount", "age"],
    owner="ada",
    tags={"team": "risk"},
)


def test_a_view_is_found_by_its_words_and_tells_who_takes_what(embedded: Workspace) -> None:
    embedded.datasets.add("paid", ROWS)
    embedded.features.apply(cards)
    embedded.features.apply(FeatureView(name="other", entity="card", source="dataset:paid", features=["age"]))
    for text, names in (
        ("", {"payments/cards", "other"}),
        ("AMOUNT", {"payments/cards"}),
        ("risk ada", {"payments/cards"}),
        ("risk bob", set()),
        ("dataset:paid", {"payments/cards", "other"}),
    ):
        assert {use.version.ref.name for use in embedded.features.find(text)} == names, text
    (use,) = embedded.features.find("cards")
    assert (use.consumers, use.unused, use.online, use.age) == ([], ["amount", "age"], None, None)
    frame = pd.DataFrame({"amount": [1.0, 2.0, 3.0, 4.0]})
    run = embedded.experiments.start("fraud").ref
    model = embedded.models.log(
        "fraud",
        LogisticRegression().fit(frame, [0, 0, 1, 1]),
        example=frame,
        run=run,
        features=["features:payments/cards@1"],
    )
    embedded.features.materialise("features:payments/cards")
    (use,) = embedded.features.find("cards")
    assert [(each.ref, each.features) for each in use.consumers] == [(model.ref, ["amount"])]
    assert (use.unused, use.behind) == (["age"], 0)
    assert use.online is not None
    assert use.age is not None
    assert {each.version.ref.name for each in embedded.features.find(unused=True)} == {"payments/cards", "other"}
    embedded.features.retire(Ref.parse("features:other@1"))
    assert len(embedded.features.find()) == 1


PAYERS = FeatureView(name="payers", entity="card", source="dataset:paid", features=["age"])


def trained(workspace: Workspace, *, inputs: list[str], features: list[str]) -> Ref:
    """A model of which the first of its inputs decides, judged on rows with all of its inputs."""
    random = np.random.default_rng(7)
    frame = pd.DataFrame({name: random.random(400) for name in inputs})
    labels = (frame[inputs[0]] > 0.5).astype(int)
    model = workspace.models.log("fraud", LogisticRegression().fit(frame, labels), example=frame, features=features)
    scores = workspace.models.load(model.ref).scores(frame)
    plan = Plan(replicates=60, importance_replicates=60)
    workspace.evaluation.evaluate(model.ref, labels, scores, dataset="dataset:paid@1", inputs=frame, plan=plan)
    return model.ref


def test_views_are_found_by_how_much_they_matter_to_a_model(workspace: Workspace) -> None:
    workspace.datasets.add("paid", ROWS)
    amounts = FeatureView(name="amounts", entity="card", source="dataset:paid", features=["amount"])
    for view in (amounts, PAYERS):
        workspace.features.apply(view)
    assert [use.importance for use in workspace.features.find(order=Order.IMPORTANCE)] == [None, None]
    model = trained(workspace, inputs=["amount", "age"], features=["features:amounts@1", "features:payers@1"])
    by_weight = workspace.features.find(order=Order.IMPORTANCE)
    assert [use.version.ref.name for use in by_weight] == ["amounts", "payers"]
    assert [use.version.ref.name for use in workspace.features.find()] == ["payers", "amounts"]
    (consumer,) = by_weight[0].consumers
    matters = consumer.importance["amount"]
    assert (consumer.ref, matters.metric) == (model, "roc_auc")
    assert 0.3 < matters.low < matters.value < matters.high < 0.7
    assert not matters.idle
    assert by_weight[0].importance == consumer.share == matters.share > 0.9
    assert by_weight[1].consumers[0].importance["age"].idle


def test_what_somebody_put_down_by_hand_is_told_as_far_as_it_goes(embedded: Workspace) -> None:
    embedded.datasets.add("paid", ROWS)
    embedded.features.apply(cards)
    frame = pd.DataFrame({"amount": [1.0, 2.0], "age": [3.0, 4.0]})
    fitted = LogisticRegression().fit(frame, [0, 1])
    model = embedded.models.log("fraud", fitted, example=frame, features=["features:payments/cards@1"])
    embedded.record.attach(
        model.ref, "importance", Verdict.INFO, figures={"amount": {"low": -1, "high": 1}, "age": "much", "x": {"low": 0}}
    )
    (use,) = embedded.features.find()
    assert list(use.consumers[0].importance) == ["amount"]
    assert use.consumers[0].importance["amount"].idle
    assert (use.importance, use.consumers[0].share) == (None, None)


def test_what_a_view_costs_is_known_from_what_was_done_with_it(workspace: Workspace) -> None:
    source = workspace.datasets.add("paid", ROWS)
    workspace.features.apply(PAYERS)
    (use,) = workspace.features.find()
    assert (use.cost.source_rows, use.cost.source_bytes) == (4, source.bytes)
    assert to_plain(use.cost) | {"source_rows": 4, "source_bytes": 0} == {
        "source_rows": 4,
        "source_bytes": 0,
        "online_rows": None,
        "online_bytes": None,
        "materialised": None,
        "joined": None,
        "reads_per_day": None,
    }
    asked = pa.table({"card": [1, 1, 9], "event_timestamp": pa.array([datetime.now(UTC)] * 3)})
    workspace.features.training(asked, ["features:payers"])
    state = workspace.features.materialise("features:payers")
    workspace.features.online([state.view], [{"card": 1}, {"card": 2}])
    workspace.features.online([state.view], [{"card": 3}])
    (use,) = workspace.features.find()
    assert use.cost.joined is not None
    assert (use.cost.joined.view, use.cost.joined.rows) == (state.view, 3)
    assert 0 < use.cost.joined.seconds < 60
    assert use.cost.online_rows == 4
    assert use.cost.online_bytes == state.bytes > 4 * 10
    assert 0 < use.cost.materialised < 60
    assert use.cost.seconds == use.cost.materialised + use.cost.joined.seconds
    assert use.cost.reads_per_day == 3
    workspace.features.apply(cards)
    for order in (Order.BYTES, Order.SECONDS, Order.READS):
        assert [each.version.ref.name for each in workspace.features.find(order=order)] == ["payers", "payments/cards"]


def test_bytes_online_follow_what_is_pushed(embedded: Workspace) -> None:
    embedded.datasets.add("paid", ROWS)
    embedded.features.apply(PAYERS)
    before = embedded.features.materialise("features:payers")
    embedded.pushes.push("dataset:paid", [{"card": 5, "amount": 1.0, "age": 1.0}], id="1")
    (after,) = embedded.features.standing()
    assert after.rows == 5
    one = before.bytes // 4
    assert before.bytes + one // 2 < after.bytes < before.bytes + 3 * one
    assert after.seconds == before.seconds


def test_reads_are_counted_by_day_and_by_all_who_read(tmp_path: Path) -> None:
    view, clock = Ref.parse("features:payers@1"), [datetime(2026, 3, 1, 12, tzinfo=UTC)]
    one, other = (ReadCounts(tmp_path, 7, lambda: clock[0]) for _ in range(2))

    def read(counts: ReadCounts) -> None:
        tally = Tally([view])
        for _ in range(500):
            counts.add(tally, 2)

    together = [threading.Thread(target=read, args=(each,)) for each in (one, one, other)]
    for each in together:
        each.start()
    for each in together:
        each.join()
    other.flush()
    assert one.per_day() == {view: 3000}
    clock[0] += timedelta(days=2)
    one.add(Tally([view]), 600)
    assert one.per_day()[view] == pytest.approx(3600 / 3)
    (tmp_path / "2026-03-03.jsonl").open("ab").write(b'{"view":"feat')  # whoever wrote it was killed
    assert other.per_day()[view] == pytest.approx(3600 / 3)
    clock[0] += timedelta(days=9)
    other.add(Tally([view]), 1)
    assert other.per_day() == {view: 1}
    assert [path.stem for path in tmp_path.iterdir()] == ["2026-03-12"]


def test_a_comparison_that_found_nothing_is_told_from_one_that_differs(embedded: Workspace) -> None:
    at = pa.array([datetime(2020, 1, 1, tzinfo=UTC)], pa.timestamp("us", tz="UTC"))
    embedded.datasets.add("seen", pa.table({"who": ["a"], "at": at, "x": [1.0]}))
    often = [count(window="1d", name="often")]
    view = FeatureView(name="old", entity="who", source="dataset:seen", event_time="at", features=often)
    embedded.features.apply(view)
    embedded.features.materialise(view.ref)
    embedded.features.verify([view.ref])
    (parity,) = embedded.features.parity()
    assert (parity.failing, parity.compared, parity.features) == (True, False, [])


def test_a_view_over_a_dataset_that_is_not_there_says_what_to_do(embedded: Workspace) -> None:
    view = FeatureView(name="none", entity="who", source="dataset:nothing", features=["x"])
    with pytest.raises(NotFound, match=r"'none' is computed from dataset:nothing, which is not there") as caught:
        embedded.features.apply(view)
    assert "mw data add nothing" in caught.value.mend
