"""A part of a transaction may fail by itself, and takes its events with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwright.core.errors import Conflict
from modelwright.core.principals import operating_system_user
from modelwright.core.refs import Ref
from modelwright.store import Database, catalog
from modelwright.workspace import Settings, WorkspaceSettings, open_workspace

THING = Ref.parse("workspace:thing")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_a_failed_part_wrote_is_gone_and_the_ledger_verifies(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("workspace_postgres") if kind == "postgresql" else ""
    with open_workspace(tmp_path, settings=Settings(workspace=WorkspaceSettings(database=url))) as workspace:
        assert workspace.home is not None
        database: Database = workspace.home.database
        called: list[str] = []
        with database.transaction(operating_system_user(), write=True) as tx:
            tx.record("test.thing.began", THING)
            with pytest.raises(Conflict), tx.attempt():
                tx.record("test.thing.tried", THING)
                catalog.set_tag(tx, THING, "key", "value")
                tx.committed.append(lambda: called.append("told"))
                raise Conflict("no")
            with tx.attempt():
                tx.record("test.thing.done", THING)
        actions = [each.action for each in workspace.record.history(THING).items]
        assert actions == ["test.thing.done", "test.thing.began"] and called == []
        assert workspace.record.verify().findings == []
        with database.transaction(operating_system_user(), write=False) as tx:
            assert catalog.tags_of(tx, [THING])[str(THING)] == {}
