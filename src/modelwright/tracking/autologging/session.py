"""One training as autologging sees it: into the active run, or into one of its own; the outermost call counts."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from modelwright.core.errors import ModelwrightError
from modelwright.experiments import values as rules
from modelwright.experiments.records import outcome
from modelwright.tracking.active import active_run, leave
from modelwright.tracking.autologging.patching import safely
from modelwright.tracking.fluent import start_run
from modelwright.tracking.run import TrackedRun

SHORT = 500  # characters of a parameter that is no plain value

_inside: ContextVar[bool] = ContextVar("modelwright_autologging", default=False)
_going: set[int] = set()  # threads in which a training is under way
_trainings: weakref.WeakKeyDictionary[TrackedRun, int] = weakref.WeakKeyDictionary()


class Session:
    """Where one training logs to. Whatever goes wrong here is told once and passed over."""

    def __init__(self, run: TrackedRun, prefix: str) -> None:
        self.run, self.prefix = run, prefix

    def do(self, what: str, body: Callable[[Session], Any]) -> None:
        """Log something."""
        safely(what, lambda: body(self))

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters, those that fit; objects by the beginning of their text."""
        made = {}
        for name, value in values.items():
            try:
                made[self.prefix + str(name)] = rules.param(self.prefix + str(name), short(value))
            except ModelwrightError:
                continue
        self.run.log_params(made)

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        """Log figures."""
        self.run.log_metrics({self.prefix + name: value for name, value in values.items()}, step=step)

    def name(self, file: str) -> str:
        """The name of an artifact."""
        return f"{self.prefix.removesuffix('.')}/{file}" if self.prefix else file


@contextmanager
def training(title: str) -> Iterator[Session | None]:
    """A training: the session to log to, or None within another one, or where there is nowhere to log to.

    A second training in one run has its name before its parameters and figures. In a thread that has no active run while
    another trains, it is taken for a part of that one.
    """
    here = threading.get_ident()
    if _inside.get() or (active_run() is None and _going - {here}):
        yield None
        return
    token = _inside.set(True)
    _going.add(here)
    own, run, error = None, active_run(), None
    try:
        if run is None:
            own = run = safely("starting a run", lambda: start_run(name="", tags={"autolog": title}))
        if run is None:
            yield None
            return
        count = _trainings[run] = _trainings.get(run, 0) + 1
        yield Session(run, "" if count == 1 else f"{title}-{count}.")
    except BaseException as found:
        error = found
        raise
    finally:
        _going.discard(here)
        _inside.reset(token)
        if own is not None:
            status, told = outcome(error)
            leave(own)
            own.end(status, error=told)


def short(value: Any) -> Any:
    """A value as a parameter: plain ones as they are, anything else by the beginning of its text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    made = rules.plain(value)
    text = made if isinstance(made, str) else str(made)
    return made if len(text) <= SHORT else text[: SHORT - 1] + "…"
