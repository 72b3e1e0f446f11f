"""Accounts, credentials and rights, through the operations and the door that asks who is there."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from modelwright.core.clock import ManualClock
from modelwright.core.errors import Conflict, Denied, Invalid, NotFound, Refused, Unauthenticated
from modelwright.core.principals import Principal
from modelwright.policy import Access, Authenticator
from modelwright.store import Database
from modelwright.store.tables import metadata

if TYPE_CHECKING:
    from conftest import Office

SECRET = "correct horse battery"
MONTH = timedelta(days=30)


@pytest.fixture
def door(office: Office) -> Authenticator:
    return Authenticator(office.database, office.rights)


@pytest.fixture
def root(office: Office) -> Access:
    """Embedded use: whoever has the files."""
    return Access(office.caller("root"))


def join(root: Access, door: Authenticator, name: str, *roles: str) -> None:
    root.create_user(name)
    door.redeem(root.invite(name).token, SECRET)
    for role in roles:
        root.grant(name, role)


def as_(office: Office, principal: Principal) -> Access:
    return Access(office.caller(principal))


def test_a_person_is_invited_sets_a_password_once_and_signs_in(root: Access, door: Authenticator) -> None:
    root.create_user("ada", display="Ada")
    setup = root.invite("ada").token
    assert door.redeem(setup, SECRET).id == "ada"
    with pytest.raises(Unauthenticated):
        door.redeem(setup, "another long password")
    session = door.login("ada", SECRET, "10.0.0.1")
    who = door.session(session.token, "10.0.0.1")
    assert (who.id, who.auth, who.trusted) == ("ada", "session", False)
    door.logout(session.token)
    with pytest.raises(Unauthenticated):
        door.session(session.token)


def test_the_first_admin_comes_by_a_set_up_token_and_only_once(root: Access, door: Authenticator) -> None:
    first = root.first_admin()
    second = root.first_admin()
    with pytest.raises(Unauthenticated):
        door.redeem(first.token, SECRET)
    door.redeem(second.token, SECRET)
    with pytest.raises(Conflict):
        root.first_admin()


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "ada-ada-1234", "x" * 300])
def test_a_weak_password_is_refused_without_being_shown(root: Access, door: Authenticator, password: str) -> None:
    root.create_user("ada-ada")
    with pytest.raises(Invalid) as refused:
        door.redeem(root.invite("ada-ada").token, password)
    assert password not in str(refused.value)


def test_failures_lock_a_name_from_that_address_for_longer_each_time(
    root: Access, door: Authenticator, clock: ManualClock
) -> None:
    join(root, door, "ada")
    for _ in range(5):
        with pytest.raises(Unauthenticated, match="wrong"):
            door.login("ada", "not the password", "10.0.0.9")
    with pytest.raises(Unauthenticated, match="Too many") as locked:
        door.login("ada", SECRET, "10.0.0.9")
    assert 25 <= locked.value.details["retry_after"] <= 30
    assert door.login("ada", SECRET, "10.0.0.1").token
    for _ in range(6):
        clock.advance(timedelta(minutes=20))
        with pytest.raises(Unauthenticated, match="wrong"):
            door.login("ada", "not the password", "10.0.0.9")
    with pytest.raises(Unauthenticated, match="Too many") as locked:
        door.login("ada", SECRET, "10.0.0.9")
    clock.advance(timedelta(minutes=20))
    assert door.login("ada", SECRET, "10.0.0.9").token


def test_an_unknown_name_is_answered_and_locked_like_a_known_one(door: Authenticator, office: Office) -> None:
    for _ in range(5):
        with pytest.raises(Unauthenticated, match="wrong"):
            door.login("nobody", SECRET)
    with pytest.raises(Unauthenticated, match="Too many"):
        door.login("nobody", SECRET)
    assert [e["action"] for e in office.events()] == ["access.denied"]


def test_a_token_may_what_its_owner_may_at_this_moment_and_no_more(
    root: Access, door: Authenticator, office: Office
) -> None:
    join(root, door, "ada", "scientist")
    ada = door.session(door.login("ada", SECRET).token)
    text = as_(office, ada).create_token("ada", scopes=["read", "write", "kill"]).token
    token = door.token(text)
    office.add("root", "model:delay")
    assert as_(office, token).what_can("ada")
    with pytest.raises(Denied):
        office.policy(token).classify(office.add("root", "model:x").ref, {})
    root.revoke("ada", "scientist")
    with pytest.raises(NotFound):
        office.policy(door.token(text)).tier(office.add("root", "model:y").ref)


def test_revoking_a_token_or_its_owner_is_felt_by_the_next_request(
    root: Access, door: Authenticator, office: Office
) -> None:
    join(root, door, "ada", "viewer")
    ada = as_(office, door.session(door.login("ada", SECRET).token))
    one, other = ada.create_token("ada"), ada.create_token("ada")
    assert door.token(one.token).token_id == one.credential.id
    ada.revoke_token("ada", one.credential.id)
    with pytest.raises(Unauthenticated):
        door.token(one.token)
    root.set_active("ada", active=False, reason="left")
    with pytest.raises(Unauthenticated):
        door.token(other.token)
    with pytest.raises(NotFound):
        ada.what_can("ada")


def test_a_token_ends_with_its_days_and_lasts_ninety_at_most(
    root: Access, door: Authenticator, office: Office, clock: ManualClock
) -> None:
    join(root, door, "ada")
    ada = as_(office, door.session(door.login("ada", SECRET).token))
    with pytest.raises(Invalid):
        ada.create_token("ada", days=91)
    text = ada.create_token("ada", days=30).token
    clock.advance(MONTH - timedelta(minutes=1))
    assert door.token(text).id == "ada"
    clock.advance(timedelta(minutes=2))
    with pytest.raises(Unauthenticated):
        door.token(text)


def test_a_session_ends_when_nobody_uses_it(root: Access, door: Authenticator, clock: ManualClock) -> None:
    join(root, door, "ada")
    text = door.login("ada", SECRET).token
    for _ in range(4):
        clock.advance(timedelta(minutes=20))
        assert door.session(text).id == "ada"
    clock.advance(timedelta(minutes=31))
    with pytest.raises(Unauthenticated):
        door.session(text)


def test_a_service_account_acts_for_its_owner_and_goes_with_them(root: Access, door: Authenticator, office: Office) -> None:
    join(root, door, "ada")
    root.create_service("svc/ci", owner="ada")
    ada = as_(office, door.session(door.login("ada", SECRET).token))
    text = ada.create_token("svc/ci", days=300).token
    assert door.token(text).effective_id == "ada"
    with pytest.raises(Unauthenticated):
        door.login("svc/ci", SECRET)
    root.set_active("ada", active=False, reason="left")
    with pytest.raises(Unauthenticated):
        door.token(text)


def test_nobody_makes_a_token_or_a_password_for_somebody_else(root: Access, door: Authenticator, office: Office) -> None:
    join(root, door, "boss", "admin", "scientist")
    join(root, door, "ada")
    boss = as_(office, door.session(door.login("boss", SECRET).token))
    with pytest.raises(Denied):
        boss.create_token("ada")
    with pytest.raises(Denied):
        boss.set_password("ada", password="another long password")


def test_a_token_neither_sets_a_password_nor_makes_a_wider_token(root: Access, door: Authenticator, office: Office) -> None:
    join(root, door, "ada")
    ada = as_(office, door.session(door.login("ada", SECRET).token))
    narrow = as_(office, door.token(ada.create_token("ada", scopes=["use", "read"]).token))
    with pytest.raises(Denied):
        narrow.set_password("ada", password="another long password")
    with pytest.raises(Denied):
        narrow.create_token("ada")
    with pytest.raises(Denied):
        narrow.create_token("ada", scopes=["read", "write"])
    assert narrow.create_token("ada", scopes=["read"]).credential.scopes == ["read"]


def test_an_admin_gives_no_rights_to_themselves_nor_to_their_machines(
    root: Access, door: Authenticator, office: Office
) -> None:
    join(root, door, "boss", "admin")
    root.create_service("svc/boss", owner="boss")
    boss = as_(office, door.session(door.login("boss", SECRET).token))
    for name in ("boss", "svc/boss"):
        with pytest.raises(Refused):
            boss.grant(name, "risk_officer")
    root.create_user("ada")
    assert boss.grant("ada", "viewer", scope="model:pricing/").scope == "model:pricing"


def test_what_one_may_not_see_does_not_exist_and_what_one_may_see_is_refused(
    root: Access, door: Authenticator, office: Office
) -> None:
    join(root, door, "ada")
    root.create_user("grace")
    ada = as_(office, door.session(door.login("ada", SECRET).token))
    with pytest.raises(NotFound):
        ada.what_can("grace")
    root.grant("ada", "viewer")
    assert list(ada.what_can("grace")) == []
    with pytest.raises(Denied):
        ada.grant("grace", "viewer")
    denied = [e for e in office.events() if e["action"] == "access.denied"]
    assert [e["after"]["verb"] for e in denied] == ["read", "grant"]


def test_who_can_and_what_can_say_it_with_their_rules(root: Access, door: Authenticator) -> None:
    join(root, door, "ada", "operator")
    join(root, door, "eve")
    root.grant("eve", "operator", scope="deployment:delay")
    root.grant("ada", "operator", scope="deployment:delay/secret", deny=True)
    assert [h.principal for h in root.who_can("deploy.production", "deployment:delay")] == ["ada", "eve"]
    holders = root.who_can("deploy.production", "deployment:delay/secret")
    assert [(h.principal, h.rules) for h in holders] == [("eve", ["grant:operator@deployment:delay"])]
    assert {r.scope: r.deny for r in root.what_can("ada")} == {"*": False, "deployment:delay/secret": True}


def test_roles_can_be_added_but_the_shipped_ones_stay(root: Access) -> None:
    made = root.define_role("canary-keeper", ["read", "deploy.staging"])
    assert made.origin == "workspace"
    with pytest.raises(Conflict):
        root.define_role("admin", ["approve"])
    with pytest.raises(Invalid):
        root.define_role("odd", ["fly"])
    assert {r.name for r in root.roles()} >= {"viewer", "admin", "canary-keeper"}


def test_no_secret_is_stored_or_recorded_anywhere(
    root: Access, door: Authenticator, office: Office, database: Database
) -> None:
    join(root, door, "ada")
    session = door.login("ada", SECRET).token
    token = as_(office, door.session(session)).create_token("ada").token
    with pytest.raises(Unauthenticated):
        door.login("ada", "a wrong but secret one")
    with database.engine.connect() as connection:
        everything = "".join(str(list(connection.execute(sa.select(t)))) for t in metadata.sorted_tables)
    for secret in (SECRET, session.split("_")[3], token.split("_")[3], "a wrong but secret one"):
        assert secret not in everything


def test_basic_takes_a_password_or_a_token_under_its_own_name(root: Access, door: Authenticator, office: Office) -> None:
    join(root, door, "ada")
    assert door.basic("ada", SECRET).auth == "password"
    token = as_(office, door.basic("ada", SECRET)).create_token("ada").token
    assert door.basic("ada", token).auth == "token"
    with pytest.raises(Unauthenticated):
        door.basic("grace", token)
