"""Importing skops without what its import drags in.

To know which types are scikit-learn's, skops walks all of scikit-learn's packages, the bridges to other array libraries
among them; a bridge imports its library, and where PyTorch is installed that takes five times as long as the rest. On the
way it comes by what scikit-learn tests itself with, which brings pytest along where that is installed.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_BRIDGES = [f"sklearn.externals.array_api_compat.{library}" for library in ("torch", "cupy", "dask")]


def skops_io() -> Any:
    """The module `skops.io`; `ImportError` where it is not installed."""
    if "skops.io" in sys.modules:
        return importlib.import_module("skops.io")  # which waits for a thread that is about to import it
    closed: dict[str, Any] = {name: ModuleType(name) for name in _BRIDGES if name not in sys.modules}
    if "pytest" not in sys.modules:
        closed["pytest"] = None  # as if it were not installed
    sys.modules.update(closed)
    try:
        return importlib.import_module("skops.io")
    finally:
        for name, stand_in in closed.items():
            if sys.modules.get(name, sys) is stand_in:
                del sys.modules[name]
