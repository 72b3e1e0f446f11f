"""A search gives what looking at every run would give, in that order, page by page, whichever way it goes."""

from __future__ import annotations

import base64
import functools
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.core.clock import SystemClock
from modelwright.core.principals import operating_system_user
from modelwright.core.search import NULLS, NUMBERS, TEXTS, And, Clause, Condition, Not, Op, Or, Order, parse, parse_order
from modelwright.experiments import DatasetRead, writing
from modelwright.experiments.metrics import writing as metric_points
from modelwright.experiments.records import RunStatus, View
from modelwright.experiments.search.language import RUNS
from modelwright.experiments.search.queries import Effort, Scope, find
from modelwright.experiments.search.token import BadToken, write
from modelwright.store import Database, Transaction

NAMES = ["a", "b", "val loss"]
FIGURES = [0.0, 1.0, 1.0, 2.5, -3.0, math.inf, -math.inf, math.nan]
WRONG = {int: [True, None, 1 << 63, "1", 1.5], float: [1, True, "1", None], str: [1, 1.5, None, "a\0", b"a"]}
LONG = "x" * 100
TEXT = ["", "a", "A", "ab", "b%", "a_b", "ü", "\\", LONG, LONG + "y", LONG + "z"]
EFFORTS = [Effort(), Effort(few=1, probed=1), Effort(few=4, probed=2), Effort(few=1000, probed=1)]


class World:
    """A database, and the same runs as plain values."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.runs: list[dict[str, Any]] = []
        dice = random.Random(7)
        with database.transaction(operating_system_user(), write=True) as tx:
            of = [writing.add_experiment(tx, title).id for title in ("one", "two", "three")]
            for number in range(60):
                self.runs.append(self._run(tx, dice, number, of))

    def _run(self, tx: Transaction, dice: random.Random, number: int, of: list[int]) -> dict[str, Any]:
        status = dice.choice(list(RunStatus))
        run: dict[str, Any] = {
            "id": f"r{dice.randrange(10**6):06d}",
            "experiment": dice.choice(of),
            "name": dice.choice(["", *TEXT]),
            "status": status.value.upper(),
            "user_id": dice.choice(["ada", "bob", ""]),
            "start_time": dice.choice([5, 6, 7, 7]) * 1000,
            "end_time": dice.choice([None, 9000, 9001]),
            "deleted": dice.random() < 0.2,
            "metric": {name: dice.choice(FIGURES) for name in NAMES if dice.random() < 0.7},
            "param": {name: dice.choice(TEXT) for name in NAMES if dice.random() < 0.7},
            "tag": {name: dice.choice(TEXT) for name in NAMES if dice.random() < 0.7},
            "dataset": [
                {"name": dice.choice(TEXT), "digest": f"d{i}", "context": dice.choice(["train", None])}
                for i in range(dice.randrange(3))
            ],
        }
        key = writing.add_run(
            tx, run["experiment"], run["id"], name=run["name"], user=run["user_id"], status=status,
            started=run["start_time"] * 1000,
        )  # fmt: skip
        ended = None if run["end_time"] is None else run["end_time"] * 1000 + 17
        writing.change_run(tx, key, ended=ended, deleted=1 if run["deleted"] else None)
        writing.add_params(tx, key, run["param"])
        writing.set_tags(tx, key, run["tag"])
        ids = writing.name_ids(tx, NAMES, make=True)
        if run["metric"]:
            metric_points.add_rows(tx, key, [(ids[name], 0, 0, value) for name, value in run["metric"].items()])
        read = [
            DatasetRead(
                name=each["name"], digest=each["digest"],
                tags={"mlflow.data.context": each["context"]} if each["context"] is not None else {},
            )
            for each in run["dataset"]
        ]  # fmt: skip
        writing.add_datasets(tx, key, run["experiment"], read)
        run["artifact_uri"] = f"mlflow-artifacts:/{run['experiment']}/{run['id']}/artifacts"
        return run

    def find(self, where: str, order: list[str], scope: Scope, limit: int, after: str | None, effort: Effort) -> Any:
        with self.database.transaction(operating_system_user(), write=False) as tx:
            return find(tx, where, order, scope, limit=limit, after=after, effort=effort)

    def all(self, where: str, order: list[str], scope: Scope, limit: int, effort: Effort) -> list[str]:
        found, after = [], None
        while True:
            page = self.find(where, order, scope, limit, after, effort)
            assert len(page.heads) <= limit
            found += [head.id for head in page.heads]
            after = page.next
            if after is None:
                return found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("world")
    url = f"sqlite:///{folder}/world.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("module_postgres")
    database = Database(url, SystemClock())
    database.create_all()
    yield World(database)
    database.dispose()


def holds(condition: Condition | None, run: dict[str, Any]) -> bool:
    match condition:
        case None:
            return True
        case And(of=parts):
            return all(holds(part, run) for part in parts)
        case Or(of=parts):
            return any(holds(part, run) for part in parts)
        case Not(of=inner):
            return not holds(inner, run)
    if condition.entity == "dataset":
        return any(each[condition.key] is not None and compared(each[condition.key], condition) for each in run["dataset"])
    if condition.entity == "attribute":
        value = run[{"run_id": "id", "run_name": "name"}.get(condition.key, condition.key)]
    elif condition.key == "mlflow.runName":
        value = run["name"] or None
    else:
        value = run[condition.entity].get(condition.key)
    if condition.op in NULLS:
        return (value is None) == (condition.op is Op.IS_NULL)
    return value is not None and compared(value, condition)


def compared(value: Any, clause: Clause) -> bool:
    wanted: Any = clause.value
    if isinstance(value, float) and math.isnan(value):
        return False
    match clause.op:
        case Op.LIKE:
            return like(value, wanted)
        case Op.ILIKE:
            return like(lowered(value), lowered(wanted))
        case Op.IN:
            return value in wanted
        case Op.NOT_IN:
            return value not in wanted
        case Op.EQUAL:
            return bool(value == wanted)
        case Op.UNEQUAL:
            return bool(value != wanted)
        case Op.LESS:
            return bool(value < wanted)
        case Op.AT_MOST:
            return bool(value <= wanted)
        case Op.MORE:
            return bool(value > wanted)
        case _:
            return bool(value >= wanted)


def lowered(text: str) -> str:
    return "".join(each.lower() if each.isascii() else each for each in text)


def like(text: str, pattern: str) -> bool:
    signs = {"%": ".*", "_": "."}
    return re.fullmatch("".join(signs.get(each, re.escape(each)) for each in pattern), text, re.DOTALL) is not None


def before(orders: list[Order], one: dict[str, Any], two: dict[str, Any]) -> int:
    for order in [*orders, Order("attribute", "start_time", True), Order("attribute", "run_id")]:
        (rank, value), (other_rank, other) = place(order, one), place(order, two)
        if rank != other_rank:
            return rank - other_rank
        if value != other:
            return 1 if (value > other) != order.descending else -1
    return 0


def place(order: Order, run: dict[str, Any]) -> tuple[int, Any]:
    if order.entity == "attribute" or order.key == "mlflow.runName":
        key = "name" if order.key == "mlflow.runName" else {"run_id": "id", "run_name": "name"}.get(order.key, order.key)
        value = run[key]
        return (1, 0) if value is None else (0, value.encode() if isinstance(value, str) else value)
    value = run[order.entity].get(order.key)
    if value is None:
        return 2, 0
    if isinstance(value, float):
        return (1, 0) if math.isnan(value) else (0, value)
    return 0, value.encode()


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


keys = st.sampled_from([*NAMES, "none"])
texts = st.sampled_from([*TEXT, "a%", "%b", "_", "%", "A%", LONG + "%", "\\%", "%\\"])
numbers = st.sampled_from([0, 1.0, 2.5, -3, 1e300])
times = st.sampled_from([5000, 6000.5, 7000, 0, -1, 9000, 9000.5, 10**18, -(10**18)])


def clause(field: str, ops: Any, values: Any, shown: Any) -> Any:
    return st.builds(lambda op, value: f"{field} {op.value} {shown(value)}", st.sampled_from(sorted(ops)), values)


def named(entity: str) -> Any:
    return keys.map(lambda key: f"{entity}.`{key}`")


clauses = st.one_of(
    named("metrics").flatmap(lambda field: clause(field, NUMBERS, numbers, repr)),
    st.sampled_from(["params", "tags"]).flatmap(named).flatmap(lambda field: clause(field, TEXTS, texts, quoted)),
    st.builds(lambda field, op: f"{field} {op}", named("params"), st.sampled_from(["IS NULL", "IS NOT NULL"])),
    st.sampled_from(["run_name", "tags.`mlflow.runName`", "user_id", "artifact_uri"]).flatmap(
        lambda field: clause(field, TEXTS, texts, quoted)
    ),
    st.sampled_from(["RUNNING", "FINISHED", "F%"]).flatmap(lambda status: clause("status", TEXTS, st.just(status), quoted)),
    st.sampled_from(["start_time", "end_time"]).flatmap(lambda field: clause(field, NUMBERS, times, repr)),
    st.sampled_from(["dataset.name", "dataset.context"]).flatmap(lambda field: clause(field, TEXTS, texts, quoted)),
    st.sampled_from(["dataset.digest IN ('d0')", "dataset.context = 'train'", "dataset.digest NOT IN ('d1', 'd2')"]),
)
filters = st.recursive(
    clauses,
    lambda inner: st.one_of(
        inner.map(lambda text: f"NOT ({text})"),
        st.builds(lambda one, word, two: f"({one}) {word} ({two})", inner, st.sampled_from(["AND", "OR"]), inner),
    ),
    max_leaves=4,
) | st.lists(clauses, max_size=3).map(" AND ".join)
orders = st.lists(
    st.builds(
        lambda field, way: f"{field} {way}",
        st.sampled_from(["metrics", "params", "tags"]).flatmap(named)
        | st.sampled_from(
            ["start_time", "end_time", "run_id", "run_name", "status", "tags.`mlflow.runName`", "artifact_uri"]
        ),
        st.sampled_from(["", "DESC", "ASC"]),
    ),
    max_size=3,
)
scopes = st.builds(
    Scope, st.sampled_from([None, [1], [1, 2], [3, 99], []]), st.sampled_from([View.ACTIVE, View.DELETED, View.ALL])
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(filters, orders, scopes, st.integers(1, 25), st.sampled_from(EFFORTS))
def test_a_search_is_what_looking_at_every_run_gives(
    world: World, where: str, order: list[str], scope: Scope, limit: int, effort: Effort
) -> None:
    condition = parse(where, RUNS)
    wanted = [
        run
        for run in world.runs
        if holds(condition, run)
        and (scope.experiments is None or run["experiment"] in scope.experiments)
        and (scope.view is View.ALL or run["deleted"] == (scope.view is View.DELETED))
    ]
    wanted.sort(key=functools.cmp_to_key(functools.partial(before, parse_order(order, RUNS))))
    assert world.all(where, order, scope, limit, effort) == [run["id"] for run in wanted]


def test_a_token_is_good_for_its_own_search_only(world: World) -> None:
    everything = Scope(None, View.ALL)
    token = world.find("", [], everything, 5, None, Effort()).next
    assert token is not None
    for where, order, scope in (
        ("metrics.a > 0", [], everything),
        ("", ["run_id"], everything),
        ("", [], Scope([1], View.ALL)),
    ):
        with pytest.raises(BadToken):
            world.find(where, order, scope, 5, token, Effort())
    for bad in ("x", "!!", token[:-3], token + "a", "é"):
        with pytest.raises(BadToken):
            world.find("", [], everything, 5, bad, Effort())


@pytest.mark.parametrize("order", [[], ["metrics.a"], ["params.p DESC"], ["status"], ["end_time"], ["run_id"]])
def test_a_token_that_somebody_made_up_is_told_whatever_is_in_it(world: World, order: list[str]) -> None:
    everything = Scope(None, View.ALL)
    token = world.find("", order, everything, 5, None, Effort()).next
    assert token is not None
    mark, *values = msgspec.msgpack.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for at, value in enumerate(values):
        for other in WRONG[type(value)]:
            with pytest.raises(BadToken):
                world.find("", order, everything, 5, write(mark, (*values[:at], other, *values[at + 1 :])), Effort())


def test_pages_go_on_where_they_were_while_runs_come_in(world: World) -> None:
    everything = Scope(None, View.ALL)
    first = world.find("user_id = 'eve'", ["start_time"], everything, 2, None, Effort())
    assert first.heads == []
    with world.database.transaction(operating_system_user(), write=True) as tx:
        for number in (1, 3, 5):
            writing.add_run(tx, 1, f"eve{number}", name="n", user="eve", started=number)
    first = world.find("user_id = 'eve'", ["start_time"], everything, 2, None, Effort())
    with world.database.transaction(operating_system_user(), write=True) as tx:
        for number in (2, 4):
            writing.add_run(tx, 1, f"eve{number}", name="n", user="eve", started=number)
    second = world.find("user_id = 'eve'", ["start_time"], everything, 9, first.next, Effort())
    assert [head.id for head in first.heads + second.heads] == ["eve1", "eve3", "eve4", "eve5"]
