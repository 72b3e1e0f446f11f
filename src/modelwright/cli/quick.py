"""What is answered, or begun, before the parser of options is loaded."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from modelwright.core.config import folder_indexes
from modelwright.core.errors import ModelwrightError
from modelwright.core.folders import Indexes, glance, real

_FLAGS: Final = {
    "--verify",
    "--json",
    "--copy",
    "--link",
    "--force",
    "--files",
}  # options without a value, which change nothing here


def answered(arguments: list[str]) -> bool:
    """Whether a command was answered here: `mw data status FOLDER` of a folder that is as it was.

    Anything else (an option, another version, a difference, an error) is left to the command itself.
    """
    if len(arguments) != 3 or arguments[:2] != ["data", "status"] or arguments[2].startswith("-"):
        return False
    try:
        found = glance(Indexes(folder_indexes(None)).load(real(arguments[2])))
    except ModelwrightError:
        return False
    if found is None or not found.clean:
        return False
    sys.stdout.write(f"{found.told}\n")
    return True


def begin(arguments: list[str]) -> None:
    """Begin what `mw data add NAME FOLDER` and `mw data checkout REF FOLDER` need done, where that is plain to see.

    With any other option, or another workspace than the one around, the command does everything itself; and it tells what
    is wrong with what was given.
    """
    with suppress(ModelwrightError, OSError):
        _begin(arguments)


def _begin(arguments: list[str]) -> None:
    given = [each for each in arguments[2:] if not each.startswith("-")]
    if {each for each in arguments[2:] if each.startswith("-")} - _FLAGS:
        return
    if arguments[1] == "add" and "--link" in arguments:  # which changes files: not before the command has the right to
        return
    if arguments[1] == "add" and len(given) == 2 and _is_files(given[1], arguments):
        ref = None
    elif arguments[1] == "checkout" and len(given) >= 2:
        ref = given[0]
    else:
        return
    from modelwright.datasets import ahead
    from modelwright.workspace import surroundings

    if surroundings().workspace:
        return
    ahead.begin(Path(given[1]), ref=ref, verify="--verify" in arguments)


def _is_files(given: str, arguments: list[str]) -> bool:
    """Whether what is added is kept as files."""
    if os.path.isdir(given) or "--files" in arguments:  # noqa: PTH112 - before much is imported
        return True
    from modelwright.datasets.records import CSV, PARQUET

    return not given.lower().endswith(CSV + PARQUET)
