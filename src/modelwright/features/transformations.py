"""Vectorised functions in Python that a view's SQL calls by name: Arrow arrays in, an Arrow array out.

On the record is what a function is called, what it takes and gives, and its source as it was: to be reviewed, and to
tell two of a name apart. It is never run from there: who may write a definition must not run code where others work.
What runs is the function that this process has defined itself, or the project's own `features.py`, and only if it has that
very source.
"""

from __future__ import annotations

import inspect
import textwrap
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from modelwright.core.errors import Invalid, ModelwrightError, Unavailable

KINDS: Final = {
    "bool": "BOOLEAN",
    "int": "BIGINT",
    "float": "DOUBLE",
    "text": "VARCHAR",
    "time": "TIMESTAMP WITH TIME ZONE",
    "floats": "DOUBLE[]",
}  # what a function takes and gives, and what DuckDB calls it
_here: dict[tuple[str, str], Callable[..., Any]] = {}  # by name and source
_places: dict[Path, Callable[[], object]] = {}  # files of projects, and what runs them
_seen: dict[Path, int] = {}  # when such a file was written, as it was last run
_lock = threading.Lock()


class Transformation(msgspec.Struct, frozen=True, kw_only=True):
    """A function that expressions and the `select` of a view may call; made by `vectorised`."""

    name: str
    takes: list[str]
    gives: str
    source: str

    def __post_init__(self) -> None:
        strange = [each for each in [*self.takes, self.gives] if each not in KINDS]
        if not (self.name.isidentifier() and self.name.isascii() and self.takes) or strange:
            raise Invalid(
                f"{self.name!r} cannot take {', '.join(self.takes) or 'nothing'} and give {self.gives}.",
                mend=f"A function takes at least one column; the types are {', '.join(KINDS)}.",
            )

    def __call__(self, *columns: Any) -> Any:
        """What the function itself gives, so that it can be tried out."""
        return code_of(self)(*columns)


def vectorised(*, takes: Sequence[str], gives: str) -> Callable[[Callable[..., Any]], Transformation]:
    """Make a function of Arrow arrays one that views can call under its name; `functions=[...]` of a view lists it.

    It gets a `pyarrow.Array` for each of `takes` and gives one of as many values, of the type `gives`, each from its
    own row alone; missing values are null. Types are `bool`, `int`, `float`, `text`, `time` and `floats` (an embedding).
    """

    def made(function: Callable[..., Any]) -> Transformation:
        try:
            source = textwrap.dedent(inspect.getsource(function))
        except (OSError, TypeError):
            raise Invalid(
                f"The source of {function.__name__} cannot be read, so nobody could review it.",
                mend="Write it in a file, such as features.py.",
            ) from None
        found = Transformation(name=function.__name__, takes=list(takes), gives=gives, source=source)
        _here[found.name, found.source] = function
        return found

    return made


def look_in(path: Path, run: Callable[[], object]) -> None:
    """Have `run` called, which runs the file at `path`, when a function is asked for that this process does not have."""
    _places[path] = run


def code_of(wanted: Transformation) -> Callable[..., Any]:
    """The code of a function, of the very source that is on the record; `Unavailable` where this process has none."""
    found = _here.get((wanted.name, wanted.source))
    if found is None:
        with _lock:
            _run_what_changed()
        found = _here.get((wanted.name, wanted.source))
    if found is None:
        other = any(name == wanted.name for name, _ in _here)
        raise Unavailable(
            f"The view calls {wanted.name}() in Python, "
            + ("of which there is only another version here." if other else "which is not defined here."),
            mend="A view's functions run where they are defined: in the project whose features.py has them, or in a program"
            " that imports them. Of a changed one, apply the view again.",
        )
    return found


def _run_what_changed() -> None:
    for path, run in list(_places.items()):
        try:
            written = path.stat().st_mtime_ns
        except OSError:
            continue
        if _seen.get(path) != written:
            _seen[path] = written
            try:
                run()
            except ModelwrightError:  # whoever applies it is told
                continue
