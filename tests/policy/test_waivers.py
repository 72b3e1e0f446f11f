"""Waivers: who grants them, how they end, and that somebody hears of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from modelwright.core.clock import ManualClock
from modelwright.core.errors import Invalid, Refused
from modelwright.core.refs import Ref
from modelwright.policy.reports import Status
from modelwright.policy.waivers import STAGES, Waiver, expiring
from modelwright.store import Database, Verdict, Version

if TYPE_CHECKING:
    from conftest import Office

CONTROL = "every decision is read by a person"


def grant(office: Office, who: str, ref: Ref, until: datetime, rule: str = "model-card") -> Waiver:
    return office.policy(who).waive(ref, rule, reason="the card is being written", control=CONTROL, until=until)


def card(office: Office, ref: Ref) -> Status:
    report = office.policy("ada").gate(ref, "promote", environment="production")
    return next(r.status for r in report.requirements if r.id == "model-card")


@pytest.fixture
def cardless(office: Office, ready: Version) -> Version:
    office.know("ada", ready, "model-card", Verdict.FAIL)
    return ready


def test_a_waiver_lets_it_through_until_it_ends(office: Office, cardless: Version, clock: ManualClock) -> None:
    assert card(office, cardless.ref) is Status.FAIL
    grant(office, "rita", cardless.ref, clock.now() + timedelta(days=20))
    assert card(office, cardless.ref) is Status.WAIVED
    clock.advance(timedelta(days=20, seconds=1))
    assert card(office, cardless.ref) is Status.FAIL


def test_it_is_announced_at_fourteen_three_and_no_days_once_each(
    office: Office, cardless: Version, clock: ManualClock
) -> None:
    held = grant(office, "rita", cardless.ref, clock.now() + timedelta(days=20))
    policy, stages = office.policy("operator"), []
    for _ in range(25):
        stages += [alert.stage for alert in policy.remind()]
        stages += [alert.stage for alert in policy.remind()]
        clock.advance(timedelta(days=1))
    assert stages == [14, 3, 0]
    assert [w.id for w in policy.waivers()] == [held.id]
    assert sum(e["action"] == "policy.waivers.reminded" for e in office.events()) == 3


def test_neither_an_author_nor_whoever_asked_grants_it(office: Office, cardless: Version, clock: ManualClock) -> None:
    until = clock.now() + timedelta(days=5)
    with pytest.raises(Refused, match="author"):
        grant(office, "ada", cardless.ref, until)
    office.policy("rita").request_waiver(cardless.ref, "model-card", reason="we are late")
    with pytest.raises(Refused, match="asked for this waiver"):
        grant(office, "rita", cardless.ref, until)
    assert grant(office, "remy", cardless.ref, until).requested_by == "rita"
    assert card(office, cardless.ref) is Status.WAIVED


@pytest.mark.parametrize("days", [0, -1, 91])
def test_a_waiver_ends_within_ninety_days(office: Office, cardless: Version, clock: ManualClock, days: int) -> None:
    with pytest.raises(Invalid):
        grant(office, "rita", cardless.ref, clock.now() + timedelta(days=days))


def test_only_what_the_policy_asks_and_allows_can_be_waived(office: Office, cardless: Version, clock: ManualClock) -> None:
    until = clock.now() + timedelta(days=5)
    with pytest.raises(Invalid, match="no requirement"):
        grant(office, "rita", cardless.ref, until, rule="beauty")
    with pytest.raises(Refused, match="cannot be waived"):
        grant(office, "rita", cardless.ref, until, rule="approved-before")


def test_a_waiver_that_is_taken_back_ends_at_once(office: Office, cardless: Version, clock: ManualClock) -> None:
    held = grant(office, "rita", cardless.ref, clock.now() + timedelta(days=5))
    office.policy("rita").revoke(cardless.ref, held.id, reason="the control was not kept")
    assert card(office, cardless.ref) is Status.FAIL
    assert office.policy("ada").waivers() == []


def test_a_waiver_that_passed_two_stages_unnoticed_is_announced_once(database: Database, clock: ManualClock) -> None:
    now = clock.now()
    held = Waiver(
        id="W",
        ref=Ref("model", "delay", 1),
        rule="r",
        environment="",
        reason="",
        control="",
        granted_by="rita",
        granted_at=now,
        until=now + timedelta(days=2),
    )
    (alert,) = expiring([held], set(), now)
    assert alert.stage == 3 and "expires in 2 days" in alert.message
    assert expiring([held], {("W", 3)}, now) == []
    assert expiring([held], {("W", 0)}, now + timedelta(days=30)) == []
    assert STAGES == (0, 3, 14)
