"""Who may do what, and what must be known before it is done: roles and rights, risk tiers, gates, approvals, waivers."""

from modelwright.policy.records import Decision
from modelwright.policy.rights import Rights

__all__ = ["Decision", "Rights"]
