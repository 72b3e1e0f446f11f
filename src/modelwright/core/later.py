"""Modules that take long to import and are not always needed: imported when something of them is first used.

    if TYPE_CHECKING:
        import numpy as np
    else:
        np = later("numpy")

For modules whose functions use the other all over; where only one function does, it imports it itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Later:
    """Stands for a module until an attribute of it is asked for, and passes those on from then."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        """An attribute of the module; kept here, so that it is found at once the next time."""
        value = getattr(import_module(self._name), name)
        setattr(self, name, value)
        return value


def later(name: str) -> Any:
    """The module of that name, imported at its first use; what goes wrong then is raised there."""
    return Later(name)
