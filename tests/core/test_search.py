"""The grammar of filters and orders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.search import (
    LISTS,
    MAX_CLAUSES,
    MAX_DEPTH,
    NULLS,
    NUMBERS,
    TEXTS,
    And,
    BadSearch,
    Clause,
    Condition,
    Entity,
    Field,
    Language,
    Not,
    Op,
    Or,
    Order,
    clauses_of,
    parse,
    parse_order,
)

LANGUAGE = Language(
    Entity(
        "run",
        ("attribute", "attributes", "attr", "run"),
        keys={"run_id": Field(TEXTS | LISTS), "run_name": Field(TEXTS), "start_time": Field(NUMBERS, number=True)},
        aliases={"Run name": "run_name", "run name": "run_name", "created": "start_time"},
    ),
    Entity("metric", ("metric", "metrics"), any=Field(NUMBERS, number=True)),
    Entity("param", ("param", "params", "parameter"), any=Field(TEXTS | NULLS)),
    Entity("tag", ("tag", "tags"), any=Field(TEXTS | NULLS)),
    Entity("dataset", ("dataset", "datasets"), keys={"name": Field(TEXTS | LISTS, orders=False)}),
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("metrics.auc > 0.9", Clause("metric", "auc", Op.MORE, 0.9)),
        ("METRICS.auc>=-1e-3", Clause("metric", "auc", Op.AT_LEAST, -0.001)),
        ("metric.val/loss-2.x:y != 3", Clause("metric", "val/loss-2.x:y", Op.UNEQUAL, 3)),
        ("metrics.`val loss` < 1", Clause("metric", "val loss", Op.LESS, 1)),
        ('metrics."val loss" <= 1', Clause("metric", "val loss", Op.AT_MOST, 1)),
        ("params.depth = '6'", Clause("param", "depth", Op.EQUAL, "6")),
        ('parameter.depth = "6"', Clause("param", "depth", Op.EQUAL, "6")),
        ("params.x = 'it''s'", Clause("param", "x", Op.EQUAL, "it's")),
        ("params.x = ''", Clause("param", "x", Op.EQUAL, "")),
        ("tags.mlflow.source.name like '%a_'", Clause("tag", "mlflow.source.name", Op.LIKE, "%a_")),
        ("tags.x ilike 'A'", Clause("tag", "x", Op.ILIKE, "A")),
        ("tags.x is null", Clause("tag", "x", Op.IS_NULL)),
        ("tags.x IS NOT NULL", Clause("tag", "x", Op.IS_NOT_NULL)),
        ("run_id IN ('a', 'b')", Clause("run", "run_id", Op.IN, ("a", "b"))),
        ("attribute.run_id not in ('a')", Clause("run", "run_id", Op.NOT_IN, ("a",))),
        ("`Run name` = 'x'", Clause("run", "run_name", Op.EQUAL, "x")),
        ('attributes."run name" = "x"', Clause("run", "run_name", Op.EQUAL, "x")),
        ("created > 17", Clause("run", "start_time", Op.MORE, 17)),
        ("dataset.name = 'ü'", Clause("dataset", "name", Op.EQUAL, "ü")),
        ("metrics.AND = 1", Clause("metric", "AND", Op.EQUAL, 1)),
        ("metrics.1 = 1", Clause("metric", "1", Op.EQUAL, 1)),
    ],
)
def test_a_clause_is_read(text: str, wanted: Clause) -> None:
    assert parse(text, LANGUAGE) == wanted == parse(f"  ( {text} )\n", LANGUAGE)


def test_not_binds_before_and_and_and_before_or() -> None:
    a, b, c = (Clause("metric", name, Op.EQUAL, 1) for name in "abc")
    assert parse("metrics.a=1 or metrics.b=1 and not metrics.c=1", LANGUAGE) == Or((a, And((b, Not(c)))))
    assert parse("(metrics.a=1 or metrics.b=1) and metrics.c=1", LANGUAGE) == And((Or((a, b)), c))
    assert clauses_of(parse("not (metrics.a=1 or metrics.b=1) and metrics.c=1", LANGUAGE)) == [a, b, c]


def test_an_empty_filter_holds_for_everything() -> None:
    assert parse("  ", LANGUAGE) is None and parse_order(["", " "], LANGUAGE) == []


@pytest.mark.parametrize(
    "text",
    [
        "metrics.a", "metrics.a >", "metrics.a > 'x'", "metrics.a > nan", "params.a = 1", "params.a > '1'",
        "params.a IN ('a')", "a = 'x'", "foo.bar = 'x'", "run_id = x",
        "run_name IN ('a')", "run_id IN 'a'", "run_id IN ()", "run_id IN (1)",
        "metrics.a > 1 AND", "AND metrics.a > 1", "metrics.a > 1 metrics.b > 2", "(metrics.a > 1", "metrics.a > 1)", "not",
        "metrics. > 1", "metrics.`` > 1", "params.a = 'x", "params.`a = 'x'", "params.a ~ 'x'", "tags.x IS 'null'", ";",
        "'x'", "metrics.a LIKE 'x'", "start_time = '1'", "status = 'x'", "tags.a NOT LIKE 'x'", "1 = 1",
        "params.a = 'a' 'b'", "metrics.a > 1 -- x", "metrics.a = 1e", "params.a = `x`", "\x00",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_shown(text: str) -> None:
    with pytest.raises(BadSearch, match=r"Invalid clause\(s\) in filter string"):
        parse(text, LANGUAGE)


def test_filters_have_a_depth_and_a_length() -> None:
    assert parse("(" * MAX_DEPTH + "metrics.a=1" + ")" * MAX_DEPTH, LANGUAGE)
    with pytest.raises(BadSearch, match="deeper"):
        parse("(" * 100_000, LANGUAGE)
    with pytest.raises(BadSearch, match="at most"):
        parse(" and ".join(["metrics.a=1"] * (MAX_CLAUSES + 1)), LANGUAGE)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("metrics.auc DESC", Order("metric", "auc", True)),
        ("metrics.`val loss` asc", Order("metric", "val loss")),
        ('params."a b"', Order("param", "a b")),
        ("start_time desc", Order("run", "start_time", True)),
        ("attribute.`Run name`", Order("run", "run_name")),
        ("metrics.auc DOWN", None),
        ("metrics.auc DESC DESC", None),
        ("dataset.name", None),
        ("nothing", None),
        ("metrics.a, metrics.b", None),
    ],
)
def test_an_order_is_read(text: str, wanted: Order | None) -> None:
    if wanted is None:
        with pytest.raises(BadSearch, match="Invalid order_by"):
            parse_order([text], LANGUAGE)
    else:
        assert parse_order([text], LANGUAGE) == [wanted]


texts = st.text(max_size=8).map(lambda text: text.replace("`", ""))
keys = texts.filter(bool)
figures = st.floats(allow_nan=False, allow_infinity=False)
lists = st.lists(texts, min_size=1).map(tuple)
leaves = (
    st.builds(
        Clause, st.just("metric"), keys, st.sampled_from(sorted(NUMBERS)), st.floats(allow_nan=False, allow_infinity=False)
    )
    | st.builds(Clause, st.sampled_from(["param", "tag"]), keys, st.sampled_from(sorted(TEXTS)), texts)
    | st.builds(Clause, st.just("tag"), keys, st.sampled_from(sorted(NULLS)), st.none())
    | st.builds(
        Clause, st.just("run"), st.just("run_id"), st.sampled_from(sorted(LISTS)), st.lists(texts, min_size=1).map(tuple)
    )
)
conditions = st.recursive(
    leaves,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def written(condition: Condition) -> str:
    match condition:
        case And(of=parts):
            return " AND ".join(f"({written(part)})" for part in parts)
        case Or(of=parts):
            return " OR ".join(f"({written(part)})" for part in parts)
        case Not(of=inner):
            return f"NOT ({written(inner)})"
        case Clause(entity=entity, key=key, op=op, value=value):
            if op in NULLS:
                shown = ""
            elif isinstance(value, tuple):
                shown = "(" + ",".join(map(quoted, value)) + ")"
            else:
                shown = quoted(value) if isinstance(value, str) else repr(value)
            return f"{entity}.`{key}` {op.value} {shown}"


@given(conditions)
def test_what_is_written_out_is_read_back(condition: Condition) -> None:
    assert parse(written(condition), LANGUAGE) == condition


@given(
    st.text(max_size=60) | st.lists(st.sampled_from(list("metrics.params`\"'()=<> ANDORNOT1e,")), max_size=60).map("".join)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text, LANGUAGE)
        parse_order([text], LANGUAGE)
    except BadSearch:
        pass
