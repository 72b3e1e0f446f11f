"""Who wants to know what is read: a lower room says it here, and does not learn who listens.

Reading leaves no event (it changes nothing), yet a run must know the data that it was made of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from modelwright.core.refs import Ref

Listener = Callable[[Ref, str], None]
MOST = 1000  # versions that are remembered

_listeners: list[Listener] = []
_seen: dict[tuple[Ref, str], None] = {}
_pinned: dict[Ref, Ref] = {}


def listen(listener: Listener) -> None:
    """Have `listener` told of every exact version that is read in this process, and of the workspace it is read from.

    It is called in the thread that reads.
    """
    if listener not in _listeners:
        _listeners.append(listener)


def noticed(ref: Ref, address: str) -> None:
    """Say that the content of an exact version is being read from a workspace."""
    if len(_seen) < MOST:
        _seen[ref, address] = None
    for listener in _listeners:
        listener(ref, address)


def seen(address: str) -> list[Ref]:
    """What this process has read from a workspace so far."""
    return [ref for ref, place in _seen if place == address]


def pin(refs: Sequence[Ref]) -> None:
    """From now on, what is read of these things in this process are these versions, unless another one is named."""
    _pinned.update({ref.whole: ref for ref in refs})


def pinned(ref: Ref) -> Ref:
    """The version to read for a ref: the pinned one, where the ref names none or one by a moving alias."""
    return ref if ref.version is not None else _pinned.get(ref.whole, ref)
