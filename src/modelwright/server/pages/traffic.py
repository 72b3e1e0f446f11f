"""What this process has served, read from its own Prometheus exposition: requests, errors and latency of each version."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_LINE = re.compile(r"^(?P<name>\w+)\{(?P<labels>[^}]*)\} (?P<value>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_REQUESTS, _BUCKET = "modelwright_requests_total", "modelwright_request_duration_seconds_bucket"


class Served(NamedTuple):
    """What one version has answered at one endpoint since the process began."""

    model: str  # a ref
    variant: str
    requests: int
    errors: int  # answers of 500 and above
    buckets: Sequence[tuple[float, int]]  # upper bound in seconds, answers up to it

    @property
    def error_share(self) -> float | None:
        """Errors among the requests."""
        return self.errors / self.requests if self.requests else None

    def quantile(self, share: float) -> float | None:
        """The latency in seconds that `share` of the answers kept to, interpolated within its bucket."""
        total = self.buckets[-1][1] if self.buckets else 0
        if not total:
            return None
        below, lower = 0, 0.0
        for bound, upto in self.buckets:
            if upto >= share * total:
                within = (share * total - below) / max(1, upto - below)
                return lower if bound == float("inf") else lower + (bound - lower) * within
            below, lower = upto, bound
        return lower


def served(exposition: str) -> dict[str, list[Served]]:
    """By endpoint, what each version has answered; versions that answered nothing are left out."""
    requests: dict[tuple[str, str, str], dict[bool, int]] = defaultdict(lambda: {False: 0, True: 0})
    buckets: dict[tuple[str, str, str], dict[float, int]] = defaultdict(lambda: defaultdict(int))
    for match in _LINE.finditer(exposition):
        if match["name"] not in (_REQUESTS, _BUCKET):
            continue
        labels = dict(_LABEL.findall(match["labels"]))
        side = (labels["endpoint"], f"model:{labels['model']}@{labels['version']}", labels["variant"])
        if match["name"] == _REQUESTS:
            requests[side][int(labels["code"]) >= 500] += int(float(match["value"]))
        else:
            buckets[side][float(labels["le"])] += int(float(match["value"]))
    found: dict[str, list[Served]] = defaultdict(list)
    for (endpoint, model, variant), counted in sorted(requests.items()):
        if sum(counted.values()) and model != "model:@":
            timed = _sorted(buckets[(endpoint, model, variant)])
            found[endpoint].append(Served(model, variant, sum(counted.values()), counted[True], timed))
    return dict(found)


def _sorted(counts: Mapping[float, int]) -> list[tuple[float, int]]:
    return sorted(counts.items())


def together(sides: Sequence[Served]) -> Served | None:
    """All versions of an endpoint as one."""
    if not sides:
        return None
    buckets: dict[float, int] = defaultdict(int)
    for side in sides:
        for bound, upto in side.buckets:
            buckets[bound] += upto
    return Served("", "", sum(s.requests for s in sides), sum(s.errors for s in sides), _sorted(buckets))
