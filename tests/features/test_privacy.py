"""Features carry what the columns behind them are about: they are masked, refused, and used with consent, as those are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from modelwright.core.errors import Denied, Refused
from modelwright.core.principals import Principal
from modelwright.core.refs import Ref
from modelwright.features import FeatureView, column, count, distinct, expression, last, mean
from modelwright.features.admission import Consent, agreeing
from modelwright.features.columns import column_origins, columns_behind
from modelwright.features.sql import derived
from modelwright.store import acting_as
from modelwright.testing import serving
from modelwright.workspace import ServerSettings, Settings, Workspace, WorkspaceSettings, open_workspace

CANARY = "canary.bird@nest.example"
NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
EVE = Principal(id="eve")
ROWS = f"""\
customer,at,email,amount,agrees
1,2026-01-01T00:00:00Z,{CANARY},10.5,true
2,2026-01-02T00:00:00Z,ada@example.org,20.5,true
3,2026-01-03T00:00:00Z,bob@example.org,30.5,true
3,2026-01-04T00:00:00Z,bob@example.org,40.5,false
"""


def source(workspace: Workspace, path: Path, text: str = ROWS) -> Ref:
    file = path / "orders.csv"
    file.write_text(text)
    return workspace.datasets.add("orders", file, time_column="at").ref


def applied(workspace: Workspace) -> list[Ref]:
    at = {"entity": "customer", "source": "dataset:orders", "event_time": "at"}
    views = [
        FeatureView(name="newest", features=["email", expression("domain", "split_part(email, '@', 2)"), "amount"], **at),
        FeatureView(
            name="windows",
            features=[last("email", window="30d"), distinct("email", window="30d"), mean("amount", window="30d")],
            **at,
        ),
    ]
    return [workspace.features.apply(view).ref for view in views]


def asked(*customers: int) -> pa.Table:
    moments = pa.array([NOON] * len(customers), pa.timestamp("us", tz="UTC"))
    return pa.table({"customer": list(customers), "event_timestamp": moments})


@pytest.fixture
def orders(embedded: Workspace, tmp_path: Path) -> list[Ref]:
    """Two views over orders with e-mail addresses, online, and somebody who may not read these in clear."""
    source(embedded, tmp_path)
    views = applied(embedded)
    for view in views:
        embedded.features.materialise(view, until=NOON)
    embedded.access.create_user("eve")
    embedded.access.grant("eve", "scientist")
    return views


MADE = [
    ('"a"', None, ["a"]),
    ("A + b", None, ["a", "b"]),
    ("CASE WHEN c > 1 THEN 1 END", None, ["c"]),
    ("(SELECT max(b) FROM source)", None, ["b"]),
    ("source", None, ["a", "b", "c"]),
    ("list_transform([1], x -> x + a)", None, ["a"]),
    ("q.a", None, ["a"]),
    ("x", "SELECT source AS x, x AS source FROM source", ["a", "b", "c"]),
    ("x", "SELECT a, b AS c, c AS x FROM source", ["b", "c"]),
    ("x", "SELECT a, b * 2 AS x FROM source", ["b"]),
    ("x", "SELECT a, b * 2 AS x FROM source WHERE c > 1", ["b", "c"]),
    ("b", "SELECT *, a AS x FROM source", ["b"]),
    ("x", "WITH q AS (SELECT a, b AS x FROM source) SELECT * FROM q", ["b"]),
    ("x", "SELECT a, x FROM (SELECT a, c AS x FROM source UNION ALL SELECT a, b FROM source)", ["b", "c"]),
    ("x", "SELECT a, b AS x FROM source JOIN (SELECT a, max(c) AS m FROM source GROUP BY a) USING (a)", ["a", "b"]),
    ("b", "SELECT a, b, count(*) AS n, c FROM source GROUP BY ALL", ["a", "b", "c"]),
    ("b", "SELECT a, b FROM source ORDER BY 1", ["a", "b"]),
    ("b", "SELECT a, c AS d, b FROM source WHERE d > 1", ["b", "c"]),
    ("b", "SELECT a, b FROM source EXCEPT SELECT a, c FROM source", ["a", "b", "c"]),
    ("x", "SELECT a, hash(source.*) AS h, b AS x FROM source", ["b"]),
    ("h", "SELECT a, hash(*) AS h, b AS x FROM source", ["a", "b", "c"]),
    ("h", "SELECT a, count(*) AS n, #3 AS h FROM source GROUP BY a, c", ["a", "b", "c"]),
    ("x", "SELECT COLUMNS('b') AS x, a FROM source", ["a", "b", "c"]),
]
RENAMED = [
    "SELECT a, b FROM (SELECT a, c FROM source) AS t(a, b)",
    "SELECT a, b FROM (SELECT a, c FROM source) AS b",
    "SELECT a, unnest({'b': c}) FROM source",
    "SELECT a, b FROM source, unnest([c]) AS u(b)",
    "SELECT #3 AS b, a FROM source",
    "SELECT * RENAME (c AS b) FROM (SELECT a, c FROM source)",
    "SELECT a, b.* FROM (SELECT a, {'b': c} AS b FROM source)",
    "SELECT a, b FROM source NATURAL JOIN (SELECT a, c FROM source)",
    "PIVOT source ON a USING max(c) AS b",
    "WITH source AS (SELECT a, c AS d FROM source) SELECT a, d AS b FROM source",
    "SELECT a, source AS b FROM source",
    "SELECT a, b: c FROM source WHERE EXISTS (SELECT 1 FROM source s WHERE s.unheard = 1)",
]


@pytest.mark.parametrize(("sql", "select", "behind"), MADE)
def test_the_columns_behind_a_feature_are_read_from_its_definition(sql: str, select: str | None, behind: list[str]) -> None:
    view = FeatureView(name="v", entity="a", source="dataset:d", select=select, features=[expression("f", sql)])
    assert columns_behind(view, ["a", "b", "c"])["f"] == behind


@pytest.mark.parametrize("select", RENAMED)
def test_what_renames_a_column_by_other_means_than_an_alias_may_come_from_every_column(select: str) -> None:
    view = FeatureView(name="v", entity="a", source="dataset:d", select=select, features=["b"])
    assert columns_behind(view, ["a", "b", "c"])["b"] == ["a", "b", "c"]
    assert "b" in column_origins(view, ["a", "b", "c"]).unsure or "EXISTS" in select


def test_a_column_that_changes_a_feature_when_it_changes_is_behind_it() -> None:
    import duckdb

    rows = {"a": [1, 2, 3, 4], "b": [5, 6, 7, 8], "c": [2, 0, 3, 1]}
    changed = {"a": [1, 9, 9, 0], "b": [0, 9, 9, 9], "c": [0, 3, 0, 7]}
    ran = 0
    for sql, select in [*((sql, select) for sql, select, _ in MADE), *(("b", select) for select in RENAMED)]:
        view = FeatureView(name="v", entity="a", source="dataset:d", select=select, features=[expression("f", sql)])
        behind = columns_behind(view, list(rows))["f"]

        def values(table: dict[str, list[int]], sql: str = sql, view: FeatureView = view) -> list[str]:
            with duckdb.connect() as connection:
                connection.register("source", pa.table(table))
                found = connection.sql(f"SELECT ({sql}) FROM {derived(view)}").fetchall()
            return sorted(map(str, found))

        try:
            as_it_is = values(rows)
        except duckdb.Error:
            continue  # DuckDB would not have it either
        ran += 1
        for name in rows:
            assert name in behind or values({**rows, name: changed[name]}) == as_it_is, (sql, select, name)
    assert ran > 25


def test_features_carry_the_classes_of_the_columns_behind_them(embedded: Workspace, orders: list[Ref]) -> None:
    shown = embedded.features.show(orders[0])
    assert shown.classes == {"email": ["pii.email"], "domain": ["pii.email"]} and not shown.masks
    with acting_as(EVE):
        assert embedded.features.show(orders[0]).masks == {"email": "token", "domain": "drop"}
        assert embedded.features.show(orders[1]).masks == {"email_last_30d": "token"}
    embedded.privacy.classify(Ref.parse("dataset:orders"), "email", "pii.email", holds=False, reason="role accounts")
    with acting_as(EVE):
        assert not embedded.features.show(orders[0]).masks


def reads(workspace: Workspace, views: list[Ref]) -> dict[str, Callable[[], Any]]:
    return {
        "training": lambda: workspace.features.training(asked(1, 2), views).table.to_pylist(),
        "online": lambda: workspace.features.online(views, [{"customer": 1}, {"customer": 2}], now=NOON),
    }


@pytest.mark.parametrize("door", ["embedded", "http"])
def test_what_is_masked_offline_is_masked_online_and_alike(tmp_path: Path, prepared: Path, door: str) -> None:
    server = ServerSettings(authentication="required")
    settings = Settings(workspace=WorkspaceSettings(name="test"), server=server)
    with open_workspace(prepared, settings=settings) as here, serving(here) as url:
        source(here, tmp_path)
        views = applied(here)
        for view in views:
            here.features.materialise(view, until=NOON)
        here.access.create_user("eve")
        here.access.grant("eve", "scientist")
        token = here.access.create_token("eve").token
        from modelwright.client.remote import Remote

        with Workspace(Remote(url, token), address=url) as there:
            rooms = there if door == "http" else here
            found = {}
            for name, read in reads(rooms, views).items():
                if door == "http":
                    found[name] = read()
                else:
                    with acting_as(EVE):
                        found[name] = read()
            with pytest.raises(Denied, match="in clear"), acting_as(EVE):
                rooms.features.logged(views[0])
            with pytest.raises(Denied, match="in clear"), acting_as(EVE):
                rooms.features.materialise(views[0])
        import httpx

        body = {
            "views": [str(view) for view in views],
            "keys": [{"customer": 1}, {"customer": 2}],
            "now": "2026-01-10T12:00:00Z",
        }
        for who, canary in ((token, False), (here.access.create_token(_steward(here)).token, True), (token, False)):
            answer = httpx.post(f"{url}/features/online", json=body, headers={"authorization": f"Bearer {who}"})
            assert answer.status_code == 200
            assert (CANARY in answer.text) == canary
    offline, online = found["training"], found["online"]
    for one, two in zip(offline, online, strict=True):
        assert {name: one[name] for name in two} == two
        assert len(two["email"]) == 32 and two["email_last_30d"] == two["email"]
        assert two["domain"] is None
        assert two["email_distinct_30d"] == 1 and two["amount_mean_30d"] == two["amount"]
    assert CANARY not in repr(found)


def _steward(workspace: Workspace) -> str:
    workspace.access.create_user("sam")
    workspace.access.grant("sam", "data_steward")
    return "sam"


def test_a_use_declares_its_purpose_and_one_that_is_not_permitted_is_refused_with_reasons(
    embedded: Workspace, orders: list[Ref]
) -> None:
    embedded.privacy.permit(Ref.parse("dataset:orders"), ["fraud"], columns=["email"], basis="contract")
    for read in reads(embedded, orders).values():
        with pytest.raises(Refused, match=r"email of dataset:orders may be used for fraud \(basis: contract\)"):
            read()
    with pytest.raises(Refused, match="not for marketing"):
        embedded.features.training(asked(1), orders, purpose="marketing")
    with pytest.raises(Refused, match="not for marketing"):
        embedded.features.reader(orders, purpose="marketing")
    made = embedded.features.training(asked(1), orders, purpose="fraud")
    assert made.purpose == "fraud" and made.table["email"][0].as_py() == CANARY
    assert embedded.features.online(orders, [{"customer": 1}], now=NOON, purpose="fraud")[0]["email"] == CANARY
    embedded.privacy.permit(Ref.parse("dataset:orders"), [], columns=["email"], reason="the contract ended")
    with pytest.raises(Refused, match="may be used for nothing"):
        embedded.features.training(asked(1), orders, purpose="fraud")


def test_who_no_longer_agrees_is_in_no_later_training_set(embedded: Workspace, orders: list[Ref], tmp_path: Path) -> None:
    dataset = Ref.parse("dataset:orders")
    embedded.privacy.permit(dataset, ["scoring"], basis="consent", consent="agrees", subject="customer")
    made = embedded.features.training(asked(1, 2, 3), orders[:1], purpose="scoring")
    assert made.table["amount"].to_pylist() == [10.5, 20.5, None]  # every row is there; of 3, who took it back, nothing
    assert made.withheld == 2
    source(embedded, tmp_path, ROWS + "1,2026-01-05T00:00:00Z,x@example.org,50.5,false\n")
    later = embedded.features.training(asked(1, 2, 3), orders[:1], purpose="scoring")
    assert later.table["amount"].to_pylist() == [None, 20.5, None]
    again = embedded.features.training(asked(1), orders[:1], sources=made.sources, purpose="scoring")
    assert again.table["amount"].to_pylist() == [10.5]  # the same versions, the same rows


def test_where_the_door_is_strict_nobody_trains_on_what_nobody_decided(tmp_path: Path, prepared: Path) -> None:
    settings = Settings(workspace=WorkspaceSettings(name="test"), privacy={"strict": True})
    with open_workspace(prepared, settings=settings) as here:
        dataset = source(here, tmp_path)
        views = applied(here)
        with pytest.raises(Refused, match=r"email of dataset:orders@1 is perhaps pii.email, which somebody has to confirm"):
            here.features.training(asked(1), views)
        amounts = here.features.apply(
            FeatureView(
                name="amounts",
                entity="customer",
                source="dataset:orders",
                event_time="at",
                features=[column("amount")],
            )
        )
        assert here.features.training(asked(1), [amounts.ref]).table["amount"].to_pylist() == [10.5]
        here.privacy.classify(dataset, "email", "pii.email", reason="read it")
        assert here.features.training(asked(1), views).table["email"].to_pylist() == [CANARY]


def test_a_comparison_quotes_nobody(tmp_path: Path, prepared: Path) -> None:
    settings = Settings(workspace=WorkspaceSettings(name="test"), features={"log_share": 1.0})
    with open_workspace(prepared, settings=settings) as here:
        source(here, tmp_path)
        (view, _) = applied(here)
        here.features.materialise(view, until=NOON)
        source(here, tmp_path, ROWS.replace(CANARY, "canary.two@nest.example"))
        here.features.reader([view]).rows([{"customer": 1}])
        (found,) = here.features.replay([view])
    assert found.mismatches == 1 and found.examples[0].feature == "email"
    assert "canary" not in repr(found)


def test_counting_rows_needs_no_column() -> None:
    view = FeatureView(name="v", entity="a", source="dataset:d", event_time="b", features=[count(window="1d")])
    assert columns_behind(view, ["a", "b"])["count_1d"] == []


@pytest.mark.parametrize("subject", ["who", "place", "#1"])
def test_an_answer_without_a_time_is_earlier_than_any_other(subject: str) -> None:
    moment = pa.timestamp("us", tz="UTC")
    dated = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        ("a", False, dated),
        ("a", True, None),
        ("b", None, None),
        ("b", True, dated),
        ("c", False, None),
        ("c", True, None),
    ]
    names, answers, times = zip(*rows, strict=True)
    table = pa.table({subject: names, "yes": answers, "at": pa.array(times, moment)})
    consent = Consent(source=Ref.parse("dataset:asked@1"), column="yes", subject=subject, time_column="at")
    assert agreeing(table, [consent])[subject].to_pylist() == ["b", "b", "c", "c"]
