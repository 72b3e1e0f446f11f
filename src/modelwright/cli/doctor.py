"""`doctor`: whether all is as it should be, and what mends what is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from modelwright.cli.explain import add_commands
from modelwright.cli.options import AsJson, Where, workspace
from modelwright.cli.output import print_json, table, when
from modelwright.core.errors import ModelwrightError

if TYPE_CHECKING:
    from modelwright.store.doctor import Check
    from modelwright.workspace import Workspace


NOT_WELL = 1  # the exit code of a doctor who found something broken


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_commands(app, {"doctor": doctor})


def doctor(where: Where = None, as_json: AsJson = False) -> None:
    """Check that everything is as it should be, and say how to mend what is not; exit code 1 where something is broken.

    Of a folder: database, tables, ledger, keys, objects, disk, leases. Of a server: that it answers, knows who asks, is of
    this version, turns its operator, and that its ledger can be read.
    """
    with workspace(where) as rooms:
        found = _examine(rooms)
    if as_json:
        print_json(found)
    else:
        rows = [[check.name, check.verdict.value, f"{check.what}\n{check.mend}".strip()] for check in found]
        table(["what", "stands", "because"], rows)
    if any(check.verdict.value == "fail" for check in found):
        raise typer.Exit(NOT_WELL)


def _examine(rooms: Workspace) -> list[Check]:
    from modelwright.store.doctor import Subject, examine

    if rooms.home is None:
        return _examine_server(rooms)
    home = rooms.home
    subject = Subject(
        database=home.database,
        objects=home.objects,
        folder=home.folder,
        ledger=rooms.ledger,
        now=rooms.workspace.status().now,
    )
    return [*examine(subject), *_live(rooms), *_in_place(rooms), *_silent(rooms), *_online(rooms), *_lineage(rooms)]


def _silent(rooms: Workspace) -> list[Check]:
    """Whether runs are said to run of which nothing was heard for long."""
    from modelwright.cli.kinds.base import time_of
    from modelwright.core.paging import Filter, every
    from modelwright.store.doctor import Check
    from modelwright.store.records import Verdict

    now = time_of(rooms)
    silent = [run for run in every(rooms.experiments.list, Filter(state="running")) if run.silent(now) is not None]
    if not silent:
        return []
    told = "1 run is" if len(silent) == 1 else f"{len(silent):,} runs are"
    last = max(run.heard_at for run in silent)
    what = f"{told} said to run, and nothing was heard of {'it' if len(silent) == 1 else 'them'} since {when(last)}."
    mend = "What was left on their machines: mw sync, there. What is over: mw end --silent 1d"
    return [Check(name="silent runs", verdict=Verdict.WARN, what=what, mend=mend)]


def _live(rooms: Workspace) -> list[Check]:
    """Whether what is live could be loaded again: every file of it is read, and its signature verified."""
    from modelwright.core.paging import Filter, every
    from modelwright.store.doctor import Check
    from modelwright.store.records import Verdict

    placed = [p for each in every(rooms.deployments.list, Filter(state="active")) for p in each.placements]
    models = dict.fromkeys(p.stable.model for p in placed)
    broken = []
    for model in models:
        try:
            rooms.models.check_stored(model)
        except ModelwrightError as error:
            where = ", ".join(p.endpoint for p in placed if p.stable.model == model)
            what = f"{model}, which is live as {where}, cannot be loaded again. {error.message}"
            broken.append(Check(name="live models", verdict=Verdict.FAIL, what=what, mend=error.mend))
    if broken:
        return broken
    count = len(models)
    what = f"{count} {'version that is live is' if count == 1 else 'versions that are live are'} as registered and signed."
    return [Check(name="live models", verdict=Verdict.PASS, what=what)] if models else []


def _in_place(rooms: Workspace) -> list[Check]:
    """Whether the tables of lakes that datasets are now lie where they did, file by file."""
    from modelwright.core.paging import every
    from modelwright.store.doctor import Check
    from modelwright.store.records import Verdict

    count, broken = 0, []
    for version in every(rooms.datasets.list):
        if version.lake is None or version.tombstone is not None:
            continue
        count += 1
        try:
            rooms.datasets.arrow(version.ref)
        except ModelwrightError as error:
            what = f"{version.ref} cannot be read where it lies. {error.message}"
            broken.append(Check(name="tables in place", verdict=Verdict.FAIL, what=what, mend=error.mend))
    if broken or not count:
        return broken
    told = "1 table of a lake lies" if count == 1 else f"{count:,} tables of lakes lie"
    return [Check(name="tables in place", verdict=Verdict.PASS, what=f"{told} where and as registered.")]


def _online(rooms: Workspace) -> list[Check]:
    """Whether what was put online is there."""
    from modelwright.store.doctor import Check
    from modelwright.store.records import Verdict

    try:
        lost, standing = rooms.pushes.lost(), rooms.features.standing()
    except ModelwrightError as error:
        return [Check(name="features", verdict=Verdict.FAIL, what=error.message, mend=error.mend)]
    if lost:
        names = ", ".join(str(each.view) for each in lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
        what = f"{names} stood online and {'is' if len(lost) == 1 else 'are'} not in the online store any more."
        return [Check(name="features", verdict=Verdict.FAIL, what=what, mend="Put back: mw features materialise --lost")]
    what = f"{len(standing)} {'view stands' if len(standing) == 1 else 'views stand'} online, as the record says."
    return [Check(name="features", verdict=Verdict.PASS, what=what)] if standing else []


def _lineage(rooms: Workspace) -> list[Check]:
    """Whether the receiver of lineage, where one is named, has been told."""
    from modelwright.store.doctor import Check
    from modelwright.store.records import Verdict

    found = rooms.openlineage.delivery()
    if found is None:
        return []
    what = f"{found.url} was told of {found.told:,} of {found.events:,} events."
    if not found.failures:
        return [Check(name="lineage", verdict=Verdict.PASS, what=what)]
    tries = "1 attempt" if found.failures == 1 else f"{found.failures:,} attempts"
    what = f"{what} {tries} in a row failed: {found.error}"
    mend = f"See that it answers. Nothing is lost: a running server tries again at {when(found.due)}, and goes on there."
    return [Check(name="lineage", verdict=Verdict.WARN, what=what, mend=mend)]


def _examine_server(rooms: Workspace) -> list[Check]:
    """What can be told of a server from outside: each question is asked, and what goes wrong is its answer."""
    from modelwright import __version__
    from modelwright.store import Verdict
    from modelwright.store.doctor import Check

    found = []

    def ask(name: str, question: Callable[[], tuple[Verdict, str, str]]) -> None:
        try:
            verdict, what, mend = question()
        except ModelwrightError as error:
            verdict, what, mend = Verdict.FAIL, error.message, error.mend
        found.append(Check(name=name, verdict=verdict, what=what, mend=mend))

    def version() -> tuple[Verdict, str, str]:
        theirs = rooms.workspace.status().version
        if theirs == __version__:
            return Verdict.PASS, f"It answers, and is of this version ({theirs}).", ""
        return Verdict.WARN, f"It is {theirs}, this command is {__version__}.", "Install the same version here."

    def caller() -> tuple[Verdict, str, str]:
        who = rooms.principal
        return Verdict.PASS, f"It knows you as {who.id} ({who.auth}).", ""

    def operator() -> tuple[Verdict, str, str]:
        turned = rooms.workspace.status().turned_at
        if turned is None:
            return Verdict.WARN, "Its operator has not turned yet.", "Look at its log."
        return Verdict.PASS, f"Its operator turned at {when(turned)}.", ""

    def ledger() -> tuple[Verdict, str, str]:
        head = rooms.record.head()
        sealed = f"{head.sealed.size} of them sealed" if head.sealed else "none of them sealed"
        return Verdict.PASS, f"{head.size} events, {sealed}.", "" if head.sealed else "Seal them: mw audit checkpoint"

    def serving() -> tuple[Verdict, str, str]:
        lost = rooms.deployments.unserved()
        if not lost:
            return Verdict.PASS, "No model keeps a deployment from answering.", ""
        said = "\n".join(f"{each.endpoint} does not answer: {each.model} cannot be loaded. {each.why}" for each in lost)
        return Verdict.FAIL, said, f"Until then, to the version before: mw rollback {lost[0].deployment.name}"

    questions = {"server": version, "signed in": caller, "operator": operator, "serving": serving, "ledger": ledger}
    for name, question in questions.items():
        ask(name, question)
    return found
