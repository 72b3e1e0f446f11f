"""The two stories, told on a real server; and what the record says afterwards.

`make test` tells of a fifth of the loans, and the flights, which take longer, until the first model has answered
for two days; `make test-all` tells of every loan and of the whole year of flights, and kills ten times as often.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from modelwright.core.clock import parse_time
from modelwright.core.refs import Ref
from modelwright.demo import Case, Request
from modelwright.demo.lending import Lending
from modelwright.demo.stage import Stage
from modelwright.demo.story import Story
from modelwright.demo.telling import Teller
from modelwright.models import Stage as ModelStage
from modelwright.store.doctor import Subject, examine
from modelwright.workspace import Workspace, open_workspace

ROOT = Path(__file__).parents[2]
FLIGHTS = ROOT.parent / "shared" / "data" / "flights"
KILLS = {False: 3, True: 50}  # of the server, by whether the tests are thorough
TELLERS = {False: 1, True: 6}  # the same of whoever tells the story


def _progress(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "story.json").read_text())["done"])


def _check_the_record(folder: Path, case: Case) -> None:
    """What must hold after a story, whichever it was."""
    done = _progress(folder)
    with open_workspace(folder) as here:
        first, second = (Ref.parse(done[f"train {n}"]["model"]) for n in "12")
        third, bad = Ref.parse(done["replacement"]["model"]), Ref.parse(done["train bad"]["model"])
        assert here.models.champion(case.name).ref == third  # type: ignore[union-attr]
        retired = here.models.show(first)
        assert (retired.stage, retired.successor) == (ModelStage.RETIRED, third)
        states = {r.candidate.model: r.state.value for r in here.deployments.rollouts(case.name, "production")}
        assert states == {second: "promoted", third: "promoted", bad: "rolled_back"}
        drifts = [a for a in here.monitoring.alerts().items if a.cause.value == "drift" and a.incident]
        assert len([a for a in drifts if str(a.incident) == done["incident"]["ref"]]) == 1
        assert here.monitoring.incident(Ref.parse(done["incident"]["ref"])).incident.state.value == "resolved"
        live = here.governance.answer(Ref.parse(f"deployment:{case.name}"), at=case.plan.asked_about)
        assert any("approved by ben" in sentence for sentence in live.sentences)
        nodes = {str(node.ref) if hasattr(node, "ref") else str(node) for node in here.record.lineage(third).nodes}
        assert any(node.startswith("dataset:") for node in nodes)
        assert any(node.startswith("run:") for node in nodes)
        assert not here.record.verify().findings
        assert not [each for each in _examined(here) if each.verdict.value == "fail"]


def _examined(here: Workspace) -> list[Any]:
    home = here.home
    assert home is not None
    now = datetime.now(UTC)
    return list(
        examine(Subject(database=home.database, objects=home.objects, folder=home.folder, ledger=here.ledger, now=now))
    )


def _verify_by_itself(folder: Path) -> None:
    """The exported archive verifies with the verifier that it carries, and nothing else."""
    with zipfile.ZipFile(folder / "audit.zip") as archive:
        (folder / "verify.py").write_bytes(archive.read("verify.py"))
    alone = subprocess.run(
        [sys.executable, "-I", "-S", str(folder / "verify.py"), str(folder / "audit.zip")], capture_output=True, text=True
    )
    assert alone.returncode == 0, alone.stdout + alone.stderr


needs_flights = pytest.mark.skipif(not FLIGHTS.is_dir(), reason="the flight data are not beside the project")


@needs_flights
@pytest.mark.slow
def test_a_model_of_real_departures_answers_for_two_days(tmp_path: Path, thorough: bool) -> None:
    if thorough:
        pytest.skip("the whole year is told, which begins with these days")
    case, folder = _flights(), tmp_path / "flights"
    first, live = (datetime(2013, month, 1, tzinfo=UTC) for month in (2, 3))  # two months to learn from, not four
    case.plan = replace(case.plan, first_data=first, live=live, challenger=live + timedelta(days=2))
    stage = Stage(folder, case.project)
    story = Story(case, stage, Teller(Console(file=io.StringIO())))
    try:
        stage.set_up()
        for act in (story.datasets, story.features, story.pipeline, story.evaluation, story.registry):
            act()
        model = Ref.parse(story.go_live())
    finally:
        stage.stop()
    with open_workspace(folder) as here:
        assert here.models.champion(case.name).ref == model  # type: ignore[union-attr]
        asked = {request.id for request in case.requests(case.plan.live, case.plan.challenger)}
        held = here.monitoring.labels(
            Ref.parse(f"deployment:{case.name}"), since=case.plan.live, until=case.plan.challenger
        )
        assert len(asked) > 100 and held and {label.id for label in held} <= asked
        assert not here.record.verify().findings
        assert not [each for each in _examined(here) if each.verdict.value == "fail"]


@needs_flights
@pytest.mark.slow
def test_the_flights_story_holds_over_a_year_of_real_departures(tmp_path: Path, thorough: bool) -> None:
    if not thorough:
        pytest.skip("a year takes minutes, and the same acts are told of loans; make test-all tells them of flights")
    told = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "flights" / "story.py"), str(FLIGHTS), str(tmp_path / "flights")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-3000:]
    _check_the_record(tmp_path / "flights", _flights())
    _verify_by_itself(tmp_path / "flights")


def _flights() -> Case:
    """The example's case; its modules have the same names as those of every other project."""
    names = ("features", "pipeline", "story")
    others = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(ROOT / "examples" / "flights"))
    try:
        module = importlib.import_module("story")
        return module.Flights(FLIGHTS)  # type: ignore[no-any-return]
    finally:
        sys.path.pop(0)
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(others)


class FewerLoans(Lending):
    """The same book, of which a fifth is asked about, two weeks at a time, and of that a canary sees half. What is
    bad comes in September."""

    bad = datetime(2024, 9, 1, tzinfo=UTC)
    plan = replace(Lending.plan, step=timedelta(days=14), window=timedelta(days=14), canary=50.0, bad=bad)

    def requests(self, since: datetime, until: datetime) -> list[Request]:
        """Applications in order of time."""
        return [each for each in super().requests(since, until) if int(each.id.removeprefix("A")) % 5 == 0]


class _Killer(threading.Thread):
    """Kills the server of a stage, without warning, at random moments of its life."""

    def __init__(self, stage: Stage, times: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.stage = stage
        self.times = times
        self.killed = 0
        self.over = threading.Event()
        self._random = random.Random(seed)

    def run(self) -> None:
        last = None
        while self.killed < self.times and not self.over.is_set():
            server = self.stage.server
            if server is None or server is last or server.poll() is not None:
                time.sleep(0.01)
                continue
            self.over.wait(self._random.uniform(0.0, 1.6))
            if server.poll() is None and not self.over.is_set():
                os.kill(server.pid, signal.SIGKILL)
                self.killed += 1
                last = server


@pytest.mark.slow
def test_whoever_is_killed_nothing_acknowledged_is_lost_and_the_story_goes_on(tmp_path: Path, thorough: bool) -> None:
    case, folder = Lending() if thorough else FewerLoans(), tmp_path / "lending"
    _kill_tellers(folder, TELLERS[thorough])
    stage = Stage(folder, case.project)
    killer = _Killer(stage, KILLS[thorough], seed=5)
    killer.start()
    try:
        Story(case, stage, Teller(Console(file=io.StringIO()))).play()
    finally:
        killer.over.set()
        killer.join()
        stage.stop()
    assert killer.killed == KILLS[thorough]
    _check_the_record(folder, case)
    _nothing_is_missing(folder, case)
    _verify_by_itself(folder)


def _kill_tellers(folder: Path, times: int) -> None:
    """Begin the story, and kill whoever tells it, the server and any pipeline, all at once; what is there is whole."""
    chance = random.Random(11)
    command = [sys.executable, "-m", "modelwright.cli", "demo", str(folder)]
    for _ in range(times):
        teller = subprocess.Popen(command, cwd=folder.parent, stdout=subprocess.DEVNULL, start_new_session=True)
        time.sleep(chance.uniform(1.0, 7.0))
        os.killpg(teller.pid, signal.SIGKILL)
        teller.wait()
        if (folder / "story.json").exists() and (folder / ".modelwright" / "workspace.db").exists():
            with open_workspace(folder) as here:
                assert not here.record.verify().findings
                assert not [each for each in _examined(here) if each.verdict.value == "fail"]


def _nothing_is_missing(folder: Path, case: Case) -> None:
    """Every prediction that was answered is in the log, every label that was taken is held, every object can be read."""
    with open_workspace(folder) as here:
        home = here.home
        assert home is not None
        from modelwright.serving.predictions import read

        until = parse_time(_progress(folder)["replayed"])
        asked = case.requests(case.plan.live, until)
        logged = set(read(home.folder / "predictions", case.name)["request_id"].to_pylist())
        assert {request.id for request in asked} <= logged
        known = [request for request in asked if request.known_at <= until]
        deployment = Ref.parse(f"deployment:{case.name}")
        held = here.monitoring.labels(deployment, since=case.plan.live, until=until)
        assert {request.id for request in known} <= {label.id for label in held}
        for name in ("applications", "customers", "rates"):
            for version in here.datasets.versions(Ref.parse(f"dataset:{name}")).items:
                assert here.datasets.read(version.ref).num_rows == version.rows
