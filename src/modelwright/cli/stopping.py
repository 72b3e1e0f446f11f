"""What is said of a command that Ctrl-C stopped, at whatever moment; imported by every command before anything else is."""

from __future__ import annotations

import sys
from typing import Final

STOPPED: Final = 130


def stopped() -> int:
    """Tell that Ctrl-C stopped the command; its exit code."""
    sys.stderr.write("Stopped.\n")
    return STOPPED
