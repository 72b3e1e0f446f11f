"""What is done to keys and vaults outside of the database is on the record, also where whoever did it was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelwright.datasets.privacy import PurposeKeys
from modelwright.datasets.privacy.turn import PrivacyTurn
from modelwright.store.records import Event
from modelwright.workspace import Workspace, open_workspace

KILLED = """
import os, signal, sys
import modelwright

here = modelwright.connect(sys.argv[1])
with here.caller.transaction(write=True):
    if sys.argv[2] == "forget":
        assert here.privacy.forget("fraud", values=["ada"], reason="she asked us to") == 1
    else:
        assert here.privacy.rotate("fraud", reason="a key got out") == 2
    os.kill(os.getpid(), signal.SIGKILL)
"""
PII = frozenset({"pii"})
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def killed_at(project: Path, what: str, *, database: str = "") -> None:
    """A project whose process was killed after it had changed the files, and before the event was committed."""
    project.mkdir()
    (project / "modelwright.toml").write_text(f"[workspace]\ndatabase = '{database}'\n" if database else "")
    open_workspace(project).close()
    keys(project).vault("fraud").issue(["ada", "bob", "7"], PII)
    done = subprocess.run([sys.executable, "-c", KILLED, str(project), what], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def keys(project: Path) -> PurposeKeys:
    return PurposeKeys(project / ".modelwright" / "keys" / "purposes")


def told(here: Workspace) -> list[Event]:
    return [each for each in reversed(here.record.events().items) if each.action.startswith("privacy.")]


@pytest.mark.parametrize("postgres", [False, True])
def test_values_that_were_forgotten_by_who_was_killed_are_told_once_by_the_next_server(
    tmp_path: Path, workspace_postgres: str, *, postgres: bool
) -> None:
    project = tmp_path / "project"
    killed_at(project, "forget", database=workspace_postgres if postgres else "")
    assert keys(project).vault("fraud").find(["ada"]) == []
    with open_workspace(project) as here:
        assert told(here) == []
        turn = PrivacyTurn(here.privacy)
        (said,) = turn.turn(NOW)
        assert said.startswith("1 value was forgotten for fraud by ")
        (event,) = told(here)
        assert (event.action, event.resource) == ("privacy.tokens.forgotten", "dataset:fraud")
        assert (event.reason, event.after["count"], event.after["found"]) == ("she asked us to", 1, True)
        assert turn.turn(NOW + timedelta(minutes=2)) == [] == list(here.privacy.settle())
        assert here.privacy.forget("fraud", values=["bob"], reason="he too") == 1
        assert [each.after["count"] for each in told(here)] == [1, 1] and list(here.privacy.settle()) == []


def test_a_key_that_was_made_by_who_was_killed_is_told_and_everything_sealed_with_it(tmp_path: Path) -> None:
    project = tmp_path / "project"
    killed_at(project, "rotate")
    with open_workspace(project) as here:
        assert [each.number for each in keys(project).all("fraud")] == [1, 2] and told(here) == []
        assert here.privacy.rotate("fraud", reason="once more") == 3
        found, made = told(here)
        assert (found.before, found.after) == ({"key": 1}, {"key": 2, "purpose": "fraud", "found": True})
        assert (made.before["key"], made.after["key"]) == (2, 3)
        assert list(here.privacy.settle()) == []
    file = keys(project).vault("fraud")
    assert [each and each.value for each in file.open(file.find(["ada", "bob"]))] == ["ada", "bob"]


def test_a_token_of_a_number_takes_the_number_out_and_not_the_same_digits_as_text(embedded: Workspace) -> None:
    vault = embedded.privacy.making("fraud")[1].vault
    (number,), (text,) = vault.issue([7], PII), vault.issue(["7"], PII)
    assert embedded.privacy.forget("fraud", tokens=[str(number), "nobody's"], reason="one of the two") == 1
    assert [each and each.value for each in vault.open([str(number), text])] == [None, "7"]
    assert embedded.privacy.forget("fraud", values=["7"], tokens=[text], reason="the other") == 1


def test_of_many_values_at_once_each_is_found_again(embedded: Workspace) -> None:
    vault = embedded.privacy.making("fraud")[1].vault
    values = [f"person {n}" for n in range(30_000)]
    before = vault.issue(values[:200], PII)
    drawn = vault.issue(values, PII)
    assert drawn[:200] == before and len(set(drawn)) == len(values)
    assert vault.issue(values, frozenset({"special"})) == drawn == vault.find(values)
    assert {each.families for each in vault.open(drawn) if each} == {PII | {"special"}}
    assert vault.issue([*values[:3], "new"], PII)[:3] == drawn[:3]
