"""The sample data of a new project: parcels, some of which arrive later than promised. The same seed, the same file."""

from __future__ import annotations

import csv
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

COLUMNS = ("parcel", "depot", "sent_at", "delivered_at", "distance_km", "weight_kg", "weekday", "late")
DEPOTS = {"harbour": 0.9, "north": -0.3, "south": 0.0, "station": -0.6}  # how much each leans to lateness, in log-odds
BEGINS = datetime(2026, 1, 5, 6, tzinfo=UTC)
DAYS = 90


def write_parcels(path: Path, rows: int, *, seed: int) -> None:
    """Write a CSV file of parcels in order of time. Lateness grows with distance and weekends, and one depot gets worse."""
    source = random.Random(seed)  # noqa: S311 - sample data, not a secret
    moments = sorted(source.uniform(0, DAYS) for _ in range(rows))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for number, moment in enumerate(moments, start=1):
            writer.writerow([f"P{number:06d}", *_parcel(source, moment)])


def _parcel(source: random.Random, moment: float) -> list[object]:
    sent = BEGINS + timedelta(days=moment)
    depot = source.choice(list(DEPOTS))
    distance = round(min(1500.0, 20 + source.expovariate(1 / 260)), 1)
    weight = round(min(35.0, source.lognormvariate(0.9, 0.8)), 2)
    worse = 0.9 * moment / DAYS if depot == "harbour" else 0.0
    odds = -2.2 + DEPOTS[depot] + worse + distance / 320 + weight / 30 + (0.8 if sent.weekday() >= 5 else 0.0)
    late = source.random() < 1 / (1 + math.exp(-odds))
    hours = source.uniform(49, 90) if late else source.uniform(10, 47.5)
    return [
        depot,
        _text(sent),
        _text(sent + timedelta(hours=hours)),
        distance,
        weight,
        sent.weekday(),
        str(late).lower(),
    ]


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
