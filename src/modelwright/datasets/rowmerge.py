"""Three versions of a table into one: row by row by their key, cell by cell, in DuckDB and out of core.

A row or a cell that one side left as the base has it is as the other side has it. What both changed, each in its own way,
is a conflict. Rows keep the order of ours; those that theirs added come after them. A part that nothing changed has the
bytes that it had, so that it is not stored again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec.structs import replace

from modelwright.core.errors import Conflict, Invalid
from modelwright.datasets.engine import connect, identifier, quote, row, rows
from modelwright.datasets.kinds import quoted
from modelwright.datasets.parts import write_parquet
from modelwright.datasets.records import DatasetColumn, DatasetVersion, MergeConflict
from modelwright.datasets.rows import first_line

SHOWN: Final = 200  # conflicts that are listed
_BATCH: Final = 65_536  # rows that are handed over at once
_SIDES: Final = ("base", "ours", "theirs")


class Side(NamedTuple):
    """One of the three: the version, and its parts as files."""

    version: DatasetVersion
    files: Sequence[Path]


class _Column(NamedTuple):
    """A column of the result: what the three sides have in it, as SQL, and what becomes of it."""

    about: DatasetColumn
    base: str | None  # None: the side has no such column
    ours: str | None
    theirs: str | None
    value: str

    @property
    def name(self) -> str:
        return self.about.name

    @property
    def shared(self) -> bool:
        return self.ours is not None and self.theirs is not None

    @property
    def moved(self) -> str:
        """Whether ours and theirs differ, and neither is as the base."""
        base = self.base or "NULL"
        return f"({_differ(self.ours, base)} AND {_differ(self.theirs, base)} AND {_differ(self.ours, self.theirs)})"


class MergedTable:
    """The rows of both sides, where `base` is what they came from."""

    def __init__(self, base: Side, ours: Side, theirs: Side, *, settle: str, spill: Path) -> None:
        """`Invalid` unless all three have one key, which names their rows alone; `spill` is a folder for what is large."""
        self.key = _key(ours.version, theirs.version, base.version)
        self._sides = dict(zip(_SIDES, (base, ours, theirs), strict=True))
        self._settle = settle
        self._connection = connect({name: side.files for name, side in self._sides.items()}, spill=spill)
        self._types = {name: _types(self._connection, name) for name in _SIDES}
        self.conflicts: list[MergeConflict] = []
        self.conflicting = 0
        self.columns_added: list[str] = []
        self.columns_removed: list[str] = []
        for name in _SIDES:
            self._check_key(name)
        try:
            self._columns = list(self._result_columns())
            self._count()
        except duckdb.ConversionException as error:
            raise Conflict(
                f"A column changed its type, and values of the other side do not fit: {first_line(error)}",
                mend="Add a version of that side with the same type first.",
            ) from None

    @property
    def columns(self) -> list[DatasetColumn]:
        """The columns of the result; whether they hold missing values is known once it is written."""
        return [column.about for column in self._columns]

    def parts(self, folder: Path, by: Sequence[str]) -> Iterator[tuple[Path, Any]]:
        """Write the result as Parquet files into a folder; gives each with its rows as a table."""
        for number, table in enumerate(self._tables()):
            path = folder / f"{number}.parquet"
            write_parquet(table, path, by)
            yield path, table

    # What the three have

    def _result_columns(self) -> Iterator[_Column]:
        ours, theirs, base = (self._sides[name].version for name in ("ours", "theirs", "base"))
        for name in [*ours.names, *(name for name in theirs.names if name not in ours.names)]:
            in_ours, in_theirs, in_base = name in ours.names, name in theirs.names, name in base.names
            if in_base and not (in_ours and in_theirs) and self._drops(name, kept="ours" if in_ours else "theirs"):
                self.columns_removed += [name] if in_ours else []
                continue
            self.columns_added += [name] if not in_ours else []
            yield self._column(name)

    def _drops(self, name: str, *, kept: str) -> bool:
        """Whether a column that one side took away goes; not if the other side changed what is in it."""
        side = kept[0]
        one, base = f"{side}.{identifier(name)}", f"b.{identifier(name)}"
        moved = f'SELECT count(*) AS n FROM {self._joined} WHERE b."#is" AND {side}."#is" AND {_differ(one, base)}'
        if not row(self._connection, moved)["n"]:
            return True
        other = "theirs" if kept == "ours" else "ours"
        said = {"ours": "changed in ours", "theirs": "removed in theirs"}
        if kept == "theirs":
            said = {"ours": "removed in ours", "theirs": "changed in theirs"}
        self.conflicting += 1
        self.conflicts.append(MergeConflict(what=f"{said['ours']}, {said['theirs']}: the whole column", column=name))
        return self._settle == other

    def _column(self, name: str) -> _Column:
        about, wanted = self._type(name)
        given = {}
        for side in _SIDES:
            has = self._types[side].get(name)
            cast = "" if has == wanted else f"::{wanted}"
            given[side] = None if has is None else f"{side[0]}.{identifier(name)}{cast}"
        base, ours, theirs = (given[side] for side in _SIDES)
        if name in self.key:
            return _Column(about, base, ours, theirs, f"coalesce({ours}, {theirs})")
        if ours is None or theirs is None:
            return _Column(about, base, ours, theirs, ours or theirs or "NULL")
        draft = _Column(about, base, ours, theirs, "")
        value = f"CASE WHEN {_differ(ours, base or 'NULL')} THEN {ours} ELSE {theirs} END"
        if self._settle == "theirs":
            value = f"CASE WHEN {draft.moved} THEN {theirs} ELSE {value} END"
        either = f'CASE WHEN o."#is" AND t."#is" THEN {value} WHEN o."#is" THEN {ours} ELSE {theirs} END'
        return draft._replace(value=either)

    def _type(self, name: str) -> tuple[DatasetColumn, str]:
        """What a column is in the result, and its type in SQL: that of the side that changed it."""
        there = {side: about.version.column(name) for side, about in self._sides.items() if name in about.version.names}
        chosen = "ours" if "ours" in there else "theirs"
        if {"ours", "theirs"} <= there.keys() and there["ours"].type != there["theirs"].type:
            base = there.get("base")
            if base is not None and base.type == there["ours"].type:
                chosen = "theirs"
            elif base is None or base.type != there["theirs"].type:
                raise Conflict(
                    f"The column {name!r} is {there['ours'].type} in ours and {there['theirs'].type} in theirs.",
                    mend="Add a version of one side with the type of the other first.",
                )
        personal = any(each.personal for each in there.values())
        return replace(there[chosen], personal=personal), self._types[chosen][name]

    @cached_property
    def _joined(self) -> str:
        """Every row of the three sides, once for each key."""
        sides = {name: self._numbered(name) for name in _SIDES}
        keys = [identifier(name) for name in self.key]
        first = " AND ".join(f"b.{each} = o.{each}" for each in keys)
        second = " AND ".join(f"coalesce(b.{each}, o.{each}) = t.{each}" for each in keys)
        return (
            f"{sides['base']} AS b FULL JOIN {sides['ours']} AS o ON {first} FULL JOIN {sides['theirs']} AS t ON {second}"
        )

    def _numbered(self, side: str) -> str:
        """The rows of a side with the number of their part and their own in it."""
        parts = [
            f'SELECT *, {number} AS "#part", true AS "#is", file_row_number AS "#row"'
            f" FROM read_parquet({quote(str(file))}, file_row_number = true)"
            for number, file in enumerate(self._sides[side].files)
        ]
        return f"({' UNION ALL BY NAME '.join(parts)})"

    def _check_key(self, side: str) -> None:
        columns = ", ".join(identifier(name) for name in self.key)
        missing = " OR ".join(f"{identifier(name)} IS NULL" for name in self.key)
        found = row(
            self._connection,
            f"SELECT count(*) AS n, count(DISTINCT ROW({columns})) AS keys, count(*) FILTER (WHERE {missing}) AS missing"
            f" FROM {identifier(side)}",
        )
        if found["n"] != found["keys"] or found["missing"]:
            raise Invalid(
                f"The key {', '.join(self.key)} does not name the rows of {self._sides[side].version.ref} alone.",
                mend="Merge goes by the key: add the versions with one that does.",
            )

    # What comes of them

    @property
    def _own(self) -> str:
        return _any(self._changed("ours"))

    @property
    def _foreign(self) -> str:
        return _any(self._changed("theirs"))

    def _changed(self, side: str) -> Iterator[str]:
        """Of each column that a side shares with the base: whether it has another value."""
        for column in self._columns:
            one = getattr(column, side)
            if one is not None and column.base is not None and column.name not in self.key:
                yield _differ(one, column.base)

    @property
    def _gone(self) -> str:
        """Rows that one side removed and the other left alone: or changed, and lost."""
        lost = {"ours": 'b."#is" AND o."#is" IS NULL AND t."#is"', "theirs": 'b."#is" AND t."#is" IS NULL AND o."#is"'}
        own = f"NOT {self._own}" if self._settle != "theirs" else "true"
        foreign = f"NOT {self._foreign}" if self._settle != "ours" else "true"
        both = 'o."#is" IS NULL AND t."#is" IS NULL'
        return f"coalesce(({lost['theirs']} AND {own}) OR ({lost['ours']} AND {foreign}) OR ({both}), false)"

    @property
    def _rivals(self) -> list[_Column]:
        return [column for column in self._columns if column.shared and column.name not in self.key]

    @property
    def _lost(self) -> dict[str, str]:
        """Rows that one side removed and the other changed."""
        return {
            "changed in ours, removed in theirs": f'b."#is" AND o."#is" AND t."#is" IS NULL AND {self._own}',
            "removed in ours, changed in theirs": f'b."#is" AND o."#is" IS NULL AND t."#is" AND {self._foreign}',
        }

    def _count(self) -> None:
        both = 'o."#is" AND t."#is"'
        taken = {c.name: f"{both} AND {_differ(c.value, c.ours)}" for c in self._rivals}
        figures = {
            "added": f'o."#is" IS NULL AND t."#is" AND NOT {self._gone}',
            "removed": f'o."#is" AND {self._gone}',
            "changed": f"{_any(taken.values())}",
            **{f"c{i}": f"{both} AND {c.moved}" for i, c in enumerate(self._rivals)},
            **{f"l{i}": lost for i, lost in enumerate(self._lost.values())},
            **{f"t{i}": each for i, each in enumerate(taken.values())},
        }
        listed = ", ".join(f'count(*) FILTER (WHERE {sql}) AS "{name}"' for name, sql in figures.items())
        found = row(self._connection, f"SELECT {listed} FROM {self._joined}")
        self.added, self.removed, self.changed = found["added"], found["removed"], found["changed"]
        counts = {name: found[f"t{i}"] for i, name in enumerate(taken)}
        self.changed_by_column = {name: count for name, count in counts.items() if count}
        conflicting = sum(count for name, count in found.items() if name[0] in "cl" and name[1:].isdigit())
        self.conflicting += conflicting
        if conflicting:
            self.conflicts += self._listed()

    def _listed(self) -> Iterator[MergeConflict]:
        """The first conflicts, by key."""
        both = 'o."#is" AND t."#is"'
        flags = [f"({both} AND {c.moved})" for c in self._rivals] + [f"({lost})" for lost in self._lost.values()]
        named = [c for c in self._columns if c.name in self.key]
        wanted = [f'{c.value} AS "k{i}"' for i, c in enumerate(named)] + ['b."#is" AS "base"']
        wanted += [f'coalesce({flag}, false) AS "f{i}"' for i, flag in enumerate(flags)]
        for i, c in enumerate(self._rivals):
            if not c.about.personal:
                wanted += [f'{c.base or "NULL"} AS "b{i}"', f'{c.ours} AS "o{i}"', f'{c.theirs} AS "t{i}"']
        order = ", ".join(f'"k{i}"' for i in range(len(named)))
        query = f"SELECT {', '.join(wanted)} FROM {self._joined} WHERE {_any(flags)} ORDER BY {order} LIMIT {SHOWN}"
        for each in rows(self._connection, query):
            key = {c.name: quoted(each[f"k{i}"]) for i, c in enumerate(named) if not c.about.personal}
            for i, what in enumerate(self._lost, len(self._rivals)):
                if each[f"f{i}"]:
                    yield MergeConflict(what=what, key=key)
            for i, c in enumerate(self._rivals):
                if each[f"f{i}"]:
                    yield self._cell(each, i, c, key)

    def _cell(self, found: Mapping[str, Any], i: int, column: _Column, key: dict[str, Any]) -> MergeConflict:
        what = "changed in both" if found["base"] and column.base else "added in both"
        if column.about.personal:
            return MergeConflict(what=what, key=key, column=column.name, hidden=True)
        base, ours, theirs = (quoted(found[f"{side}{i}"]) for side in "bot")
        return MergeConflict(what=what, key=key, column=column.name, base=base, ours=ours, theirs=theirs)

    def _tables(self) -> Iterator[Any]:
        """The rows of the result, a table for each part that they lie in or come from."""
        parts = len(self._sides["ours"].files)
        schema = pa.schema([self._field(column) for column in self._columns])
        wanted = [f"{column.value} AS {identifier(column.name)}" for column in self._columns]
        where = f'coalesce(o."#part", {parts} + t."#part")::BIGINT AS "#to", coalesce(o."#row", t."#row") AS "#at"'
        query = f'SELECT {", ".join(wanted)}, {where} FROM {self._joined} WHERE NOT {self._gone} ORDER BY "#to", "#at"'
        waiting: list[Any] = []
        at, made = -1, 0
        for batch in self._connection.sql(query).to_arrow_reader(_BATCH):
            table = pa.Table.from_batches([batch])
            numbers = table["#to"].to_numpy()
            start = 0
            while start < len(numbers):
                number = int(numbers[start])
                end = int(numbers.searchsorted(number, side="right"))
                if number != at and waiting:
                    yield pa.concat_tables(waiting)
                    waiting, made = [], made + 1
                at = number
                waiting.append(table.slice(start, end - start).select(schema.names).cast(schema))
                start = end
        if waiting or not made:
            yield pa.concat_tables(waiting) if waiting else schema.empty_table()

    def _field(self, column: _Column) -> Any:
        """The column as it is stored in a version that has it with this type."""
        for name in ("ours", "theirs"):
            version, files = self._sides[name]
            if column.name in version.names and version.column(column.name).type == column.about.type:
                return pq.read_schema(files[0]).field(column.name).with_nullable(True).remove_metadata()
        raise AssertionError(f"no side has {column.name} as {column.about.type}")


def _key(ours: DatasetVersion, theirs: DatasetVersion, base: DatasetVersion) -> list[str]:
    if not ours.key:
        raise Invalid(
            f"{ours.ref} has no key, so its rows cannot be told apart.", mend="mw data add NAME FILE --key COLUMN"
        )
    for other in (theirs, base):
        if other.key and other.key != ours.key:
            raise Invalid(f"The key of {other.ref} is {', '.join(other.key)}, not {', '.join(ours.key)} as of {ours.ref}.")
        if lacking := [name for name in ours.key if name not in other.names]:
            raise Invalid(f"{other.ref} lacks {', '.join(lacking)} of the key of {ours.ref}.")
    return ours.key


def _types(connection: Any, view: str) -> dict[str, str]:
    return {each["column_name"]: each["column_type"] for each in rows(connection, f"DESCRIBE {identifier(view)}")}


def _differ(one: str | None, other: str | None) -> str:
    return f"({one} IS DISTINCT FROM {other})"


def _any(conditions: Any) -> str:
    listed = [f"({each})" for each in conditions]
    return f"({' OR '.join(listed)})" if listed else "(false)"
