"""Which rows two versions do not share: by key where both have the same one and it names rows alone, else as wholes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from modelwright.datasets.engine import identifier, row, rows
from modelwright.datasets.kinds import is_number, quoted
from modelwright.datasets.records import DatasetVersion, RowChange, RowsDiff, Scalar

SAMPLE = 5
LONG = "decimal256"  # a type that DuckDB takes for floats


@dataclass(frozen=True)
class _Shared:
    """A column that both versions have, and how its two sides are compared in SQL."""

    name: str
    before: str
    after: str
    personal: bool

    @property
    def differs(self) -> str:
        return f"({self.before} IS DISTINCT FROM {self.after})"

    @property
    def equals(self) -> str:
        return f"({self.before} IS NOT DISTINCT FROM {self.after})"


def compare_rows(connection: Any, before: DatasetVersion, after: DatasetVersion) -> RowsDiff:
    """Compare the views `before` and `after` of a connection; only the columns that both have."""
    shared = [_shared(before, after, name) for name in before.names if name in after.names]
    if not shared:
        note = "The versions have no column in common."
        return RowsDiff(by_key=False, added=after.rows, removed=before.rows, changed=0, same=0, note=note)
    key = after.key
    if not key:
        return _as_wholes(connection, shared, "There is no key: rows were compared as wholes.")
    if set(key) - {column.name for column in shared}:
        return _as_wholes(connection, shared, "One version lacks a column of the key: rows were compared as wholes.")
    for side in ("before", "after"):
        if _repeats(connection, side, key):
            note = f"The key {', '.join(key)} repeats {side}: rows were compared as wholes."
            return _as_wholes(connection, shared, note)
    found = _by_key(connection, [c for c in shared if c.name in key], [c for c in shared if c.name not in key])
    long = [name for name in (c.name for c in shared) if after.column(name).type.startswith(LONG)]
    return replace(found, note=f"{', '.join(long)}: of so many digits the first 15 were compared.") if long else found


def _shared(before: DatasetVersion, after: DatasetVersion, name: str) -> _Shared:
    a, b = before.column(name), after.column(name)
    alike = a.type == b.type or (is_number(a.type) and is_number(b.type))
    cast = "" if alike else "::VARCHAR"  # types that DuckDB would convert to each other, and stop at a value that does not
    column = identifier(name)
    return _Shared(name, f"a.{column}{cast}", f"b.{column}{cast}", a.personal or b.personal)


def _repeats(connection: Any, side: str, key: Sequence[str]) -> bool:
    columns = ", ".join(identifier(name) for name in key)
    figures = f"SELECT count(*) AS rows, count(DISTINCT ROW({columns})) AS keys FROM {identifier(side)}"
    found = row(connection, figures)
    return bool(found["rows"] != found["keys"])


def _by_key(connection: Any, key: list[_Shared], rest: list[_Shared]) -> RowsDiff:
    joined = f"""
        (SELECT *, true AS "#is" FROM before) AS a
        FULL JOIN (SELECT *, true AS "#is" FROM after) AS b ON {" AND ".join(c.equals for c in key)}"""
    both = 'a."#is" AND b."#is"'
    differs = f"{both} AND ({' OR '.join(c.differs for c in rest) or 'false'})"
    columns = "".join(f', count(*) FILTER (WHERE {both} AND {c.differs}) AS "{i}"' for i, c in enumerate(rest))
    counts = row(
        connection,
        f"""SELECT count(*) FILTER (WHERE a."#is" IS NULL) AS added, count(*) FILTER (WHERE b."#is" IS NULL) AS removed,
            count(*) FILTER (WHERE {differs}) AS changed, count(*) FILTER (WHERE {both}) AS kept{columns} FROM {joined}""",
    )
    by_column = {c.name: counts[str(i)] for i, c in enumerate(rest) if counts[str(i)]}
    every = [*key, *rest]
    return RowsDiff(
        by_key=True,
        added=counts["added"],
        removed=counts["removed"],
        changed=counts["changed"],
        same=counts["kept"] - counts["changed"],
        added_sample=_sample(connection, joined, 'a."#is" IS NULL', "b", every) if counts["added"] else [],
        removed_sample=_sample(connection, joined, 'b."#is" IS NULL', "a", every) if counts["removed"] else [],
        changed_sample=_changed_sample(connection, joined, differs, key, rest) if counts["changed"] else [],
        changed_by_column=dict(sorted(by_column.items(), key=lambda item: (-item[1], item[0]))),
    )


def _sample(connection: Any, joined: str, where: str, side: str, columns: list[_Shared]) -> list[dict[str, Scalar]]:
    shown = [c for c in columns if not c.personal]
    if not shown:
        return []
    listed = ", ".join(f"{side}.{identifier(c.name)}" for c in shown)
    found = rows(connection, f"SELECT {listed} FROM {joined} WHERE {where} ORDER BY ALL LIMIT {SAMPLE}")
    return [{name: quoted(value) for name, value in each.items()} for each in found]


def _changed_sample(connection: Any, joined: str, differs: str, key: list[_Shared], rest: list[_Shared]) -> list[RowChange]:
    named, shown = [c for c in key if not c.personal], [c for c in rest if not c.personal]
    wanted = [f'b.{identifier(c.name)} AS "k{i}"' for i, c in enumerate(named)]
    for i, c in enumerate(shown):
        wanted += [f'a.{identifier(c.name)} AS "a{i}"', f'b.{identifier(c.name)} AS "b{i}"', f'{c.differs} AS "d{i}"']
    if not wanted:
        return []
    order = ", ".join(f"b.{identifier(c.name)}" for c in key)
    found = rows(connection, f"SELECT {', '.join(wanted)} FROM {joined} WHERE {differs} ORDER BY {order} LIMIT {SAMPLE}")
    return [
        RowChange(
            key={c.name: quoted(each[f"k{i}"]) for i, c in enumerate(named)},
            before={c.name: quoted(each[f"a{i}"]) for i, c in enumerate(shown) if each[f"d{i}"]},
            after={c.name: quoted(each[f"b{i}"]) for i, c in enumerate(shown) if each[f"d{i}"]},
        )
        for each in found
    ]


def _as_wholes(connection: Any, shared: list[_Shared], note: str) -> RowsDiff:
    """Rows as wholes, each counted as often as it occurs."""
    sides = {
        "before": f"SELECT {', '.join(f'{c.before} AS {identifier(c.name)}' for c in shared)} FROM before AS a",
        "after": f"SELECT {', '.join(f'{c.after} AS {identifier(c.name)}' for c in shared)} FROM after AS b",
    }
    added, added_sample = _only_in(connection, sides["after"], sides["before"], shared)
    removed, removed_sample = _only_in(connection, sides["before"], sides["after"], shared)
    kept = row(connection, "SELECT count(*) AS n FROM before")["n"] - removed
    return RowsDiff(
        by_key=False,
        added=added,
        removed=removed,
        changed=0,
        same=kept,
        added_sample=added_sample,
        removed_sample=removed_sample,
        note=note,
    )


def _only_in(connection: Any, one: str, other: str, shared: list[_Shared]) -> tuple[int, list[dict[str, Scalar]]]:
    only = f"(({one}) EXCEPT ALL ({other}))"
    count = int(row(connection, f"SELECT count(*) AS n FROM {only}")["n"])
    shown = ", ".join(identifier(c.name) for c in shared if not c.personal)
    if not count or not shown:
        return count, []
    found = rows(connection, f"SELECT {shown} FROM {only} ORDER BY ALL LIMIT {SAMPLE}")
    return count, [{name: quoted(value) for name, value in each.items()} for each in found]
