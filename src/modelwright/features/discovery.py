"""Finding features, and who uses them. Functions on an open transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.paging import every
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert
from modelwright.evaluation.records import IMPORTANCE
from modelwright.features import queries
from modelwright.features.definitions import FeatureView
from modelwright.features.records import Consumer, Cost, Mattering, OnlineState, ViewRecord
from modelwright.store import State, Transaction, Version, catalog, evidence, scopes

Readable = Callable[[Ref], bool]


def views(tx: Transaction, text: str) -> list[Version]:
    """The latest versions of the views in whose names, features, entities, sources, owners, tags or words a text occurs.

    Of several words each must occur. Retired ones are left out.
    """
    words, found = text.lower().split(), []
    for version in every(partial(catalog.list_things, tx, Kind.FEATURES)):
        record: ViewRecord = convert(version.record, ViewRecord)
        said = _said(record.view, version.tags)
        if version.state is State.ACTIVE and all(word in said for word in words):
            found.append(version)
    return found


def _said(view: FeatureView, tags: dict[str, str]) -> str:
    parts = [view.name, view.description, view.owner, str(view.source), *view.entity]
    parts += [f"{each.name} {each.description} {each.sql}" for each in [*view.features, *view.on_demand]]
    return "\n".join([*parts, *(f"{key}={value}" for key, value in tags.items())]).lower()


def consumers(tx: Transaction, view: Ref, names: Sequence[str]) -> list[Consumer]:
    """What depends on any version of a view, of what the caller may read; with the features that it takes.

    What takes named inputs says so in its signature. Without one it counts as taking all of the view.
    """
    found = []
    may: dict[Kind, Callable[[str], bool]] = {}
    for ref in catalog.dependants(tx, view.whole):
        if ref.kind not in may:
            may[ref.kind] = scopes.may_read(tx, ref.kind)
        if not may[ref.kind](ref.name):
            continue
        version = catalog.find(tx, ref)
        if version is None or version.state is not State.ACTIVE:
            continue
        inputs = (version.record.get("signature") or {}).get("inputs")
        taken = {each["name"] for each in inputs} if inputs is not None else set(names)
        mine = [name for name in names if name in taken]
        matters = importance(tx, ref, mine) if ref.kind is Kind.MODEL else {}
        found.append(Consumer(ref=ref, features=mine, aliases=list(version.aliases), importance=matters))
    return found


def importance(tx: Transaction, model: Ref, names: Sequence[str]) -> dict[str, Mattering]:
    """How much some inputs matter to a model version, by the newest evidence of it."""
    said = evidence.about(tx, model, IMPORTANCE)
    figures = said[0].figures if said else {}
    found = {}
    for name in names:
        try:
            found[name] = convert(figures[name], Mattering)
        except (KeyError, Invalid):  # nobody measured it, or it was put down by hand as something else
            continue
    return found


def cost(
    tx: Transaction,
    view: FeatureView,
    ref: Ref,
    state: OnlineState | None,
    reads: float | None,
    known: dict[Ref, tuple[int, int]],
) -> Cost:
    """What a view version costs, by what is online and the newest version of its dataset that may be used.

    `known` are rows and bytes of datasets that were looked at: many views have one.
    """
    wanted = state.source if state is not None else view.source
    if wanted not in known:
        try:
            source = catalog.get(tx, wanted).record
        except NotFound:  # retired and gone meanwhile
            source = {}
        known[wanted] = int(source.get("rows") or 0), int(source.get("bytes") or 0)
    source_rows, source_bytes = known[wanted]
    return Cost(
        source_rows=source_rows,
        source_bytes=source_bytes,
        online_rows=None if state is None else state.rows,
        online_bytes=None if state is None else state.bytes,
        materialised=None if state is None else state.seconds,
        joined=queries.joined(tx, ref),
        reads_per_day=reads,
    )
