"""Names from elsewhere become names of refs: readable, always the same, hardly ever the same for two."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from modelwright.core.names import path_for
from modelwright.core.refs import Kind, Ref


@given(st.text(max_size=600))
@example("")
@example("/Users/me@example.org/My experiment")
@example("ünïcode")
@example("a" * 600)
@example("x\x00y")
def test_whatever_a_thing_is_called_it_has_a_ref(text: str) -> None:
    assert Ref(Kind.MODEL, path_for(text)).name == path_for(text)


@given(st.from_regex(r"[A-Za-z0-9_]{1,20}(/[A-Za-z0-9_]{1,20}){0,2}", fullmatch=True))
def test_what_follows_the_grammar_is_its_own_name(text: str) -> None:
    assert path_for(text) == text


def test_texts_that_look_alike_have_names_of_their_own() -> None:
    alike = ["My model", "My  model", "my model", "My model ", "My\u00a0model", "Ｍy model", "My-model", "My model."]
    assert len({path_for(text) for text in alike}) == len(alike)


def test_a_name_is_readable() -> None:
    assert path_for("My model").startswith("My-model-")
