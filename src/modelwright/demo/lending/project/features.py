"""What is known about an application when it is made.

Neither name nor e-mail nor phone nor sex is here: no view reads them, so no model can.
"""

from modelwright.features import FeatureView, count, expression, mean

customers = FeatureView(
    name="customers",
    entity=["customer_id"],
    source="dataset:customers",
    features=["income", "years_employed", expression("age", "2024 - birth_year")],
    description="What the customer's file says of their means.",
    owner="ada",
)

rates = FeatureView(
    name="rates",
    entity=["market"],
    source="dataset:rates",
    event_time="published_at",
    ttl="10d",
    features=["rate"],
    description="The base rate as last published, if that is not older than ten days.",
    owner="ada",
)

# Whether an instalment came late is known weeks after the application. `created_time` keeps it out of features until then.
region_history = FeatureView(
    name="region_history",
    entity=["region"],
    source="dataset:applications",
    event_time="applied_at",
    created_time="known_at",
    features=[
        mean("late", window="60d", name="region_late_rate"),
        count("late", window="60d", name="region_known"),
    ],
    description="How many of the region's applications of the last sixty days turned out late, as far as known.",
    owner="ada",
)

customer_history = FeatureView(
    name="customer_history",
    entity=["customer_id"],
    source="dataset:applications",
    event_time="applied_at",
    created_time="known_at",
    features=[
        mean("late", window="180d", name="own_late_rate"),
        count("late", window="180d", name="own_known"),
    ],
    description="How the customer's own applications of the last half year turned out, as far as known.",
    owner="ada",
)

VIEWS = [customers, rates, region_history, customer_history]
