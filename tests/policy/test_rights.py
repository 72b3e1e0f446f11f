"""The authorizer on a database: its cache follows every change, and refusals are on the record."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import ManualClock
from modelwright.core.operations import Resource
from modelwright.core.principals import OPERATOR, Principal
from modelwright.core.refs import Kind
from modelwright.policy import Rights, queries
from modelwright.policy.denials import DISTINCT
from modelwright.policy.tables import grants
from modelwright.store import Database
from modelwright.store.tables import ledger_events

ADA = Principal(id="ada", auth="token")
DELAY = Resource(Kind.MODEL, "delay")


def allowed(database: Database, rights: Rights) -> bool:
    with database.transaction(ADA, write=False) as tx:
        return rights.decide(tx, ADA, "read", DELAY).allow


def give(database: Database) -> None:
    with database.transaction(OPERATOR, write=True) as tx:
        row = {"principal": "ada", "role": "viewer", "scope": "*", "deny": False}
        tx.execute(grants.insert().values(**row, created_at=tx.stamp, created_by="root"))
        queries.move_epoch(tx)


def events(database: Database) -> list[dict[str, object]]:
    with database.engine.connect() as connection:
        rows = connection.execute(sa.select(ledger_events.c.body).order_by(ledger_events.c.seq))
        return [msgspec.json.decode(row.body) for row in rows]


def test_a_grant_made_elsewhere_is_seen_by_the_next_transaction(database: Database) -> None:
    one, other = Rights(database), Rights(database)
    assert not allowed(database, one) and not allowed(database, other)
    give(database)
    assert allowed(database, one) and allowed(database, other)


def test_a_grant_that_is_rolled_back_never_counted(database: Database) -> None:
    rights = Rights(database)
    try:
        with database.transaction(OPERATOR, write=True) as tx:
            rights.decide(tx, ADA, "read", DELAY)
            tx.execute(
                grants.insert().values(
                    principal="ada", role="viewer", scope="*", deny=False, created_at=tx.stamp, created_by="root"
                )
            )
            queries.move_epoch(tx)
            assert not rights.decide(tx, ADA, "read", DELAY).allow
            raise RuntimeError
    except RuntimeError:
        pass
    assert not allowed(database, rights)


def test_repeated_refusals_are_one_event_a_minute_and_one_count(database: Database, clock: ManualClock) -> None:
    rights = Rights(database)
    for _ in range(5):
        rights.denied(ADA, "write", DELAY, ["no-grant"])
    assert [e["action"] for e in events(database)] == ["access.denied"]
    assert events(database)[0]["rules"] == ["no-grant"]
    clock.advance(timedelta(minutes=1))
    assert rights.denials.settle() == 1
    assert rights.denials.settle() == 0
    last = events(database)[-1]
    assert last["action"] == "access.denials.repeated"
    assert last["after"] == {"verb": "write", "resource": "model:delay", "repeats": 4, "minute": "2026-03-02T09:00Z"}


def test_trying_many_names_does_not_flood_the_record(database: Database) -> None:
    rights = Rights(database)
    for number in range(DISTINCT + 20):
        rights.denied(ADA, "read", Resource(Kind.MODEL, f"guess-{number}"), [])
    assert len(events(database)) == DISTINCT + 1


def test_a_refusal_on_a_name_that_breaks_the_grammar_is_recorded_too(database: Database) -> None:
    Rights(database).denied(ADA, "read", Resource(Kind.MODEL, "../../etc/passwd"), [])
    resource = cast("dict[str, object]", events(database)[0]["resource"])
    assert resource["ref"] == "principal:ada"
