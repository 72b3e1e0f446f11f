"""Where the names in a text of DuckDB's SQL come from, by SQLGlot's parse of it. Nothing is run, no scope is worked out.

A name comes from what is known by that name outside the text and from every expression that the text gives the name to,
wherever it does: an alias in one subquery counts for the same name in another. So the answer may have a column too many and
none too few, whatever DuckDB's rules of scope are. What binds names by other means than an alias (columns of a table's
alias, PIVOT, UNNEST, COLUMNS, positions, functions in place of tables, a row as a whole) is `Undecided`: it may come from
everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from sqlglot import exp

TABLE: Final = "source"
_MADE_OF: Final = frozenset({"expressions", "from_", "from", "with_", "with", "this", "expression"})  # and not chosen by


class Use(StrEnum):
    """How a column goes into another."""

    IDENTITY = "IDENTITY"
    TRANSFORMATION = "TRANSFORMATION"
    AGGREGATION = "AGGREGATION"
    JOIN = "JOIN"
    GROUP_BY = "GROUP_BY"
    FILTER = "FILTER"
    SORT = "SORT"
    WINDOW = "WINDOW"

    @property
    def direct(self) -> bool:
        """Whether its values do, and not only the choice of rows."""
        return self in (Use.IDENTITY, Use.TRANSFORMATION, Use.AGGREGATION)


_USES: Final = {"joins": Use.JOIN, "group": Use.GROUP_BY, "order": Use.SORT, "windows": Use.WINDOW}


class Origin(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A column of the source, and how it is used."""

    column: str
    use: Use

    def into(self, use: Use) -> Origin:
        """The same column, used further on: what was transformed does not become the same again."""
        return Origin(column=self.column, use=use if self.use is Use.IDENTITY or use is Use.AGGREGATION else self.use)


class Undecided(Exception):
    """It cannot be told from the text what a name comes from."""


Known = Mapping[str, Iterable[Origin] | None]  # by name in lower case; None: undecided


class Text:
    """One text of SQL, and where the names in it come from."""

    def __init__(self, sql: str, known: Known) -> None:
        """`known` is what names mean that come from outside. Raises SQLGlot's errors for what is no SQL, or `Undecided`."""
        import sqlglot

        self.tree: exp.Expression = sqlglot.parse_one(sql, dialect="duckdb")
        self._known = known
        self._given: dict[str, list[exp.Expression]] = {}
        self._refuse_other_binding()
        self._give()
        self._refuse_misread(sql)
        self._unsure = self._not_told()

    def names(self) -> set[str]:
        """All names that mean something here, in lower case."""
        return {*self._known, *self._given}

    def name(self, name: str) -> set[Origin]:
        """What a name comes from."""
        return self._name(name.lower(), frozenset())

    def expression(self, found: exp.Expression) -> set[Origin]:
        """What the values of an expression come from."""
        return self._expression(found, frozenset())

    def deciding(self) -> Iterator[Origin]:
        """What decides which rows there are: all that a SELECT at any depth filters, joins, groups and sorts by.

        DISTINCT decides only that a row is not there twice, and is left out.
        """
        from sqlglot import exp

        for query in self.tree.find_all(exp.Select, exp.SetOperation):
            if isinstance(query, exp.Except | exp.Intersect):  # these go by whole rows
                for branch in _branches(query):
                    yield from self._decided(_named(branch), Use.FILTER)
            for place, part in query.args.items():
                if place not in _MADE_OF:
                    for each in part if isinstance(part, list) else [part]:
                        if isinstance(each, exp.Expression):
                            yield from self._decided(_clauses(query, each), _USES.get(place, Use.FILTER))

    def _decided(self, clauses: Iterable[exp.Expression], use: Use) -> Iterator[Origin]:
        for clause in clauses:
            yield from (Origin(column=each.column, use=use) for each in self.expression(clause))

    def _name(self, name: str, on_the_way: frozenset[str]) -> set[Origin]:
        if name in self._unsure or (name not in self._known and name not in self._given):
            raise Undecided(f"{name!r} is no column that is known here")
        found = set(self._known.get(name) or ())
        if name not in on_the_way:
            for given in self._given.get(name, []):
                found |= self._expression(given, on_the_way | {name})
        return found

    def _expression(self, found: exp.Expression, on_the_way: frozenset[str]) -> set[Origin]:
        use, origins = _how(found), set()
        for parts in _columns(found):
            meant = self._meant(parts)
            if not meant:
                raise Undecided(f"{parts[-1]!r} is no column that is known here")
            origins |= {each.into(use) for name in meant for each in self._name(name, on_the_way)}
        return origins

    def _meant(self, parts: Iterable[str]) -> list[str]:
        """Of the parts of a name those that can be the column: others are a table before it, or fields after it."""
        return [name for name in parts if name in self._known or name in self._given]

    def _not_told(self) -> set[str]:
        """The names that come from something that is not known: those that lead only to themselves among them."""
        told = {name for name, origins in self._known.items() if origins is not None}
        while more := {
            name
            for name, given in self._given.items()
            if name not in told and any(all(told.intersection(parts) for parts in _columns(each)) for each in given)
        }:
            told |= more
        unsure = {name for name, origins in self._known.items() if origins is None} | (self.names() - told)
        while more := {
            name
            for name, given in self._given.items()
            if name not in unsure
            for parts in (parts for each in given for parts in _columns(each))
            if not self._meant(parts) or unsure.intersection(parts)
        }:
            unsure |= more
        return unsure

    def _give(self) -> None:
        """Each name that the text gives to something."""
        from sqlglot import exp

        for alias in self.tree.find_all(exp.Alias):
            self._given.setdefault(alias.alias.lower(), []).append(alias.this)
        for select in self.tree.find_all(exp.Select):
            for projection in select.expressions:
                name = projection.output_name.lower()
                if name and not isinstance(projection, exp.Alias) and not _plain(projection):
                    self._given.setdefault(name, []).append(projection)
        for union in self.tree.find_all(exp.SetOperation):
            branches = [_projections(each) for each in _branches(union)]
            if len({len(each) for each in branches}) != 1 or any(p.is_star for each in branches for p in each):
                raise Undecided("a UNION goes by position, and not all positions are named")
            for place in zip(*branches, strict=True):
                for name in {each.output_name.lower() for each in place} - {""}:
                    self._given.setdefault(name, []).extend(each.unalias() for each in place)

    def _refuse_other_binding(self) -> None:
        from sqlglot import exp

        tables = {table.name.lower() for table in self.tree.find_all(exp.Table)}
        tables |= {alias.name.lower() for alias in self.tree.find_all(exp.TableAlias)}
        given = {alias.alias.lower() for alias in self.tree.find_all(exp.Alias)}
        wholes = {cte.alias.lower() for cte in self.tree.find_all(exp.CTE)}
        odd = (exp.Columns, exp.Pivot, exp.UDTF, exp.Explode)
        for node in self.tree.walk():
            if isinstance(node, odd) or (isinstance(node, exp.Anonymous) and node.name.lower() in ("unnest", "columns")):
                raise Undecided(f"{node.sql(dialect='duckdb')} stands for more than one column")
            if isinstance(node, exp.TableAlias) and (
                node.args.get("columns") or node.name.lower() in {*self._known, *given}
            ):
                raise Undecided(f"the alias {node.name!r} of a table renames its columns, or is named as one")
            if isinstance(node, exp.CTE) and node.alias.lower() == TABLE:
                raise Undecided(f"{TABLE!r} is given to another table")
            if isinstance(node, exp.Table) and (
                not isinstance(node.this, exp.Identifier) or node.name.lower() not in {TABLE, *wholes}
            ):
                raise Undecided(f"{node.sql(dialect='duckdb')} is not the table of the view")
            if isinstance(node, exp.Join) and str(node.args.get("method") or "").upper() == "NATURAL":
                raise Undecided("a NATURAL JOIN does not name what it joins by")
            if isinstance(node, exp.Star) and not _star_is_harmless(node, tables):
                raise Undecided("* stands for all columns of a row")

    def _refuse_misread(self, sql: str) -> None:
        """Every column that is named in the text must have been found in the parse."""
        import sqlglot
        from sqlglot import exp
        from sqlglot.tokens import TokenType

        read = {part.name.lower() for part in self.tree.find_all(exp.Identifier)}
        for token in sqlglot.tokenize(sql, dialect="duckdb"):
            said = token.text.lower()
            if token.token_type is not TokenType.STRING and said in self._known and said not in read:
                raise Undecided(f"{token.text!r} was not read as a column")


def _how(found: exp.Expression) -> Use:
    from sqlglot import exp

    if isinstance(found.unnest() if isinstance(found, exp.Paren) else found, exp.Column):
        return Use.IDENTITY
    return Use.AGGREGATION if found.find(exp.AggFunc) else Use.TRANSFORMATION


def _columns(found: exp.Expression) -> Iterator[list[str]]:
    """The column references at any depth, each as the parts of its name; what stands for a value without one has none."""
    from sqlglot import exp

    for node in found.walk():
        if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
            yield [part.name.lower() for part in node.parts]
        elif _stands_for_some(node):
            yield [""]


def _plain(projection: Any) -> bool:
    """A column by its own name alone: it gives no name to anything else."""
    from sqlglot import exp

    return projection.is_star or (isinstance(projection, exp.Column) and len(projection.parts) == 1)


def _projections(query: Any) -> list[Any]:
    from sqlglot import exp

    found = query.unnest() if isinstance(query, exp.Subquery) else query
    if isinstance(found, exp.SetOperation):
        return _projections(found.left)
    if not isinstance(found, exp.Select):
        raise Undecided("a row is not made by a SELECT")
    return list(found.expressions)


def _branches(union: Any) -> Iterator[Any]:
    from sqlglot import exp

    for each in (union.left, union.right):
        found = each.unnest() if isinstance(each, exp.Subquery) else each
        if isinstance(found, exp.SetOperation):
            yield from _branches(found)
        else:
            yield found


def _clauses(query: Any, part: Any) -> list[Any]:
    """What a part of a query goes by.

    Of a JOIN that is its condition: what it joins is a table, or a SELECT that is looked at for itself. GROUP BY ALL and
    ORDER BY 1 go by what is selected.
    """
    from sqlglot import exp

    if isinstance(part, exp.Join):
        using = [exp.column(each.name) for each in part.args.get("using") or []]
        return [*using, *([part.args["on"]] if part.args.get("on") else [])]
    if isinstance(part, exp.Group | exp.Order):
        found = [each.this if isinstance(each, exp.Ordered) else each for each in part.expressions]
        if part.args.get("all") or any(isinstance(each, exp.Literal | exp.Var) for each in found):
            return [part, *_named(query)]
    return [part]


def _named(query: Any) -> list[Any]:
    found = _projections(query)
    if any(each.is_star for each in found):
        raise Undecided("it goes by all columns")
    return found


def _stands_for_some(node: Any) -> bool:
    """`#3`, a parameter, or a `*` in a function other than count: values of columns that are not named."""
    from sqlglot import exp

    if isinstance(node, exp.PositionalColumn | exp.Parameter | exp.Placeholder):
        return True
    return isinstance(node, exp.Star) and isinstance(_holder(node), exp.Func) and not isinstance(node.parent, exp.Count)


def _holder(star: Any) -> Any:
    """What a `*` stands in, with or without a table before it."""
    from sqlglot import exp

    return star.parent.parent if isinstance(star.parent, exp.Column) else star.parent


def _star_is_harmless(star: Any, tables: set[str]) -> bool:
    """In a function, which names nothing; or of a SELECT that renames nothing, and of a table, not of a column's fields."""
    from sqlglot import exp

    holder = star.parent
    if star.args.get("rename"):
        return False
    if isinstance(_holder(star), exp.Func):
        return True
    if isinstance(holder, exp.Column):
        return isinstance(holder.parent, exp.Select) and holder.arg_key == "expressions" and holder.table.lower() in tables
    return isinstance(holder, exp.Select) and star.arg_key == "expressions"
