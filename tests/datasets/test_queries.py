"""Rows from a query of somebody else's database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from modelwright.cli.entry import run
from modelwright.core.errors import Invalid, NotFound, Unavailable
from modelwright.datasets import Query


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """A database with three orders."""
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE orders (id INTEGER, total REAL, word TEXT)")
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(1, 1.5, ":a 5%"), (2, None, "b"), (3, 2.5, None)])
    return f"sqlite:///{tmp_path / 'shop.db'}"


def test_the_rows_of_a_query_become_a_version(embedded, shop):
    query = Query(database=shop, sql="SELECT id, total, word FROM orders WHERE word IS NOT ':x' ORDER BY id")
    version = embedded.datasets.add("orders", query, key="id")
    assert embedded.datasets.read(version.ref).to_pylist() == [
        {"id": 1, "total": 1.5, "word": ":a 5%"},
        {"id": 2, "total": None, "word": "b"},
        {"id": 3, "total": 2.5, "word": None},
    ]
    assert version.source == f"{shop}: SELECT id, total, word FROM orders WHERE word IS NOT ':x' ORDER BY id"
    assert embedded.datasets.add("orders", query).ref == version.ref


def test_postgresql_answers_too(embedded, postgres_url):
    query = Query(
        database=postgres_url, sql="SELECT g AS n, now() AS at, 1.5::numeric AS price FROM generate_series(1, 3) g"
    )
    version = embedded.datasets.add("series", query)
    assert (version.rows, [column.name for column in version.columns]) == (3, ["n", "at", "price"])
    assert version.column("at").type == "timestamp[us, tz=UTC]"


def test_user_and_password_are_not_kept():
    query = Query(database="postgresql+psycopg://ada:s3cr3t@db.example.com/shop", sql="SELECT 1")
    assert query.label == "postgresql+psycopg://db.example.com/shop: SELECT 1"
    asked = Query(database="postgresql+psycopg://db.example.com/shop?user=me&password=secret", sql="SELECT 1")
    assert asked.label == query.label


def test_a_query_changes_nothing_and_what_is_wrong_with_it_is_said(embedded, shop):
    for sql, said in (
        ("SELECT price FROM orders", "no such column: price"),
        ("DELETE FROM orders", "answers with no rows"),
        ("SELECT id, id FROM orders", "two columns one name"),
    ):
        with pytest.raises(Invalid, match=said):
            embedded.datasets.add("orders", Query(database=shop, sql=sql))
    assert embedded.datasets.add("orders", Query(database=shop, sql="SELECT * FROM orders")).rows == 3
    with pytest.raises(Invalid, match="cannot be reached so"):
        embedded.datasets.add("orders", Query(database="nothing", sql="SELECT 1"))
    away = Query(database="postgresql+psycopg://127.0.0.1:1/x?connect_timeout=2", sql="SELECT 1")
    with pytest.raises(Unavailable, match="does not answer"):
        embedded.datasets.add("orders", away)


def test_a_database_that_is_not_there_is_not_made(embedded, tmp_path):
    with pytest.raises(NotFound, match="no database"):
        embedded.datasets.add("orders", Query(database=f"sqlite:///{tmp_path}/typo.db", sql="SELECT 1"))
    assert not (tmp_path / "typo.db").exists()


def test_the_command_takes_a_query_or_files(embedded, shop, capsys):
    (Path(embedded.address) / "modelwright.toml").write_text('[workspace]\nname = "test"\n')
    where = ["-w", embedded.address]
    assert run(["data", "add", "orders", "--database", shop, "--query", "SELECT * FROM orders", *where]) == 0
    assert "dataset:orders@1: 3 rows" in capsys.readouterr().out
    assert run(["data", "add", "orders", "--query", "SELECT 1", *where]) == 2
    assert run(["data", "add", "orders", *where]) == 2
