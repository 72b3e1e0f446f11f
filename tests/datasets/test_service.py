"""Datasets through their operations, embedded and over HTTP."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from modelwright.core.errors import Conflict, InUse, Invalid, NotFound
from modelwright.core.paging import Filter
from modelwright.core.refs import Ref
from modelwright.core.wire import encode
from modelwright.datasets import DatasetRecord, Freshness, Nulls, Unique
from modelwright.store import State, Verdict, catalog

FLIGHTS = Ref.parse("dataset:flights")


def test_a_file_becomes_a_version_and_comes_back_as_rows(workspace, flights):
    version = workspace.datasets.add("flights", flights, key="id", time_column="at", description="three", tags={"a": "b"})

    assert str(version.ref) == "dataset:flights@1"
    assert [(c.name, c.type, c.nullable) for c in version.columns] == [
        ("id", "int64", False),
        ("carrier", "string", False),
        ("delay", "int64", True),
        ("at", "timestamp[us, tz=UTC]", False),
    ]
    assert (version.rows, version.key, version.source, version.tags) == (3, ["id"], "flights.csv", {"a": "b"})
    assert version.time_range.first == "2013-01-01T06:00:00.000000Z"
    assert version.time_range.last == "2013-01-02T06:00:00.000000Z"
    table = workspace.datasets.read(version.ref)
    assert table.column("delay").to_pylist() == [5, -3, None]
    assert workspace.datasets.show(FLIGHTS) == version


def test_the_same_content_twice_is_the_same_version(workspace, flights):
    first = workspace.datasets.add("flights", flights, key="id")
    assert workspace.datasets.add("flights", flights) == first
    assert len(workspace.datasets.versions(FLIGHTS).items) == 1


def test_other_rows_are_the_next_version_that_understands_them_as_before(workspace, flights, write):
    workspace.datasets.add("flights", flights, key="id", time_column="at", personal=["carrier"])
    more = write("february.csv", "id,carrier,delay,at\n4,AA,1,2013-02-01T06:00:00Z\n")
    second = workspace.datasets.add("flights", [flights, more])

    assert (str(second.ref), str(second.parent), second.rows) == ("dataset:flights@2", "dataset:flights@1", 4)
    assert (second.key, second.time_column, second.column("carrier").personal) == (["id"], "at", True)
    assert len(second.parts) == 2
    assert second.parts[0] == workspace.datasets.show(FLIGHTS.at(1)).parts[0]
    assert [v.ref.version for v in workspace.datasets.versions(FLIGHTS).items] == [2, 1]


def test_rows_are_read_by_column_and_condition_with_their_types(workspace, flights):
    workspace.datasets.add("flights", flights)
    found = workspace.datasets.read("dataset:flights", columns=["at", "id"], where="delay > 0")
    assert found.schema == pa.schema([("at", pa.timestamp("us", tz="UTC")), ("id", pa.int64())])
    assert found.column("id").to_pylist() == [1]
    assert workspace.datasets.head("dataset:flights", 2).column("id").to_pylist() == [1, 2]
    assert workspace.datasets.relation("dataset:flights").aggregate("sum(delay)").fetchall() == [(2,)]


def test_checks_become_evidence_about_the_exact_version(workspace, flights):
    version = workspace.datasets.add("flights", flights, key="id", checks=[Unique(), Nulls(column="carrier")])
    report = workspace.datasets.check(version.ref, [Nulls(column="delay", max_share=0.1)])

    assert report.verdict is Verdict.FAIL
    newest, first = workspace.datasets.checks(version.ref)
    assert (first.verdict, newest.verdict, newest.id) == (Verdict.PASS, Verdict.FAIL, report.evidence)
    assert (newest.kind, newest.subject, newest.subject_digest) == ("data-checks", version.ref, version.digest)
    assert newest.figures["nulls(delay)"] == {"verdict": "fail", "failing": 1, "share": pytest.approx(1 / 3)}


def test_freshness_is_measured_by_the_workspaces_time(workspace, flights):
    version = workspace.datasets.add("flights", flights, time_column="at")
    assert workspace.datasets.check(version.ref, [Freshness(max_age="7d")]).verdict is Verdict.FAIL
    assert workspace.datasets.check(version.ref, [Freshness(max_age="5000w")]).verdict is Verdict.PASS


def test_evidence_cannot_be_borrowed_from_another_version(workspace, flights, write):
    first = workspace.datasets.add("flights", flights)
    second = workspace.datasets.add("flights", write("b.csv", "id,carrier,delay,at\n9,AA,1,2013-02-01T06:00:00Z\n"))
    workspace.datasets.check(first.ref, [Nulls(column="id")])
    (evidence,) = workspace.datasets.checks(first.ref)
    with pytest.raises(Invalid, match="about dataset:flights@1, not dataset:flights@2"):
        workspace.datasets.attach(second.ref, report=evidence.report)
    assert workspace.datasets.checks(second.ref) == []


def test_a_verdict_that_does_not_follow_from_the_results_is_refused(embedded, flights):
    version = embedded.datasets.add("flights", flights)
    report = embedded.datasets.check(version.ref, [Nulls(column="delay")])
    flattering = embedded.caller.blobs.put(encode(replace(report, verdict=Verdict.PASS)))
    with pytest.raises(Invalid, match="does not follow"):
        embedded.datasets.attach(version.ref, report=flattering)


def test_a_retired_version_stays_readable_and_names_its_successor(workspace, flights, write):
    first = workspace.datasets.add("flights", flights)
    second = workspace.datasets.add("flights", write("b.csv", "id,carrier,delay,at\n9,AA,1,2013-02-01T06:00:00Z\n"))
    retired = workspace.datasets.retire(first.ref, successor=second.ref, reason="a month more")
    assert (retired.state, retired.successor) == (State.RETIRED, second.ref)
    assert workspace.datasets.read(first.ref).num_rows == 3
    with pytest.raises(Conflict, match="retired already"):
        workspace.datasets.retire(first.ref)


def test_a_deleted_version_is_gone_and_its_number_is_not_used_again(workspace, flights, write):
    first = workspace.datasets.add("flights", flights)
    workspace.datasets.delete(first.ref, reason="by mistake")
    with pytest.raises(NotFound):
        workspace.datasets.show(first.ref)
    assert workspace.datasets.add("flights", flights).ref.version == 2


def test_datasets_are_listed_by_path_and_tag(workspace, flights):
    workspace.datasets.add("air/flights", flights, tags={"owner": "ada"})
    workspace.datasets.add("sea/ferries", flights)
    listed = workspace.datasets.list(Filter(under="air")).items
    assert [str(version.ref) for version in listed] == ["dataset:air/flights@1"]
    assert len(workspace.datasets.list().items) == 2


def test_the_profile_is_kept_with_the_version(workspace, flights):
    version = workspace.datasets.add("flights", flights)
    profile = workspace.datasets.profile(version.ref)
    assert (profile.rows, profile.column("delay").missing, profile.column("delay").mean) == (3, 1, 1.0)


def test_two_versions_are_compared(workspace, flights, write):
    workspace.datasets.add("flights", flights, key="id")
    workspace.datasets.add("flights", write("b.csv", "id,carrier,delay,at\n1,AA,6,2013-01-01T06:00:00Z\n"))
    diff = workspace.datasets.diff("dataset:flights@1", "dataset:flights@2")
    assert (diff.rows.added, diff.rows.removed, diff.rows.changed) == (0, 2, 1)


def test_parquet_and_arrow_tables_with_the_same_rows_are_the_same_version(embedded, tmp_path):
    table = pa.table({"id": pa.array([1, 2]), "name": pa.array(["a", "b"]).dictionary_encode()})
    first = embedded.datasets.add("people", table)
    pq.write_table(table, tmp_path / "people.parquet", compression="none")
    again = embedded.datasets.add("people", tmp_path / "people.parquet")
    assert again.ref == first.ref
    assert embedded.datasets.add("people", table.to_pandas()).ref == first.ref


def test_a_version_without_its_parts_is_refused(embedded, flights):
    version = embedded.datasets.add("flights", flights)
    record = embedded.datasets.show(version.ref)
    fields = {name: getattr(record, name) for name in DatasetRecord.__struct_fields__}
    broken = DatasetRecord(**{**fields, "parts": [replace(record.parts[0], digest="0" * 64)]})
    with pytest.raises(Invalid, match="is not stored"):
        embedded.datasets.register("flights", record=broken)


def test_a_condition_that_duckdb_does_not_understand_is_invalid(embedded, flights):
    embedded.datasets.add("flights", flights)
    with pytest.raises(Invalid, match="dellay"):
        embedded.datasets.read("dataset:flights", where="dellay > 0")
    with pytest.raises(NotFound, match="the columns are id, carrier"):
        embedded.datasets.read("dataset:flights", columns=["nope"])


def test_what_something_depends_on_is_not_deleted(embedded, flights):
    version = embedded.datasets.add("flights", flights)
    with embedded.caller.transaction(write=True) as tx:
        catalog.depend(tx, Ref.parse("model:delay@1"), [version.ref])
    with pytest.raises(InUse, match="model:delay@1"):
        embedded.datasets.delete(version.ref)
    assert embedded.datasets.show(version.ref) == version
