"""Which columns of a database's tables the columns of a query's answer are made of, read from its SQL. Nothing is run.

SQLGlot parses the statement and says which scope (SELECT, CTE, branch of a UNION, subquery) reads from what; the names are
followed here. What columns the tables have is not known: a name without a table before it, in a SELECT from several tables,
may be of each of them, so an answer may have a column too many and none too few. What cannot be told is told of nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from modelwright.datasets.records import Statement
from modelwright.features import Use

if TYPE_CHECKING:
    from sqlglot import exp

DIALECTS: Final[Mapping[str, str]] = {"postgresql": "postgres", "mssql": "tsql", "mariadb": "mysql", "awsathena": "athena"}
_CLAUSES: Final[Mapping[str, Use]] = {
    "where": Use.FILTER, "having": Use.FILTER, "qualify": Use.FILTER, "group": Use.GROUP_BY, "order": Use.SORT,
}  # fmt: skip


class TableColumn(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A column of a table that a statement reads, and how it is used. `table` is as the statement names it."""

    table: str
    column: str
    use: Use


class Untold(Exception):
    """It cannot be told from the statement what a column is made of."""


def followed(kept: Statement | None) -> Followed | None:
    """A statement that the record keeps, to be asked what its columns are made of; None where that cannot be told."""
    if kept is None:
        return None
    try:
        return Followed(kept.sql, kept.backend)
    except Untold:
        return None


class Followed:
    """One SELECT, and where its columns come from."""

    def __init__(self, sql: str, backend: str) -> None:
        """`backend` is SQLAlchemy's name of the database (`postgresql`). `Untold` for what SQLGlot cannot read."""
        import sqlglot
        from sqlglot.errors import SqlglotError
        from sqlglot.optimizer.scope import build_scope

        try:
            self._root = build_scope(sqlglot.parse_one(sql, dialect=DIALECTS.get(backend, backend)))
        except (SqlglotError, ValueError, RecursionError) as error:  # an unknown dialect is a ValueError
            raise Untold(str(error)) from None
        if self._root is None:
            raise Untold("it is no SELECT")
        self._scopes = {id(scope.expression): scope for scope in self._root.traverse()}
        self._found: dict[tuple[int, str], frozenset[TableColumn]] = {}

    def column(self, name: str) -> Sequence[TableColumn]:
        """What a column of the answer is made of; empty where that cannot be told."""
        try:
            return sorted(self._output(self._root, name))
        except Untold:
            return []

    def rows(self) -> Sequence[TableColumn]:
        """What decides which rows there are: what is filtered, joined, grouped and sorted by, at any depth."""
        found: set[TableColumn] = set()
        for scope in self._scopes.values():
            for use, part in _deciding(scope):
                for made in self._tolerated(scope, part):
                    found.add(TableColumn(table=made.table, column=made.column, use=use))
        return sorted(found)

    def _tolerated(self, scope: Any, part: Any) -> frozenset[TableColumn]:
        try:
            return self._expression(scope, part, aliases=True)
        except Untold:
            return frozenset()

    def _output(self, scope: Any, name: str) -> frozenset[TableColumn]:
        """What the column of a name that a scope gives is made of."""
        asked = (id(scope), name.lower())
        if asked not in self._found:
            self._found[asked] = frozenset()  # a recursive query asks for itself
            self._found[asked] = self._made(scope, name)
        return self._found[asked]

    def _made(self, scope: Any, name: str) -> frozenset[TableColumn]:
        if scope.set_operation_scopes:
            names = _names(scope.set_operation_scopes[0])
            if names is None:  # a star: by name in both
                return frozenset[TableColumn]().union(*(self._output(each, name) for each in scope.set_operation_scopes))
            if name.lower() not in names:
                raise Untold(name)
            return frozenset[TableColumn]().union(
                *(self._at(each, names.index(name.lower()), name) for each in scope.set_operation_scopes)
            )
        given = [
            each for each in scope.expression.selects if each.alias_or_name.lower() == name.lower() and not each.is_star
        ]
        if given:
            return frozenset[TableColumn]().union(*(self._expression(scope, each.unalias()) for each in given))
        stars = [each for each in scope.expression.selects if each.is_star]
        if not stars:
            raise Untold(name)
        meant = {getattr(each, "table", "").lower() for each in stars}
        sources = {alias.lower(): source for alias, (_, source) in scope.selected_sources.items()}
        return self._anywhere(scope, {each: source for each, source in sources.items() if meant & {"", each}}, name)

    def _at(self, scope: Any, place: int, name: str) -> frozenset[TableColumn]:
        """What stands at a place of a branch of a UNION."""
        names = _names(scope)
        if names is None:
            return self._output(scope, name)
        if scope.set_operation_scopes:
            return frozenset[TableColumn]().union(*(self._at(each, place, name) for each in scope.set_operation_scopes))
        return self._expression(scope, scope.expression.selects[place].unalias())

    def _of(self, source: Any, name: str) -> frozenset[TableColumn]:
        """A column of a table, or of what stands in place of one; nothing where that has none of the name."""
        from sqlglot import exp

        if isinstance(source, exp.Table):
            return frozenset({TableColumn(table=_called(source), column=name, use=Use.IDENTITY)})
        try:
            return self._output(source, name)
        except Untold:
            return frozenset()

    def _expression(self, scope: Any, found: exp.Expression, *, aliases: bool = False) -> frozenset[TableColumn]:
        from sqlglot import exp

        use, made = _how(found), set[TableColumn]()
        for column in found.find_all(exp.Column):
            if isinstance(column.this, exp.Star):
                continue
            own = self._scopes.get(id(column.find_ancestor(exp.Select)), scope)
            made |= {_into(each, use) for each in self._resolved(own, column, aliases=aliases)}
        return frozenset(made)

    def _resolved(self, scope: Any, column: exp.Column, *, aliases: bool) -> frozenset[TableColumn]:
        """What a name stands for in a scope, or in one around it."""
        name, table = column.name, column.table.lower()
        sources = {alias.lower(): source for alias, (_, source) in scope.selected_sources.items()}
        if table:
            if table in sources:
                return self._of(sources[table], name)
        else:
            given = [each for each in getattr(scope.expression, "selects", []) if each.alias.lower() == name.lower()]
            if aliases and given:  # GROUP BY and ORDER BY go by what is selected
                return frozenset[TableColumn]().union(*(self._expression(scope, each.unalias()) for each in given))
            if found := self._anywhere(scope, sources, name):
                return found
        if scope.parent is not None:
            return self._resolved(scope.parent, column, aliases=False)
        raise Untold(name)

    def _anywhere(self, scope: Any, sources: Mapping[str, Any], name: str) -> frozenset[TableColumn]:
        """A name without a table: of the subqueries that give it, else of every table there is; of both in USING."""
        from sqlglot import exp

        tables = {alias: source for alias, source in sources.items() if isinstance(source, exp.Table)}
        given = [self._of(source, name) for alias, source in sources.items() if alias not in tables]
        found = frozenset[TableColumn]().union(*given)
        joins = scope.expression.args.get("joins") or []
        shared = {each.name.lower() for join in joins for each in join.args.get("using") or []}
        if found and name.lower() not in shared:
            return found
        return found.union(*(self._of(source, name) for source in tables.values()))


def _names(scope: Any) -> list[str] | None:
    """The names of what a scope gives, in their order; None where a star stands for some."""
    if scope.set_operation_scopes:
        return _names(scope.set_operation_scopes[0])
    selects = scope.expression.selects
    return None if any(each.is_star for each in selects) else [each.alias_or_name.lower() for each in selects]


def _called(table: exp.Table) -> str:
    return ".".join(part.name for part in table.parts)


def _deciding(scope: Any) -> Iterator[tuple[Use, Any]]:
    """What a SELECT filters, groups, sorts and joins by."""
    from sqlglot import exp

    if not isinstance(scope.expression, exp.Select):
        return
    for clause, use in _CLAUSES.items():
        part = scope.expression.args.get(clause)
        for each in (part.expressions or [part.this]) if part is not None else ():
            inner = each.this if isinstance(each, exp.Ordered) else each
            places = scope.expression.selects
            if isinstance(inner, exp.Literal) and inner.is_int and 0 < int(inner.this) <= len(places):
                inner = places[int(inner.this) - 1].unalias()  # GROUP BY 1
            if isinstance(inner, exp.Expression):
                yield use, inner
    for join in scope.expression.args.get("joins") or []:
        if join.args.get("on") is not None:
            yield Use.JOIN, join.args["on"]
        for name in join.args.get("using") or []:
            yield Use.JOIN, exp.column(name.name)


def _how(found: exp.Expression) -> Use:
    from sqlglot import exp

    if isinstance(found.unnest() if isinstance(found, exp.Paren) else found, exp.Column):
        return Use.IDENTITY
    return Use.AGGREGATION if found.find(exp.AggFunc) else Use.TRANSFORMATION


def _into(made: TableColumn, use: Use) -> TableColumn:
    """The same column, used further on: what was transformed does not become the same again."""
    further = use if made.use is Use.IDENTITY or use is Use.AGGREGATION else made.use
    return TableColumn(table=made.table, column=made.column, use=further)


def table_name(place: str, table: str) -> tuple[str, str]:
    """What OpenLineage calls a table: the namespace of its database, and its name there.

    `place` is SQLAlchemy's address without user, password and options: `postgresql+psycopg://host:5432/shop`.
    """
    scheme, _, rest = place.partition("://")
    backend = scheme.partition("+")[0]
    host, _, base = rest.partition("/")
    if backend == "sqlite":
        return f"sqlite:///{base}", table
    if backend == "postgresql":
        parts = table.split(".")
        schema = [] if len(parts) > 1 else ["public"]
        database = [] if len(parts) > 2 else [base]
        return f"postgres://{_at(host or 'localhost', 5432)}", ".".join([*database, *schema, *parts])
    if backend in ("mysql", "mariadb"):
        return f"mysql://{_at(host or 'localhost', 3306)}", table if "." in table else f"{base}.{table}"
    return f"{backend}://{host}", f"{base}.{table}" if base and "." not in table else table


def _at(host: str, port: int) -> str:
    return host if ":" in host else f"{host}:{port}"
