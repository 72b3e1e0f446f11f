"""Who may do what, and what must be known before it is done: roles and rights, risk tiers, gates, approvals, waivers.

A service of a room upstairs guards an action with `require(tx, ref, "promote", environment="production")`.
"""

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
