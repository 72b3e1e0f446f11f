"""Lineage to the column: over views, models, and what other systems say."""

from __future__ import annotations

import json
import sqlite3

import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from modelwright.core.errors import NotFound
from modelwright.datasets import Query
from modelwright.features import FeatureView, column, column_origins, expression, mean
from modelwright.features.following import Use
from modelwright.openlineage import PartyKind
from modelwright.openlineage.naming import external
from modelwright.openlineage.statements import Followed, Untold, table_name
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


def made_of(sql: str, *names: str, backend: str = "postgresql") -> list[set[tuple[str, str, str]]]:
    found = Followed(sql, backend)
    return [{(each.table, each.column, each.use.value) for each in found.column(name)} for name in names]


def test_a_query_is_followed_through_ctes_unions_windows_and_subqueries() -> None:
    sql = (
        "WITH r AS (SELECT id, cust, amt FROM o UNION ALL SELECT id + 100, cust, amt * 2 FROM o2)"
        " SELECT r.id, c.city, sum(r.amt) OVER (PARTITION BY r.cust) AS s, (SELECT max(k.v) FROM k WHERE k.i = r.id) AS m"
        " FROM r JOIN c USING (cust) WHERE amt > 0"
    )
    identity, city, total, most = made_of(sql, "ID", "city", "s", "m")
    assert identity == {("o", "id", "IDENTITY"), ("o2", "id", "TRANSFORMATION")}
    assert city == {("c", "city", "IDENTITY")}
    assert {(table, column) for table, column, _ in total} == {("o", "amt"), ("o2", "amt"), ("o", "cust"), ("o2", "cust")}
    assert {("k", "v", "AGGREGATION"), ("o", "id", "AGGREGATION")} <= most
    rows = {(each.table, each.column, each.use.value) for each in Followed(sql, "postgresql").rows()}
    assert {("c", "cust", "JOIN"), ("o2", "cust", "JOIN"), ("o", "amt", "FILTER"), ("k", "i", "FILTER")} <= rows


def test_names_without_a_table_stars_and_recursion() -> None:
    assert made_of("SELECT * FROM a JOIN (SELECT i, max(x) AS y FROM b GROUP BY 1) AS s ON s.i = a.i", "y", "z") == [
        {("b", "x", "AGGREGATION")},
        {("a", "z", "IDENTITY")},
    ]
    assert made_of("SELECT q FROM a, b", "q") == [{("a", "q", "IDENTITY"), ("b", "q", "IDENTITY")}]
    tree = "WITH RECURSIVE n AS (SELECT i, p FROM t UNION ALL SELECT t.i, t.p FROM t JOIN n ON n.i = t.p) SELECT i FROM n"
    assert made_of(tree, "i", "none") == [{("t", "i", "IDENTITY")}, set()]
    assert made_of("SELECT [Order ID] AS oid FROM [dbo].[Orders]", "oid", backend="mssql") == [
        {("dbo.Orders", "Order ID", "IDENTITY")}
    ]
    for sql, backend in (("VALUES (1)", "sqlite"), ("SELEC 1 FRM", "sqlite"), ("SELECT 1", "no-such-database")):
        with pytest.raises(Untold):
            Followed(sql, backend)


def test_tables_have_the_names_that_openlineage_gives_them() -> None:
    assert table_name("postgresql+psycopg://db/shop", "orders") == ("postgres://db:5432", "shop.public.orders")
    assert table_name("postgresql://db:5433/shop", "s.orders") == ("postgres://db:5433", "shop.s.orders")
    assert table_name("mysql+pymysql://db/shop", "orders") == ("mysql://db:3306", "shop.orders")
    assert table_name("sqlite:////srv/shop.db", "orders") == ("sqlite:////srv/shop.db", "orders")


def test_a_column_of_a_query_leads_to_the_tables_of_the_database(embedded: Workspace, tmp_path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.executescript("CREATE TABLE o (id INT, amt REAL); INSERT INTO o VALUES (1, 2.5), (2, 3.5);")
    place = f"sqlite:///{tmp_path / 'shop.db'}"
    long = f"SELECT id, {' + '.join(['amt'] * 200)} AS much FROM o -- all of it\nWHERE id > 0"
    made = embedded.datasets.add("orders", Query(database=f"{place}?timeout=5", sql=long), key="id")
    assert made.statement is not None and (made.statement.place, made.statement.sql) == (place, long)
    table = external(PartyKind.DATASET, place, "o")
    found = embedded.openlineage.columns(made.ref, "much")
    assert {(each.source.ref, each.source.column, each.use) for each in found.edges} == {
        (table, "amt", "TRANSFORMATION"), (table, "id", "FILTER"),
    }  # fmt: skip
    (told,) = list(embedded.openlineage.export())
    facet = json.loads(json.dumps(told))["dataset"]["facets"]["columnLineage"]
    (way,) = facet["fields"]["much"]["inputFields"]
    assert (way["namespace"], way["name"], way["field"]) == (place, "o", "amt")
    judge(told)
