"""A name is a file or a folder, and never both: whoever downloads them could not have both."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import sqlalchemy as sa

from modelwright.core.errors import Conflict
from modelwright.store import Transaction


def refuse_clash(tx: Transaction, column: Any, owner: Any, name: str) -> None:
    """`Conflict` where a new file would lie in another file, or have the name of a folder with files.

    `column` holds the names of files, `owner` is the condition for those of one run or one shelf.
    """
    *folders, _ = accumulate(name.split("/"), "{}/{}".format)
    below = sa.and_(column >= f"{name}/", column < f"{name}0")  # `0` is what follows `/`
    found = tx.execute(sa.select(column).where(owner, sa.or_(below, column.in_(folders))).limit(1)).scalar()
    if found is None:
        return
    file, folder = (found, name) if len(found) < len(name) else (name, found)
    raise Conflict(
        f"{file!r} cannot be a file and hold {folder!r} as well.",
        mend="Give one of them another name, or remove the one that is there.",
    )
