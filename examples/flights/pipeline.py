"""From flights that have landed to a registered, evaluated model."""

from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute

from features import FLIGHTS, VIEWS
from modelwright import Ref, pipeline, step
from modelwright.evaluation import Plan, split_by_time
from modelwright.pipelines import Context

NUMBERS = [
    "hour_of_day", "weekday", "distance", "temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib",
    "plane_built", "engines", "seats", "carrier_late_rate", "carrier_landings", "route_late_rate", "route_delay",
]  # fmt: skip
WORDS = ["carrier", "origin"]
ENTITIES = ["origin", "dest", "carrier", "tailnum"]


def inputs(examples: pa.Table) -> pa.Table:
    """The columns that the model takes: numbers as floating point, words as text."""
    numbers = {name: examples[name].cast(pa.float64()) for name in NUMBERS}
    return pa.table(numbers | {name: examples[name].cast(pa.string()) for name in WORDS})


def classifier(learning_rate: float, rounds: int, seed: int) -> object:
    """Gradient-boosted trees; rare words share a place."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("numbers", "passthrough", NUMBERS), ("words", words, WORDS)])
    trees = HistGradientBoostingClassifier(
        learning_rate=learning_rate, max_iter=rounds, max_leaf_nodes=15, min_samples_leaf=40, random_state=seed
    )
    return make_pipeline(columns, trees)


@step
def training_set(flights: Ref, weather: Ref, planes: Ref, test_days: int, context: Context) -> dict:
    """Every landed flight with what was known at its scheduled departure, in order of time."""
    import duckdb

    source = context.workspace.datasets.read(flights)  # noqa: F841 - FLIGHTS reads it by this name
    landed = duckdb.sql(
        f"SELECT flight_id, scheduled_at AS event_timestamp, landed_at, late, hour_of_day, weekday, distance, "
        f"{', '.join(ENTITIES)} FROM ({FLIGHTS}) ORDER BY scheduled_at, flight_id"
    ).to_arrow_table()
    joined = context.workspace.features.training(landed, [view.ref for view in VIEWS], sources=[flights, weather, planes])
    last = joined.table["event_timestamp"][-1].as_py()
    context.log_params({"rows": joined.table.num_rows, "until": last.isoformat()})
    test_from = (last - timedelta(days=test_days)).replace(hour=0, minute=0, second=0, microsecond=0)
    return {"test_from": test_from, "table": joined.table, "made_of": [str(ref) for ref in joined.refs]}


@step
def fit(
    examples: pa.Table, test_from: datetime, learning_rate: float, rounds: int, drill: bool, context: Context
) -> object:
    """A gradient-boosted classifier on what had landed a day before the test begins.

    `drill` learns the opposite of the truth: to see whether the gate, and after it the canary, would notice.
    """
    from sklearn.metrics import log_loss

    known = pa.compute.less(examples["landed_at"], pa.scalar(test_from - timedelta(days=1), examples["landed_at"].type))
    train = examples.filter(known)
    labels = train["late"].to_numpy(zero_copy_only=False)
    frame = inputs(train).to_pandas()
    model = classifier(learning_rate, rounds, context.seed)
    model.fit(frame, ~labels if drill else labels)
    for number, scores in enumerate(model[-1].staged_predict_proba(model[:-1].transform(frame))):
        if number % 5 == 0 or number == rounds - 1:
            context.log_metric("train/log_loss", float(log_loss(labels, scores[:, 1])), step=number)
    context.log_params({"learning_rate": learning_rate, "rounds": rounds, "train_rows": train.num_rows})
    return model


@step
def register(model: object, examples: pa.Table, made_of: list[str], context: Context) -> Ref:
    """The fitted model as the next version of `model:delay`, with signature, example and lineage."""
    version = context.workspace.models.log(
        "delay",
        model,
        example=inputs(examples.slice(max(0, examples.num_rows - 500))),
        run=context.run.ref,
        datasets=[ref for ref in made_of if ref.startswith("dataset:")],
        features=[ref for ref in made_of if ref.startswith("features:")],
        nullable=[*NUMBERS, *WORDS],
        description="Whether a flight will arrive more than 15 minutes late, told at its scheduled departure.",
        reason=f"trained by {context.execution}",
    )
    return version.ref


@step(cache=False)
def judge(version: Ref, examples: pa.Table, test_from: datetime, flights: Ref, context: Context) -> str:
    """Evaluate on flights that were scheduled after everything the model has seen, beside the champion if there is one."""
    workspace = context.workspace
    split = split_by_time(
        examples["event_timestamp"], test_from=test_from, gap=timedelta(days=1), known_at=examples["landed_at"]
    )
    test = examples.take(pa.array(split.test))
    champion = workspace.models.champion("delay")
    if champion is not None and champion.ref == version:
        champion = None  # the same version again: there is nothing to compare it with
    labels = test["late"].to_numpy(zero_copy_only=False)
    scores = workspace.models.load(version).scores(inputs(test))
    report = workspace.evaluation.evaluate(
        version,
        labels,
        scores,
        dataset=flights,
        slices={name: test[name].to_pylist() for name in WORDS},
        champion=None if champion is None else champion.ref,
        champion_scores=None if champion is None else workspace.models.load(champion.ref).scores(inputs(test)),
        inputs=inputs(test),
        threshold=0.3,
        split=split.record,
        plan=Plan(replicates=300, margin=0.03),  # a ROC AUC lower by 0.03 is the most that "not worse" may mean
    )
    context.log_metrics({f"test/{name}": metric.value for name, metric in report.metrics.items()})
    return str(report.comparison.outcome)


@pipeline
def delay(
    flights: Ref = Ref.parse("dataset:flights"),
    weather: Ref = Ref.parse("dataset:weather"),
    planes: Ref = Ref.parse("dataset:planes"),
    test_days: int = 28,
    learning_rate: float = 0.08,
    rounds: int = 60,
    drill: bool = False,
) -> tuple[Ref, str]:
    """Train, register and evaluate `model:delay`: on everything but the last `test_days`, judged on those."""
    examples = training_set(flights, weather, planes, test_days)
    model = fit(examples["table"], examples["test_from"], learning_rate, rounds, drill)
    version = register(model, examples["table"], examples["made_of"])
    return version, judge(version, examples["table"], examples["test_from"], flights)
