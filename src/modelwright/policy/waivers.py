"""Waivers run out. A pure decision of which somebody must be told about: 14 days before, 3 days before, at the end."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

import msgspec

from modelwright.core.refs import Ref

STAGES = (0, 3, 14)  # days left, the most urgent first


class Waiver(msgspec.Struct, frozen=True, kw_only=True):
    """A requirement set aside for one version, by whom, on what condition and until when."""

    id: str  # of the evidence
    ref: Ref
    rule: str
    environment: str
    reason: str
    control: str  # what is done instead
    granted_by: str
    requested_by: str = ""
    granted_at: datetime
    until: datetime


class WaiverAlert(msgspec.Struct, frozen=True, kw_only=True):
    """A waiver has `stage` days or fewer left (0: it is over), and nobody has been told yet."""

    waiver: Waiver
    stage: int
    message: str


def expiring(waivers: Iterable[Waiver], told: Collection[tuple[str, int]], now: datetime) -> list[WaiverAlert]:
    """The alerts to give now. `told` holds (waiver id, stage) of those given already; giving them makes this empty.

    A waiver that passed two stages unnoticed gets one alert, the more urgent.
    """
    found = []
    for waiver in sorted(waivers, key=lambda w: (w.until, w.id)):
        left = waiver.until - now
        stage = next((s for s in STAGES if left <= timedelta(days=s)), None)
        if stage is None or any((waiver.id, s) in told for s in STAGES if s <= stage):
            continue
        when = "has expired" if stage == 0 else f"expires in {max(left.days, 0)} days"
        message = f"The waiver of {waiver.rule} for {waiver.ref} {when} ({waiver.until:%Y-%m-%d}): meet it, or ask again."
        found.append(WaiverAlert(waiver=waiver, stage=stage, message=message))
    return found
