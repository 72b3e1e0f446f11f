"""The catalog, small and large: its operations must cost the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, cycle
from typing import Any

from benchmarks.cases import MICROSECONDS, Case, Setting, benchmark
from modelwright.core.hashing import digest_bytes
from modelwright.core.operations import Room, operation
from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref
from modelwright.workspace import Settings, Workspace, open_workspace

NAMES = 100  # things that the versions are spread over
WHEN = "2026-01-01T00:00:00.000000Z"


@benchmark("catalog", what="operations on a catalog of many versions; the peer is the same catalog with 1,000")
def catalog(setting: Setting) -> Iterator[Case]:
    """The rows that were there before are put in by SQL; what is timed are operations of the record."""
    large = setting.size(100_000, 5_000)
    with _filled(setting, 1_000) as small, _filled(setting, large) as big:
        for label, prepare in _QUESTIONS.items():
            yield Case(
                label=f"{label}, {large:,} versions",
                unit=MICROSECONDS,
                run=prepare(big, large),
                peer=prepare(small, 1_000),
                against="with 1,000",
                runs=setting.size(200, 10),
                warmups=5,
            )


class Registry(Room):
    """The catalog as an operation of a room uses it."""

    room, kind = "benchmark", Kind.MODEL

    @operation("write", event="benchmark.version.added")
    def add(self, tx: Any, name: str, digest: str) -> Ref:
        """Add a version that needs another."""
        from modelwright.store import catalog

        version = catalog.add(tx, Kind.MODEL, name, digest=digest, record={"size": 1}, needs=[Ref(Kind.MODEL, name, 1)])
        tx.note(resource=version.ref, outputs=[version.ref], after={"digest": digest})
        return version.ref


def _insert(workspace: Workspace, size: int) -> Callable[[object], object]:
    room, names, numbers = Registry(workspace.caller), cycle(range(NAMES)), count(size)
    return lambda _: room.add(_name(next(names)), digest_bytes(str(next(numbers)).encode()))


def _by_version(workspace: Workspace, size: int) -> Callable[[object], object]:
    refs = cycle([Ref(Kind.MODEL, _name(i), 1 + i % (size // NAMES)) for i in range(NAMES)])
    return lambda _: workspace.record.show(next(refs))


def _by_alias(workspace: Workspace, _size: int) -> Callable[[object], object]:
    refs = cycle([Ref(Kind.MODEL, _name(i), "champion") for i in range(NAMES)])
    return lambda _: workspace.record.show(next(refs))


def _by_digest(workspace: Workspace, size: int) -> Callable[[object], object]:
    refs = cycle([Ref(Kind.MODEL, _name(i), f"b3:{digest_bytes(str(i).encode())[:12]}") for i in range(NAMES)])
    return lambda _: workspace.record.show(next(refs))


def _newest(workspace: Workspace, _size: int) -> Callable[[object], object]:
    refs = cycle([Ref(Kind.MODEL, _name(i), "latest") for i in range(NAMES)])
    return lambda _: workspace.record.show(next(refs))


def _page(workspace: Workspace, _size: int) -> Callable[[object], object]:
    return lambda _: workspace.models.list(Filter(limit=50, text="no such"))


_QUESTIONS = {
    "add a version": _insert,
    "look up by number": _by_version,
    "look up by alias": _by_alias,
    "look up by digest": _by_digest,
    "look up the latest": _newest,
    "search the models": _page,
}


def _filled(setting: Setting, size: int) -> Workspace:
    """A workspace whose catalog holds `size` versions of models, each model with a champion."""
    from modelwright.store.tables import catalog_aliases, catalog_things, catalog_versions

    workspace = open_workspace(setting.folder / f"catalog-{size}", settings=Settings())
    assert workspace.home is not None
    each = size // NAMES
    common = {"created_at": WHEN, "created_by": "benchmark", "description": ""}
    versions = [
        {
            "kind": Kind.MODEL,
            "name": _name(i % NAMES),
            "version": i // NAMES + 1,
            "digest": digest_bytes(str(i).encode()),
            "record": "{}",
            "state": "active",
            **common,
        }
        for i in range(size)
    ]
    things = [{"kind": Kind.MODEL, "name": _name(i), "versions": each, "latest_at": WHEN, **common} for i in range(NAMES)]
    champions = [{"kind": Kind.MODEL, "name": _name(i), "alias": "champion", "version": each} for i in range(NAMES)]
    with workspace.home.database.transaction(workspace.principal, write=True) as tx:
        tx.execute(catalog_things.insert(), things)
        tx.execute(catalog_versions.insert(), versions)
        tx.execute(catalog_aliases.insert(), champions)
    return workspace


def _name(number: int) -> str:
    return f"pricing/model-{number:03}"
