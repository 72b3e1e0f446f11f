"""The paths of files in a package: one rule for all of them, and the one way to write a package into a folder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path, PureWindowsPath

from modelwright.core.errors import Invalid

MOST = 10_000  # files in a package
LONGEST = 500  # characters of a path
DEEPEST = 32  # folders
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def check_paths(paths: Iterable[str]) -> None:
    """`Invalid` unless all of these can stand beside one another in one folder, on any system, and none leads out of it."""
    seen: dict[str, str] = {}
    for count, path in enumerate(paths):
        if count >= MOST:
            raise Invalid(f"A package holds at most {MOST:,} files.")
        check_path(path)
        folded = unicodedata.normalize("NFC", path).casefold()
        if folded in seen:
            raise Invalid(f"The paths {seen[folded]!r} and {path!r} are one file where case or composition do not count.")
        seen[folded] = path
    for folded, path in seen.items():
        parents = folded.split("/")[:-1]
        for depth in range(1, len(parents) + 1):
            if "/".join(parents[:depth]) in seen:
                raise Invalid(f"The path {path!r} leads through {seen['/'.join(parents[:depth])]!r}, which is a file.")


def check_path(path: str) -> None:
    """`Invalid` unless it names a file below the package's folder, the same one on every system."""
    if not path or len(path) > LONGEST:
        raise _bad(path, f"a path has 1 to {LONGEST} characters")
    if "\\" in path or ":" in path or PureWindowsPath(path).anchor:
        raise _bad(path, "backslashes, colons and drives mean other things on other systems")
    parts = path.split("/")
    if len(parts) > DEEPEST:
        raise _bad(path, f"it is more than {DEEPEST} folders deep")
    for part in parts:
        if part in ("", ".", ".."):
            raise _bad(path, "it is absolute, or has an empty or dotted part")
        if part != part.strip() or part.endswith("."):
            raise _bad(path, "a part begins or ends with a space, or ends with a dot")
        if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") for letter in part):
            raise _bad(path, "it holds a character that cannot be seen")
        if unicodedata.normalize("NFKC", part) in (".", "..") or "/" in unicodedata.normalize("NFKC", part):
            raise _bad(path, "it holds a character that reads as a dot or a slash")
        if _DEVICES.fullmatch(part):
            raise _bad(path, f"{part!r} is a device on some systems")


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a package into a new folder; nothing that is there is written over or followed."""
    check_paths(files)
    for path, data in files.items():
        target = folder.joinpath(*path.split("/"))
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with target.open("xb") as file:
            file.write(data)


def _bad(path: str, why: str) -> Invalid:
    return Invalid(f"{path[:120]!r} is no path in a package: {why}.", mend="Write it like folder/model.onnx.")
