"""The lending book as a case of the story."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.demo.case import Case, Plan, Request, Source

if TYPE_CHECKING:
    import pyarrow as pa

NUMBERS = (
    "amount", "term_months", "income", "years_employed", "age", "rate", "region_late_rate", "region_known",
    "own_late_rate", "own_known",
)  # fmt: skip
WORDS = ("region", "purpose", "channel")
COMES_WITH_REQUEST = ("amount", "term_months", "purpose", "channel")
TIMES = {"applications": "known_at", "rates": "published_at"}  # when a row of a growing source could be known
PERSONAL = ["name", "email", "phone", "sex", "birth_year"]


def _day(month: int, day: int = 1) -> datetime:
    return datetime(2024, month, day, tzinfo=UTC)


class Lending(Case):
    """Loan applications of the year 2024 and the spring after, drawn from a seed."""

    title = "Will the first instalment of this loan come late?"
    name = "lateness"
    project = Path(__file__).parent / "project"
    sources = (
        Source(name="applications", key=["application_id"], time_column="applied_at"),
        Source(name="customers", key=["customer_id"], personal=PERSONAL, grows=False),
        Source(name="rates", key=["market", "published_at"], time_column="published_at"),
    )
    plan = Plan(
        first_data=_day(4),
        live=_day(5),
        challenger=_day(5, 22),
        bad=_day(11),
        until=datetime(2025, 3, 31, tzinfo=UTC),
        asked_about=_day(7),
    )
    views = ("customers", "rates", "region_history", "customer_history")
    entity_columns = ("customer_id", "region", "market")
    numbers = NUMBERS
    words = WORDS
    threshold = 0.4
    watched = ("amount", "term_months", "income", "age", "purpose", "region", "channel")
    retrain_on = "monitoring.performance.fell"  # labels, not drift alone, say that a model no longer fits
    retrain_with = {"test_days": 7}  # noqa: RUF012 - a constant of the case
    floors = {"brier": 0.14}  # noqa: RUF012 - a constant of the case
    about = {  # noqa: RUF012
        "intended_use": "Advise a loan officer, at the application, how likely a late first instalment is.",
        "users": "Loan officers of the retail branch.",
        "out_of_scope": "Refusing an application without a person; business loans; pricing.",
        "relevant_factors": "Income, burden, region, the base rate, and the season.",
        "choice_of_metrics": "Ranking (ROC AUC) orders the queue; calibration is what the officer reads.",
        "evaluation_motivation": "The newest four weeks whose outcome is known: that is how it is used.",
        "preprocessing": "Histories use only outcomes that were known at the application; missing numbers become medians.",
        "ethical_considerations": "Name, e-mail, phone and sex are in no feature view. A wrong advice costs an extra call.",
        "caveats": "A year of steady rates says little about a jump in rates.",
        "human_oversight": "The officer decides and can see the figures behind the advice.",
    }

    def __init__(self, seed: int = 7) -> None:
        self.seed = seed

    @cached_property
    def tables(self) -> dict[str, pa.Table]:
        """Every table of the book, whole."""
        from modelwright.demo.lending.generate import applications, customers, interest_rates

        people, rates = customers(self.seed), interest_rates(self.seed)
        return {"customers": people, "rates": rates, "applications": applications(self.seed, people, rates)}

    def write(self, source: str, until: datetime, path: Path) -> None:
        """The table with only what could be known at `until`, as a CSV file."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.csv

        table = self.tables[source]
        if source in TIMES:
            moments = table[TIMES[source]]
            table = table.filter(pc.less_equal(moments, pa.scalar(until, moments.type)))
        pyarrow.csv.write_csv(table, path)

    def write_broken(self, path: Path) -> int:
        """A delivery in which one amount is no number."""
        self.write("applications", self.plan.first_data, path)
        lines = path.read_text().splitlines()[:500]
        columns = lines[0].split(",")
        fields = lines[300].split(",")
        fields[columns.index('"amount"')] = '"about nine thousand"'
        path.write_text("\n".join([*lines[:300], ",".join(fields), *lines[301:]]) + "\n")
        return 301

    @cached_property
    def _applications(self) -> list[dict[str, Any]]:
        return list(self.tables["applications"].to_pylist())

    def requests(self, since: datetime, until: datetime) -> list[Request]:
        """Applications in order of time."""
        return [
            Request(
                id=row["application_id"],
                at=row["applied_at"],
                unit=row["customer_id"],
                entities={name: row[name] for name in self.entity_columns},
                inputs={name: row[name] for name in COMES_WITH_REQUEST},
                label=row["late"],
                known_at=row["known_at"],
            )
            for row in self._applications
            if since < row["applied_at"] <= until
        ]
