"""A dataset version and a profile in a notebook: the figures and the plots of the page, as inline SVG."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from modelwright.core.html import Html, badge, bars, card, facts, table
from modelwright.core.operations import Room
from modelwright.core.sizes import size
from modelwright.core.texts import line

if TYPE_CHECKING:
    from modelwright.datasets.records import ColumnProfile, DatasetColumn, DatasetVersion, Profile

    Column = tuple[DatasetColumn | ColumnProfile, ColumnProfile | None]

MANY = 60  # columns that are shown; the rest is counted
NAME = 60  # characters of the name of one
HEAD = ("column", "type", "distribution", "missing", "different", "least", "median", "greatest", "most frequent")
OPEN: weakref.WeakSet[Room] = weakref.WeakSet()  # the rooms of this process, of which one may have a version's profile


def version(of: DatasetVersion) -> str:
    """A version: what it is and where from, and its columns with their plots, where an open workspace has its profile."""
    held = _profile(of)
    columns: list[Column] = [(each, held.column(each.name) if held is not None else None) for each in of.columns]
    holds = f"{of.rows:,} rows, {len(of.columns)} columns" if of.is_table else f"{of.files:,} files"
    stored = "" if of.stored is None else f" ({size(of.stored)} stored for it)"
    return card(
        str(of.ref),
        of.description or of.source,
        facts(
            [
                ("holds", f"{holds}, {size(of.bytes)}{stored}"),
                ("times", f"{of.time_range.first} to {of.time_range.last}" if of.time_range else ""),
                ("state", badge(of.state.value, "warn") if of.state.value != "active" else ""),
                ("gone", of.tombstone.at if of.tombstone else ""),
                ("aliases", ", ".join(of.aliases)),
                ("digest", of.digest),
                ("made", f"{of.created_at:%Y-%m-%d %H:%M} UTC by {of.created_by}"),
                ("from", ", ".join(str(each) for each in (of.parent, of.merged) if each)),
                ("successor", of.successor),
                ("you read masked", ", ".join(each.column for each in of.masks)),
                ("tags", ", ".join(f"{key}={value}" for key, value in of.tags.items())),
            ]
        ),
        _columns(columns, of.key, of.rows),
    )


def profile(of: Profile) -> str:
    """A profile: each column with its plot."""
    columns: list[Column] = [(each, each) for each in of.columns]
    return card("Profile", f"{of.rows:,} rows, {len(columns)} columns", _columns(columns, [], of.rows))


def plot(of: ColumnProfile) -> Html:
    """The histogram of numbers, or the counts of frequent values."""
    if of.histogram is not None:
        return bars(of.histogram.counts, f"Distribution of {line(of.name, NAME)}")
    return bars([each.count for each in of.top], f"Most frequent values of {line(of.name, NAME)}")


def _columns(columns: Sequence[Column], key: Sequence[str], rows: int) -> Html:
    if not columns:
        return Html("")
    lines: list[list[Any]] = []
    for column, found in columns[:MANY]:
        name = line(column.name, NAME) + (" (key)" if column.name in key else "")
        lines.append([name, column.type, *(_figures(found, rows) if found is not None else [""] * 7)])
    notes = [f"and {len(columns) - MANY:,} more columns"] if len(columns) > MANY else []
    profiled = [each for _, each in columns if each is not None]
    if off := max((each.distinct_error for each in profiled), default=0.0):
        notes.append(f"~ is an estimate with a standard error of {off:.1%}")
    if off := max((each.rank_error for each in profiled), default=0.0):
        notes.append(f"quantiles and distributions are within {off:.0%} of the ranks")
    said = f'<div style="opacity:.7">{"; ".join(notes)}</div>' if notes else ""
    return Html(table(HEAD, lines, right=range(3, 8)) + said)


def _figures(of: ColumnProfile, rows: int) -> list[Any]:
    return [
        plot(of),
        f"{of.missing / rows if rows else 0:.1%}",
        "" if of.distinct is None else f"{'' if of.distinct_exact else '~'}{of.distinct:,}",
        _short(of.told(of.minimum)),
        of.quantiles.get("0.5"),
        _short(of.told(of.maximum)),
        ", ".join(f"{_short(of.told(each.value))} {each.count / rows if rows else 0:.0%}" for each in of.top[:3]),
    ]


def _short(value: Any) -> Any:
    return line(value, 19) if isinstance(value, str) else value


def _profile(of: DatasetVersion) -> Profile | None:
    """The profile of a version from the open workspace that has it, as whoever opened that may read it; else None."""
    if of.profile is None:
        return None
    rooms: list[Any] = list(OPEN)
    for room in rooms:
        try:
            if room.show(of.ref).digest == of.digest:
                found: Profile = room.profile(of.ref)
                return found
        except Exception:  # noqa: BLE001, S112 - of any room that is open: what it cannot tell is shown without plots
            continue
    return None
