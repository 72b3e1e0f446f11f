"""Sessions of one DuckDB: they see nothing of each other, and what somebody else wrote reaches nothing through them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from modelwright.store import analytics


def test_sessions_see_nothing_of_each_other() -> None:
    one, other = analytics.locked(), analytics.locked()
    one.register("source", pa.table({"x": [1]}))
    one.execute("CREATE TEMP TABLE mine AS SELECT 2 AS x")
    other.register("source", pa.table({"x": [3]}))
    assert other.sql("SELECT x FROM source").fetchall() == [(3,)]
    with pytest.raises(duckdb.CatalogException):
        other.execute("SELECT * FROM mine")
    one.close()
    assert analytics.locked().sql("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchall() == [(0,)]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_text('{file}')",
        "COPY (SELECT 1) TO '{file}'",
        "SET TimeZone = 'Asia/Tokyo'",
        "ATTACH '{file}' AS d",
    ],
)
def test_a_locked_session_reaches_no_file_and_no_setting(text: str, tmp_path: Path) -> None:
    file = tmp_path / "secret.txt"
    file.write_text("secret")
    with pytest.raises(duckdb.Error):
        analytics.locked().execute(text.format(file=file)).fetchall()
    assert file.read_text() == "secret"


def test_a_second_statement_does_not_come_along() -> None:
    session = analytics.locked()
    for run in (session.execute, session.sql):
        with pytest.raises(duckdb.Error, match="2 statements"):
            run("SELECT (1); CREATE MACRO abs(x) AS 42")
    assert analytics.locked().execute("SELECT abs(-1)").fetchall() == [(1,)]


def test_times_are_in_utc() -> None:
    for session in (analytics.locked(), analytics.reading(), analytics.opened()):
        assert session.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]


def test_an_instance_that_broke_is_replaced() -> None:
    shared = analytics.Instance(locked=True)
    shared.session()
    shared._connection.close()
    assert shared.session().execute("SELECT 1").fetchall() == [(1,)]


def test_a_session_draws_no_bar_where_there_is_no_script() -> None:
    asked = "from modelwright.store import analytics as a; q = \"SELECT current_setting('enable_progress_bar')\"; "
    told = "print(a.reading().execute(q).fetchone(), a.locked().execute(q).fetchone(), a.opened().execute(q).fetchone())"
    done = subprocess.run([sys.executable, "-c", asked + told], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["(False,)"] * 3
