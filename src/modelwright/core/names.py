"""Names that come from elsewhere, made into names of refs."""

from __future__ import annotations

import re

from modelwright.core.errors import BadRef
from modelwright.core.hashing import digest_bytes
from modelwright.core.refs import MAX_NAME, Kind, Ref

_FOREIGN = re.compile(r"[^A-Za-z0-9_]+")
_READABLE = 80  # characters of the readable part
_SUFFIX = 8  # hexadecimal digits that tell two texts apart


def path_for(text: str) -> str:
    """The ref name of a thing that is called `text` elsewhere: the text itself where it follows the grammar.

    Otherwise the part of it that can be read, and eight digits of the BLAKE3 of its exact bytes: `My model` becomes
    `My-model-` and the digits. The same text always gives the same name. Two texts hardly ever share one, but whoever
    stores the name must refuse a second text for it: rights are asked on the name.
    """
    if len(text) <= MAX_NAME:
        try:
            return Ref(Kind.MODEL, text).name
        except BadRef:
            pass
    readable = _FOREIGN.sub("-", text.encode("ascii", "ignore").decode())[:_READABLE].strip("-")
    digest = digest_bytes(text.encode("utf-8", "surrogatepass"))[:_SUFFIX]
    return f"{readable}-{digest}" if readable else digest
