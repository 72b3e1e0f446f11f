"""Minimisation: what is collected or served and not needed, what about people goes into models, what is kept too long."""

from modelwright.governance.minimisation.records import Concern, MinimisationFinding, MinimisationReport
from modelwright.governance.minimisation.service import Minimisation

__all__ = ["Concern", "Minimisation", "MinimisationFinding", "MinimisationReport"]
