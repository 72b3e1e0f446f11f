"""The rule of what lies under a path: asked of a name, and as a condition in SQL, it is the same rule."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from modelwright.store.scopes import lies_under, under

NAMES = ("a", "a/b", "a/b/c", "ab", "a_b", "a-b/c", "axb/c", "b", "b/a", "A/b")
PATHS = ("", "*", "a", "a/", "a/b", "a_b", "a%", "b", "c", "/")


@pytest.mark.parametrize("path", PATHS)
def test_the_condition_finds_the_names_that_lie_under_a_path(path: str) -> None:
    names = sa.table("names", sa.column("name", sa.String))
    with sa.create_engine("sqlite://").connect() as connection:
        connection.exec_driver_sql("PRAGMA case_sensitive_like = ON")  # as the store opens its databases
        connection.exec_driver_sql("CREATE TABLE names (name TEXT)")
        connection.execute(names.insert(), [{"name": name} for name in NAMES])
        found = connection.execute(sa.select(names.c.name).where(under(names.c.name, path))).scalars().all()
    assert sorted(found) == sorted(name for name in NAMES if lies_under(name, path))


def test_a_path_is_no_prefix_of_letters() -> None:
    assert lies_under("a/b", "a") and lies_under("a", "a") and lies_under("anything", "*")
    assert not lies_under("ab", "a") and not lies_under("a", "a/b")
