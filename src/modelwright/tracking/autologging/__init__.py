"""`mw.autolog()`: what libraries do by themselves is logged, without a line in the training script.

Libraries are never imported for it: what a library offers is wrapped where it is there already, or once it is imported.
What goes wrong in here is told once and stops no training.
"""

from modelwright.tracking.autologging.switch import autolog
from modelwright.tracking.autologging.torch import watch

__all__ = ["autolog", "watch"]
