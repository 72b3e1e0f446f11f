"""Who is asking. A principal is a fact that the door established; what it may do is decided by `policy`."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class PrincipalKind(StrEnum):
    USER = "user"
    SERVICE = "service"
    SYSTEM = "system"  # the operator loop: acts on standing instructions, on the record as itself


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """An identity and how it was established.

    `id` is stable and unique (`ada`, `svc/ci`, `system/operator`). A service account or token acts for its owner:
    separation of duties compares `effective_id`, never `id`.
    """

    id: str
    kind: PrincipalKind = PrincipalKind.USER
    on_behalf_of: str | None = None  # the owner of a service account
    auth: str = "os"  # os | token | session | password | system
    token_id: str | None = None
    session: str | None = None
    ip: str | None = None
    trusted: bool = False  # embedded use and the operator: every right, still bound by gates and separation of duties
    scopes: tuple[str, ...] = ()  # a token's own limits: verbs it may use; empty means all of its owner's

    @property
    def effective_id(self) -> str:
        """The person behind it."""
        return self.on_behalf_of or self.id


def operating_system_user() -> Principal:
    """Embedded use: whoever runs the process. The operating system has already decided that they may read the files."""
    import getpass
    import re

    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # no such user id in the password file: containers with arbitrary ids
        name = "unknown"
    return Principal(id=re.sub(r"[^A-Za-z0-9_.\-]", "_", name), trusted=True)


OPERATOR = Principal(id="system/operator", kind=PrincipalKind.SYSTEM, auth="system", trusted=True)
