"""What importing skops brings along."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

SAID = """
import sys
from modelwright.core.skops import skops_io

skops_io().dumps({})
print("torch" in sys.modules, "pytest" in sys.modules)
bridge = "sklearn.externals.array_api_compat.torch"
print(bridge in sys.modules)
if sys.argv[1]:
    import importlib

    print(hasattr(importlib.import_module(bridge), "tensor"))
"""


def test_skops_comes_without_the_array_libraries_and_the_bridges_to_them_are_there_afterwards(thorough: bool) -> None:
    """That no stand-in is left in its place says so; `thorough` imports PyTorch over the bridge, which takes seconds."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    command = [sys.executable, "-c", SAID, "over" if thorough else ""]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False False", "False", *(["True"] if thorough else [])]
