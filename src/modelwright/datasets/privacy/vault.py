"""The vault of a purpose: random tokens that stand for values, and the only way back.

A token says nothing of its value, not even to who has the key: it was drawn, and both are written down, in one SQLite file
beside the keys and outside of database and objects. What is written is a keyed fingerprint to find a value by, and the
value sealed (AES-256-GCM), so the file without the key links nothing. A pair that is forgotten is gone from the file, and
its token is nobody's from then on. That somebody had it forgotten, and why, is written into the file in the same commit:
whoever is killed before it is on the record too leaves it to be found there.
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
from modelwright.core.sealing import Sealer

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS tokens (fingerprint BLOB PRIMARY KEY, token TEXT NOT NULL UNIQUE, sealed BLOB NOT NULL,
                                   whole INTEGER NOT NULL, families TEXT NOT NULL) WITHOUT ROWID
"""
_FORGOTTEN: Final = """
CREATE TABLE IF NOT EXISTS forgotten (id TEXT PRIMARY KEY, gone INTEGER NOT NULL, author TEXT NOT NULL,
                                      reason TEXT NOT NULL) WITHOUT ROWID
"""
AT_ONCE: Final = 250_000  # values that are drawn for at a time: each commit touches most of a large file
RENEWED: Final = 50_000  # that are sealed anew at a time, all in one commit
TOGETHER: Final = 500  # that are looked up by one statement
MANY: Final = 20_000  # from which on it may be quicker to look at every row
CACHE: Final = 1 << 18  # KiB of the file that may be held in memory at work: a million of them, and more
PATIENCE: Final = 60.0  # seconds for which another process may be writing
BITS: Final = 62  # of the token of a whole number: it fits into a column of 64-bit numbers

Value = TypeVar("Value", str, int)
Item = TypeVar("Item")
Families = frozenset[str]


class Opened(NamedTuple):
    """What a token stands for, as text, and which families of classes (`pii`, `special`) it was masked for."""

    value: str
    families: Families


class Forgotten(NamedTuple):
    """That values were forgotten: no value, no token, but how many, and what the record will say of it."""

    id: str  # one that nothing else has
    values: int
    author: str
    reason: str


_Held = tuple[str, str]  # a token, and the families that it was drawn for, as they are written


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
        keys, different = self._keys(), [*dict.fromkeys(values)]
        prints = _fingerprints(keys[0], different)
        held = self._held(different, keys, prints)
        wanting = [
            place for place, each in enumerate(different) if each not in held or not families <= _families(held[each][1])
        ]
        for some in _batches(wanting, AT_ONCE):
            with self._open(write=True) as connection:
                chosen, theirs = [different[place] for place in some], [prints[place] for place in some]
                held |= _completed(connection, chosen, keys, theirs, families)
        return [held[each][0] if isinstance(each, str) else int(held[each][0]) for each in values]

    def find(self, values: Sequence[str | int]) -> list[str]:
        """The tokens that values have, in their order: none is made."""
        keys = self._keys()
        held = self._held(values, keys, _fingerprints(keys[0], values))
        return [held[each][0] for each in values if each in held]

    def open(self, tokens: Sequence[str]) -> list[Opened | None]:
        """What tokens stand for; None where one is nobody's: never made, forgotten, or its key was thrown away."""
        if not self._there:  # then a key is not made either
            return [None] * len(tokens)
        rows: dict[str, tuple[bytes, str]] = {}
        with self._open() as connection:
            for some in _batches(tokens):
                query = f"SELECT token, sealed, families FROM tokens WHERE token IN ({_marks(some)})"
                rows |= {token: (sealed, said) for token, sealed, said in connection.execute(query, some)}
        keys, found = [Sealer(key) for key in self._keys()], list[Opened | None]()
        for token in tokens:
            sealed, said = rows.get(token, (b"", ""))
            value = _clear(sealed, keys, token)
            found.append(None if value is None else Opened(value.decode(), _families(said)))
        return found

    def forget(self, values: Sequence[str | int], told: Forgotten | None = None, *, tokens: Sequence[str] = ()) -> int:
        """Take values out, whichever key they came in with, or what tokens stand for; how many there were.

        No page of the file keeps a byte of them. `told` is kept in the file, with the count, if anything went: `forgotten`.
        """
        if not self._there:
            return 0
        with self._open(write=True) as connection:
            keys = self._keys()
            held = _found(connection, values, keys, _fingerprints(keys[0], values))
            gone = {(token,) for token, _ in held.values()} | {(token,) for token in tokens}
            before = connection.total_changes
            connection.executemany("DELETE FROM tokens WHERE token = ?", gone)
            count = connection.total_changes - before
            if count:
                connection.execute(f"PRAGMA user_version = {_changes(connection) + 1}")
            if count and told is not None:
                connection.execute(_FORGOTTEN)
                connection.execute("INSERT INTO forgotten VALUES (?, ?, ?, ?)", told._replace(values=count))
        return count

    def forgotten(self) -> list[Forgotten]:
        """What was forgotten here, and told: by id, the oldest first."""
        if not self._there:
            return []
        with self._open() as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'forgotten'").fetchone():
                return []
            return [Forgotten(*row) for row in connection.execute("SELECT * FROM forgotten ORDER BY id")]

    def renew(self) -> None:
        """Seal everything with the present key, after a new one was made; tokens stay as they are. Twice does no harm."""
        if not self._there:
            return
        present, *before = self._keys()
        sealer, others = Sealer(present), [Sealer(key) for key in before]
        with self._open(write=True) as connection:
            for some in _batches([each for (each,) in connection.execute("SELECT fingerprint FROM tokens")], RENEWED):
                query = "SELECT fingerprint, token, sealed, whole FROM tokens WHERE fingerprint BETWEEN ? AND ?"
                clear, prints = list[tuple[bytes, str]](), list[tuple[bytes, bytes]]()
                for old, token, sealed, whole in connection.execute(query, (some[0], some[-1])).fetchall():
                    value = _clear(sealed, others, token)
                    if value is not None:  # else it is sealed with the present one, or with none that is known
                        clear.append((value, token))
                        prints.append((_fingerprint(present, int(value) if whole else value.decode()), old))
                made = zip(prints, sealer.seal_all(clear), strict=True)
                renewed = [(new, sealed, old) for (new, old), sealed in made]
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

    def _held(self, values: Sequence[str | int], keys: Sequence[bytes], prints: Sequence[bytes]) -> dict[str | int, _Held]:
        if not self._there:
            return {}
        with self._open() as connection:
            return _found(connection, values, keys, prints)

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


def _found(
    connection: sqlite3.Connection, values: Sequence[str | int], keys: Sequence[bytes], prints: Sequence[bytes]
) -> dict[str | int, _Held]:
    """What is held of some values, with whichever key it came in; `prints` are theirs with the first."""
    found: dict[str | int, _Held] = {}
    if not connection.execute("SELECT 1 FROM tokens LIMIT 1").fetchone():
        return found
    for place, key in enumerate(keys):
        left = values if not found else [each for each in values if each not in found]
        named = dict(zip(_fingerprints(key, left) if place else prints, left, strict=True))
        for print_, token, said in _rows_of(connection, sorted(named)):
            if (value := named.get(print_)) is not None:
                found[value] = token, said
        if len(found) == len(values):
            break
    return found


def _rows_of(connection: sqlite3.Connection, prints: Sequence[bytes]) -> Iterator[tuple[bytes, str, str]]:
    """The rows of some fingerprints in order, or every row where that is quicker: to look for one takes ten times that."""
    query = "SELECT fingerprint, token, families FROM tokens"
    if len(prints) > MANY and 10 * len(prints) > connection.execute("SELECT count(*) FROM tokens").fetchone()[0]:
        yield from connection.execute(query)
        return
    for some in _batches(prints):
        yield from connection.execute(f"{query} WHERE fingerprint IN ({_marks(some)})", some)


def _completed(
    connection: sqlite3.Connection,
    values: Sequence[str | int],
    keys: Sequence[bytes],
    prints: Sequence[bytes],
    families: Families,
) -> dict[str | int, _Held]:
    """What is held of different values, with tokens drawn for those that had none, and for some families more."""
    held = _found(connection, values, keys, prints)  # another may have drawn some meanwhile
    narrow = {token: _families(said) for token, said in held.values() if not families <= _families(said)}
    _widen(connection, {token: before | families for token, before in narrow.items()})
    said = _said(families)
    while len(held) < len(values):
        new = [(each, print_) for each, print_ in zip(values, prints, strict=True) if each not in held]
        drawn = _draw(connection, new, keys[0], families)
        held |= {each: (token, said) for each, token in drawn.items()}
    return held


def _draw(
    connection: sqlite3.Connection, values: Sequence[tuple[str | int, bytes]], key: bytes, families: Families
) -> dict[str | int, str]:
    """Draw tokens for new values, given with their fingerprints; return those that are in: no number drawn before."""
    random, said = secrets.token_bytes(16 * len(values)), _said(families)
    parts = [random[at : at + 16] for at in range(0, len(random), 16)]
    drawn = {
        each: part.hex() if isinstance(each, str) else str(int.from_bytes(part) >> (128 - BITS))
        for (each, _), part in zip(values, parts, strict=True)
    }
    sealed = Sealer(key).seal_all((str(each).encode(), token) for each, token in drawn.items())
    rows = [
        (print_, drawn[each], made, not isinstance(each, str), said)
        for (each, print_), made in zip(values, sealed, strict=True)
    ]
    rows.sort()
    before = connection.total_changes
    connection.executemany("INSERT INTO tokens VALUES (?, ?, ?, ?, ?) ON CONFLICT (token) DO NOTHING", rows)
    if connection.total_changes - before == len(rows):
        return drawn
    held = _found(connection, [each for each, _ in values], [key], [print_ for _, print_ in values])
    return {each: token for each, (token, _) in held.items()}


def _widen(connection: sqlite3.Connection, families: Mapping[str, Families]) -> None:
    rows = [(_said(each), token) for token, each in families.items()]
    connection.executemany("UPDATE tokens SET families = ? WHERE token = ?", rows)


def _changes(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _clear(sealed: bytes, keys: Sequence[Sealer], token: str) -> bytes | None:
    return next((value for key in keys if (value := key.unseal(sealed, token)) is not None), None)


def _fingerprint(key: bytes, value: str | int) -> bytes:
    return _fingerprints(key, [value])[0]


def _fingerprints(key: bytes, values: Sequence[str | int]) -> list[bytes]:
    """Of values under a key: no pseudonyms of them, and a number's is not that of its text."""
    digest = hmac.digest
    return [
        digest(key, f"vault {'text' if isinstance(each, str) else 'number'} {each}".encode(), "sha256")[:16]
        for each in values
    ]


def _said(families: Families) -> str:
    return "+".join(sorted(families))


@cache
def _families(said: str) -> Families:
    return frozenset(said.split("+")) - {""}


def _batches(items: Sequence[Item], size: int = TOGETHER) -> Iterator[Sequence[Item]]:
    return (items[begin : begin + size] for begin in range(0, len(items), size))


def _marks(items: Sequence[object]) -> str:
    return ",".join("?" * len(items))
