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
import sklearn.externals.array_api_compat.torch as bridge

print(bridge.__name__, hasattr(bridge, "tensor"))
"""


def test_skops_comes_without_the_array_libraries_and_the_bridges_to_them_are_there_afterwards() -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    done = subprocess.run([sys.executable, "-c", SAID], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False False", "sklearn.externals.array_api_compat.torch True"]
