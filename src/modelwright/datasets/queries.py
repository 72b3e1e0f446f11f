"""Long reads: which versions of a dataset something keeps, and the rows of a query of somebody else's database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
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


def query_rows(query: Query) -> Iterator[Any]:
    """The rows as Arrow tables, each with the types of its own values, read in a transaction that is taken back.

    `Invalid` carries the database's words about the statement, `Unavailable` says that it does not answer.
    """

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
                if len(set(names)) < len(names):
                    raise Invalid("The query gives two columns one name.", mend="Name them apart: SELECT a.id AS a_id, ...")
                yield _table(names, [])
                for batch in result.partitions(ROWS):
                    yield _table(names, batch)
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


def agreed(schemas: Sequence[Any]) -> Any:
    """The types that hold the values of all tables of a query."""
    import pyarrow as pa

    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise _mixed(error) from None


def _table(names: Sequence[str], rows: Sequence[Any]) -> Any:
    import pyarrow as pa

    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    try:
        return pa.table({name: pa.array(column) for name, column in zip(names, columns, strict=True)})
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise _mixed(error) from None


def _mixed(error: Exception) -> Invalid:
    return Invalid(f"The rows have no types of one kind: {_said(error)}", mend="Cast the column in the query.")


def _said(error: BaseException) -> str:
    return str(error).partition("\n")[0]
