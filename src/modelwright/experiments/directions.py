"""Which way a metric is better, told from its name where nobody says: an error falls, a score rises."""

from __future__ import annotations

import re
from itertools import pairwise

# Words that name a thing to be made small. Everything else is taken for a score.
_SMALL = frozenset(
    """
    loss error err mse rmse mae mape smape msle rmsle medae logloss deviance perplexity wer cer brier ece mce crps nll
    hinge entropy crossentropy divergence kl regret cost latency seconds ms duration time memory size fpr fnr fdr
    misclassification mismatch violations pinball distance drift psi bias variance
    """.split()  # noqa: SIM905 - a list to read, not to edit by quote marks
)
_WORDS = re.compile(r"[a-z]+")


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value of the metric is the better one, as far as its name tells: `val/rmse` and `eval_loss` are."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", metric).lower()
    words = _WORDS.findall(name)
    joined = ["".join(pair) for pair in pairwise(words)]  # log_loss, cross-entropy
    return any(word in _SMALL for word in (*words, *joined)) and not name.startswith(("neg_", "negative_"))
