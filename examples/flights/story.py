"""The whole life of a delay model over the year 2013.

    python examples/flights/story.py ../shared/data/flights [FOLDER]

The first argument is the folder with flights.csv, weather.csv and planes.csv; the second is where the story is told (by
default .demo/flights). A story that broke off goes on where it was.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from modelwright.demo import Case, Plan, Request, Source, tell

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from pipeline import ENTITIES, NUMBERS, WORDS  # noqa: E402

from features import FLIGHTS  # noqa: E402 - the project's own module

COMES_WITH_REQUEST = ["hour_of_day", "weekday", "distance"]


def _day(month: int, day: int = 1) -> datetime:
    return datetime(2013, month, day, tzinfo=UTC)


class Flights(Case):
    """Departures from New York; `data` is the folder with the three files."""

    title = "Will this flight arrive more than fifteen minutes late?"
    name = "delay"
    project = HERE
    sources = (
        Source(name="flights", key=["year", "month", "day", "carrier", "flight", "origin"]),
        Source(name="weather", key=["origin", "time_hour"], time_column="time_hour"),
        Source(name="planes", key=["tailnum"], grows=False),
    )
    plan = Plan(
        first_data=_day(4),
        live=_day(5),
        challenger=_day(5, 22),
        bad=_day(9),
        until=_day(12, 31),
        asked_about=_day(7),
    )
    views = ("weather", "planes", "carrier_delays", "route_delays")
    entity_columns = tuple(ENTITIES)
    numbers = tuple(NUMBERS)
    words = tuple(WORDS)
    threshold = 0.3
    watched = ()
    retrain_on = "monitoring.incident.opened"
    retrain_with: dict[str, Any] = {}  # noqa: RUF012 - a constant of the case
    floors = {"roc_auc": 0.55, "brier": 0.19}  # noqa: RUF012 - a constant of the case
    about = {  # noqa: RUF012
        "intended_use": "Tell passengers and crews, at the scheduled departure, how likely a late arrival is.",
        "users": "The operations centre and the passenger app.",
        "out_of_scope": "Crew duty times, compensation decisions, and airports other than EWR, JFK and LGA.",
        "relevant_factors": "Season, weather, carrier, route, and the time of day.",
        "choice_of_metrics": "Ranking (ROC AUC) decides which flights are shown first; calibration is what is printed.",
        "evaluation_motivation": "The newest four weeks, after everything the model saw: that is how it is used.",
        "preprocessing": "Rolling delay rates use only flights that had landed; missing weather stays missing.",
        "ethical_considerations": "No data about people. A wrong warning costs a passenger a few minutes.",
        "caveats": "A mild winter and spring say little about summer thunderstorms.",
        "human_oversight": "A dispatcher decides; the figure is advice.",
    }

    def __init__(self, data: Path) -> None:
        self.data = data

    @cached_property
    def _flights(self) -> list[dict[str, Any]]:
        source = duckdb.read_csv(str(self.data / "flights.csv"))  # noqa: F841 - FLIGHTS reads it by this name
        columns = ["flight_id", "scheduled_at", "landed_at", "late", *ENTITIES, *COMES_WITH_REQUEST]
        found = duckdb.sql(f"SELECT {', '.join(columns)} FROM ({FLIGHTS}) ORDER BY scheduled_at, flight_id")
        return found.to_arrow_table().to_pylist()

    def write(self, source: str, until: datetime, path: Path) -> None:
        """The file with only what could be known at `until`: flights that had landed, hours that had passed."""
        text = str(self.data / f"{source}.csv")
        if source == "planes":
            path.write_bytes(Path(text).read_bytes())
            return
        if source == "weather":
            query = "SELECT * FROM read_csv(?, all_varchar=true) WHERE time_hour::TIMESTAMPTZ <= ?"
            known = duckdb.sql(query, params=[text, until]).to_arrow_table()
        else:
            source = duckdb.read_csv(text)
            known = duckdb.sql(f"SELECT * FROM ({FLIGHTS})").filter(
                f"landed_at <= TIMESTAMPTZ '{until.isoformat()}'"
            ).project(
                "year, month, day, dep_time, dep_delay, arr_time, arr_delay, carrier, tailnum, flight, origin, dest, "
                "air_time, distance, hour, minute"
            ).to_arrow_table()  # fmt: skip
        duckdb.from_arrow(known).write_csv(str(path))

    def write_broken(self, path: Path) -> int:
        """A delivery in which one line lost a field."""
        lines = (self.data / "flights.csv").read_text().splitlines()[:500]
        lines[300] = lines[300].rsplit(",", 1)[0]
        path.write_text("\n".join(lines) + "\n")
        return 301

    def requests(self, since: datetime, until: datetime) -> list[Request]:
        """Flights by their scheduled departure; the outcome is known when they land."""
        return [
            Request(
                id=f["flight_id"],
                at=f["scheduled_at"],
                unit=f["tailnum"] or f["flight_id"],
                entities={name: f[name] for name in ENTITIES},
                inputs={name: float(f[name]) for name in COMES_WITH_REQUEST},
                label=f["late"],
                known_at=max(f["landed_at"], f["scheduled_at"] + timedelta(minutes=1)),
            )
            for f in self._flights
            if since < f["scheduled_at"] <= until
        ]


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    tell(Flights(Path(sys.argv[1]).absolute()), Path(sys.argv[2] if len(sys.argv) == 3 else ".demo/flights").absolute())
