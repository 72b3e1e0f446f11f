"""What a running process says of its run, one entry at a time, as it is written down there and applied here. Pure.

An entry has a number, which counts up from 1 for each writer (one process is one writer), and the seconds that had passed
since the writer began. So what arrives late, twice, or from a machine whose clock is wrong gets its place and its time.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from modelwright.core.refs import Ref
from modelwright.experiments.records import Artifact, Capture, Number, RunStatus


class _Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="what"):
    seq: int
    elapsed: float = 0.0  # seconds since the writer began


class Started(_Entry, frozen=True, kw_only=True, tag="started"):
    """The run begins, with this writer. It is started once, however often this arrives."""

    name: str = ""
    capture: Capture = Capture()
    parent: str = ""  # the id of the run that it is a part of
    reason: str = ""


class Resumed(_Entry, frozen=True, kw_only=True, tag="resumed"):
    """Another writer goes on with a run that is there."""

    reason: str = ""


class Figures(_Entry, frozen=True, kw_only=True, tag="figures"):
    """Metrics of one step; without a step, each gets one after its last."""

    values: dict[str, Number]
    step: int | None = None


class Params(_Entry, frozen=True, kw_only=True, tag="params"):
    """Parameters, as plain values."""

    values: dict[str, Any]


class Tags(_Entry, frozen=True, kw_only=True, tag="tags"):
    """Tags."""

    values: dict[str, str]


class Kept(_Entry, frozen=True, kw_only=True, tag="kept"):
    """Files, whose bytes are stored as objects already."""

    artifacts: list[Artifact]


class Linked(_Entry, frozen=True, kw_only=True, tag="linked"):
    """What the run has read, or what it has made."""

    inputs: list[Ref] = []
    outputs: list[Ref] = []


class Ended(_Entry, frozen=True, kw_only=True, tag="ended"):
    """The run ends."""

    status: RunStatus
    error: str = ""


Entry: TypeAlias = Started | Resumed | Figures | Params | Tags | Kept | Linked | Ended


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that the workspace did not accept, and why; those before and after it stand."""

    seq: int
    code: str
    message: str


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a delivery: the number of the writer's last entry that is dealt with, and what was refused."""

    sequence: int
    refused: list[Refusal] = []
