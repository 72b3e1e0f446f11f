"""What importing skops brings along."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_skops_comes_without_the_array_libraries_that_scikit_learn_can_bridge_to() -> None:
    pytest.importorskip("torch")
    said = "import sys; from modelwright.core.skops import skops_io; skops_io().dumps({}); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_bridges_are_there_afterwards() -> None:
    pytest.importorskip("torch")
    said = (
        "from modelwright.core.skops import skops_io; skops_io();"
        "import sklearn.externals.array_api_compat.torch as bridge; print(bridge.__name__, hasattr(bridge, 'tensor'))"
    )
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout == "sklearn.externals.array_api_compat.torch True\n"
