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
        return (self.all(purpose) or [self._add(purpose)])[-1]

    def all(self, purpose: str) -> list[Key]:
        """Every key of a purpose, the oldest first; none where none was made."""
        path = self._path(purpose)
        try:
            lines = path.read_text("ascii").split("\n")
            found = [
                Key(int(number), b64decode(text, validate=True))
                for number, text in (line.split() for line in lines if line)
            ]
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

    def _add(self, purpose: str) -> Key:
        """Append a key. Two that do so at once make two: the later is the present one for both."""
        path = self._path(purpose)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = Key(len(self.all(purpose)) + 1, secrets.token_bytes(BYTES))
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            file.write(f"{key.number} {b64encode(key.secret).decode()}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        return self.all(purpose)[-1]

    def _path(self, purpose: str) -> Path:
        return self._folder / f"{check_purpose(purpose)}.key"


def number_of(secret: bytes, value: object) -> int:
    """The pseudonym of one whole number in a column of 64-bit numbers: 62 bits."""
    return int(token_of(secret, value)[:16], 16) >> 2


def token_of(secret: bytes, value: object) -> str:
    """The pseudonym of one value: 128 bits as text."""
    return hmac.digest(secret, str(value).encode(), "sha256")[:16].hex()
