"""A model's title and the name of its ref.

A ref's name is a path in a narrow alphabet, and for good: the ledger, evidence and rights speak of it. A title is any text
without `/` and `:`, unique to the byte, and can be changed. Where it follows the grammar of names and is free, both are the
same; otherwise the name is what can be read of it and some digits of its digest. Two titles never share a model, so
whoever may do something to one has no right on what merely looks like it.
"""

from __future__ import annotations

import unicodedata

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.hashing import digest_bytes
from modelwright.core.names import path_for
from modelwright.core.refs import MAX_NAME, Kind, Ref
from modelwright.models.tables import titled, titles_of
from modelwright.store import Transaction, things

LONGEST = 256  # characters of a title
_DIGITS = (8, 16, 64)


def check_title(title: str) -> None:
    """`Invalid` unless a title may be given from outside."""
    if not title or len(title) > LONGEST:
        raise Invalid(f"The name of a model has 1 to {LONGEST} characters, not {len(title)}.")
    wrong = next((letter for letter in title if letter in "/:" or unicodedata.category(letter) in ("Cc", "Cs")), None)
    if wrong is not None:
        raise Invalid(f"The name of a model cannot hold {wrong!r}.", mend="Leave out '/', ':' and control characters.")


def find(tx: Transaction, title: str) -> Ref | None:
    """The model of exactly this title, or None."""
    name = titled(tx, title)
    if name is None:
        name = path_for(title)
        if name != title or titles_of(tx, [name])[name] != title:
            return None
    ref = Ref(Kind.MODEL, name)
    return ref if things.exists(tx, ref) else None


def get(tx: Transaction, title: str) -> Ref:
    """The model of exactly this title, or `NotFound`."""
    ref = find(tx, title)
    if ref is None:
        raise NotFound(f"There is no model named {title!r}.", mend="See what there is: mw list model")
    return ref


def name_for(tx: Transaction, title: str) -> str:
    """The name of the model of this title, or the one that it would get."""
    found = find(tx, title)
    if found is not None:
        return found.name
    wanted = path_for(title)
    for name in (wanted, *(f"{wanted[: MAX_NAME - digits - 1]}-{_digest(title)[:digits]}" for digits in _DIGITS)):
        if not things.exists(tx, Ref(Kind.MODEL, name)) and titled(tx, name) is None:
            return name
    raise Conflict(f"No name is free for a model titled {title!r}.", mend="Choose another one.")


def claim(tx: Transaction, name: str) -> None:
    """`Conflict` if a version of `name` would stand under a title that belongs to another model."""
    holder = titled(tx, name)
    if holder not in (None, name):
        raise Conflict(
            f"{name!r} is the title of the model {Ref(Kind.MODEL, str(holder))}, which was renamed to it.",
            mend=f"Register under {holder!r}, or rename that model first.",
        )


def _digest(title: str) -> str:
    return digest_bytes(title.encode("utf-8", "surrogatepass"))
