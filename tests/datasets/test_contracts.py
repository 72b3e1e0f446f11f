"""A producer promises, versions are held to it, and a breach is told: at every door where the door matters."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from modelwright.core.errors import Conflict, Invalid
from modelwright.core.refs import Ref
from modelwright.datasets import Contract, Distribution, Freshness, PromisedColumn, Range, load_contract
from modelwright.datasets.contracts.diff import compare
from modelwright.store import Verdict

PROMISE = Contract(
    owner="ops",
    columns=[PromisedColumn(name="id", type="int", nullable=False), PromisedColumn(name="size", type="float")],
    checks=[Range(column="size", minimum=0)],
    consumers=["features:sizes", "pricing"],
)
OWN, TWO = Ref.parse("contract:things@1"), Ref.parse("contract:things@2")


def _rows(*sizes, **more):
    return pa.table({"id": pa.array(range(len(sizes))), "size": pa.array(sizes, pa.float64()), **more})


def test_a_version_that_breaks_the_contract_is_told_of(workspace):
    workspace.datasets.add("things", _rows(1.0, 2.0), key="id")
    made = workspace.contracts.publish(Ref.parse("dataset:things"), PROMISE)
    assert (made.ref, made.dataset, made.owner) == (OWN, Ref.parse("dataset:things"), "ops")
    good = workspace.datasets.add("things", _rows(1.0, 3.0))
    bad = workspace.datasets.add("things", _rows(1.0, -3.0))
    (kept,), (broken,) = (workspace.contracts.kept(version.ref) for version in (good, bad))
    assert (kept.verdict, kept.summary) == (Verdict.PASS, "contract:things@1 is kept.")
    assert (broken.verdict, broken.kind) == (Verdict.FAIL, "contract")
    assert broken.figures["broken"] == ["range(size)"]
    (breach,) = [e for e in workspace.record.history(bad.ref).items if e.action == "contracts.contract.breached"]
    assert breach.after["consumers"] == ["features:sizes", "pricing"]
    assert workspace.contracts.of(bad.ref).ref == OWN
    assert [each.ref for each in workspace.contracts.list().items] == [OWN]


def test_what_breaks_a_promise_has_to_be_meant(embedded):
    embedded.datasets.add("things", _rows(1.0))
    ref = Ref.parse("dataset:things")
    embedded.contracts.publish(ref, PROMISE)
    assert embedded.contracts.publish(ref, PROMISE).ref == OWN  # the same promise is no version
    less = Contract(owner="ops", columns=PROMISE.columns[:1], checks=PROMISE.checks)
    with pytest.raises(Conflict, match="column size is no longer promised") as refused:
        embedded.contracts.publish(ref, less)
    assert "--breaking" in refused.value.mend
    assert embedded.contracts.of(ref).ref == OWN
    assert embedded.contracts.publish(ref, less, breaking=True).ref == TWO
    told = embedded.contracts.diff(OWN, TWO)
    assert [each.what for each in told.breaking] == ["column size is no longer promised"]
    embedded.contracts.retire(TWO)
    assert embedded.contracts.of(ref).ref == OWN


def test_a_contract_is_in_force_however_many_after_it_were_retired(embedded):
    embedded.datasets.add("things", _rows(1.0))
    ref = Ref.parse("dataset:things")
    embedded.contracts.publish(ref, PROMISE)
    with embedded.home.caller().transaction(write=True):  # which all of them join
        for number in range(101):
            later = Contract(owner="ops", columns=ONE, checks=PROMISE.checks, description=f"{number}")
            embedded.contracts.retire(embedded.contracts.publish(ref, later).ref)
    assert embedded.contracts.of(ref).ref == OWN


ONE = PROMISE.columns
CHANGES = [
    (Contract(owner="ops", columns=ONE), Contract(owner="ada", columns=ONE), []),
    (Contract(owner="ops", columns=ONE[:1]), Contract(owner="ops", columns=ONE), []),
    (Contract(owner="ops", columns=ONE), Contract(owner="ops", columns=ONE, checks=PROMISE.checks, fresh="1d"), []),
    (Contract(owner="o", fresh="36h"), Contract(owner="o", fresh="1d"), []),
    (
        Contract(owner="o", fresh="1d"),
        Contract(owner="o", fresh="36h"),
        ["the newest event is at most 36h old, and was 1d"],
    ),
    (Contract(owner="o", fresh="1d"), Contract(owner="o"), ["how fresh the data are is no longer promised"]),
    (
        Contract(owner="o", columns=[PromisedColumn(name="a", type="int", nullable=False)]),
        Contract(owner="o", columns=[PromisedColumn(name="a", type="float")]),
        ["column a is float, and was int", "column a may have missing values"],
    ),
    (PROMISE, Contract(owner="ops", columns=ONE), ["check range(size) is no longer made"]),
    (
        PROMISE,
        Contract(owner="ops", columns=ONE, checks=[Range(column="size", minimum=-1)]),
        ["check range(size) is another: minimum 0 → -1"],
    ),
]


@pytest.mark.parametrize(("before", "after", "breaks"), CHANGES)
def test_to_promise_less_breaks_and_to_promise_more_does_not(before, after, breaks):
    assert [each.what for each in compare((OWN, before), (TWO, after)).breaking] == breaks
    assert compare((OWN, before), (OWN, before)).changes == []
    assert compare((OWN, before), (TWO, after)).changes


def test_freshness_and_types_are_held_too(embedded):
    moments = pa.array([datetime(2013, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    embedded.datasets.add("things", _rows(1.0, at=moments), time_column="at")
    promise = Contract(owner="ops", columns=[PromisedColumn(name="size", type="int")], fresh="1d")
    embedded.contracts.publish(Ref.parse("dataset:things"), promise)
    report = embedded.datasets.hold("dataset:things")
    assert [(r.check, r.verdict) for r in report.results] == [
        ("promised columns", Verdict.FAIL),
        ("promised freshness", Verdict.FAIL),
    ]


def test_rows_that_arrive_by_pushes_are_held_when_they_are_folded(embedded):
    embedded.datasets.add("things", _rows(1.0), key="id")
    embedded.contracts.publish(Ref.parse("dataset:things"), PROMISE)
    embedded.pushes.push("dataset:things", [{"id": 7, "size": -1.0}])
    folded = embedded.pushes.fold("dataset:things")
    assert embedded.contracts.kept(folded)[0].verdict is Verdict.FAIL


def test_a_report_that_does_not_answer_the_contract_is_refused(embedded):
    from modelwright.core.wire import encode

    version = embedded.datasets.add("things", _rows(1.0, -1.0))
    embedded.contracts.publish(Ref.parse("dataset:things"), PROMISE)
    report = embedded.datasets.check(version.ref, [Range(column="size", minimum=-5)])
    stored = embedded.caller.blobs.put(encode(report))
    with pytest.raises(Invalid, match="does not answer"):
        embedded.contracts.attest(version.ref, report=stored, contract=OWN)


@pytest.mark.parametrize(
    ("promise", "said"),
    [
        (Contract(owner=" ", fresh="1d"), "has an owner"),
        (Contract(owner="o"), "promises nothing"),
        (Contract(owner="o", fresh="soon"), "length of time"),
        (Contract(owner="o", columns=[ONE[0], ONE[0]]), "promised twice"),
        (Contract(owner="o", checks=[Freshness(max_age="1d"), Freshness(max_age="2d")]), "Two checks are named"),
    ],
)
def test_a_contract_without_sense_is_refused(embedded, promise, said):
    embedded.datasets.add("things", _rows(1.0))
    with pytest.raises(Invalid, match=said):
        embedded.contracts.publish(Ref.parse("dataset:things"), promise)
    assert embedded.contracts.of(Ref.parse("dataset:things")) is None


def test_a_contract_is_read_from_toml(write):
    path = write(
        "contract.toml",
        """
        owner = "ops"
        fresh = "36h"
        consumers = ["pricing"]

        [[column]]
        name = "id"
        type = "int"
        nullable = false

        [[check]]
        kind = "range"
        column = "size"
        minimum = 0
        """,
    )
    found = load_contract(path)
    assert (found.owner, found.fresh, found.consumers, found.names) == ("ops", "36h", ["pricing"], ["id"])
    assert [check.title for check in found.asked][1:] == ["promised values of id", "promised freshness", "range(size)"]
    with pytest.raises(Invalid, match="promises"):
        load_contract(write("wrong.toml", 'owner = "ops"\npromises = 1\n'))


@pytest.mark.parametrize(
    ("text", "said", "mend"),
    [
        ('[[columns]]\nname = "id"\ntype = "int"', "has no 'columns'", "Did you mean column"),
        ('consumer = ["a"]\nfresh = "1d"', "has no 'consumer'", "consumers"),
        ('[[checks]]\nkind = "nulls"', "has no 'checks'", "Did you mean check"),
    ],
)
def test_what_a_contract_has_no_place_for_is_not_passed_over(tmp_path, text, said, mend):
    file = tmp_path / "c.toml"
    file.write_text(f'owner = "ops"\n{text}\n')
    with pytest.raises(Invalid, match=said) as refused:
        load_contract(file)
    assert mend in refused.value.mend


def test_a_type_that_there_is_not_is_no_promise(embedded):
    embedded.datasets.add("things", _rows(1.0))
    for kind in ("txt", "decimal"):
        wrong = Contract(owner="ops", columns=[PromisedColumn(name="id", type=kind)])
        with pytest.raises(Invalid, match=f"'{kind}' is not a column type"):
            embedded.contracts.publish(Ref.parse("dataset:things"), wrong)
    exact = Contract(owner="ops", columns=[PromisedColumn(name="id", type="decimal128(10, 2)")])
    assert embedded.contracts.publish(Ref.parse("dataset:things"), exact).ref == OWN


def test_distributions_of_a_column_that_became_text_or_numbers_cannot_be_compared(embedded):
    numbers, texts = _rows(1.0, 2.0, 3.0), pa.table({"id": [0, 1, 2], "size": ["1.0", "2.0", "3.0"]})
    steps = (
        (numbers, texts, "held numbers before and is string now"),
        (texts, numbers, "held text before and is double now"),
    )
    for before, after, said in steps:
        first = embedded.datasets.add("things", before).ref
        promised = Contract(owner="ops", checks=[Distribution(column="size", max_distance=0.2, against=first)])
        embedded.contracts.publish(Ref.parse("dataset:things"), promised, breaking=True)
        (result,) = embedded.datasets.hold(embedded.datasets.add("things", after).ref).results
        assert (result.verdict, said in f"{result.message} {result.error}") == (Verdict.FAIL, True)
