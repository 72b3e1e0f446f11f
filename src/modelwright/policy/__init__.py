"""Who may do what, and what must be known before it is done: roles and rights, risk tiers, gates, approvals, waivers.

A service of a room upstairs guards an action with `require(tx, ref, "promote", environment="production")`.
"""

from modelwright.policy.enforcement import require
from modelwright.policy.records import Decision
from modelwright.policy.reports import GateReport, RequirementResult, Status
from modelwright.policy.requirements import Tier
from modelwright.policy.rights import Rights
from modelwright.policy.service import Policy

__all__ = ["Decision", "GateReport", "Policy", "RequirementResult", "Rights", "Status", "Tier", "require"]
