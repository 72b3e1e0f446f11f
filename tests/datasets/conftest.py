"""Small files to make datasets of, and the real data where it is at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

REAL_DATA = Path(__file__).parents[3] / "shared" / "data"

FLIGHTS = """\
id,carrier,delay,at
1,AA,5,2013-01-01T06:00:00Z
2,UA,-3,2013-01-01T07:00:00Z
3,AA,NA,2013-01-02T06:00:00Z
"""

WriteText = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> WriteText:
    """Writes a text file and gives its path."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def flights(write: WriteText) -> Path:
    """Three flights as CSV, the last without a delay."""
    return write("flights.csv", FLIGHTS)


@pytest.fixture
def real_data() -> Path:
    """The folder of real flights, weather, planes and census data."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"needs the real data in {REAL_DATA}, which is not part of the repository")
    return REAL_DATA
