"""A seeded lending book: customers, applications, repayments that are known later, and a weekly interest rate.

What is in it, so that a platform has something to show: entities and event times; a label (paid late) that is known only
`KNOWN_AFTER` days after the application; a season (holiday spending in November and December raises amounts and lateness);
an abrupt change (from `SHOCK` on, the interest rate jumps, amounts rise and what predicts lateness changes); a protected
attribute (sex) and columns with personal data (name, e-mail, phone), which no model has any business reading.

No row describes a living person; every figure is drawn from NumPy's PCG64 with the seed given.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

START = datetime(2024, 1, 1, tzinfo=UTC)
SHOCK = datetime(2024, 9, 1, tzinfo=UTC)
MONTHS = 15
KNOWN_AFTER = 10  # days from an application to knowing whether its first instalment came late

REGIONS = ("north", "east", "south", "west", "coast", "hills")
PURPOSES = ("car", "home", "education", "holiday", "business", "refinance")
CHANNELS = ("branch", "web", "phone", "partner")
FIRST = ("Amina", "Bjorn", "Chen", "Dalia", "Emeka", "Freya", "Goran", "Hana", "Ivo", "Jun", "Karin", "Luis")
LAST = ("Abara", "Brandt", "Castro", "Dvorak", "Eklund", "Farouk", "Greco", "Haas", "Ito", "Jansen", "Kowal", "Lindqvist")


def customers(seed: int, count: int = 1500) -> pa.Table:
    """Who may apply: id, personal data, sex, region, and what is known of their means."""
    import pyarrow as pa

    draw = np.random.default_rng([seed, 1])
    first, last = draw.choice(FIRST, count), draw.choice(LAST, count)
    return pa.table(
        {
            "customer_id": [f"C{i:05d}" for i in range(count)],
            "name": [f"{a} {b}" for a, b in zip(first, last, strict=True)],
            "email": [f"{a}.{b}{i}@example.org".lower() for i, (a, b) in enumerate(zip(first, last, strict=True))],
            "phone": [f"+000 555 {n:07d}" for n in draw.integers(0, 10**7, count)],
            "sex": draw.choice(["female", "male"], count),
            "birth_year": draw.integers(1950, 2004, count),
            "region": draw.choice(REGIONS, count, p=(0.24, 0.2, 0.18, 0.16, 0.12, 0.1)),
            "income": np.round(np.exp(draw.normal(10.4, 0.42, count)), -2),
            "years_employed": draw.integers(0, 30, count),
        }
    )


def interest_rates(seed: int) -> pa.Table:
    """The base rate, published each Monday: week, rate in percent."""
    import pyarrow as pa

    draw = np.random.default_rng([seed, 2])
    weeks = [START - timedelta(days=7) + timedelta(weeks=i) for i in range(MONTHS * 5)]
    walk = 3.0 + np.cumsum(draw.normal(0, 0.04, len(weeks)))
    jump = np.array([1.9 if week >= SHOCK else 0.0 for week in weeks])
    return pa.table({"market": ["base"] * len(weeks), "published_at": weeks, "rate": np.round(walk + jump, 3)})


def applications(seed: int, people: pa.Table, rates: pa.Table, per_month: int = 1300) -> pa.Table:
    """Every application with the outcome that will be known at `known_at`, in order of time."""
    import pyarrow as pa

    draw = np.random.default_rng([seed, 3])
    count = per_month * MONTHS
    at = np.sort(draw.uniform(0, MONTHS * 30.5 * 24 * 3600, count).astype("int64"))
    moments = [START + timedelta(seconds=int(s)) for s in at]
    who = draw.integers(0, people.num_rows, count)
    income = people["income"].to_numpy()[who]
    employed = people["years_employed"].to_numpy()[who]
    region = np.array(people["region"].to_pylist())[who]
    holiday = np.array([m.month in (11, 12) for m in moments])
    shocked = np.array([m >= SHOCK for m in moments])
    purpose = np.where(holiday & (draw.random(count) < 0.35), "holiday", draw.choice(PURPOSES, count))
    amount = np.round(np.exp(draw.normal(8.6, 0.55, count) + 0.25 * holiday + 0.45 * shocked), -1)
    term = draw.choice([6, 12, 24, 36, 48], count)
    published = np.array([int(t.timestamp()) for t in rates["published_at"].to_pylist()])
    now = np.array([int(m.timestamp()) for m in moments])
    rate = rates["rate"].to_numpy()[np.searchsorted(published, now, side="right") - 1]
    burden = amount / term / (income / 12)
    luck = np.random.default_rng([seed, 4]).normal(0, 0.7, people.num_rows)[who]  # what the columns do not say
    hard = np.isin(region, ["hills", "coast"])
    calm = -2.6 + 3.4 * burden - 0.045 * employed + 0.75 * hard + 0.55 * (purpose == "business") + 0.5 * luck
    shock = -3.6 + 2.8 * burden - 0.02 * employed + 0.2 * hard + 0.7 * (rate - 3.0) + 1.6 * (purpose == "refinance")
    chance = 1 / (1 + np.exp(-np.where(shocked, shock + 0.5 * luck, calm) - 0.35 * holiday))
    late = draw.random(count) < chance
    known = [
        m + timedelta(days=KNOWN_AFTER, seconds=int(s))
        for m, s in zip(moments, draw.integers(0, 86400, count), strict=True)
    ]
    return pa.table(
        {
            "application_id": [f"A{i:06d}" for i in range(count)],
            "customer_id": np.array(people["customer_id"].to_pylist())[who],
            "region": region,
            "market": ["base"] * count,
            "applied_at": moments,
            "amount": amount,
            "term_months": term,
            "purpose": purpose,
            "channel": draw.choice(CHANNELS, count),
            "late": late,
            "known_at": known,
        }
    )
