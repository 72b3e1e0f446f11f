"""How much each input matters to a model: permutation importance (Breiman, 2001; Fisher, Rudin and Dominici, 2019).

An input is shuffled among the rows, which keeps its values and breaks what they say of the row; what the metric loses by it
is the input's importance. It is measured on rows that the model has not seen, through the stored model itself, whatever its
format. Of two inputs that say the same, shuffling one costs little, because the other still says it: both look small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from modelwright.core.errors import Invalid
from modelwright.evaluation.intervals import Bootstrap, estimate
from modelwright.evaluation.metrics import PRIMARY, Array, Metric, Weigher, metric
from modelwright.evaluation.ports import Scorer
from modelwright.evaluation.records import Estimate, Importance, Plan, Weight

if TYPE_CHECKING:
    import pyarrow as pa


def weigh(
    model: Scorer,
    inputs: Any,
    labels: npt.ArrayLike,
    plan: Plan = Plan(),
    groups: npt.ArrayLike | None = None,
    threshold: float = 0.5,
) -> Importance:
    """The importance of every input in the plan's primary metric, with the interval that redrawing the rows gives.

    `inputs` is a table (Arrow, a data frame, columns by name) with a row for each label. Of more than `importance_rows` a
    sample is taken, by the plan's seed: the same call gives the same figures. `Invalid` where the rows do not fit.
    """
    import pyarrow as pa

    table = inputs if isinstance(inputs, pa.Table) else pa.table(inputs)
    y, names = np.asarray(labels, dtype=np.float64), list(model.inputs)
    if len(y) != table.num_rows:
        raise Invalid(f"There are {len(y)} labels and {table.num_rows} rows of inputs; each row needs one.")
    if missing := [name for name in names if name not in table.column_names]:
        raise Invalid(f"The inputs lack {', '.join(missing)}, which the model takes.", mend="Pass what it was asked with.")
    random = np.random.default_rng(plan.seed)
    chosen = _sample(random, len(y), plan.importance_rows)
    rows, y = table.select(names).take(pa.array(chosen)), y[chosen]
    clusters = None if groups is None else np.asarray(groups)[chosen]
    of = PRIMARY[plan.task] if plan.primary is None else metric(plan.primary)
    plain = of.weigher(y, model.scores(rows), threshold=threshold)
    orders = [random.permutation(len(y)) for _ in range(plan.importance_repeats)]
    bootstrap = Bootstrap(len(y), replicates=plan.importance_replicates, seed=plan.seed, groups=clusters)
    figures = {
        name: _loss(
            of, plain, [of.weigher(y, scores, threshold=threshold) for scores in _shuffled(model, rows, place, orders)]
        )
        for place, name in enumerate(names)
    }
    replicates = bootstrap.replicate(figures)
    losses = {
        name: estimate(figure, bootstrap, replicates[name], confidence=plan.confidence, undefined=of.undefined)
        for name, figure in figures.items()
    }
    return Importance(metric=of.name, rows=len(y), repeats=len(orders), inputs=_weights(losses, dict(model.gains())))


def _sample(random: np.random.Generator, rows: int, most: int) -> npt.NDArray[np.intp]:
    return np.arange(rows) if rows <= most else np.sort(random.choice(rows, most, replace=False))


def _shuffled(model: Scorer, rows: pa.Table, place: int, orders: list[npt.NDArray[np.intp]]) -> list[Array]:
    """What the model says of the rows with one column in each of the orders.

    It is asked once for all of them: what a call costs beside its rows is most of what it costs.
    """
    import pyarrow as pa

    column, field = rows.column(place), rows.schema.field(place)
    each = [rows.set_column(place, field, column.take(pa.array(order))) for order in orders]
    return np.split(np.asarray(model.scores(pa.concat_tables(each))), len(orders))


def _loss(of: Metric, plain: Weigher, shuffled: list[Weigher]) -> Weigher:
    """What is lost under any weights of rows, the mean over the shuffles; positive is a loss, whatever the metric."""

    def weigh(weights: Array) -> Array:
        before = plain(weights)
        return np.asarray(np.mean([of.gain(before, each(weights)) for each in shuffled], axis=0), dtype=np.float64)

    return weigh


def _weights(losses: dict[str, Estimate], gains: dict[str, float]) -> list[Weight]:
    lost = {name: max(0.0, each.value or 0.0) for name, each in losses.items()}
    total, grown = sum(lost.values()), sum(gains.values())
    made = [
        Weight(
            name=name,
            loss=loss,
            share=lost[name] / total if total else None,
            gain=gains.get(name, 0.0) / grown if grown else None,
        )
        for name, loss in losses.items()
    ]
    return sorted(made, key=lambda each: -lost[each.name])
