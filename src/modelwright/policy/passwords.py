"""Passwords: Argon2id with 19 MiB, two passes, one lane (the least that OWASP advises; about 20 ms on one core)."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import OrderedDict

from modelwright.core.errors import Invalid, Unavailable

MEMORY_KIB, PASSES, LANES = 19 * 1024, 2, 1
SHORTEST, LONGEST = 12, 256  # characters
AT_ONCE = 2  # verifications that may run at a time: a flood of sign-ins must not take every core and all memory
PATIENCE = 5.0  # seconds that one waits for its turn
REMEMBERED, REMEMBER_FOR = 256, 30.0  # entries, seconds: clients that send a password with each request


def check_strength(password: str, name: str) -> None:
    """`Invalid` if a password is too short, too long or too plain. The message never holds the password."""
    if len(password) < SHORTEST:
        raise Invalid(f"A password has at least {SHORTEST} characters.", mend="Four unrelated words are easy to remember.")
    if len(password) > LONGEST:
        raise Invalid(f"A password has at most {LONGEST} characters.")
    if len(set(password)) < 5 or (name and name.lower() in password.lower() and len(password) < len(name) + 8):
        raise Invalid("That password is too easy to guess.", mend="Use more different characters, and not your name.")


class Passwords:
    """Hashes and verifies, a few at a time; takes as long for a name that does not exist as for one that does."""

    def __init__(self) -> None:
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._nobody: str | None = None
        self._key = secrets.token_bytes(32)
        self._good: OrderedDict[bytes, float] = OrderedDict()

    def hash(self, password: str) -> str:
        """The hash to store, with its own salt and parameters."""
        from argon2 import PasswordHasher

        with self._turn():
            return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES).hash(password)

    def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one that was hashed. For None (nobody) as much work, and no."""
        from argon2 import PasswordHasher
        from argon2.exceptions import InvalidHashError, VerificationError

        if len(password) > LONGEST:
            return False
        against = stored or self._of_nobody()
        with self._turn():
            try:
                PasswordHasher().verify(against, password)
            except (VerificationError, InvalidHashError):
                return False
        return stored is not None

    def recall(self, stored: str, name: str, password: str) -> bool:
        """Whether this very password was verified against this very hash within the last half minute."""
        with self._lock:
            until = self._good.get(self._trace(stored, name, password))
        return until is not None and time.monotonic() < until

    def remember(self, stored: str, name: str, password: str) -> None:
        """Keep in mind that it was right: as a keyed hash under a key that dies with the process."""
        with self._lock:
            self._good[self._trace(stored, name, password)] = time.monotonic() + REMEMBER_FOR
            while len(self._good) > REMEMBERED:
                self._good.popitem(last=False)

    def _trace(self, stored: str, name: str, password: str) -> bytes:
        return hmac.digest(self._key, "\0".join((stored, name, password)).encode(), "sha256")

    def _of_nobody(self) -> str:
        if self._nobody is None:
            self._nobody = self.hash(secrets.token_urlsafe(16))
        return self._nobody

    def _turn(self) -> _Turn:
        return _Turn(self._turns)


class _Turn:
    def __init__(self, turns: threading.BoundedSemaphore) -> None:
        self._turns = turns

    def __enter__(self) -> None:
        if not self._turns.acquire(timeout=PATIENCE):
            raise Unavailable("Too many people are signing in at this moment.", mend="Try again in a few seconds.")

    def __exit__(self, *_: object) -> None:
        self._turns.release()
