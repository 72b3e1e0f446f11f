"""Lineage to the column: over views, models, and what other systems say."""

from __future__ import annotations

import json

import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from modelwright.core.errors import NotFound
from modelwright.features import FeatureView, column, column_origins, expression, mean
from modelwright.features.following import Use
from modelwright.openlineage import PartyKind
from modelwright.openlineage.naming import external
from modelwright.store import Direction
from modelwright.workspace import Workspace
from tests.openlineage.judge import judge

ROWS = pa.table({"card": [1, 2, 3, 4], "amount": [1.0, 2.0, 3.0, 4.0], "fx": [1.0] * 4, "state": ["ok"] * 4})
SELECT = (
    "WITH paid AS (SELECT card, amount * fx AS eur, state FROM source WHERE state <> 'void') SELECT card, eur FROM paid"
)
VIEW = FeatureView(
    name="cards", entity="card", source="dataset:paid", select=SELECT,
    features=[column("eur"), expression("double", "eur * 2")], request={"now": "float"}, on_demand=[
        expression("share", "now / double")],
)  # fmt: skip


def test_features_are_followed_through_their_sql() -> None:
    found = column_origins(VIEW, ROWS.column_names)
    made = {name: [(each.column, each.use) for each in parts] for name, parts in found.features.items()}
    assert made == {
        "card": [("card", Use.IDENTITY)],
        "eur": [("amount", Use.TRANSFORMATION), ("fx", Use.TRANSFORMATION)],
        "double": [("amount", Use.TRANSFORMATION), ("fx", Use.TRANSFORMATION)],
        "share": [("amount", Use.TRANSFORMATION), ("fx", Use.TRANSFORMATION)],
    }
    assert [(each.column, each.use) for each in found.rows] == [("card", Use.JOIN), ("state", Use.FILTER)]


def test_a_window_aggregates_its_column_and_is_decided_by_its_times() -> None:
    view = FeatureView(name="v", entity="k", source="dataset:d", event_time="at", features=[mean("Amount", window="7d")])
    found = column_origins(view, ["k", "at", "amount", "other"])
    assert [(each.column, each.use) for each in found.features["Amount_mean_7d"]] == [("amount", Use.AGGREGATION)]
    assert [(each.column, each.use) for each in found.rows] == [("at", Use.WINDOW), ("k", Use.JOIN)]


def test_a_column_leads_over_features_to_models_and_back(embedded: Workspace) -> None:
    data = embedded.datasets.add("paid", ROWS, key="card").ref
    view = embedded.features.apply(VIEW).ref
    frame = pd.DataFrame({"double": [1.0, 2.0, 3.0, 4.0]})
    run = embedded.experiments.start("fraud").ref
    fitted = LogisticRegression().fit(frame, [0, 0, 1, 1])
    model = embedded.models.log("fraud", fitted, example=frame, run=run, features=[str(view)]).ref

    down = embedded.openlineage.columns(data, "fx", Direction.DOWN)
    said = {(each.source.ref, each.source.column, each.target.ref, each.target.column) for each in down.edges}
    assert (data, "fx", view, "double") in said
    assert (view, "double", model, "double") in said
    assert (view, "eur", model, "eur") not in said
    up = embedded.openlineage.columns(model, "double", Direction.UP)
    assert {each.source.column for each in up.edges if each.source.ref == data} == {"amount", "fx", "card", "state"}
    with pytest.raises(NotFound, match="amount"):
        embedded.openlineage.columns(data, "nothing")

    facet = next(
        each["dataset"]["facets"]["columnLineage"]
        for each in embedded.openlineage.export()
        if judge(each) is None and "columnLineage" in (each.get("dataset") or {}).get("facets", {})
    )
    assert [each["field"] for each in facet["fields"]["double"]["inputFields"]] == ["amount", "fx"]
    assert facet["fields"]["eur"]["inputFields"][0]["name"] == "dataset/paid"


def test_what_another_system_says_of_columns_goes_on_from_ours(embedded: Workspace) -> None:
    data = embedded.datasets.add("paid", ROWS, key="card").ref
    ours = {
        "namespace": embedded.openlineage.namespace,
        "name": "dataset/paid",
        "facets": {"version": {"datasetVersion": "1"}},
    }
    said = {"fields": {"total": {"inputFields": [{**ours, "field": "amount", "transformations": [
        {"type": "DIRECT", "subtype": "AGGREGATION"}]}]}}}  # fmt: skip
    event = {"eventType": "COMPLETE", "eventTime": "2026-05-01T10:00:00Z", "run": {"runId": "r"}, "job": {
        "namespace": "dbt", "name": "sum"}, "inputs": [ours], "outputs": [
        {"namespace": "pg", "name": "sums", "facets": {"columnLineage": said}}]}  # fmt: skip
    embedded.openlineage.take(json.dumps(event).encode())
    (edge,) = embedded.openlineage.columns(data, "amount").edges
    made = external(PartyKind.DATASET, "pg", "sums")
    assert (edge.target.ref, edge.target.column, edge.use) == (made, "total", "AGGREGATION")
    assert embedded.openlineage.columns(made, "total").edges == [edge]
    odd = {**event, "run": {"runId": "other"}, "dataset": {"facets": {"columnLineage": {"fields": {}}}}}
    embedded.openlineage.take(json.dumps(odd).encode())  # a dataset without a name, of which nobody speaks
    assert embedded.openlineage.columns(made, "total").edges == [edge]
