"""What data frames bring along beside their columns."""

from __future__ import annotations

import json
import re
from typing import Any, Final

_INDEX: Final = re.compile(r"__index_level_\d+__")


def without_index(table: Any) -> Any:
    """An Arrow table without the columns that pandas makes of an index without a name, such as that of a filtered frame.

    An index with a name is a column that somebody meant, and stays; where its values are a range, Arrow has them as a note
    in the schema alone, and the column is made of that.
    """
    extra = [name for name in table.column_names if _INDEX.fullmatch(name)]
    found = table.drop_columns(extra) if extra else table
    for each in _noted(table):
        if isinstance(each, dict) and each.get("kind") == "range" and each.get("name") not in (None, *found.column_names):
            found = found.append_column(str(each["name"]), [[*range(each["start"], each["stop"], each["step"])]])
    return found


def _noted(table: Any) -> list[Any]:
    """What pandas noted of the index in the schema."""
    noted = (table.schema.metadata or {}).get(b"pandas")
    try:
        return list(json.loads(noted)["index_columns"]) if noted else []
    except (ValueError, KeyError, TypeError):
        return []
