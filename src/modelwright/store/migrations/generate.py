"""Write the next migration: the difference between what the migrations make and what the tables now say.

python -m modelwright.store.migrations.generate "why"          the next revision
python -m modelwright.store.migrations.generate --first "why"  throw all away and begin with 0001 (before a release only)
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

import modelwright
from modelwright.store.migrations import FOLDER, config, revisions
from modelwright.store.tables import metadata


def import_tables() -> sa.MetaData:
    """The metadata with the tables of every room."""
    for module in pkgutil.walk_packages(modelwright.__path__, "modelwright."):
        if module.name.endswith(".tables"):
            importlib.import_module(module.name)
    return metadata


def generate(message: str, folder: Path = FOLDER) -> Path:
    """Write the next revision into a folder of migrations and return its file."""
    from alembic import command

    import_tables()
    number = f"{int((revisions(folder) or ['0000'])[-1]) + 1:04d}"
    with sa.create_engine("sqlite://").begin() as connection:
        configuration = config(connection, folder)
        configuration.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        if revisions(folder):
            command.upgrade(configuration, "head")
        command.revision(configuration, message, autogenerate=True, rev_id=number)
    (written,) = (folder / "versions").glob(f"{number}_*.py")
    lines = written.read_text().splitlines(keepends=True)
    written.write_text("".join(line for line in lines if not line.startswith("    # ###")))
    for step in (["check", "--fix-only", "--select", "I,UP,F401"], ["format"]):
        subprocess.run([sys.executable, "-m", "ruff", *step, "--quiet", str(written)], check=True)  # noqa: S603
    return written


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("message")
    parser.add_argument("--first", action="store_true")
    chosen = parser.parse_args(arguments)
    if chosen.first:
        for old in (FOLDER / "versions").glob("[0-9]*.py"):
            old.unlink()
    sys.stdout.write(f"{generate(chosen.message)}\n")


if __name__ == "__main__":
    main()
