"""How a rollout goes on: a pure decision over what is known, made anew at every look.

    pending -> analysing (a step of the ramp) -> {waiting, paused} -> ... -> promoted
    and from every state that is not the end: -> rolled_back, -> superseded

Which moves are legal is data (`records.MOVES`). Nothing here reads a clock or a database, so a crash between two looks
loses nothing: the next look decides from the same facts.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec

from modelwright.deployments.records import Judgement, Outcome, Rollout, RolloutState, Step, WhenInconclusive

CRASH_STREAK = 10  # errors in a row
CRASH_RATIO, CRASH_REQUESTS = 0.5, 20  # more errors than this share, over at least so many requests


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The candidate is loaded: give it its first share."""


class Advance(msgspec.Struct, frozen=True, tag=True):
    """Go to the next step."""


class Wait(msgspec.Struct, frozen=True, tag=True):
    """Ask a person before going on."""

    why: str


class Pause(msgspec.Struct, frozen=True, tag=True):
    """Hold the weight until somebody decides."""

    why: str


class Promote(msgspec.Struct, frozen=True, tag=True):
    """The candidate takes over."""

    why: str


class RollBack(msgspec.Struct, frozen=True, tag=True):
    """The candidate gets nothing more."""

    why: str


Action: TypeAlias = Begin | Advance | Wait | Pause | Promote | RollBack


def decide(rollout: Rollout, now: datetime, *, loaded: bool, broken: str = "") -> Action | None:
    """What is to be done now, if anything.

    `loaded` says whether the candidate can answer; `broken`, why it never will. The emergency rule comes before statistics:
    a candidate that fails ten times in a row, or on more than half of twenty requests, is out at once.
    """
    if rollout.state.over:
        return None
    if broken:
        return RollBack(f"the candidate cannot be loaded: {broken}")
    if emergency := _emergency(rollout):
        return RollBack(emergency)
    if rollout.state is RolloutState.PENDING:
        return Begin() if loaded else None
    if rollout.judgement.outcome is Outcome.FAIL:
        return RollBack(f"verdict: {rollout.judgement.why}")
    if rollout.state is not RolloutState.ANALYSING:
        return None
    if rollout.judgement.skewed:
        return Pause(rollout.judgement.why)
    return _within_step(rollout, rollout.strategy.steps[rollout.step], now)


def _within_step(rollout: Rollout, step: Step, now: datetime) -> Action | None:
    last = rollout.step == len(rollout.strategy.steps) - 1
    elapsed = now - rollout.step_since
    ripe = elapsed >= timedelta(seconds=step.min_duration) and rollout.step_seen.candidate >= step.min_requests
    if ripe and (not last or rollout.judgement.outcome is Outcome.PASS):
        return _onwards(step, last, rollout.judgement)
    if elapsed >= timedelta(seconds=step.max_duration):
        return _time_is_up(step, last, rollout.judgement)
    return None


def _onwards(step: Step, last: bool, judgement: Judgement) -> Action:
    if step.approval:
        return Wait(f"at {step.weight:g} %: {judgement.why}")
    return Promote(f"verdict: {judgement.why}") if last else Advance()


def _time_is_up(step: Step, last: bool, judgement: Judgement) -> Action:
    why = f"no verdict in time: {judgement.why}"
    if step.when_inconclusive is WhenInconclusive.ROLL_BACK:
        return RollBack(why)
    if step.when_inconclusive is WhenInconclusive.PROMOTE:
        return Promote(why) if last else Advance()
    return Pause(why)


def _emergency(rollout: Rollout) -> str:
    if rollout.streak >= CRASH_STREAK:
        return f"{rollout.streak} errors in a row on the candidate"
    seen = rollout.step_seen
    if seen.candidate >= CRASH_REQUESTS and seen.candidate_bad > CRASH_RATIO * seen.candidate:
        return f"{seen.candidate_bad} errors in {seen.candidate} requests on the candidate"
    return ""
