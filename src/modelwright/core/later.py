"""What takes long to import and is not always needed: imported when something of it is first used.

    if TYPE_CHECKING:
        import numpy as np
    else:
        np = later("numpy")

For modules whose functions use the other all over; where only one function does, it imports it itself. A package whose
front door has names of many modules opens it name by name, with `on_demand`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
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


def on_demand(package: str, where: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package (PEP 562): names by the module below it that each is in, imported at the first use."""

    def found(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{where[name]}"), name)
        setattr(sys.modules[package], name, value)  # found at once the next time
        return value

    return found
