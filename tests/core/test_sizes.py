"""Sizes are said in one way, wherever they are said."""

from __future__ import annotations

import pytest

from modelwright.core.sizes import size
from modelwright.server.pages.words import DASH, human_bytes


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5000, "4.9 KiB"),
        (2**20 - 1, "1.0 MiB"),
        (3 * 2**30, "3.0 GiB"),
        (2**50, "1024.0 TiB"),
    ],
)
def test_a_size_has_a_unit_that_reads_well_and_pages_say_the_same(count: int, said: str) -> None:
    assert (size(count), human_bytes(count)) == (said, said)
    assert human_bytes(None) == DASH
