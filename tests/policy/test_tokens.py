"""Tokens: what they look like, and that a wrong one is told without showing it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.core.errors import Unauthenticated
from modelwright.policy.tokens import TokenKind, issue, read

ID = "01JD0ZK3T8V1M2N3P4Q5R6S7T8"


@pytest.mark.parametrize("kind", TokenKind)
def test_a_token_reads_back_and_knows_its_digest(kind: TokenKind) -> None:
    token = issue(kind, ID)
    again = read(token.text)
    assert again == token and again.matches(token.digest)
    assert token.text.startswith(f"mw_{kind.value}_{ID}_")


def test_two_tokens_never_share_a_secret() -> None:
    one, other = issue(TokenKind.USER, ID), issue(TokenKind.USER, ID)
    assert one.secret != other.secret and not one.matches(other.digest)


@given(st.integers(0, 80), st.characters(codec="ascii"))
def test_one_wrong_character_is_told_by_the_check(position: int, character: str) -> None:
    text = issue(TokenKind.USER, ID).text
    at = position % len(text)
    wrong = text[:at] + character + text[at + 1 :]
    if wrong != text:
        with pytest.raises(Unauthenticated):
            read(wrong)


@pytest.mark.parametrize("text", ["", "mw", "mw_user", "mw_root_x_y", "Bearer x", "mw_user_" + ID + "_short", "ü" * 80])
def test_what_is_no_token_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        read(text)
    assert not text or text not in str(refused.value) or len(text) < 5


def test_the_secret_shows_in_no_representation() -> None:
    token = issue(TokenKind.SESSION, ID)
    assert token.secret not in repr(token) and token.secret not in f"{token}"
