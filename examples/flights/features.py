"""What is known about a flight before it leaves: the weather, the plane, and how late others have been."""

from modelwright.features import FeatureView, count, expression, mean

# Times in the file are local to New York and those of the ACTUAL departure; the date is that of the scheduled one.
TIMES = """
    SELECT *,
        make_timestamp(year, month, day, 0, 0, 0.0) AS midnight,
        (dep_time // 100 * 60 + dep_time % 100 - dep_delay + 2880) % 1440 AS scheduled_minute
    FROM source
"""
FLIGHTS = f"""
    SELECT *,
        timezone('America/New_York', midnight + to_minutes(scheduled_minute)) AS scheduled_at,
        timezone('America/New_York', midnight + to_minutes(scheduled_minute))
            + to_minutes(dep_delay) + to_minutes(air_time) AS landed_at,
        arr_delay > 15 AS late,
        strftime(midnight, '%Y%m%d') || '-' || carrier || flight || '-' || origin AS flight_id,
        scheduled_minute / 60.0 AS hour_of_day,
        dayofweek(midnight) AS weekday
    FROM ({TIMES})
"""

weather = FeatureView(
    name="weather",
    entity=["origin"],
    source="dataset:weather",
    event_time="time_hour",
    ttl="3h",
    features=["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"],
    description="The last hourly observation at the airport, if it is not older than three hours.",
    owner="ada",
)

planes = FeatureView(
    name="planes",
    entity=["tailnum"],
    source="dataset:planes",
    features=[expression("plane_built", "try_cast(year AS INTEGER)"), "engines", "seats"],
    description="What the registration says of the plane.",
    owner="ada",
)

# A delay is known when the flight has LANDED. `created_time` is what keeps labels from leaking into features.
carrier_delays = FeatureView(
    name="carrier_delays",
    entity=["carrier"],
    source="dataset:flights",
    select=FLIGHTS,
    event_time="landed_at",
    features=[mean("late", window="14d", name="carrier_late_rate"), count(window="14d", name="carrier_landings")],
    description="How many of the carrier's flights that landed in the last two weeks were late.",
    owner="ada",
)

route_delays = FeatureView(
    name="route_delays",
    entity=["origin", "dest"],
    source="dataset:flights",
    select=FLIGHTS,
    event_time="landed_at",
    features=[mean("late", window="30d", name="route_late_rate"), mean("arr_delay", window="30d", name="route_delay")],
    description="How late the route's flights that landed in the last thirty days were.",
    owner="ada",
)

VIEWS = [weather, planes, carrier_delays, route_delays]
