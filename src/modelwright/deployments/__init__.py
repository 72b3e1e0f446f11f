"""Where models answer: deployments in environments, rollouts with a verdict, rollback, and the record of what was live."""

from modelwright.deployments.records import STRATEGIES, Deployment, Live, Placement, Rollout, Step, Strategy, Unserved
from modelwright.deployments.service import Deployments, DeploymentSettings

__all__ = [
    "STRATEGIES",
    "Deployment",
    "Deployments",
    "DeploymentSettings",
    "Live",
    "Placement",
    "Rollout",
    "Step",
    "Strategy",
    "Unserved",
]
