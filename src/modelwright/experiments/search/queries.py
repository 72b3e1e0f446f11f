"""The statements that read many runs: in the driver's own words, a handful for a page however long it is."""

from __future__ import annotations

import random
import threading
import weakref
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from modelwright.core.search import And, Clause, Condition, Op, Order, clauses_of, parse, parse_order
from modelwright.experiments import queries
from modelwright.experiments.places import location
from modelwright.experiments.records import NAME_TAG, ModelRole, ModelUse, View
from modelwright.experiments.search import token
from modelwright.experiments.search.details import Detail, Head
from modelwright.experiments.search.language import RUNS
from modelwright.experiments.search.statements import Column, Compiler, Driver, Sql, beyond, key_of, sorting, ties
from modelwright.experiments.tables import names
from modelwright.experiments.writing import name_ids
from modelwright.store import Database, Transaction
from modelwright.store.driver import execute

HEAD = "r.key, r.id, r.experiment, r.name, r.status, r.started, r.ended, r.deleted, r.user_id"
_WIDTH = len(Head._fields)
_AT_ONCE = 5000  # runs whose numbers stand in one statement

_texts: weakref.WeakKeyDictionary[Database, dict[int, str]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def one(tx: Transaction, identity: str) -> tuple[Detail, str] | None:
    """The run with that id, discarded or not, with its values, and where the artifacts of its experiment lie."""
    experiment = "experiments_experiments e ON e.id = r.experiment"
    asked = f"SELECT {HEAD}, e.artifact_location FROM experiments_runs r JOIN {experiment} WHERE r.id = ?"
    row = rows(tx, asked, [identity])
    if not row:
        return None
    head = Head(*row[0][:_WIDTH])
    return details(tx, [head])[0], location(head.experiment, row[0][_WIDTH])


def details(tx: Transaction, heads: Sequence[Head]) -> list[Detail]:
    """Runs with their values, in the same order."""
    found = {head.key: Detail(head) for head in heads}
    keys = list(found)
    for start in range(0, len(keys), _AT_ONCE):
        _fill(tx, found, ",".join(map(str, keys[start : start + _AT_ONCE])))
    return [found[head.key] for head in heads]


def _fill(tx: Transaction, found: dict[int, Detail], among: str) -> None:
    values = {
        table: rows(tx, f"SELECT run, name, {columns} FROM experiments_{table} WHERE run IN ({among})")
        for table, columns in (("params", "head, tail"), ("tags", "head, tail"), ("metrics", "value, step, time"))
    }
    text = texts(tx, {row[1] for each in values.values() for row in each})
    for run, name, head, tail in values["params"]:
        found[run].params.append((text[name], head if tail is None else head + tail))
    for run, name, head, tail in values["tags"]:
        found[run].tags.append((text[name], head if tail is None else head + tail))
    for run, name, value, step, time in values["metrics"]:
        found[run].metrics.append((text[name], value, step, time))
    read = rows(tx, f"SELECT DISTINCT run FROM experiments_datasets_read WHERE run IN ({among})")
    for run, dataset in queries.datasets_of(tx, [row[0] for row in read]) if read else []:
        found[run].datasets.append(dataset)
    used = f"SELECT run, role, model, step FROM experiments_models_used WHERE run IN ({among}) ORDER BY step, model"
    for run, role, model, step in rows(tx, used):
        found[run].models.append(ModelUse(model=model, role=ModelRole(role), step=step))


def locations(tx: Transaction, experiments: Iterable[int]) -> dict[int, str]:
    """Where the artifacts of experiments lie, by their numbers."""
    among = ",".join(str(int(number)) for number in experiments) or "NULL"
    found = rows(tx, f"SELECT id, artifact_location FROM experiments_experiments WHERE id IN ({among})")
    return {number: location(number, given) for number, given in found}


def texts(tx: Transaction, numbers: set[int]) -> dict[int, str]:
    """The names that numbers stand for. One that a committed transaction gave never means another, so it is remembered."""
    with _lock:
        known = _texts.setdefault(tx.database, {})
    missing = [number for number in numbers if number not in known]
    if not missing:
        return known
    read: dict[int, str] = {}
    for start in range(0, len(missing), 500):
        query = sa.select(names.c.id, names.c.name).where(names.c.id.in_(missing[start : start + 500]))
        read |= {row.id: row.name for row in tx.execute(query)}
    if tx.writes:
        return known | read
    known.update(read)
    return known


def rows(tx: Transaction, text: str, parameters: Sequence[Any] = ()) -> list[Any]:
    """Run a statement whose parameters are question marks; all its rows."""
    if tx.connection.dialect.name != "sqlite":
        text = text.replace("%", "%%").replace("?", "%s")
    found: list[Any] = execute(tx.connection, text, parameters).fetchall()
    return found


# Searching


class Effort(NamedTuple):
    """How much is done at the most of one thing before another is tried."""

    few: int = 20_000  # how far candidates are counted: more than so many are not a way to the runs
    probed: int = 3_000  # runs that a walk along the order may pass at the least before it is given up


USUAL = Effort()
SAMPLE = 192  # runs from which it is told how many a filter lets through
SURE = 3  # of them at the least, for the sample to say anything
SHORT = 20  # runs passed for each that is given, up to which a walk needs no other way beside it


class Found(NamedTuple):
    """A page of runs, and where the next begins."""

    heads: list[Head]
    next: str | None


class Scope(NamedTuple):
    """Whose runs are looked at: experiments by their numbers (None: of all), and whether discarded runs are."""

    experiments: Sequence[int] | None
    view: View


def find(
    tx: Transaction,
    where: str,
    order: Sequence[str],
    scope: Scope,
    *,
    limit: int,
    after: str | None,
    effort: Effort = USUAL,
) -> Found:
    """A page of the runs that a filter lets through, in order: every page goes on exactly where the last one ended."""
    condition, orders = parse(where, RUNS), _first_of_each(parse_order(order, RUNS))
    if scope.experiments is not None and not scope.experiments:
        return Found([], None)
    search = _Search(tx, condition, orders, scope, effort)
    mark = token.mark_of(where, list(order), scope.experiments, scope.view)
    last = token.read(after, mark, [column.kind for column in search.columns]) if after else None
    rows = search.page(limit + 1, last)
    following = token.write(mark, tuple(rows[limit - 1][_WIDTH:])) if len(rows) > limit else None
    return Found([Head(*row[:_WIDTH]) for row in rows[:limit]], following)


class _Search:
    """One search. How to go about it is decided by counting, not by the database's own statistics."""

    def __init__(
        self, tx: Transaction, condition: Condition | None, orders: Sequence[Order], scope: Scope, effort: Effort
    ) -> None:
        self._tx = tx
        self._effort = effort
        self._scope = scope
        self._sqlite = tx.connection.dialect.name == "sqlite"
        keys = {each.key for each in orders} | {clause.key for clause in clauses_of(condition)}
        ids = name_ids(tx, sorted(keys))
        self._compiler = Compiler(ids, sqlite=self._sqlite)
        self._orders = orders
        self._keys = [key_of(each, ids, at) for at, each in enumerate(orders)]
        self._ids = ids
        self.columns = [column for key in self._keys for column in key.columns] + ties(orders)
        self._parts: list[Condition] = (
            list(condition.of) if isinstance(condition, And) else [condition] if condition else []
        )
        self._filters = [self._compiler.condition(part) for part in self._parts]

    def page(self, count: int, last: Sequence[Any] | None) -> list[Any]:
        """The first rows after `last`: the columns of a head, then what the run was sorted by."""
        stretches = self._stretches()
        if not self._filters:
            return self._along_all(stretches, count, last)
        passed = self._passed(count) if stretches else None
        short = passed is not None and passed <= min(SHORT * count, self._effort.probed)
        if short:  # not worth counting anything else
            found = self._walked(stretches, count, last, self._effort.probed)
            if found is not None:
                return found
        drivers = self._drivers()
        counts = [None if each is None else self._count(each.runs) for each in drivers]
        few = min((each for each in counts if each is not None), default=self._effort.few)
        if few == 0:
            return []
        if passed is not None and not short and passed <= few:
            found = self._walked(stretches, count, last, max(self._effort.probed, 2 * passed))
            if found is not None:
                return found
        if few < self._effort.few:
            chosen = counts.index(few)
            return self._sorted(count, last, drivers[chosen], leaving=chosen)
        keys = self._intersection([each for each in drivers if each is not None])
        if keys is not None and len(keys) < self._effort.few:
            return self._sorted(count, last, Driver(_listed(keys)), leaving=None)
        return self._along_all(stretches, count, last)

    def _drivers(self) -> list[Driver | None]:
        """The way to the runs of each clause, if it has one. Clauses about one metric share theirs."""
        ranges: dict[str, list[Clause]] = {}
        for part in self._parts:
            if isinstance(part, Clause) and part.entity == "metric" and part.op is not Op.UNEQUAL:
                ranges.setdefault(part.key, []).append(part)
        return [
            self._compiler.between(ranges[part.key])
            if isinstance(part, Clause) and part.entity == "metric" and part.op is not Op.UNEQUAL
            else self._compiler.driver(part)
            for part in self._parts
        ]

    def _along_all(self, stretches: Sequence[_Stretch], count: int, last: Sequence[Any] | None) -> list[Any]:
        """However far it is."""
        if stretches:
            return self._walked(stretches, count, last, None) or []
        return self._sorted(count, last, None, leaving=None)

    def _count(self, runs: Sql) -> int:
        text = f"SELECT count(*) FROM (SELECT 1 AS one FROM ({runs.text}) c LIMIT {self._effort.few}) b"
        return int(rows(self._tx, text, runs.values)[0][0])

    def _passed(self, count: int) -> int | None:
        """How many runs a walk will pass until so many are let through, told from a sample; None where hardly any are."""
        highest = int(rows(self._tx, "SELECT coalesce(max(key), 0) FROM experiments_runs")[0][0])
        if highest <= self._effort.probed:
            return highest
        dice = random.Random(highest)  # noqa: S311 - the same sample for the same runs
        keys = sorted({dice.randint(1, highest) for _ in range(SAMPLE)})
        conditions = [*self._scoped(), *self._filters]
        let = " AND ".join(f"({each.text})" for each in conditions)
        text = f"SELECT count(*) FROM ({_listed(keys).text}) d CROSS JOIN experiments_runs r WHERE r.key = d.run AND {let}"
        hits = int(rows(self._tx, text, [value for each in conditions for value in each.values])[0][0])
        return None if hits < SURE else count * len(keys) // hits

    def _intersection(self, drivers: Sequence[Driver]) -> list[int] | None:
        """The runs that all of these lead to; None where there is nothing to intersect."""
        if len(drivers) < 2:
            return None
        found: set[int] | None = None
        for each in drivers:
            here = {row[0] for row in rows(self._tx, each.runs.text, each.runs.values)}
            found = here if found is None else found & here
            if not found:
                return []
        return sorted(found or ())

    # Fetch and sort

    def _sorted(self, count: int, last: Sequence[Any] | None, driver: Driver | None, *, leaving: int | None) -> list[Any]:
        """Every run that a driver (or nothing but the scope) leads to, the other clauses asked of each, and sorted."""
        source = "experiments_runs r"
        conditions = [*self._scoped(), *(each for at, each in enumerate(self._filters) if at != leaving)]
        before: tuple[Any, ...] = ()
        if driver is not None:
            source = f"({driver.runs.text}) d CROSS JOIN experiments_runs r"
            conditions.append(Sql("r.key = d.run"))
            before = driver.runs.values
        if last is not None:
            conditions.append(beyond(self.columns, last))
        joins = "".join(key.join for key in self._keys)
        return self._run(source + joins, conditions, self.columns, self.columns, count, before)

    # Walk along the order

    def _stretches(self) -> list[_Stretch]:
        """The parts of the results along the index of the first key, one after the other; none where it has no index."""
        first = self._orders[0] if self._orders else Order("attribute", "start_time", True)
        if first.entity == "attribute":
            lead = self.columns[0]
            return [_Stretch("", (), (lead,), None, lead)] if first.key == "start_time" else []
        if first.entity == "tag" and first.key == NAME_TAG:
            return []
        number = self._ids.get(first.key)
        table = _TABLES[first.entity]
        figures = first.entity == "metric"
        nothing = [Column("CAST(0.0 AS DOUBLE PRECISION)", constant=True)] if figures else [Column("''", constant=True)] * 2
        last = _rank(2 if figures else 1)
        if number is None:
            return [_Stretch("", (), (last, *nothing), last, None)]
        without = Sql(f"NOT EXISTS (SELECT 1 FROM {table} v WHERE v.run = r.key AND v.name = {number})")
        missing = _Stretch("", (without,), (last, *nothing), last, None)
        source, mine = f"{table} w CROSS JOIN ", Sql(f"w.run = r.key AND w.name = {number}")
        if not figures:
            head, tail = Column("w.head", first.descending), Column("coalesce(w.tail, '')", first.descending)
            return [_Stretch(source, (mine,), (_rank(0), head, tail), _rank(0), head), missing]
        value = Column("w.value", first.descending)
        real = _Stretch(source, (mine, Sql("w.value IS NOT NULL")), (_rank(0), value), _rank(0), value)
        unreal = _Stretch(source, (mine, Sql("w.value IS NULL")), (_rank(1), *nothing), _rank(1), None)
        return [real, unreal, missing]

    def _walked(
        self, stretches: Sequence[_Stretch], count: int, last: Sequence[Any] | None, most: int | None
    ) -> list[Any] | None:
        """The page along the index; None where it is not full after about `most` runs were passed."""
        found: list[Any] = []
        for stretch in stretches:
            goes_on = last
            if last is not None and stretch.rank is not None:
                rank = int(stretch.rank.text)
                if rank < last[0]:
                    continue
                goes_on = last if rank == last[0] else None
            edge = self._edge(stretch, goes_on, most) if most is not None and self._filters else None
            found += self._along(stretch, count - len(found), goes_on, edge)
            if len(found) >= count:
                return found
            if edge is not None:
                return None
        return found

    def _edge(self, stretch: _Stretch, last: Sequence[Any] | None, most: int) -> Any | None:
        """The value that stands so many entries further on in the index; None where it ends before, or there is none."""
        lead = stretch.lead
        if lead is None:
            return None
        conditions = [*stretch.conditions] if stretch.source else self._scoped()
        if stretch.source:
            number = self._ids[self._orders[0].key]
            conditions = [Sql(f"w.name = {number}"), Sql(f"{lead.text} IS NOT NULL")]
        source = f"{_TABLES[self._orders[0].entity]} w" if stretch.source else "experiments_runs r"
        if last is not None:
            conditions.append(_from(lead, last[stretch.columns.index(lead)]))
        where = " AND ".join(each.text for each in conditions) or "1 = 1"
        values = [value for each in conditions for value in each.values]
        text = f"SELECT {lead.text} FROM {source} WHERE {where} ORDER BY {sorting([lead])} LIMIT 1 OFFSET {most}"
        found = rows(self._tx, text, values)
        return found[0][0] if found else None

    def _along(self, stretch: _Stretch, count: int, last: Sequence[Any] | None, edge: Any | None) -> list[Any]:
        """The runs of a stretch after `last` and, where there is an edge, before all that share its value."""
        mine = len(self._keys[0].columns) if stretch.rank is not None else len(stretch.columns)
        shown = [*stretch.columns, *self.columns[mine:]]
        ordered = [column for column in shown if not column.constant]
        joins = "".join(key.join for key in (self._keys[1:] if stretch.rank is not None else self._keys))
        conditions = [*self._scoped(), *stretch.conditions, *self._filters]
        if last is not None:
            conditions.append(beyond(ordered, [last[at] for at, column in enumerate(shown) if not column.constant]))
            if stretch.lead is not None:
                conditions.append(_from(stretch.lead, last[stretch.columns.index(stretch.lead)]))
        if edge is not None and stretch.lead is not None:
            conditions.append(Sql(f"{stretch.lead.text} {'>' if stretch.lead.descending else '<'} ?", (edge,)))
        return self._run(f"{stretch.source}experiments_runs r{joins}", conditions, shown, ordered, count)

    def _scoped(self) -> list[Sql]:
        found = []
        if self._scope.experiments is not None:
            numbers = [str(int(each)) for each in self._scope.experiments]
            found.append(
                Sql(f"r.experiment = {numbers[0]}" if len(numbers) == 1 else f"r.experiment IN ({','.join(numbers)})")
            )
        if self._scope.view is not View.ALL:
            found.append(Sql(f"r.deleted IS {'' if self._scope.view is View.ACTIVE else 'NOT '}NULL"))
        return found

    def _run(
        self,
        source: str,
        conditions: Sequence[Sql],
        shown: Sequence[Column],
        ordered: Sequence[Column],
        count: int,
        before: tuple[Any, ...] = (),
    ) -> list[Any]:
        where = " AND ".join(f"({each.text})" for each in conditions) or "1 = 1"
        also = "".join(f", {column.text}" for column in shown)
        text = f"SELECT {HEAD}{also} FROM {source} WHERE {where} ORDER BY {sorting(ordered)} LIMIT {count}"
        return rows(self._tx, text, [*before, *(value for each in conditions for value in each.values)])


_TABLES = {"metric": "experiments_metrics", "param": "experiments_params", "tag": "experiments_tags"}


class _Stretch(NamedTuple):
    """One part of the results: the runs with a value, in its order; those whose value is NaN; those without one."""

    source: str  # what stands before the runs: `w`, whose index is walked
    conditions: tuple[Sql, ...]
    columns: tuple[Column, ...]  # what the first key of the order sorts by, here
    rank: Column | None  # of the stretch among the others; None where there is but one
    lead: Column | None  # the column of the index; None where all here are alike


def _rank(number: int) -> Column:
    return Column(str(number), constant=True)


def _from(lead: Column, value: Any) -> Sql:
    return Sql(f"{lead.text} {'<=' if lead.descending else '>='} ?", (value,))


def _listed(keys: Sequence[int]) -> Sql:
    return Sql(f"SELECT k.key AS run FROM experiments_runs k WHERE k.key IN ({','.join(map(str, keys)) or 'NULL'})")


def _first_of_each(orders: Sequence[Order]) -> list[Order]:
    found: dict[tuple[str, str], Order] = {}
    for each in orders:
        found.setdefault((each.entity, each.key), each)
    return list(found.values())
