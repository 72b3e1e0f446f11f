"""Who may do what, and what must be known before it is done: roles and rights, risk tiers, gates, approvals, waivers.

A service of a room upstairs guards an action with `require(tx, ref, "promote", environment="production")`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from modelwright.policy.access import Access
    from modelwright.policy.authenticator import Authenticator
    from modelwright.policy.enforcement import require
    from modelwright.policy.records import Decision, Role
    from modelwright.policy.reports import GateReport, RequirementResult, Status
    from modelwright.policy.requirements import Tier
    from modelwright.policy.rights import Rights
    from modelwright.policy.service import Policy

__all__ = [
    "Access",
    "Authenticator",
    "Policy",
    "Rights",
    "require",
    "Decision",
    "GateReport",
    "RequirementResult",
    "Role",
    "Status",
    "Tier",
]

_HOMES: Final = {
    "access": ("Access",),
    "authenticator": ("Authenticator",),
    "enforcement": ("require",),
    "records": (
        "Decision",
        "Role",
    ),
    "reports": (
        "GateReport",
        "RequirementResult",
        "Status",
    ),
    "requirements": ("Tier",),
    "rights": ("Rights",),
    "service": ("Policy",),
}  # where each name is: a command pays only for what it uses
_WHERE: Final = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    return value
