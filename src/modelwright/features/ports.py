"""What an online store must do. `tests/features/test_online_stores.py` holds every backend to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from modelwright.core.clock import isoformat
from modelwright.core.errors import Conflict
from modelwright.core.refs import Ref
from modelwright.features.records import OnlineState

Merge = Callable[[str, bytes | None], bytes]  # a key and its packed row as it is, into the row as it shall be


class Asked(NamedTuple):
    """Keys of one view version; None finds nothing."""

    view: Ref
    keys: Sequence[str | None]


class Change(NamedTuple):
    """Rows of one view version that are to be changed, and what will be said of it."""

    state: OnlineState
    keys: Sequence[str]
    merge: Merge


class Found(NamedTuple):
    """What stands online of a view version, and the packed row of each key; no state: nothing does."""

    state: OnlineState | None
    rows: Sequence[bytes | None]


class Together(NamedTuple):
    """The same of several views, asked for the same keys."""

    states: Sequence[OnlineState | None]
    rows: Sequence[Sequence[bytes | None]]


class OnlineStore(Protocol):
    """A dictionary of packed rows by view version and key, whose rows belong to generations.

    A generation fills unseen and is switched to at once: a reader sees all of one or all of another, and the state that is
    told with the rows is theirs. Whoever was killed goes on by doing the same again. Threads and processes may share one.
    """

    @property
    def near(self) -> bool:
        """Whether a read is over in microseconds: then nobody needs a thread for it."""
        ...

    def load(self, view: Ref, generation: str, rows: Sequence[tuple[str, bytes]]) -> None:
        """Write rows into a generation, again if need be."""
        ...

    def held(self, view: Ref, generation: str) -> int:
        """How many rows a generation holds; it may have to count them."""
        ...

    def publish(self, state: OnlineState) -> bool:
        """Let reads see a complete generation and drop the others; False if they see it already.

        `Conflict` if rows are missing from it, or reads already see what was known later.
        """
        ...

    def update(self, changes: Sequence[Change]) -> Sequence[OnlineState | None]:
        """Change rows of the generations that reads see, and what is said of them, against all other writers at once.

        Returns each state with rows and bytes counted on from those before, or None (and nothing happened to that view)
        where reads see another generation or one that holds later pushes. If it raises, views may have been changed or not.
        """
        ...

    def read(self, asked: Sequence[Asked]) -> Sequence[Found]:
        """Rows of several views in one trip."""
        ...

    def together(self, views: Sequence[Ref], keys: Sequence[str | None]) -> Together:
        """`read` of the same keys of several views."""
        ...

    def states(self) -> Mapping[Ref, OnlineState]:
        """Everything that stands online."""
        ...

    def drop(self, view: Ref) -> None:
        """Forget a view version."""
        ...

    def close(self) -> None:
        """Give connections back; no thread may be using one."""
        ...


def put_together(found: Sequence[Found]) -> Together:
    """What `read` gave, as `together` gives it."""
    return Together([each.state for each in found], [each.rows for each in found])


def refuse_older(current: OnlineState | None, state: OnlineState) -> None:
    """`Conflict` if reads see what was known later than `state` says."""
    if current is not None and current.until > state.until:
        raise Conflict(
            f"{state.view} stands online as of {isoformat(current.until)}, later than {isoformat(state.until)}.",
            mend=f"What is known later is not taken back. To read at earlier times as well, say since when, and no end: "
            f"mw features materialise {state.view} --since {isoformat(state.since)[:10]}",
        )


def refuse_incomplete(state: OnlineState, held: int) -> None:
    """`Conflict` unless a generation holds as many rows as were sent."""
    if held != state.rows:
        raise Conflict(
            f"Of {state.rows} rows of {state.view}, {held} have arrived.",
            mend="Materialise again: it goes on from there.",
        )


def grown_by(changes: Iterable[tuple[str, bytes | None, bytes]]) -> int:
    """How many bytes more are stored after some changes: of a key, its row before (None: it was not there) and after."""
    return sum(len(after) - (-len(key.encode()) if before is None else len(before)) for key, before, after in changes)


def overtaken(current: OnlineState | None, state: OnlineState) -> bool:
    """Whether an update comes too late: reads see another generation, or later pushes than it knows of."""
    return current is None or current.generation != state.generation or current.pushed > state.pushed
