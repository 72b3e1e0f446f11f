"""What must be kept in a folder of data, said in it: so a legal hold reaches whoever clears it without a database."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

FILE: Final = "held.json"


def held(folder: Path) -> list[str]:
    """The paths of names whose data stay. `*` is all of them."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=list[str])
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError:
        return ["*"]  # better to keep what nobody can tell about


def hold(folder: Path, paths: Sequence[str]) -> None:
    """Say which stay; that takes the place of what was said before."""
    if sorted(paths) == held(folder):
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = folder / f".{FILE}.{secrets.token_hex(6)}"
    partial.write_bytes(msgspec.json.encode(sorted(paths)))
    partial.replace(folder / FILE)


def is_held(name: str, paths: Sequence[str]) -> bool:
    """Whether one of the paths is a name or lies above it."""
    return any(path in ("", "*", name) or name.startswith(f"{path}/") for path in paths)
