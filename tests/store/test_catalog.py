"""Versions and aliases: counted under concurrency, immutable, with a history; nothing goes from under a dependant."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from modelwright.core.clock import SystemClock
from modelwright.core.errors import BadRef, Conflict, InUse, Invalid, NotFound
from modelwright.core.paging import Filter
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind, Ref
from modelwright.store import Database, State, catalog
from modelwright.store.ledger import merkle
from modelwright.store.tables import catalog_versions, ledger_events, ledger_head
from tests.waiting import LONG

ADA = Principal(id="ada", trusted=True)
D = "d" * 64


def add(tx, name: str = "delay", digest: str = "", needs=(), kind: Kind = Kind.MODEL, **more):
    return catalog.add(tx, kind, name, digest=digest or os.urandom(32).hex(), record={}, needs=needs, **more)


# Numbers


def test_versions_count_up_from_one_and_the_same_digest_is_the_same_version(write):
    with write() as tx:
        assert [add(tx, digest=d * 64).ref.version for d in "aab"] == [1, 1, 2]
        assert add(tx, "other").ref.version == 1


def test_versions_are_numbered_without_gap_or_double_by_many_threads(database: Database):
    def work() -> None:
        for _ in range(5):
            with database.transaction(ADA, write=True) as tx:
                add(tx)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.transaction(ADA, write=False) as tx:
        numbers = tx.execute(sa.select(catalog_versions.c.version).order_by(catalog_versions.c.version)).scalars().all()
    assert numbers == list(range(1, 21))


_WRITER = """
import os, sys
from modelwright.core.clock import SystemClock
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind, Ref
from modelwright.store import Database, catalog
database = Database(sys.argv[1], SystemClock())
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    with database.transaction(Principal(id="child", trusted=True), write=True) as tx:
        made = catalog.add(tx, Kind.MODEL, "delay", digest=os.urandom(32).hex(), record={})
        tx.record("models.version.registered", made.ref, outputs=[made.ref])
    print(made.ref.version, flush=True)
"""


def _writer(database: Database, count: int) -> subprocess.Popen[str]:
    url = database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", _WRITER, url, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_versions_are_numbered_without_gap_or_double_by_several_processes(database: Database):
    database.clock = SystemClock()
    writers = [_writer(database, 8) for _ in range(3)]
    outputs = [writer.communicate(timeout=120) for writer in writers]
    assert all(writer.returncode == 0 for writer in writers), outputs
    given = sorted(int(line) for out, _ in outputs for line in out.split()[1:])
    assert given == list(range(1, 25))


@pytest.mark.parametrize(
    "moment", [0.0, 0.029, *(pytest.param(each, marks=pytest.mark.thorough) for each in (0.013, 0.05, 0.11))]
)
def test_a_killed_process_leaves_change_and_event_both_or_neither(database: Database, moment: float):
    writer = _writer(database, 100_000)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    acknowledged = [int(writer.stdout.readline()) for _ in range(3)]
    time.sleep(moment)
    os.kill(writer.pid, signal.SIGKILL)
    with writer.stdout, writer.stderr or contextlib.nullcontext():
        rest = writer.stdout.read()  # `communicate` would pass over what `readline` took ahead
    writer.wait(LONG)
    acknowledged += [int(line) for line in rest.split("\n")[:-1]]
    with database.transaction(ADA, write=True) as tx:
        versions = tx.execute(sa.select(catalog_versions.c.version).order_by(catalog_versions.c.version)).scalars().all()
        leaves = tx.execute(sa.select(ledger_events.c.leaf).order_by(ledger_events.c.seq)).scalars().all()
        head = tx.execute(sa.select(ledger_head)).one()
    assert len(versions) == len(leaves) == head.size
    assert versions[: len(acknowledged)] == acknowledged
    assert merkle.root_of(map(bytes, leaves)) == merkle.root(merkle.pieces(head.frontier))


# What a ref stands for


def test_a_ref_stands_for_a_number_an_alias_a_digest_or_the_latest(write):
    with write() as tx:
        add(tx, digest="a" * 64)
        add(tx, digest="b" * 64)
        catalog.set_alias(tx, Ref.parse("model:delay@1"), "champion")
        for text, number in {
            "model:delay@1": 1,
            "model:delay@champion": 1,
            "model:delay@b3:aaaaaaaa": 1,
            "model:delay@latest": 2,
            "model:delay": 2,
        }.items():
            assert catalog.resolve(tx, Ref.parse(text)).version == number
        assert catalog.get(tx, Ref.parse("model:delay@1")).aliases == ["champion"]


def test_what_is_not_there_is_said_with_what_is(write):
    with write() as tx:
        add(tx)
        for text, told in {
            "model:dellay": "delay",
            "model:delay@7": "version 1",
            "model:delay@blessed": "version 1",
            "model:delay@b3:00000000": "b3:00000000",
            "model:Delay": "delay",
        }.items():
            with pytest.raises(NotFound, match=told):
                catalog.get(tx, Ref.parse(text))


def test_a_digest_that_fits_two_versions_is_refused(write):
    with write() as tx:
        add(tx, digest="a" * 63 + "1")
        add(tx, digest="a" * 63 + "2")
        with pytest.raises(Conflict, match="more than one"):
            catalog.resolve(tx, Ref.parse("model:delay@b3:aaaaaaaa"))


def test_names_are_told_apart_by_case(write):
    with write() as tx:
        add(tx, "pricing/delay")
        add(tx, "Pricing/delay")
        page = catalog.list_things(tx, Kind.MODEL, Filter(under="pricing"))
        assert [version.ref.name for version in page.items] == ["pricing/delay"]
        tx.readable = lambda kind: ["Pricing"]
        page = catalog.list_things(tx, Kind.MODEL, Filter())
        assert [version.ref.name for version in page.items] == ["Pricing/delay"]


def test_an_under_score_in_a_name_is_no_wild_card(write):
    with write() as tx:
        add(tx, "a_b/x")
        add(tx, "acb/x")
        assert [v.ref.name for v in catalog.list_things(tx, Kind.MODEL, Filter(under="a_b")).items] == ["a_b/x"]


# Immutable


def test_a_version_cannot_be_added_twice_or_changed_but_by_retiring(write):
    with write() as tx:
        add(tx, digest=D)
    again = catalog_versions.insert().values(
        kind="model",
        name="delay",
        version=1,
        digest=D,
        record="{}",
        description="",
        state="active",
        created_at="2026-01-01T00:00:00.000000Z",
        created_by="eve",
    )
    with pytest.raises(sa.exc.IntegrityError), write() as tx:
        tx.execute(again)
    with write() as tx:
        held = catalog.get(tx, Ref.parse("model:delay@1"))
        assert held.state is State.ACTIVE and held.created_by == "ada"


def test_a_retired_version_names_its_successor_and_cannot_be_retired_again(write):
    with write() as tx:
        add(tx)
        add(tx)
        retired = catalog.retire(tx, Ref.parse("model:delay@1"), Ref.parse("model:delay@latest"))
        assert (retired.state, retired.successor) == (State.RETIRED, Ref.parse("model:delay@2"))
        with pytest.raises(Conflict, match="retired already"):
            catalog.retire(tx, Ref.parse("model:delay@1"), None)


# Aliases


def test_what_an_alias_was_on_a_date_is_one_question(database: Database, clock):
    start = clock.now()
    with database.transaction(ADA, write=True) as tx:
        add(tx)
        add(tx)
    for day, version in ((10, 1), (20, 2), (30, None), (40, 1)):
        clock.advance(start + timedelta(days=day))
        with database.transaction(Principal(id=f"user{day}", trusted=True), write=True) as tx:
            if version:
                catalog.set_alias(tx, Ref.parse(f"model:delay@{version}"), "champion", reason=f"day {day}")
            else:
                catalog.drop_alias(tx, Ref.parse("model:delay"), "champion")
    with database.transaction(ADA, write=False) as tx:
        ref = Ref.parse("model:delay")
        held = {day: catalog.aliased_at(tx, ref, "champion", start + timedelta(days=day)) for day in (5, 15, 25, 35, 45)}
        assert {day: move and move.version for day, move in held.items()} == {5: None, 15: 1, 25: 2, 35: None, 45: 1}
        assert (held[25].actor, held[25].reason) == ("user20", "day 20")
        assert [move.version for move in catalog.alias_history(tx, ref, "champion")] == [1, None, 2, 1]
        assert [m.version for m in catalog.all_aliased_at(tx, Kind.MODEL, "champion", start + timedelta(days=25))] == [2]
        assert catalog.all_aliased_at(tx, Kind.MODEL, "champion", start + timedelta(days=35)) == []


def test_latest_and_numbers_are_no_aliases(write):
    with write() as tx:
        add(tx)
        with pytest.raises(Invalid):
            catalog.set_alias(tx, Ref.parse("model:delay@1"), "latest")
        for wrong in ("7", "-x", "a b", ""):
            with pytest.raises(BadRef):
                catalog.set_alias(tx, Ref.parse("model:delay@1"), wrong)


# Dependants


def test_what_something_depends_on_cannot_be_deleted_and_the_dependants_are_named(write):
    with write() as tx:
        data = add(tx, "flights", kind=Kind.DATASET)
        model = add(tx, needs=[data.ref])
        with pytest.raises(InUse, match="model:delay@1") as refusal:
            catalog.delete(tx, data.ref)
        assert refusal.value.details["dependants"] == ["model:delay@1"]
        assert catalog.dependants(tx, Ref.parse("dataset:flights")) == [model.ref]
        catalog.delete(tx, model.ref)
        catalog.delete(tx, data.ref)
        assert catalog.find(tx, data.ref) is None


def test_a_version_with_an_alias_cannot_be_deleted(write):
    with write() as tx:
        add(tx)
        catalog.set_alias(tx, Ref.parse("model:delay@1"), "champion")
        with pytest.raises(InUse, match="@champion"):
            catalog.delete(tx, Ref.parse("model:delay@1"))


def test_the_number_of_a_deleted_version_is_never_given_again_and_the_thing_is_still_listed(write):
    with write() as tx:
        add(tx)
        add(tx)
        catalog.delete(tx, Ref.parse("model:delay@2"))
        assert [v.ref for v in catalog.list_things(tx, Kind.MODEL, Filter()).items] == [Ref.parse("model:delay@1")]
        assert add(tx).ref.version == 3


# Lists


def test_pages_hold_every_thing_once_the_most_recent_first(write):
    names = [f"m{n}" for n in range(7)]
    for name in names:
        with write() as tx:
            add(tx, name)
    with write() as tx:
        seen, after = [], None
        while True:
            page = catalog.list_things(tx, Kind.MODEL, Filter(limit=3, after=after))
            seen += [version.ref.name for version in page.items]
            after = page.next
            if after is None:
                break
        assert seen == names[::-1]


def test_lists_are_narrowed_by_text_tags_and_state(write):
    with write() as tx:
        add(tx, "delay", description="Arrival DELAY in minutes", tags={"team": "ops"})
        add(tx, "price", tags={"team": "sales"})
        catalog.retire(tx, Ref.parse("model:price"), None)
        for where, expected in (
            (Filter(text="delay in"), ["delay"]),
            (Filter(tags={"team": "ops"}), ["delay"]),
            (Filter(tags={"team": "nobody"}), []),
            (Filter(state="retired"), ["price"]),
        ):
            assert [v.ref.name for v in catalog.list_things(tx, Kind.MODEL, where).items] == expected
