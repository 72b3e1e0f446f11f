"""The vault of a purpose: random tokens that stand for values, and the only way back.

A token says nothing of its value, not even to who has the key: it was drawn, and both are written down, in one SQLite file
beside the keys and outside of database and objects. What is written is a keyed fingerprint to find a value by, and the
value sealed (AES-256-GCM), so the file without the key links nothing. A pair that is forgotten is gone from the file, and
its token is nobody's from then on.
"""

from __future__ import annotations

import hmac
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from modelwright.core.errors import Corrupt, Unavailable
from modelwright.core.sealing import seal, unseal

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS tokens (fingerprint BLOB PRIMARY KEY, token TEXT NOT NULL UNIQUE, sealed BLOB NOT NULL,
                                   whole INTEGER NOT NULL, families TEXT NOT NULL) WITHOUT ROWID
"""
AT_ONCE: Final = 250_000  # values that are worked on at a time: each commit touches most of a large file
TOGETHER: Final = 500  # that are looked up by one statement
CACHE: Final = 1 << 16  # KiB of the file that may be held in memory at work
PATIENCE: Final = 60.0  # seconds for which another process may be writing
BITS: Final = 62  # of the token of a whole number: it fits into a column of 64-bit numbers

Value = TypeVar("Value", str, int)
Item = TypeVar("Item")
Families = frozenset[str]


class Opened(NamedTuple):
    """What a token stands for, as text, and which families of classes (`pii`, `special`) it was masked for."""

    value: str
    families: Families


class _Held(NamedTuple):
    token: str
    families: Families


class Vault:
    """The tokens of one purpose. Threads and processes may share one file."""

    def __init__(self, path: Path, keys: Callable[[], Sequence[bytes]]) -> None:
        """`keys` are the secrets of the purpose, the present one first; the file is made when the first token is."""
        self._path = path
        self._keys = keys

    def issue(self, values: Sequence[Value], families: Families) -> list[Value]:
        """A token for each value, of its kind: text, or a whole number. It is on the disk when this returns.

        The same value has the same token every time, until it is forgotten.
        """
        keys, issued = self._keys(), dict[str | int, str]()
        for some in _batches([*dict.fromkeys(values)], AT_ONCE):
            held = self._held(some, keys)
            if any(each not in held or not families <= held[each].families for each in some):
                with self._open(write=True) as connection:
                    held = _completed(connection, some, keys, families)
            issued.update((each, held[each].token) for each in some)
        return [issued[each] if isinstance(each, str) else int(issued[each]) for each in values]

    def find(self, values: Sequence[str | int]) -> list[str]:
        """The tokens that values have, in their order: none is made."""
        held = self._held(values, self._keys())
        return [held[each].token for each in values if each in held]

    def open(self, tokens: Sequence[str]) -> list[Opened | None]:
        """What tokens stand for; None where one is nobody's: never made, forgotten, or its key was thrown away."""
        if not self._there:  # then a key is not made either
            return [None] * len(tokens)
        rows: dict[str, tuple[bytes, str]] = {}
        with self._open() as connection:
            for some in _batches(tokens):
                query = f"SELECT token, sealed, families FROM tokens WHERE token IN ({_marks(some)})"
                rows |= {token: (sealed, said) for token, sealed, said in connection.execute(query, some)}
        keys, found = self._keys(), list[Opened | None]()
        for token in tokens:
            sealed, said = rows.get(token, (b"", ""))
            value = _clear(sealed, keys, token)
            found.append(None if value is None else Opened(value.decode(), _families(said)))
        return found

    def forget(self, values: Sequence[str | int]) -> int:
        """Take values out, whichever key they came in with; how many there were. No page of the file keeps a byte."""
        if not self._there:
            return 0
        with self._open(write=True) as connection:
            held = _found(connection, values, self._keys())
            connection.executemany("DELETE FROM tokens WHERE token = ?", [(each.token,) for each in held.values()])
            if held:
                connection.execute(f"PRAGMA user_version = {_changes(connection) + 1}")
        return len(held)

    def renew(self) -> None:
        """Seal everything with the present key, after a new one was made; tokens stay as they are."""
        if not self._there:
            return
        present, *before = self._keys()
        with self._open(write=True) as connection:
            for some in _batches([each for (each,) in connection.execute("SELECT fingerprint FROM tokens")]):
                query = f"SELECT fingerprint, token, sealed, whole FROM tokens WHERE fingerprint IN ({_marks(some)})"
                renewed = []
                for old, token, sealed, whole in connection.execute(query, some):
                    value = _clear(sealed, before, token)
                    if value is not None:
                        new = _fingerprint(present, int(value) if whole else value.decode())
                        renewed.append((new, seal(value, present, token), old))
                connection.executemany("UPDATE tokens SET fingerprint = ?, sealed = ? WHERE fingerprint = ?", renewed)

    @property
    def changes(self) -> int:
        """How often something was forgotten: what was masked before may hold tokens that are nobody's now."""
        if not self._there:
            return 0
        with self._open() as connection:
            return _changes(connection)

    @property
    def _there(self) -> bool:
        return self._path.exists() and self._path.stat().st_size > 0

    def _held(self, values: Sequence[str | int], keys: Sequence[bytes]) -> dict[str | int, _Held]:
        if not self._there:
            return {}
        with self._open() as connection:
            return _found(connection, values, keys)

    @contextmanager
    def _open(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            if write and not self._there:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            with closing(sqlite3.connect(self._path, isolation_level=None, timeout=PATIENCE)) as connection:
                connection.execute("PRAGMA synchronous = EXTRA")
                connection.execute("PRAGMA secure_delete = ON")
                connection.execute(f"PRAGMA cache_size = -{CACHE}")
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                if write:
                    connection.execute(_SCHEMA)
                yield connection
                connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise Unavailable(f"The vault {self._path.name} cannot be used: {error}.", mend="Try again.") from None
        except sqlite3.DatabaseError as error:
            raise Corrupt(
                f"{self._path} is no vault of tokens: {error}.", mend="Put it back from where keys are kept."
            ) from None


def _found(connection: sqlite3.Connection, values: Sequence[str | int], keys: Sequence[bytes]) -> dict[str | int, _Held]:
    """What is held of some values, with whichever key it came in."""
    found: dict[str | int, _Held] = {}
    for key in keys:
        prints = {_fingerprint(key, each): each for each in values if each not in found}
        for some in _batches(sorted(prints)):  # as they lie in the file
            query = f"SELECT fingerprint, token, families FROM tokens WHERE fingerprint IN ({_marks(some)})"
            for print_, token, said in connection.execute(query, some):
                found[prints[print_]] = _Held(token, _families(said))
    return found


def _completed(
    connection: sqlite3.Connection, values: Sequence[str | int], keys: Sequence[bytes], families: Families
) -> dict[str | int, _Held]:
    """What is held of different values, with tokens drawn for those that had none, and for some families more."""
    held = _found(connection, values, keys)  # another may have drawn some meanwhile
    _widen(connection, {each.token: each.families | families for each in held.values() if not families <= each.families})
    while new := [each for each in values if each not in held]:
        drawn = _draw(connection, new, keys[0], families)
        held |= {each: _Held(token, families) for each, token in drawn.items()}
    return held


def _draw(
    connection: sqlite3.Connection, values: Sequence[str | int], key: bytes, families: Families
) -> dict[str | int, str]:
    """Draw tokens for new values, and return those that are in: none of a value whose number was drawn before."""
    rows, drawn, said = [], dict[str | int, str](), _said(families)
    for each in values:
        whole = not isinstance(each, str)
        drawn[each] = token = str(secrets.randbits(BITS)) if whole else secrets.token_hex(16)
        rows.append((_fingerprint(key, each), token, seal(str(each).encode(), key, token), whole, said))
    before = connection.total_changes
    connection.executemany("INSERT INTO tokens VALUES (?, ?, ?, ?, ?) ON CONFLICT (token) DO NOTHING", sorted(rows))
    if connection.total_changes - before == len(rows):
        return drawn
    return {each: held.token for each, held in _found(connection, values, [key]).items()}


def _widen(connection: sqlite3.Connection, families: Mapping[str, Families]) -> None:
    rows = [(_said(each), token) for token, each in families.items()]
    connection.executemany("UPDATE tokens SET families = ? WHERE token = ?", rows)


def _changes(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _clear(sealed: bytes, keys: Sequence[bytes], token: str) -> bytes | None:
    return next((value for key in keys if (value := unseal(sealed, key, token)) is not None), None)


def _fingerprint(key: bytes, value: str | int) -> bytes:
    """Of a value under a key: no pseudonym of it, and a number's is not that of its text."""
    kind = "text" if isinstance(value, str) else "number"
    return hmac.digest(key, f"vault {kind} {value}".encode(), "sha256")[:16]


def _said(families: Families) -> str:
    return "+".join(sorted(families))


@cache
def _families(said: str) -> Families:
    return frozenset(said.split("+")) - {""}


def _batches(items: Sequence[Item], size: int = TOGETHER) -> Iterator[Sequence[Item]]:
    return (items[begin : begin + size] for begin in range(0, len(items), size))


def _marks(items: Sequence[object]) -> str:
    return ",".join("?" * len(items))
