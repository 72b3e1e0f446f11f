"""Who wants to know what is read: a lower room says it here, and does not learn who listens.

Reading leaves no event (it changes nothing), yet a run must know the data that it was made of.
"""

from __future__ import annotations

from collections.abc import Callable

from modelwright.core.refs import Ref

Listener = Callable[[Ref], None]
_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Have `listener` told of every exact version that is read in this process, in the thread that reads."""
    if listener not in _listeners:
        _listeners.append(listener)


def noticed(ref: Ref) -> None:
    """Say that the content of an exact version is being read."""
    for listener in _listeners:
        listener(ref)
