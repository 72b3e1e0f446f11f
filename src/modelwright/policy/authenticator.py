"""Who is asking? From a token, a session or a password to a principal: what the server asks before anything else.

Every answer of no is the same `Unauthenticated`, so that nobody learns which names exist. Failures are on the record,
counted like refusals. Nothing is kept between requests but the memory, for half a minute, that a password was right; so
whatever is revoked is refused with the next request, by every process.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from modelwright.core.errors import Unauthenticated
from modelwright.core.operations import Resource
from modelwright.core.principals import Principal, PrincipalKind
from modelwright.core.refs import Kind, Ref
from modelwright.policy import tables, tokens
from modelwright.policy.passwords import Passwords, check_strength
from modelwright.policy.records import Account, Credential, IssuedCredential
from modelwright.policy.rights import Rights
from modelwright.policy.tokens import Token, TokenKind
from modelwright.store import Database, Transaction

SESSION_LASTS, SESSION_IDLES = timedelta(hours=12), timedelta(minutes=30)
TOUCH_EVERY = timedelta(seconds=60)  # how exact "last used" is: a write per request would be too much
TRIES_HERE, TRIES_ANYWHERE = 5, 30  # failures before a name is locked from one address, and from all
FIRST_LOCK, LONGEST_LOCK = timedelta(seconds=30), timedelta(minutes=15)
FORGET_AFTER = timedelta(days=1)
ANYWHERE = "*"
MAX_NAME = 200

_NOBODY = Principal(id="anonymous", auth="none")


class Authenticator:
    """Establishes who asks. Never an operation: it works before there is anybody to run one as."""

    def __init__(self, database: Database, rights: Rights, passwords: Passwords | None = None) -> None:
        self._database = database
        self._denials = rights.denials
        self._passwords = passwords or Passwords()

    def token(self, text: str, ip: str = "") -> Principal:
        """The principal of an API token; it never may more than its owner may at this moment."""
        return self._credential(text, ip, (TokenKind.USER, TokenKind.SERVICE), "token")

    def session(self, text: str, ip: str = "") -> Principal:
        """The principal of a session: it ends after 12 hours, or 30 minutes without a request."""
        return self._credential(text, ip, (TokenKind.SESSION,), "session")

    def basic(self, name: str, secret: str, ip: str = "") -> Principal:
        """The principal of HTTP Basic credentials: a name and a password, or a name and one of its tokens."""
        if secret.startswith("mw_"):
            principal = self.token(secret, ip)
            if name not in (principal.id, "token"):
                raise self._refuse("token", name, ip)
            return principal
        return _principal(self._password(name, secret, ip), auth="password", ip=ip)

    def login(self, name: str, password: str, ip: str = "") -> IssuedCredential:
        """Sign in with a password; returns a session with its secret."""
        account = self._password(name, password, ip)
        with self._database.transaction(_principal(account, auth="password", ip=ip), write=True) as tx:
            token = tokens.issue(TokenKind.SESSION, tx.new_id())
            session = tables.add_credential(tx, token, account.id, expires_at=tx.now + SESSION_LASTS)
            tx.record("access.session.begun", _ref(account.id), after={"session": session.id})
        return IssuedCredential(token=token.text, credential=session)

    def logout(self, text: str) -> None:
        """End a session; ending one that is over already is no error."""
        token = tokens.read(text)
        with self._database.transaction(_NOBODY, write=False) as tx:
            found = tables.find_credential(tx, token)
        if found is None or found.revoked_at is not None:
            return
        with self._database.transaction(Principal(id=found.owner, auth="session", session=found.id), write=True) as tx:
            tables.revoke_credentials(tx, found.owner, identity=found.id)
            tx.record("access.session.ended", _ref(found.owner), after={"session": found.id})

    def redeem(self, text: str, password: str, ip: str = "") -> Account:
        """Set a password with a set-up token, which is then spent; every other session and token of the account ends."""
        token = tokens.read(text)
        with self._database.transaction(_NOBODY, write=False) as tx:
            found, account = self._live(tx, token, (TokenKind.SETUP,))
        if found is None or account is None:
            raise self._refuse("setup", token.id, ip)
        check_strength(password, account.id)
        hashed = self._passwords.hash(password)
        with self._database.transaction(_principal(account, auth="setup", ip=ip), write=True) as tx:
            again, _ = self._live(tx, token, (TokenKind.SETUP,))
            if again is None:
                raise Unauthenticated("That set-up token was used in this moment by somebody else.")
            tables.set_password(tx, account.id, hashed)
            revoked = tables.revoke_credentials(tx, account.id)
            tx.record("access.password.set", _ref(account.id), after={"revoked": revoked, "by": "setup"})
        return account

    def _credential(self, text: str, ip: str, kinds: Sequence[TokenKind], auth: str) -> Principal:
        token = tokens.read(text)
        with self._database.transaction(_NOBODY, write=False) as tx:
            found, account = self._live(tx, token, kinds)
            now = tx.now
        if found is None or account is None:
            raise self._refuse(auth, token.id, ip)
        if found.last_used_at is None or now - found.last_used_at >= TOUCH_EVERY:
            with self._database.transaction(_NOBODY, write=True) as tx:
                tables.touch_credential(tx, found.id)
        return _principal(account, auth=auth, ip=ip, credential=found)

    def _live(
        self, tx: Transaction, token: Token, kinds: Sequence[TokenKind]
    ) -> tuple[Credential, Account] | tuple[None, None]:
        """The credential and its account, if both are in force."""
        found = tables.find_credential(tx, token) if token.kind in kinds else None
        if found is None or found.revoked_at is not None or (found.expires_at and tx.now >= found.expires_at):
            return None, None
        if found.kind == TokenKind.SESSION and tx.now - (found.last_used_at or found.created_at) >= SESSION_IDLES:
            return None, None
        account = _active(tx, found.owner)
        return (found, account) if account else (None, None)

    def _password(self, name: str, password: str, ip: str) -> Account:
        who = name[:MAX_NAME]
        with self._database.transaction(_NOBODY, write=False) as tx:
            until, now = tables.locked_until(tx, who, (ip, ANYWHERE)), tx.now
            account = _active(tx, who)
            stored = tables.password_of(tx, who) if account and account.kind is PrincipalKind.USER else None
        if until is not None and now < until:
            raise _locked(until - now)
        if stored and account and self._passwords.recall(stored, who, password):
            return account
        if not self._passwords.verify(stored, password) or account is None or stored is None:
            self._failed(who, ip)
            raise self._refuse("password", who, ip)
        self._passwords.remember(stored, who, password)
        with self._database.transaction(_NOBODY, write=False) as tx:
            clean = not tables.failures(tx, who, ip)
        if not clean:
            with self._database.transaction(_NOBODY, write=True) as tx:
                tables.forget_failures(tx, who)
        return account

    def _failed(self, who: str, ip: str) -> None:
        """Count a failure; from the fifth on a name is locked, for twice as long each time."""
        with self._database.transaction(_NOBODY, write=True) as tx:
            for place, tries in ((ip, TRIES_HERE), (ANYWHERE, TRIES_ANYWHERE)):
                count = tables.failures(tx, who, place) + 1
                tables.put_failures(tx, who, place, count, _lock(count, tries, tx.now), tx.now - FORGET_AFTER)

    def _refuse(self, how: str, what: str, ip: str) -> Unauthenticated:
        nobody = Principal(id="anonymous", auth="none", ip=ip or None)
        self._denials.note(nobody, f"authenticate.{how}", Resource(Kind.PRINCIPAL, what[:MAX_NAME]), ["not-authenticated"])
        if how == "password":
            return Unauthenticated(
                "The name or the password is wrong.", mend="Try again, or ask an admin for a set-up token."
            )
        return Unauthenticated(f"That {how} token is not valid (any more).", mend="Sign in again, or make a new one.")


def _principal(account: Account, *, auth: str, ip: str, credential: Credential | None = None) -> Principal:
    session = credential.id if credential and credential.kind == TokenKind.SESSION else None
    return Principal(
        id=account.id,
        kind=account.kind,
        on_behalf_of=account.owner,
        auth=auth,
        token_id=credential.id if credential and not session else None,
        session=session,
        ip=ip or None,
        scopes=tuple(credential.scopes) if credential else (),
    )


def _active(tx: Transaction, identity: str) -> Account | None:
    """The account, if it and whoever owns it may come in."""
    found = tables.account(tx, identity)
    if found is None or not found.active:
        return None
    if found.owner is not None:
        owner = tables.account(tx, found.owner)
        if owner is None or not owner.active:
            return None
    return found


def _lock(count: int, tries: int, now: datetime) -> datetime | None:
    if count < tries:
        return None
    doubled: int = 1 << min(count - tries, 20)
    return now + min(FIRST_LOCK * doubled, LONGEST_LOCK)


def _locked(left: timedelta) -> Unauthenticated:
    seconds = int(left.total_seconds()) + 1
    return Unauthenticated(
        "Too many failed attempts to sign in under this name.",
        mend=f"Wait {seconds} seconds.",
        details={"retry_after": seconds},
    )


def _ref(identity: str) -> Ref:
    return Ref(Kind.PRINCIPAL, identity)
