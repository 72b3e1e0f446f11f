"""The domain classifier: can a model tell the present from the reference? Then something changed, in one column or in many.

Needs scikit-learn (`pip install modelwright[sklearn]`). It sees changes in how columns go together, which no test of
single columns can see, and its importances point at the columns to look at.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwright.core.errors import Unavailable
from modelwright.monitoring.detectors.base import ColumnKind, Values, values_of

FLOOR = 0.55  # an area under the curve below this is of no use to anybody
FOLDS = 3
MOST_ROWS = 5000  # of each side
LEAST_ROWS = 100
SEED = 20130701


class Separation(msgspec.Struct, frozen=True, kw_only=True):
    """How well reference and present can be told apart: 0.5 not at all, 1 always."""

    auc: float  # out of fold
    low: float  # lower end of its 95 % interval (Hanley and McNeil, 1982)
    importances: dict[str, float]  # by column: the loss of AUC when that column is shuffled

    @property
    def drifted(self) -> bool:
        """Whether even the lower end lies above the floor."""
        return self.low > FLOOR


def separate(reference: Any, current: Any) -> Separation | None:
    """Train and judge the classifier on two pyarrow tables; None where either side has under a hundred rows.

    Left out are columns that only one side has (a change of schema, and another matter) and those of which the reference
    holds under a hundred values.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.model_selection import StratifiedKFold
    except ImportError:
        raise Unavailable("The domain classifier needs scikit-learn.", mend="pip install 'modelwright[sklearn]'") from None
    names = [name for name in reference.column_names if name in current.column_names]
    names = [name for name in names if len(reference.column(name)) - reference.column(name).null_count >= LEAST_ROWS]
    if not names or min(reference.num_rows, current.num_rows) < LEAST_ROWS:
        return None
    random = np.random.default_rng(SEED)
    one, other = (_drawn(side, random) for side in (_coded(reference, reference, names), _coded(current, reference, names)))
    x, y = np.vstack([one, other]), np.repeat([0, 1], [len(one), len(other)])
    scores, shuffled = np.empty(len(y)), np.empty((len(names), len(y)))
    for fit, judge in StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(x, y):
        model = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=8, random_state=SEED).fit(x[fit], y[fit])
        scores[judge] = model.predict_proba(x[judge])[:, 1]
        for i in range(len(names)):
            mixed = x[judge].copy()
            mixed[:, i] = random.permutation(mixed[:, i])
            shuffled[i, judge] = model.predict_proba(mixed)[:, 1]
    auc = area(scores, y)
    lost = {name: max(0.0, auc - area(shuffled[i], y)) for i, name in enumerate(names)}
    return Separation(auc=auc, low=_lower_end(auc, len(one), len(other)), importances=lost)


def area(scores: NDArray[Any], truth: NDArray[Any]) -> float:
    """The area under the ROC curve: the chance that a present row scores above a reference row, ties counting half."""
    ordered = np.sort(scores)
    rank = (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right") + 1) / 2
    present = int(truth.sum())
    return float((rank[truth == 1].sum() - present * (present + 1) / 2) / (present * (len(truth) - present)))


def _lower_end(auc: float, n: int, m: int) -> float:
    q1, q2 = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    variance = (auc * (1 - auc) + (m - 1) * (q1 - auc * auc) + (n - 1) * (q2 - auc * auc)) / (n * m)
    return auc - 1.96 * math.sqrt(max(0.0, variance))


def _drawn(rows: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    return rows[random.permutation(len(rows))[:MOST_ROWS]]


def _coded(table: Any, reference: Any, names: list[str]) -> NDArray[np.float64]:
    """A matrix of numbers as they are and categories by their place in the reference's order; missing as NaN."""
    columns = []
    for name in names:
        column = table.column(name).combine_chunks()
        known = values_of(reference.column(name))
        columns.append(_numbers(column) if known.kind is ColumnKind.NUMERIC else _places(column, known))
    return np.column_stack(columns)


def _numbers(column: Any) -> NDArray[np.float64]:
    numbers = np.full(len(column), np.nan)
    there = np.asarray(column.is_valid())
    numbers[there] = [float(value) for value in column.drop_null().cast("float64", safe=False).to_pylist()]
    return numbers


def _places(column: Any, known: Values) -> NDArray[np.float64]:
    place = {value: float(i) for i, value in enumerate(known.distinct.tolist())}
    unseen = float(len(place))
    return np.array([np.nan if v is None else place.get(str(v), unseen) for v in column.to_pylist()], dtype=float)
