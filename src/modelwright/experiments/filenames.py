"""Names of files: relative paths, and nothing that any system reads as something else. Pure.

A name is never made into a path on this machine (content lies under its digest); but whoever downloads a folder makes it
one on theirs, and MLflow's client decodes names once more. So what is refused here is whatever a file system, a browser or
a decoder might read differently from us. Spaces and letters of every script are names like others.
"""

from __future__ import annotations

import re
import unicodedata

from modelwright.core.errors import Invalid

MAX_FILE_NAME = 500  # characters of a whole name
MAX_SEGMENT = 255  # bytes of one part of it: what file systems take

_FORBIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\\%#?\ud800-\udfff"  # no text, or one that an address would be cut at
    r"\u2044\u2215\u2216\u29f5\u29f8"  # slashes of other trades
    r"\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"  # not to be seen, or turning round what is
)
_DOTS = re.compile(r"[\s.]*(;.*)?", re.DOTALL)  # `.`, `..`, `...`, `.. ` and `..;x`: each is a way up to somebody
_DRIVE = re.compile(r"[A-Za-z]:.*", re.DOTALL)
MEND = "Use a relative path such as plots/roc.png: no part may be . or .., none of \\ % # ? or control characters."


class BadFileName(Invalid):
    """A text that cannot name a file."""

    code = "bad-file-name"


def check_file_name(name: str) -> str:
    """The name itself, if it can name a file; `BadFileName` says what is wrong with it."""
    if not name:
        raise BadFileName("A file needs a name.", mend=MEND)
    if len(name) > MAX_FILE_NAME:
        raise BadFileName(f"A file's name has at most {MAX_FILE_NAME} characters, not {len(name)}.", mend=MEND)
    found = _FORBIDDEN.search(name)
    if found:
        raise BadFileName(f"{found[0]!r} cannot stand in the name of a file ({_shown(name)}).", mend=MEND)
    for text in {name, unicodedata.normalize("NFKC", name)}:  # `．．／` becomes `../` where somebody normalises
        if text != name and _FORBIDDEN.search(text):
            raise BadFileName(f"{_shown(name)} looks like another name.", mend=MEND)
        _check_parts(name, text)
    return name


def check_folder(name: str) -> str:
    """The same for a folder; an empty name is the root. One slash at the end is taken off."""
    name = name.removesuffix("/")
    return check_file_name(name) if name else ""


def _check_parts(name: str, text: str) -> None:
    parts = text.split("/")
    if len(parts) != name.count("/") + 1:
        raise BadFileName(f"{_shown(name)} looks like another name.", mend=MEND)
    for part in parts:
        if not part or _DOTS.fullmatch(part):
            raise BadFileName(f"{_shown(name)} is not a relative path without detours.", mend=MEND)
        if _DRIVE.fullmatch(part) or part.endswith(":"):
            raise BadFileName(f"{_shown(name)} names a drive or a protocol.", mend=MEND)
        if len(part.encode(errors="replace")) > MAX_SEGMENT:
            raise BadFileName(f"A part of a file's name has at most {MAX_SEGMENT} bytes.", mend=MEND)


def _shown(name: str) -> str:
    return repr(name if len(name) <= 100 else name[:100] + "…")
