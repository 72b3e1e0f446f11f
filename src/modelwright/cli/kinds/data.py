"""Datasets and feature views at the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from modelwright.cli.kinds.base import Face, standing, tell_changes, tell_evidence
from modelwright.cli.output import aside, counted, day, facts, number, say, section, when
from modelwright.core.errors import Denied, NotFound
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.core.sizes import size
from modelwright.core.texts import line
from modelwright.core.wire import encode_text

if TYPE_CHECKING:
    from modelwright.datasets.records import DatasetDiff, DatasetVersion, FilesDiff, RowsDiff
    from modelwright.features.records import Cost, ViewDiff, ViewUse, ViewVersion
    from modelwright.openlineage.records import Party
    from modelwright.workspace import Workspace

COSTS = ("source", "stored online", "materialised in", "joined in", "reads a day")  # what a view costs
SHOWN = 100  # files that are listed to a person
VALUE = 60  # characters of a value in a sample
NAME = 60  # characters of the name of a column
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class DatasetFace(Face):
    """Versions of tables and of folders."""

    kind = Kind.DATASET
    columns = ("dataset", "rows", "size", "first", "last", "made", "by")
    right = ("rows", "size")

    def show(self, rooms: Workspace, ref: Ref) -> DatasetVersion:
        return rooms.datasets.show(ref)

    def tell(self, rooms: Workspace, found: DatasetVersion) -> None:
        times = found.time_range
        stone = found.tombstone
        facts(
            str(found.ref),
            {
                "about": found.description,
                "rows": found.rows if found.is_table else None,
                "files": found.files or None,
                "size": size(found.bytes),
                "stored for it": None if found.stored is None else size(found.stored),
                "from": found.source,
                "key": found.key,
                "times": f"{found.time_column}: {moment_text(times.first)} to {moment_text(times.last)}"
                if times
                else found.time_column,
                "before it": found.parent,
                "deleted": f"{stone.at[:10]} under {stone.retention}: mw retention verify {stone.deletion}"
                if stone
                else None,
                **standing(found),
            },
        )
        self._tell_columns(rooms, found)
        tell_evidence(rooms, found.ref)

    def _tell_columns(self, rooms: Workspace, found: DatasetVersion) -> None:
        try:
            profiled = {each.name: each for each in rooms.datasets.profile(found.ref).columns}
        except NotFound:
            profiled = {}
        rows: list[list[Any]] = []
        for column in found.columns:
            about = profiled.get(column.name)
            about_people = sorted({each.tag for each in found.classes_of(column.name)})
            name = line(column.name, NAME) + (f" ({', '.join(about_people)})" if about_people else "")
            if about is None:
                rows.append([name, _type(column.type), *[""] * 5])
                continue
            missing = f"{about.missing / found.rows:.1%}" if about.missing else ""
            distinct = about.distinct if about.distinct_exact or about.distinct is None else f"~{about.distinct:,}"
            low, high = (_extreme(about.told(value)) for value in (about.minimum, about.maximum))
            rows.append([name, _type(column.type), missing, distinct, low, high, number(about.mean)])
        section(
            ["column", "type", "missing", "distinct", "lowest", "highest", "mean"],
            rows,
            right=("missing", "distinct", "lowest", "highest", "mean"),
        )

    def list(self, rooms: Workspace, where: Filter) -> Page[DatasetVersion]:
        return rooms.datasets.list(where)

    def within(self, rooms: Workspace, ref: Ref, where: Filter) -> tuple[Face, Page[DatasetVersion]]:
        return self, rooms.datasets.versions(ref, where)

    def row(self, item: DatasetVersion) -> Sequence[Any]:
        times = item.time_range
        span = (times.first[:10], times.last[:10]) if times else ("", "")
        ref = str(item.ref).removeprefix("dataset:")
        holds = item.rows if item.is_table else counted(item.files, "file")
        return [ref, holds, size(item.bytes), *span, day(item.created_at), item.created_by]

    def diff(self, rooms: Workspace, before: Ref, after: Ref) -> DatasetDiff:
        return rooms.datasets.diff(before, after)

    def tell_diff(self, found: DatasetDiff) -> None:
        if found.files is not None:
            _tell_files(found, found.files)
            return
        rows = found.rows
        facts(
            f"{found.before} → {found.after}",
            {
                "rows": f"{found.rows_before:,} → {found.rows_after:,}",
                "added": rows.added,
                "removed": rows.removed,
                "changed": rows.changed if rows.by_key else None,
                "the same": rows.same,
                "note": rows.note,
                **{each.what: f"{_columns(each.before)} → {_columns(each.after)}" for each in found.said},
                "first": _moved(found.time_before, found.time_after, "first"),
                "last": _moved(found.time_before, found.time_after, "last"),
                "new columns": [f"{line(c.name, NAME)} ({c.type})" for c in found.columns_added],
                "gone columns": [line(c.name, NAME) for c in found.columns_removed],
                "other type": [f"{line(c.name, NAME)}: {c.before} → {c.after}" for c in found.columns_changed],
                "rows changed in": [f"{line(name, NAME)} ({count:,})" for name, count in rows.changed_by_column.items()],
            },
        )
        section(["", "row"], _sampled(rows))
        moved = [each for each in found.distributions if each.level != "none"]
        if moved:
            section(
                ["column", "moved", "psi", "distance", "mean before", "mean after", "missing before", "missing after"],
                [
                    [
                        line(each.name, NAME),
                        each.level,
                        number(each.psi),
                        number(each.distance),
                        number(each.mean_before),
                        number(each.mean_after),
                        f"{each.missing_before:.1%}",
                        f"{each.missing_after:.1%}",
                    ]
                    for each in moved
                ],
                right=("psi", "distance", "mean before", "mean after", "missing before", "missing after"),
            )
        elif found.distributions:
            say("")
            say("  No column's distribution moved.")

    def retire(self, rooms: Workspace, ref: Ref, successor: Ref | None, reason: str) -> DatasetVersion:
        return rooms.datasets.retire(ref, successor=successor, reason=reason)


class FeaturesFace(Face):
    """Versions of feature views."""

    kind = Kind.FEATURES
    columns = ("view", "features", "entity", "source", "made", "by")
    right = ("features",)

    def show(self, rooms: Workspace, ref: Ref) -> ViewVersion:
        return rooms.features.show(ref)

    def tell(self, rooms: Workspace, found: ViewVersion) -> None:
        view, (use,) = found.view, rooms.features.find(only=found.ref)
        online = use.online
        facts(
            str(found.ref),
            {
                "about": view.description,
                "owner": view.owner,
                "entity": [f"{column.name} ({column.dtype})" for column in found.keys],
                "source": view.source if view.source.selector else f"{view.source} (newest; checked: {found.source})",
                "promised": _promised(rooms, view.source),
                "event time": view.event_time,
                "known at": view.created_time,
                "lives": view.ttl,
                "in Python": [f"{each.name}({', '.join(each.takes)}) -> {each.gives}" for each in view.functions],
                "online": use.silent
                or (f"{counted(online.rows, 'row')}, {when(online.since)} to {when(online.until)}" if online else "not"),
                "cost": [f"{name} {told}" for name, told in zip(COSTS, told_cost(use.cost), strict=True) if told],
                "not taken": use.unused,
                **standing(found),
            },
        )
        types = {column.name: column.dtype for column in found.columns}
        rows = [
            [
                _classed(each.name, found),
                types.get(each.name),
                _computed(each),
                each.window or "",
                _mattering(each.name, use),
                each.description,
            ]
            for each in [*view.features, *view.on_demand]
        ]
        section(["feature", "type", "computed as", "window", "matters to", "about"], rows)
        tell_evidence(rooms, found.ref)

    def list(self, rooms: Workspace, where: Filter) -> Page[ViewVersion]:
        return rooms.features.list(where)

    def within(self, rooms: Workspace, ref: Ref, where: Filter) -> tuple[Face, Page[ViewVersion]]:
        return self, rooms.features.versions(ref, where)

    def row(self, item: ViewVersion) -> Sequence[Any]:
        ref, source = str(item.ref).removeprefix("features:"), str(item.source).removeprefix("dataset:")
        entity = ", ".join(item.view.entity)
        return [ref, len(item.columns), entity, source, day(item.created_at), item.created_by]

    def diff(self, rooms: Workspace, before: Ref, after: Ref) -> ViewDiff:
        return rooms.features.diff(before, after)

    def tell_diff(self, found: ViewDiff) -> None:
        code = [each for each in found.changes if each.field.endswith("()")]
        rows = [[each.field, each.before, each.after] for each in found.changes if each not in code]
        rows += [[f"{name}", "", "new"] for name in found.added] + [[name, "", "gone"] for name in found.removed]
        rows += [[each.field, _stands(each.before), _stands(each.after)] for each in code]
        tell_changes(found.before, found.after, ["what", "before", "after"], rows)
        for each in code:
            _tell_code(each.before or "", each.after or "")
        if found.breaking:
            say("  A model built on the first cannot be fed from the second.", style="red")

    def retire(self, rooms: Workspace, ref: Ref, successor: Ref | None, reason: str) -> ViewVersion:
        return rooms.features.retire(ref, successor=successor, reason=reason)


def _stands(source: str | None) -> str:
    return "" if source is None else f"{len(source.splitlines())} lines"


def _tell_code(before: str, after: str) -> None:
    """The lines of a function that changed, as `diff -u` shows them."""
    from difflib import unified_diff

    say("")
    for each in list(unified_diff(before.splitlines(), after.splitlines(), lineterm=""))[2:]:
        say(each)


def _promised(rooms: Workspace, source: Ref) -> list[str]:
    """The contract in force of a dataset, and whether its newest version keeps it."""
    try:
        contract = rooms.contracts.of(source)
        kept = next(iter(rooms.contracts.kept(source)), None)
    except (NotFound, Denied):  # whoever may read the view may not read its source
        return []
    if contract is None:
        return []
    return [str(contract.ref), *([f"{kept.subject}: {kept.summary}"] if kept is not None else [])]


def _sampled(rows: RowsDiff) -> list[list[str]]:
    """The first rows of each kind of change: of those that changed the key and what changed, of others their values."""

    def told(values: dict[str, Any]) -> str:
        return ", ".join(f"{line(name, NAME)}={_value(value)}" for name, value in values.items())

    lines = []
    for each in rows.changed_sample:
        pairs = [(line(name, NAME), _changed(each.before.get(name), new)) for name, new in each.after.items()]
        changes = ", ".join(map(" ".join, pairs))
        lines.append(["changed", f"{told(each.key) or 'a row'}: {changes or 'in columns about people alone'}"])
    lines += [["added", told(each)] for each in rows.added_sample]
    return lines + [["removed", told(each)] for each in rows.removed_sample]


def _changed(before: Any, after: Any) -> str:
    """Two values that differ, shortened only as far as that is to be seen."""
    told = [_value(each) for each in (before, after)]
    return " → ".join(told if told[0] != told[1] else [_value(each, whole=True) for each in (before, after)])


def _value(value: Any, *, whole: bool = False) -> str:
    if value is None:
        return "missing"
    return line(str(value), 10 * VALUE) if whole else line(str(moment_text(value)), VALUE)


def _tell_files(found: DatasetDiff, files: FilesDiff) -> None:
    facts(
        f"{found.before} → {found.after}",
        {
            "size": f"{size(files.bytes_before)} → {size(files.bytes_after)}",
            "added": len(files.added),
            "removed": len(files.removed),
            "changed": len(files.changed),
            "moved": len(files.moved),
            "the same": files.same,
        },
    )
    rows = [[what, path] for what in ("added", "removed", "changed") for path in getattr(files, what)]
    rows += [["moved", f"{old} → {new}"] for old, new in files.moved.items()]
    section(["", "file"], rows[:SHOWN])
    if len(rows) > SHOWN:
        aside(f"{len(rows) - SHOWN:,} more: --json has them all.")


def moment_text(value: Any) -> Any:
    """A time that travels as text, to the minute; any other value as it is."""
    return f"{value[:10]} {value[11:16]}" if isinstance(value, str) and MOMENT.fullmatch(value) else value


def _extreme(value: Any) -> Any:
    shown = moment_text(value)
    return line(shown, VALUE) if isinstance(shown, str) else shown


def _classed(name: str, found: ViewVersion) -> str:
    tags = found.classes.get(name)
    return f"{name} ({', '.join(tags)})" if tags else name


def _mattering(name: str, use: ViewUse) -> str:
    """To which models a feature matters how much: the share in what each would lose by its inputs."""
    found = [(each.ref, each.importance[name]) for each in use.consumers if name in each.importance]
    return ", ".join(
        f"{ref.name}@{ref.version} {'0' if each.idle else '' if each.share is None else f'{each.share:.0%}'}".strip()
        for ref, each in found
    )


def told_cost(cost: Cost) -> list[str]:
    """What a view costs, in the order of `COSTS`; empty where it is not known."""
    return [
        size(cost.source_bytes),
        "" if cost.online_bytes is None else size(cost.online_bytes),
        "" if cost.materialised is None else f"{cost.materialised:.3g} s",
        "" if cost.joined is None else f"{cost.joined.seconds:.3g} s for {cost.joined.rows:,} rows",
        "" if cost.reads_per_day is None else f"{cost.reads_per_day:,.0f}",
    ]


def _type(name: str) -> str:
    return name.replace("[us, tz=UTC]", " UTC")


def _computed(feature: Any) -> str:
    return f"{feature.aggregation.value} of {feature.sql or 'rows'}" if feature.aggregation else feature.sql


def _columns(names: Sequence[str]) -> str:
    return ", ".join(line(name, NAME) for name in names) or "none"


def _moved(before: Any, after: Any, field: str) -> str | None:
    if before is None or after is None:
        return None
    old, new = getattr(before, field), getattr(after, field)
    return moment_text(old) if old == new else f"{moment_text(old)} → {moment_text(new)}"


class ExternalFace(Face):
    """Datasets, jobs and runs of other systems, as OpenLineage events told of them."""

    kind = Kind.EXTERNAL
    columns = ("external", "kind", "namespace", "name")

    def show(self, rooms: Workspace, ref: Ref) -> Party:
        return rooms.openlineage.show(ref)

    def tell(self, rooms: Workspace, found: Party) -> None:
        about = {"kind": found.kind.value, "namespace": found.namespace, "name": found.name}
        facts(str(found.ref), {**about, "state": found.state, "events": found.events, "last heard": when(found.heard_at)})
        section(["facet", "value"], [[key, encode_text(value)] for key, value in found.facets.items()])

    def list(self, rooms: Workspace, where: Filter) -> Page[Party]:
        return rooms.openlineage.list(text=where.text, under=where.under, limit=where.limit, after=where.after)

    def row(self, item: Party) -> Sequence[Any]:
        return [item.ref, item.kind.value, item.namespace, item.name]
