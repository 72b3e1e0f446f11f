"""Heavy packages are imported where they are used: a server answers before it has read a table."""

import subprocess
import sys

HEAVY = ("pyarrow", "duckdb", "pandas", "sklearn", "sqlglot", "altair", "vl_convert", "deltalake", "pyiceberg", "pydantic")


def test_a_server_starts_without_what_only_some_requests_need() -> None:
    code = "import sys, modelwright.server.process, modelwright.server.app, modelwright.operator; "
    code += f"print(*[each for each in {HEAVY!r} if each in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == []


def test_a_command_starts_without_what_only_some_commands_need() -> None:
    code = "import sys, modelwright.cli.app; "
    code += f"print(*[each for each in (*{HEAVY!r}, 'numpy', 'sqlalchemy') if each in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == []
