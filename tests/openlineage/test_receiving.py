"""Events of other producers: kept as they came, and part of lineage."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.transport.http import HttpConfig, HttpTransport

from modelwright.core.clock import isoformat
from modelwright.core.errors import Invalid, NotFound
from modelwright.core.refs import Ref
from modelwright.openlineage import PartyKind
from modelwright.openlineage.naming import external
from modelwright.store import Direction
from modelwright.testing import serving
from modelwright.workspace import Workspace

RUN = "018f3173-7000-7359-b4a0-b627cf03a2cb"
RAW, CLEAN = ("s3://lake", "raw/trips.csv"), ("postgres://db:5432", "shop.public.trips")


def dataset(name: tuple[str, str], **facets: Any) -> dict[str, Any]:
    return {"namespace": name[0], "name": name[1], "facets": facets}


def event(kind: str | None = "COMPLETE", *, time: str = "2026-05-01T10:00:00Z", **more: Any) -> dict[str, Any]:
    said = {"eventTime": time, "producer": "https://spark.example", "schemaURL": "https://openlineage.io/x", "run": {
        "runId": RUN}, "job": {"namespace": "spark", "name": "clean"}, **more}  # fmt: skip
    return said if kind is None else {"eventType": kind, **said}


def sent(workspace: Workspace, **said: Any) -> Ref:
    return workspace.openlineage.take(json.dumps(said).encode()).ref


def ref(name: tuple[str, str]) -> Ref:
    return external(PartyKind.DATASET, *name)


def test_a_run_of_another_system_is_part_of_lineage(workspace: Workspace) -> None:
    body = json.dumps(event("START", inputs=[dataset(RAW)]), indent=3).encode()
    first = workspace.openlineage.take(body)
    run = sent(workspace, **event(outputs=[dataset(CLEAN, odd={"any": [1, {"thing": None}]})]))
    assert workspace.openlineage.take(body).repeated and not first.repeated and first.ref == run

    up = workspace.record.lineage(ref(CLEAN), Direction.UP)
    assert {ref(RAW), run, external(PartyKind.JOB, "spark", "clean")} <= set(up.nodes)
    assert ref(CLEAN) in workspace.record.lineage(ref(RAW), Direction.DOWN).nodes
    assert workspace.openlineage.events(run)[0].encode() == body
    shown = workspace.openlineage.show(ref(CLEAN))
    assert (shown.namespace, shown.name, shown.facets) == (*CLEAN, {"odd": {"any": [1, {"thing": None}]}})
    assert workspace.openlineage.show(run).state == "COMPLETE"
    assert len(workspace.openlineage.list().items) == 4
    assert [each.name for each in workspace.openlineage.list(kind=PartyKind.JOB).items] == ["clean"]


def test_events_may_come_in_any_order_and_without_a_type(embedded: Workspace) -> None:
    run = sent(embedded, **event("COMPLETE", time="2026-05-01T11:00:00Z", outputs=[dataset(CLEAN)]))
    sent(embedded, **event(None, inputs=[dataset(RAW)]))
    shown = embedded.openlineage.show(run)
    assert (shown.state, isoformat(shown.heard_at)[:16]) == ("COMPLETE", "2026-05-01T11:00")
    assert ref(RAW) in embedded.record.lineage(ref(CLEAN), Direction.UP).nodes


def test_what_is_ours_is_the_thing_itself_where_it_is_read_and_never_where_it_is_written(embedded: Workspace) -> None:
    data = embedded.datasets.add("trips", pa.table({"x": [1]}), key="x").ref
    ours = (embedded.openlineage.namespace, "dataset/trips")
    named = dataset(ours, version={"datasetVersion": "1"})
    sent(embedded, **event(inputs=[named], outputs=[dataset(CLEAN)]))
    assert ref(CLEAN) in embedded.record.lineage(data, Direction.DOWN).nodes
    sent(embedded, **event("OTHER", inputs=[dataset(RAW)], outputs=[named]))
    assert embedded.record.lineage(data, Direction.UP).nodes == [data]


def test_lineage_that_is_stated_outright_counts_and_not_the_product(embedded: Workspace) -> None:
    other, audit = ("file", "/data/rates.csv"), ("file", "/data/audit.log")
    entries = [
        {"namespace": CLEAN[0], "name": CLEAN[1], "type": "DATASET", "inputs": [{**dataset(RAW), "type": "DATASET"}]}
    ]
    said = event(inputs=[dataset(RAW), dataset(other)], outputs=[dataset(CLEAN), dataset(audit)])
    said["job"]["facets"] = {"lineage": {"entries": entries}}
    run = sent(embedded, **said)
    assert set(embedded.record.lineage(ref(CLEAN), Direction.UP).nodes) == {ref(CLEAN), ref(RAW)}
    assert {run, ref(other), ref(RAW)} <= set(embedded.record.lineage(ref(audit), Direction.UP).nodes)


def test_facets_add_up_and_the_later_replaces_the_earlier_whole(embedded: Workspace) -> None:
    sent(embedded, **event("START", inputs=[dataset(RAW, schema={"fields": [1]}, gone={"a": 1})]))
    later = dataset(RAW, schema={"fields": [2]}, gone={"_deleted": True}, more={"b": 2})
    sent(embedded, **event("COMPLETE", time="2026-05-01T12:00:00Z", inputs=[later]))
    assert embedded.openlineage.show(ref(RAW)).facets == {"schema": {"fields": [2]}, "more": {"b": 2}}


def test_jobs_and_datasets_are_told_of_by_themselves(embedded: Workspace) -> None:
    said = event(None, inputs=[dataset(RAW)], outputs=[dataset(CLEAN)])
    del said["run"]
    job = sent(embedded, **said)
    assert job == external(PartyKind.JOB, "spark", "clean")
    assert job in embedded.record.lineage(ref(CLEAN), Direction.UP).nodes
    alone = {"eventTime": "2026-05-01T10:00:00Z", "producer": "x", "schemaURL": "y", "dataset": dataset(RAW, a={"b": 1})}
    assert sent(embedded, **alone) == ref(RAW)
    assert embedded.openlineage.show(ref(RAW)).facets == {"a": {"b": 1}}


@pytest.mark.parametrize(
    "broken",
    [
        b"[]", b"{", b"\xff", b'{"eventTime": "2026-05-01T10:00:00Z"}', json.dumps({**event(), "run": {}}).encode(),
        *(json.dumps({**event(), "eventTime": time}).encode() for time in (None, "yesterday", "0001-01-01T00:00:00+09:00")),
        json.dumps({**event(), "inputs": {}}).encode(),
        json.dumps({**event(), "job": {"namespace": "a\0b", "name": "c"}}).encode(),
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused_and_nothing_is_kept(embedded: Workspace, broken: bytes) -> None:
    with pytest.raises(Invalid):
        embedded.openlineage.take(broken)
    assert embedded.openlineage.list().items == []


def test_a_name_of_anything_has_a_ref_of_its_own() -> None:
    names = ["/data/é à.csv", "/data/e a.csv", "a" * 500, "..", "a//b", "a/b", "x@3"]
    refs = [external(PartyKind.DATASET, "s3://büro", name) for name in names]
    assert len(set(refs)) == len(names)
    assert [Ref.parse(str(each)) for each in refs] == refs


def test_what_nobody_told_of_is_not_found(embedded: Workspace) -> None:
    with pytest.raises(NotFound, match="mw list external"):
        embedded.openlineage.show(ref(RAW))


def test_a_run_that_has_ended_has_ended_however_late_its_other_events_come(embedded: Workspace) -> None:
    run = sent(embedded, **event("START", time="2026-05-01T12:00:00.1+02:00"))
    sent(embedded, **event("FAIL", time="2026-05-01T11:00:00Z"))
    sent(embedded, **event("RUNNING", time="2026-05-01T11:00:00.5Z"))
    assert embedded.openlineage.show(run).state == "FAIL"
    other = event("COMPLETE", time="2026-05-01T10:00:00Z") | {"run": {"runId": "dbt"}}
    started = {**other, "eventType": "START", "eventTime": "2026-05-01T12:00:00+02:00[Europe/Berlin]"}
    run = sent(embedded, **other)
    sent(embedded, **started)
    assert embedded.openlineage.show(run).state == "COMPLETE"


def test_of_a_job_that_runs_every_hour_the_newest_events_tell(embedded: Workspace) -> None:
    runs = [{**event(time=f"2026-05-01T10:00:00.{number:06}Z"), "run": {"runId": str(number)}} for number in range(1010)]
    for number, each in enumerate(runs):
        each["job"] = {**each["job"], "facets": {"documentation": {"description": f"run {number}"}}}
    batches = [json.dumps(runs[start : start + 505]).encode() for start in (0, 505)]
    assert [embedded.openlineage.take_batch(each).failed for each in batches] == [[], []]
    job = embedded.openlineage.show(external(PartyKind.JOB, "spark", "clean"))
    assert (job.events, job.facets["documentation"]["description"]) == (1010, "run 1009")
    assert len(embedded.openlineage.events(job.ref)) == 1000


def test_facets_of_another_form_than_the_standards_are_passed_over_and_stand_in_nobodys_way(embedded: Workspace) -> None:
    wrong: list[Any] = [[1], "x", 5, {"schema": "x", "columnLineage": [1]},
        {"schema": {"fields": 5}, "lineage": {"entries": 5}},
        {"columnLineage": {"fields": {"a": {"inputFields": 5}, "b": {"inputFields": [{"field": "x"}]}}, "dataset": 7}},
        {"lineage": {"entries": [{"inputs": []}, {**dataset(CLEAN), "inputs": [{"name": "x"}]}]}}]  # fmt: skip
    for number, facets in enumerate(wrong):
        said = {"namespace": RAW[0], "name": RAW[1], "facets": facets}
        sent(embedded, **event(time=f"2026-05-01T10:00:0{number}Z", inputs=[said], outputs=[said], job={
            "namespace": "n", "name": "j", "facets": facets}))  # fmt: skip
    good = dataset(
        CLEAN, columnLineage={"fields": {"miles": {"inputFields": [{**dataset(RAW), "field": "km"}, {"field": "x"}]}}}
    )
    sent(embedded, **event("RUNNING", inputs=[dataset(RAW)], outputs=[good]))
    assert embedded.openlineage.show(external(PartyKind.JOB, "n", "j")).events == len(wrong)
    assert embedded.openlineage.show(ref(RAW)).columns == []
    (edge,) = embedded.openlineage.columns(ref(CLEAN), "miles").edges
    assert (edge.source.ref, edge.source.column) == (ref(RAW), "km")
    assert embedded.openlineage.columns(ref(RAW), "km").edges == [edge]


def test_what_others_told_of_is_found_by_words_and_by_path_and_page_by_page(workspace: Workspace) -> None:
    sent(workspace, **event(inputs=[dataset(RAW), dataset(("s3://lake", "raw_old"))], outputs=[dataset(CLEAN)]))
    listed = workspace.openlineage.list
    assert {each.name for each in listed(text="TRIPS").items} == {RAW[1], CLEAN[1]}
    assert {each.name for each in listed(under="dataset/s3/lake/raw").items} == {RAW[1]}
    assert listed(text="%").items == []
    first = listed(limit=2)
    assert first.next is not None and " " not in first.next
    rest = listed(after=first.next, limit=10)
    assert len({each.ref for each in [*first.items, *rest.items]}) == 5


@pytest.fixture
def url(embedded: Workspace) -> Iterator[str]:
    with serving(embedded) as address:
        yield address


def test_a_batch_is_taken_in_part_and_says_what_was_not(embedded: Workspace, url: str) -> None:
    content = f"[{json.dumps(event(inputs=[dataset(RAW)]))}, {{}}]"
    answer = httpx.post(f"{url}/api/v1/lineage/batch", content=content, headers={"Content-Type": "application/json"})
    said = answer.json()
    assert answer.status_code == 200 and said["status"] == "partial_success"
    assert said["summary"] == {"received": 2, "successful": 1, "failed": 1, "retriable": 0, "non_retriable": 1}
    assert said["failed_events"][0]["index"] == 1 and "eventTime" in said["failed_events"][0]["reason"]
    assert embedded.openlineage.show(ref(RAW)).events == 1


def test_openlineages_own_client_sends_here(embedded: Workspace, url: str) -> None:
    client = OpenLineageClient(transport=HttpTransport(HttpConfig(url=url, endpoint="api/v1/lineage")))
    now = datetime(2026, 5, 1, tzinfo=UTC).isoformat()
    for state in (RunState.START, RunState.COMPLETE):
        client.emit(RunEvent(
            eventType=state, eventTime=now, run=Run(runId=RUN), job=Job(namespace="airflow", name="dag.task"),
            inputs=[InputDataset(*RAW)], outputs=[OutputDataset(*CLEAN)], producer="https://airflow.example"))  # fmt: skip
    client.close()
    assert ref(RAW) in embedded.record.lineage(ref(CLEAN), Direction.UP).nodes
    assert [each.name for each in embedded.openlineage.list(kind=PartyKind.JOB).items] == ["dag.task"]


def test_a_body_may_come_packed_and_an_event_may_be_as_large_as_sparks(embedded: Workspace, url: str) -> None:
    plan = event(outputs=[dataset(CLEAN, plan={"text": "x" * 5_000_000})])
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    def post(content: bytes, **more: str) -> httpx.Response:
        return httpx.post(f"{url}/api/v1/lineage", content=content, headers=headers | more)

    packed = gzip.compress(json.dumps(plan).encode())
    assert post(packed).status_code == 201
    assert len(embedded.openlineage.show(ref(CLEAN)).facets["plan"]["text"]) == 5_000_000
    for wrong in (packed[:-20], b"{}", gzip.compress(b" " * (65 * 2**20))):
        assert post(wrong).status_code == 400
    assert post(packed, **{"Content-Encoding": "br"}).status_code == 400
    assert "spark.logicalPlan" in post(gzip.compress(json.dumps(event(x="x" * 9_000_000)).encode())).json()["error"]["mend"]


def test_the_page_of_a_thing_of_others_tells_what_they_said(embedded: Workspace, url: str) -> None:
    fields = [{"name": "km", "type": "double", "description": "as the crow flies"}, {"name": "<b>"}]
    failed = event("FAIL", inputs=[dataset(RAW, schema={"fields": fields}, huge={"x": "y" * 60_000})])
    failed["run"]["facets"] = {"errorMessage": {"message": "KeyError: 'km'"}}
    run = sent(embedded, **failed)
    page = httpx.get(f"{url}/record/{ref(RAW)}").text
    assert "as the crow flies" in page and "&lt;b&gt;" in page and "huge (" in page and "yyyy" not in page
    page = httpx.get(f"{url}/record/{run}").text
    assert "KeyError" in page and "fail" in page


def test_events_in_a_file_are_taken_once_and_lines_that_are_none_are_named(
    embedded: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from modelwright.cli.entry import run as command

    Path(embedded.address, "modelwright.toml").write_text('[workspace]\nname = "test"\n')
    lines = [json.dumps({**event(inputs=[dataset(RAW)]), "run": {"runId": str(number)}}) for number in range(60)]
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join([*lines[:30], "{", "", *lines[30:], '{"eventTime": "soon"}']) + "\n")
    at = ["--workspace", str(embedded.address)]
    assert command(["import", "openlineage", str(file), *at, "--json"]) == 4
    said = json.loads(capsys.readouterr().out)
    assert (said["taken"], said["here"], [each["line"] for each in said["wrong"]]) == (60, 0, [31, 63])
    file.write_text("\n".join(lines))
    assert command(["import", "openlineage", str(file), *at]) == 0
    assert "60" in capsys.readouterr().out
    assert embedded.openlineage.show(ref(RAW)).events == 60
    assert command(["import", "openlineage", str(tmp_path / "none"), *at]) == 3


def test_one_that_is_refused_among_many_keeps_none_from_being_taken_nor_counted_as_new(workspace: Workspace) -> None:
    good = [json.dumps(event(run={"runId": f"run {n}"})).encode() for n in range(4)]
    several = [*good[:2], b"{}", *good[2:]]
    for repeated in (0, 4):
        said = workspace.openlineage.take_each(several)
        assert (said.received, said.repeated, [each.index for each in said.failed]) == (5, repeated, [2])
