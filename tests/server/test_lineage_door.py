"""Who may tell of what, at the door for OpenLineage events."""

from __future__ import annotations

from typing import Any

from modelwright.openlineage import PartyKind
from modelwright.openlineage.naming import external
from tests.server.conftest import Locked

TIME = {"eventTime": "2026-05-01T10:00:00Z", "producer": "x", "schemaURL": "y"}
RAW = {"namespace": "s3://lake", "name": "raw/trips.csv"}


def test_a_batch_keeps_what_its_caller_may_write_and_says_what_not(locked: Locked) -> None:
    token, access = locked.token("spark"), locked.here.access
    access.define_role("lineage", ["read", "write"])
    access.grant("spark", "lineage", scope="external:run")
    run: dict[str, Any] = {**TIME, "run": {"runId": "one"}, "job": {"namespace": "spark", "name": "clean"}, "inputs": [RAW]}
    with locked.client(token) as client:
        said = client.post("/api/v1/lineage/batch", json=[run, {**TIME, "dataset": RAW}]).json()
        assert client.post(
            "/api/v1/openlineage/show", json={"ref": str(external(PartyKind.DATASET, *RAW.values()))}
        ).is_error
    assert (said["summary"]["successful"], said["summary"]["failed"], said["failed_events"][0]["index"]) == (1, 1, 1)
    assert locked.here.openlineage.show(external(PartyKind.DATASET, *RAW.values())).events == 1
    denied = [each for each in locked.here.record.events().items if each.decision == "deny" and "write" in repr(each)]
    assert len(denied) == 1
