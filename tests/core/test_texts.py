"""Texts of others stand on one line, and steer nothing."""

from __future__ import annotations

import pytest

from modelwright.core.texts import line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("delay", "delay"),
        ("größe моде́ль שלום 👩‍🔬", "größe моде́ль שלום 👩‍🔬"),
        ("a\nb\r\nc\td", r"a\nb\r\nc\td"),
        ("rtl\u202eevil\x1b[31m\x00", r"rtl\u202eevil\x1b[31m\x00"),
        ("", '""'),
        (" ", '" "'),
        ("a ", '"a "'),
        ("y" * 10_000, "y" * 19 + "…"),
    ],
)
def test_a_text_is_one_line_that_says_what_is_in_it(text: str, told: str) -> None:
    assert line(text, 20 if len(text) > 100 else 200) == told
