"""Tokens that `mw login` keeps, one per server, in a file that only its owner can read."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from modelwright.core.errors import Corrupt


def credentials_file() -> Path:
    """The file: below the user's configuration folder (XDG)."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "modelwright" / "credentials.json"


def stored_token(url: str) -> str | None:
    """The token kept for a server's address, or None; `Corrupt` if the file cannot be read as what it should be."""
    return _read().get(_key(url))


def store_token(url: str, token: str | None) -> Path:
    """Keep a token for a server's address, or with None forget it; returns the file."""
    path, known = credentials_file(), _read()
    known.pop(_key(url), None)
    if token is not None:
        known[_key(url)] = token
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)  # one left by a crash, or laid there by another, would keep its own permissions
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(known)))
    part.replace(path)
    return path


def _key(url: str) -> str:
    return url.rstrip("/").lower()


def _read() -> dict[str, str]:
    path = credentials_file()
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Corrupt(
            f"{path} is not what `mw login` writes there.", mend="Delete it, and sign in again with `mw login`."
        ) from None
