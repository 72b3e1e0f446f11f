"""How the tables of one version of the program become those of the next; numbered files in `versions`, in one line.

For developers: after changing a table, `python -m modelwright.store.migrations.generate "why"` writes the next file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa
    from alembic.config import Config

FOLDER = Path(__file__).parent


def revisions(folder: Path = FOLDER) -> list[str]:
    """The revisions that this version of the program knows, oldest first."""
    return sorted(path.name[:4] for path in (folder / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))


def config(connection: sa.Connection, folder: Path = FOLDER) -> Config:
    """Alembic's configuration on an open connection; there is no ini file."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(folder).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made
