"""Who may do what, and what must be known before it is done: roles and rights, risk tiers, gates, approvals, waivers.

A service of a room upstairs guards an action with `require(tx, ref, "promote", environment="production")`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from modelwright.core.later import on_demand

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


__getattr__ = on_demand(__name__, {name: home for home, names in _HOMES.items() for name in names})
