"""How much each input matters: by figures that are known beforehand, and through every format."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from modelwright.core.errors import Invalid
from modelwright.evaluation import Plan, Task, weigh
from modelwright.workspace import Workspace

QUICK = Plan(replicates=60, importance_rows=600, importance_replicates=60)


class Sum:
    """A model that is known: 3 a + b, and nothing of c."""

    inputs = ("a", "b", "c")

    def scores(self, data: Any) -> np.ndarray:
        self.asked = data.num_rows
        return 3 * data["a"].to_numpy() + data["b"].to_numpy()

    def gains(self) -> dict[str, float]:
        return {"a": 30.0, "b": 10.0}


def table(rows: int = 3000) -> pa.Table:
    random = np.random.default_rng(1)
    return pa.table({name: random.standard_normal(rows) for name in ("c", "b", "a")})


def test_what_is_lost_is_what_shuffling_does_to_a_known_model() -> None:
    rows = table()
    labels = Sum().scores(rows)
    found = weigh(Sum(), rows, labels, Plan(task=Task.REGRESSION, primary="mae"))
    assert [each.name for each in found.inputs] == ["a", "b", "c"]
    a, b, c = found.inputs
    spread = 2 / np.sqrt(np.pi)  # the mean distance of two draws of a standard normal
    assert a.loss.value == pytest.approx(3 * spread, rel=0.05)
    assert b.loss.value == pytest.approx(spread, rel=0.05)
    assert (c.loss.value, c.loss.low, c.loss.high) == (0.0, 0.0, 0.0)
    assert a.loss.low < 3 * spread < a.loss.high
    assert a.share == pytest.approx(0.75, abs=0.01)
    assert (a.gain, b.gain, c.gain) == (0.75, 0.25, 0.0)
    assert found.rows == 2000


def test_the_same_call_gives_the_same_figures_and_another_seed_others() -> None:
    rows, plan = table(), Plan(task=Task.REGRESSION, importance_rows=300)
    labels = Sum().scores(rows) + np.random.default_rng(2).standard_normal(3000)
    assert weigh(Sum(), rows, labels, plan) == weigh(Sum(), rows, labels, plan)
    other = Plan(task=Task.REGRESSION, importance_rows=300, seed=21)
    assert weigh(Sum(), rows, labels, plan) != weigh(Sum(), rows, labels, other)


def test_rows_of_one_group_are_redrawn_together() -> None:
    rows = pa.concat_tables([table(200).slice(0, 20)] * 20)
    labels = Sum().scores(rows) > 0
    alone, together = (weigh(Sum(), rows, labels, Plan(primary="accuracy"), groups) for groups in (None, [*range(20)] * 20))
    width = [each.inputs[0].loss.high - each.inputs[0].loss.low for each in (alone, together)]
    assert width[1] > 2 * width[0]


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(Invalid, match="2 labels and 3000 rows"):
        weigh(Sum(), table(), [0, 1])
    with pytest.raises(Invalid, match="lack b, which the model takes"):
        weigh(Sum(), table().drop_columns(["b"]), np.zeros(3000))


@pytest.mark.parametrize("format", ["lightgbm", "xgboost", "skops", "onnx"])
def test_the_stored_model_itself_is_asked_whatever_its_format(embedded: Workspace, format: str) -> None:
    random = np.random.default_rng(5)
    frame = pd.DataFrame({"noise": random.random(900), "signal": random.random(900)})
    labels = (frame["signal"] + 0.2 * random.random(900) > 0.6).astype(int)
    model = embedded.models.log("late", fitted(format).fit(frame, labels), example=frame, format=format)
    dataset = embedded.datasets.add("flights", pa.table({"x": [1, 2]})).ref
    embedded.evaluation.evaluate(
        model.ref, labels, embedded.models.load(model.ref).scores(frame), dataset=dataset, inputs=frame, plan=QUICK
    )
    (said,) = embedded.record.evidence(model.ref, kind="importance")
    assert list(said.figures) == ["signal", "noise"]
    assert said.figures["signal"]["low"] > 0.2 > said.figures["noise"]["high"]
    assert (said.figures["signal"]["gain"] is not None) == (format in ("lightgbm", "xgboost"))
    if said.figures["signal"]["gain"] is not None:
        assert said.figures["signal"]["gain"] > 0.8
    assert said.summary.startswith("what roc_auc loses when an input is shuffled (600 rows, 5 times): signal 0.")
    assert embedded.evaluation.show(model.ref)[-1].id == said.id


def fitted(format: str) -> Any:
    if format == "lightgbm":
        from lightgbm import LGBMClassifier

        return LGBMClassifier(n_estimators=20, verbose=-1)
    if format == "xgboost":
        from xgboost import XGBClassifier

        return XGBClassifier(n_estimators=20)
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()
