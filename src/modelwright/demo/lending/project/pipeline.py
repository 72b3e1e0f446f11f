"""From applications whose outcome is known to a registered, evaluated model."""

from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute

from features import VIEWS
from modelwright import Ref, pipeline, step
from modelwright.evaluation import Plan, split_by_time
from modelwright.pipelines import Context

NUMBERS = [
    "amount", "term_months", "income", "years_employed", "age", "rate", "region_late_rate", "region_known",
    "own_late_rate", "own_known",
]  # fmt: skip
WORDS = ["region", "purpose", "channel"]
ENTITIES = ["customer_id", "region", "market"]


def inputs(examples: pa.Table) -> pa.Table:
    """The columns that the model takes: numbers as floating point, words as text."""
    numbers = {name: examples[name].cast(pa.float64()) for name in NUMBERS}
    return pa.table(numbers | {name: examples[name].cast(pa.string()) for name in WORDS})


def classifier(rounds: int, seed: int) -> object:
    """Boosted trees on numbers (what is missing becomes the median) and words."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("numbers", SimpleImputer(strategy="median"), NUMBERS), ("words", words, WORDS)])
    return make_pipeline(
        columns, GradientBoostingClassifier(n_estimators=rounds, max_depth=3, subsample=0.8, random_state=seed)
    )


@step
def training_set(applications: Ref, customers: Ref, rates: Ref, test_days: int, context: Context) -> dict:
    """Every application whose outcome is known, with what was known when it was made, in order of time."""
    rows = context.workspace.datasets.read(applications).sort_by("applied_at")
    rows = rows.rename_columns(["event_timestamp" if name == "applied_at" else name for name in rows.column_names])
    joined = context.workspace.features.training(
        rows, [view.ref for view in VIEWS], sources=[applications, customers, rates]
    )
    last = joined.table["event_timestamp"][-1].as_py()
    context.log_params({"rows": joined.table.num_rows, "until": last.isoformat()})
    test_from = (last - timedelta(days=test_days)).replace(hour=0, minute=0, second=0, microsecond=0)
    return {"test_from": test_from, "table": joined.table, "made_of": [str(ref) for ref in joined.refs]}


@step
def fit(examples: pa.Table, test_from: datetime, rounds: int, drill: bool, context: Context) -> object:
    """Boosted trees on what was known a day before the test begins.

    `drill` learns the opposite of the truth: to see whether the gate, and after it the canary, would notice.
    """
    from sklearn.metrics import log_loss

    until = pa.scalar(test_from - timedelta(days=1), examples["known_at"].type)
    train = examples.filter(pa.compute.less(examples["known_at"], until))
    labels, frame = train["late"].to_numpy(zero_copy_only=False), inputs(train).to_pandas()
    model = classifier(rounds, context.seed)
    model.fit(frame, ~labels if drill else labels)
    for number, scores in enumerate(model[-1].staged_predict_proba(model[:-1].transform(frame))):
        if number % 5 == 0 or number == rounds - 1:
            context.log_metric("train/log_loss", float(log_loss(labels, scores[:, 1])), step=number)
    context.log_params({"rounds": rounds, "train_rows": train.num_rows})
    return model


@step
def register(model: object, examples: pa.Table, made_of: list[str], context: Context) -> Ref:
    """The fitted model, as ONNX and checked for equal predictions, as the next version of `model:lateness`."""
    version = context.workspace.models.log(
        "lateness",
        model,
        example=inputs(examples.slice(max(0, examples.num_rows - 500))),
        format="onnx",
        run=context.run.ref,
        datasets=[ref for ref in made_of if ref.startswith("dataset:")],
        features=[ref for ref in made_of if ref.startswith("features:")],
        nullable=NUMBERS,
        description="Whether the first instalment of a loan will come late, told when the loan is applied for.",
        reason=f"trained by {context.execution}",
    )
    return version.ref


@step(cache=False)
def judge(version: Ref, examples: pa.Table, test_from: datetime, applications: Ref, context: Context) -> str:
    """Evaluate on applications made after everything the model has seen, beside the champion if there is one."""
    workspace = context.workspace
    split = split_by_time(
        examples["event_timestamp"], test_from=test_from, gap=timedelta(days=1), known_at=examples["known_at"]
    )
    test = examples.take(pa.array(split.test))
    champion = workspace.models.champion("lateness")
    if champion is not None and champion.ref == version:
        champion = None  # the same version again: there is nothing to compare it with
    report = workspace.evaluation.evaluate(
        version,
        test["late"].to_numpy(zero_copy_only=False),
        workspace.models.load(version).scores(inputs(test)),
        dataset=applications,
        slices={name: test[name].to_pylist() for name in ("region", "purpose")},
        champion=None if champion is None else champion.ref,
        champion_scores=None if champion is None else workspace.models.load(champion.ref).scores(inputs(test)),
        inputs=inputs(test),
        threshold=0.4,
        split=split.record,
        plan=Plan(replicates=300, margin=0.05),  # a ROC AUC lower by 0.05 is the most that "not worse" may mean
    )
    context.log_metrics({f"test/{name}": metric.value for name, metric in report.metrics.items()})
    return str(report.comparison.outcome)


@pipeline
def lateness(
    applications: Ref = Ref.parse("dataset:applications"),
    customers: Ref = Ref.parse("dataset:customers"),
    rates: Ref = Ref.parse("dataset:rates"),
    test_days: int = 28,
    rounds: int = 40,
    drill: bool = False,
) -> tuple[Ref, str]:
    """Train, register and evaluate `model:lateness`: on everything but the last `test_days`, judged on those."""
    examples = training_set(applications, customers, rates, test_days)
    model = fit(examples["table"], examples["test_from"], rounds, drill)
    version = register(model, examples["table"], examples["made_of"])
    return version, judge(version, examples["table"], examples["test_from"], applications)
