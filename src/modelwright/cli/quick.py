"""What is answered before the parser of options is loaded, because it is asked often and costs less than that."""

from __future__ import annotations

import sys
from pathlib import Path

from modelwright.core.config import folder_indexes
from modelwright.core.errors import ModelwrightError
from modelwright.core.folders import Indexes, glance


def answered(arguments: list[str]) -> bool:
    """Whether a command was answered here: `mw data status FOLDER` of a folder that is as it was.

    Anything else (an option, another version, a difference, an error) is left to the command itself.
    """
    if len(arguments) != 3 or arguments[:2] != ["data", "status"] or arguments[2].startswith("-"):
        return False
    try:
        found = glance(Indexes(folder_indexes(None)).load(Path(arguments[2]).resolve()))
    except ModelwrightError:
        return False
    if found is None or not found.clean:
        return False
    sys.stdout.write(f"{found.told}\n")
    return True
