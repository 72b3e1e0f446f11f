"""Tokens that `mw login` keeps, one per server, in a file that only its owner can read."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


def credentials_file() -> Path:
    """The file: below the user's configuration folder (XDG)."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "modelwright" / "credentials.json"


def stored_token(url: str) -> str | None:
    """The token kept for a server's address, or None."""
    return _read().get(url.rstrip("/"))


def store_token(url: str, token: str | None) -> Path:
    """Keep a token for a server's address, or with None forget it; returns the file."""
    path, known = credentials_file(), _read()
    known.pop(url.rstrip("/"), None)
    if token is not None:
        known[url.rstrip("/")] = token
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(known)))
    part.replace(path)
    return path


def _read() -> dict[str, str]:
    try:
        return msgspec.json.decode(credentials_file().read_bytes(), type=dict[str, str])
    except (FileNotFoundError, msgspec.MsgspecError):
        return {}
