"""Long reads: which versions of a dataset something keeps, and the rows of a query of somebody else's database."""

from __future__ import annotations

from collections.abc import Set
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from modelwright.core.errors import Invalid, NotFound, Unavailable
from modelwright.core.paging import every
from modelwright.core.refs import Ref
from modelwright.datasets.records import DatasetVersion, Keeping, Query
from modelwright.store import Transaction, catalog, evidence, queries
from modelwright.store.records import Direction

ROWS = 10_000  # of a query, that are read at once
SHOWN = 3  # uses that are told of one version


def keeping(tx: Transaction, ref: Ref, last: int) -> list[Keeping]:
    """Every version of a dataset, newest first, with what keeps it."""
    if last < 0:
        raise Invalid(f"The last {last} versions are none.")
    found: list[Keeping] = []
    own = {each.ref for each in evidence.about(tx, ref.whole)}  # what is known about a version does not keep it
    for version in map(DatasetVersion.of, every(partial(catalog.list_versions, tx, ref.whole))):
        reasons = [f"one of the last {last}"] if len(found) < last else []
        reasons += [f"alias @{alias}" for alias in version.aliases]
        found.append(Keeping(ref=version.ref, reasons=reasons + _uses(tx, version.ref, own), bytes=version.bytes))
    return found


def _uses(tx: Transaction, ref: Ref, own: Set[Ref]) -> list[str]:
    """What depends on a version, or was made from it; of what the caller may not read, only that it is.

    Evidence about the dataset itself, `own`, is none of that.
    """
    lineage = queries.lineage(tx, ref, Direction.DOWN, 1, None)
    made = [edge.target for edge in lineage.edges if edge.target.whole != ref.whole]
    users = [each for each in dict.fromkeys([*catalog.dependants(tx, ref), *made]) if each not in own]
    shown = queries.readable(tx, users)
    told = [f"used by {each}" for each in shown[:SHOWN]]
    more = len(users) - len(told)
    return told + ([f"used by {more} more"] if more else [])


def read_query(query: Query) -> Any:
    """The rows as an Arrow table, read batch by batch in a transaction that is taken back.

    `Invalid` carries the database's words about the statement, `Unavailable` says that it does not answer.
    """
    import pyarrow as pa

    try:
        engine = sa.create_engine(query.database)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ModuleNotFoundError) as error:
        raise Invalid(
            f"The database cannot be reached so: {_said(error)}", mend="Such as postgresql+psycopg://..."
        ) from None
    file = engine.url.database if engine.url.get_backend_name() == "sqlite" else None
    if file and file != ":memory:" and not file.startswith("file:") and not Path(file).is_file():
        raise NotFound(f"There is no database {file}.", mend="An absolute path has four slashes: sqlite:////srv/shop.db")
    try:
        with engine.connect() as connection:
            try:
                result = connection.execution_options(stream_results=True).exec_driver_sql(query.sql)
                names = list(result.keys())
                columns: list[list[Any]] = [[] for _ in names]
                for batch in result.partitions(ROWS):
                    for values, column in zip(zip(*batch, strict=True), columns, strict=True):
                        column.extend(values)
            except sa.exc.ResourceClosedError:
                raise Invalid("The statement answers with no rows.", mend="Give a SELECT.") from None
            except sa.exc.StatementError as error:
                raise Invalid(
                    f"The database does not take the query: {_said(error.orig or error)}",
                    mend="Try the statement there first: it is sent as it is.",
                ) from None
            finally:
                connection.rollback()
    except sa.exc.OperationalError as error:
        raise Unavailable(f"The database does not answer: {_said(error.orig or error)}") from None
    finally:
        engine.dispose()
    if len(set(names)) < len(names):
        raise Invalid("The query gives two columns one name.", mend="Name them apart: SELECT a.id AS a_id, ...")
    try:
        return pa.table({name: pa.array(column) for name, column in zip(names, columns, strict=True)})
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise Invalid(f"The rows have no types of one kind: {_said(error)}", mend="Cast the column in the query.") from None


def _said(error: BaseException) -> str:
    return str(error).partition("\n")[0]
