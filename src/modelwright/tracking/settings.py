"""How runs are delivered: `[tracking]`, and what the environment says of it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Mode: TypeAlias = Literal["online", "offline", "disabled"]


class TrackingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[tracking]`: of runs that are started by `mw.start_run`."""

    mode: Mode = "online"  # offline: nothing is sent before `mw sync`; disabled: nothing is even written down
    patience: float = 10.0  # seconds that the end of a run waits for what is left to arrive
    system_metrics: bool = True
    system_every: float = 10.0  # seconds between two samples
