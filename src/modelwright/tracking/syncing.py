"""Delivering what runs have left here: after `MODELWRIGHT_MODE=offline`, after the server was away, after a `kill -9`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from modelwright.core.errors import Corrupt, Invalid, ModelwrightError, NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.experiments.entries import Refusal
from modelwright.tracking import spool
from modelwright.tracking.courier import deliver_dead
from modelwright.tracking.journal import Lock
from modelwright.tracking.outbox import Outbox
from modelwright.workspace import Workspace


class State(StrEnum):
    """What has become of a log."""

    WAITING = "waiting"
    RUNNING = "running"  # its process lives, and delivers by itself
    DELIVERED = "delivered"
    ELSEWHERE = "elsewhere"  # it goes to another workspace than the one named
    FAILED = "failed"


class Pending(msgspec.Struct, kw_only=True):
    """What one process has left of its run."""

    run: Ref
    experiment: str
    name: str
    address: str
    state: State
    waiting: int  # bytes
    delivered: int = 0  # entries
    refused: list[Refusal] = []
    error: str = ""
    code: str = ""  # of the error


def pending(folders: Sequence[Path]) -> list[tuple[Path, Pending]]:
    """What waits in some folders, the oldest first, with the path of each log."""
    return [(path, found) for folder in folders for path in spool.logs(folder) for found in _look(path)]


def sync(
    folders: Sequence[Path],
    open_workspace: Callable[[str], Workspace],
    *,
    to: str | None = None,
    any_address: bool = False,
    told: Callable[[int], None] = lambda done: None,
) -> list[Pending]:
    """Deliver what waits, each to its own workspace; what cannot be delivered now keeps waiting, and says why.

    With `to` only what goes there, or nobody has said where; with `any_address` all goes there. `told` is given the bytes
    that were delivered. A run whose process is gone without having ended it is marked as killed.
    """
    opened: dict[str, Workspace | ModelwrightError] = {}
    found = []
    try:
        for path, each in pending(folders):
            if each.state is State.WAITING:
                address = to if to is not None and (any_address or each.address in ("", to)) else each.address
                if to is not None and address != to:
                    each.state = State.ELSEWHERE
                else:
                    _deliver(path, each, address, open_workspace, opened, told)
            found.append(each)
    finally:
        for workspace in opened.values():
            if isinstance(workspace, Workspace):
                workspace.close()
    return found


def discard(folders: Sequence[Path], run: Ref) -> int:
    """Throw away what waits of a run whose processes are gone; returns how many logs that was."""
    if run.kind is not Kind.RUN:
        raise Invalid(f"{run} is not a run.", mend="A run is named run:<id>; see mw sync --list.")
    thrown = 0
    for path, each in pending(folders):
        if each.run == run and each.state is State.WAITING:
            Outbox(path).discard()
            thrown += 1
    if not thrown:
        raise NotFound(f"Nothing waits of {run} that could be thrown away.", mend="See what waits: mw sync --list")
    return thrown


def _look(path: Path) -> Iterator[Pending]:
    try:
        outbox = Outbox(path)
        with Lock(path) as lock:
            state = State.WAITING if lock.taken else State.RUNNING
    except FileNotFoundError:
        return  # it was delivered at this moment
    except Corrupt as error:
        run = Ref(Kind.RUN, path.parent.name)
        yield Pending(
            run=run,
            experiment="",
            name="",
            address="",
            state=State.FAILED,
            waiting=path.stat().st_size,
            error=str(error),
            code=error.code,
        )
        return
    opening = outbox.opening
    yield Pending(
        run=outbox.ref,
        experiment=opening.experiment,
        name=opening.name,
        address=opening.address,
        state=state,
        waiting=outbox.waiting,
    )


def _deliver(
    path: Path,
    each: Pending,
    address: str,
    open_workspace: Callable[[str], Workspace],
    opened: dict[str, Workspace | ModelwrightError],
    told: Callable[[int], None],
) -> None:
    try:
        if not address:
            raise Invalid(f"Nobody has said where {each.run} goes.", mend="Say where: mw sync -w WORKSPACE")
        if address not in opened:
            try:
                opened[address] = open_workspace(address)
            except ModelwrightError as error:
                opened[address] = error
        workspace = opened[address]
        if isinstance(workspace, ModelwrightError):
            raise workspace
        outbox = deliver_dead(path, workspace.experiments, address=None, told=told)
    except ModelwrightError as error:
        each.state, each.error, each.code = State.FAILED, str(error), error.code
        return
    if outbox is None:
        each.state = State.RUNNING
        return
    each.state, each.delivered, each.refused, each.waiting = State.DELIVERED, outbox.delivered, outbox.refused, 0
