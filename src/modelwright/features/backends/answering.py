"""What it means where an online store at a distance fails, told to whoever has to see to it."""

from __future__ import annotations

import re

from modelwright.core.errors import Unavailable

# As Redis (RESP 2 and 3) and PostgreSQL say that they know nobody of that name and password.
_UNKNOWN = re.compile(r"password|\bAUTH\b|authenticat|NOPERM|role .* does not exist|permission denied", re.IGNORECASE)
_QUOTED = "of pipeline caused error: "  # behind a command of Redis, with the rows that it was to put down
_MEND = "Pushes are kept meanwhile; rows that it has lost come back by: mw features materialise --lost"


def unavailable(store: str, error: Exception, *, silent: bool) -> Unavailable:
    """The error of a driver of `store`, in one line, with what to look at; it is `silent`, or refuses what was asked."""
    said = " ".join(str(error).rpartition(_QUOTED)[2].split()).rstrip(".?")
    if _UNKNOWN.search(said):
        return Unavailable(
            f"The online store in {store} does not let us in: {said}.",
            mend=f"See user and password in [features] online, such as {store.lower()}://USER:PASSWORD@HOST. {_MEND}",
        )
    return Unavailable(
        f"The online store in {store} {'does not answer' if silent else 'refuses that'}: {said}.",
        mend=f"See that it runs where [features] online says. {_MEND}",
    )
