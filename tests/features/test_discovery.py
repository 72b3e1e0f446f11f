"""Finding views, and who uses them."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
from sklearn.linear_model import LogisticRegression

from modelwright.core.refs import Ref
from modelwright.features import FeatureView
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
