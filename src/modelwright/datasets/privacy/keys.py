"""The keys of pseudonyms: one file for each purpose, outside of database and objects: those alone link nothing.

A line is a key: its number and 32 bytes in base64. The last is the present one; the others are kept so that what was made
with them can still be found. To throw a file away makes its pseudonyms nobody's for good, and its vault unreadable.
"""

from __future__ import annotations

import hmac
import os
import secrets
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from modelwright.core.errors import Corrupt
from modelwright.datasets.privacy.records import check_purpose
from modelwright.datasets.privacy.vault import Vault

BYTES: Final = 32


class Key(NamedTuple):
    """One key of a purpose, counted from 1."""

    number: int
    secret: bytes


class Pseudonymizer(NamedTuple):
    """What pseudonyms of a purpose are made with: its present key, and its vault."""

    secret: bytes
    vault: Vault


class PurposeKeys:
    """The keys in a folder. They are made when first asked for, readable by their owner alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def present(self, purpose: str) -> Key:
        """The key that pseudonyms are made with."""
        return (self.all(purpose) or [self._first(purpose)])[-1]

    def all(self, purpose: str) -> list[Key]:
        """Every key of a purpose, the oldest first; none where none was made."""
        path = self._path(purpose)
        try:
            lines = [line.split() for line in path.read_text("ascii").split("\n") if line]
            found = [Key(place, b64decode(text, validate=True)) for place, (_, text) in enumerate(lines, 1)]
        except FileNotFoundError:
            return []
        except (ValueError, Error):
            found = [Key(0, b"")]
        if any(len(key.secret) != BYTES for key in found):
            raise Corrupt(f"{path} does not hold keys.", mend="Put it back from where keys are kept.")
        return found

    def purposes(self) -> list[str]:
        """The purposes that have keys."""
        return sorted(path.stem for path in self._folder.glob("*.key"))

    def rotate(self, purpose: str) -> Key:
        """Make a new present key; those before it stay."""
        self.present(purpose)
        return self._add(purpose)

    def secrets(self, purpose: str) -> list[bytes]:
        """The secrets of a purpose, the present one first."""
        present = self.present(purpose)
        return [present.secret, *(key.secret for key in reversed(self.all(purpose)) if key.number != present.number)]

    def vault(self, purpose: str) -> Vault:
        """The random tokens of a purpose."""
        return Vault(self._path(purpose).with_suffix(".vault"), lambda: self.secrets(purpose))

    def _first(self, purpose: str) -> Key:
        """Make the first key. Of several who do so at once one does: his is there whole, and is that of all of them."""
        path = self._path(purpose)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _written(path, [Key(1, secrets.token_bytes(BYTES))]) as partial, suppress(FileExistsError):
            os.link(partial, path)  # which never takes the place of another
        return self.all(purpose)[-1]

    def _add(self, purpose: str) -> Key:
        """Add a key to those that are there; the file is whole at any time. Only one at a time may."""
        path, held = self._path(purpose), self.all(purpose)
        key = Key(len(held) + 1, secrets.token_bytes(BYTES))
        with _written(path, [*held, key]) as partial:
            partial.replace(path)
        return key

    def _path(self, purpose: str) -> Path:
        return self._folder / f"{check_purpose(purpose)}.key"


@contextmanager
def _written(path: Path, keys: Sequence[Key]) -> Iterator[Path]:
    """A file beside another with some keys, on the disk, to be put in its place."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write("".join(f"{key.number} {b64encode(key.secret).decode()}\n" for key in keys).encode())
            file.flush()
            os.fsync(file.fileno())
        yield partial
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        partial.unlink(missing_ok=True)


def number_of(secret: bytes, value: object) -> int:
    """The pseudonym of one whole number in a column of 64-bit numbers: 62 bits."""
    return int(token_of(secret, value)[:16], 16) >> 2


def token_of(secret: bytes, value: object) -> str:
    """The pseudonym of one value: 128 bits as text."""
    return hmac.digest(secret, str(value).encode(), "sha256")[:16].hex()
