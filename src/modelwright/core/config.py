"""Configuration: `modelwright.toml`, read once into frozen structs. An unknown key is an error with a suggestion."""

from __future__ import annotations

import difflib
import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

import msgspec

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.hashing import digest_bytes
from modelwright.core.wire import convert

T = TypeVar("T", bound=msgspec.Struct)

PROJECT_FILE = "modelwright.toml"
HOME = ".modelwright"
RESTORING = "restoring"  # a file in there while the record is not whole: which backup is being brought back


def load(path: Path, wanted: type[T]) -> T:
    """Read a TOML file into a struct; `Invalid` names the file, the key and the key that was probably meant."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound(f"There is no {path}.", mend="Make a project with `mw init FOLDER`.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is not valid TOML: {error}.") from None
    _known_keys(values, wanted, path.name, "")
    try:
        return cast(T, convert(values, wanted))
    except Invalid as error:
        raise Invalid(f"{path.name}: {error.message}") from None


def section(values: dict[str, Any], wanted: type[T], name: str) -> T:
    """One section as the struct of the room that it belongs to; errors are as those of `load`."""
    _known_keys(values, wanted, PROJECT_FILE, f"{name}.")
    try:
        return cast(T, convert(values, wanted))
    except Invalid as error:
        raise Invalid(f"{PROJECT_FILE}, [{name}]: {error.message}") from None


def find_project(start: Path) -> Path | None:
    """The nearest folder, from `start` upwards, that holds a `modelwright.toml`."""
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    return None


def keeps_own_objects(project: Path) -> bool:
    """Whether a project's objects lie in its own folder, as far as its file says; `load` tells what is wrong with that."""
    try:
        values = tomllib.loads((project / PROJECT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    named = values.get("workspace", {})
    return not (named.get("objects") if isinstance(named, dict) else named)


def user_cache(address: str) -> Path:
    """Where on this machine it is remembered what concerns a workspace that lies elsewhere (XDG)."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "modelwright" / digest_bytes(address.encode())[:16]


def datasets_cache(home: Path) -> Path:
    """Where a workspace that lies in a folder keeps what it fetched and learned of datasets."""
    return home / "cache" / "datasets"


def folder_indexes(where: str | None) -> Path | None:
    """Where the workspace that `where` means remembers how folders were found; None if that is no workspace."""
    if where is not None and where.startswith(("http://", "https://")):
        return user_cache(where) / "trees"
    project = find_project(Path.cwd()) if where is None else Path(where)
    return None if project is None else datasets_cache(project / HOME) / "trees"


def _known_keys(values: dict[str, Any], wanted: type, file: str, prefix: str) -> None:
    fields = _hints(wanted)
    for key, value in values.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            mend = f"Did you mean {prefix}{near[0]}?" if near else f"Known keys: {', '.join(sorted(fields))}."
            raise Invalid(f"{file} has an unknown key {prefix}{key}.", mend=mend)
        inner = fields[key]
        if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            _known_keys(value, inner, file, f"{prefix}{key}.")


@cache
def _hints(wanted: type) -> dict[str, Any]:
    """The types of a struct's fields; to resolve their names takes longer than all else that is done with a section."""
    return get_type_hints(wanted)
