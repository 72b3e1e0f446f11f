"""Which way a metric is better, told from its name where nobody says: an error falls, a score rises."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

# Words that name a thing to be made small. Everything else is taken for a score.
_SMALL = frozenset(
    """
    loss error err mse rmse mae mape smape msle rmsle medae logloss deviance perplexity wer cer brier ece mce crps nll
    hinge entropy crossentropy divergence kl regret cost latency seconds ms duration time memory size fpr fnr fdr
    misclassification mismatch violations pinball distance drift psi bias variance
    """.split()  # noqa: SIM905 - a list to read, not to edit by quote marks
)
# Words that name a score. They say no more than that a name tells which way is better.
_GREAT = frozenset(
    """
    auc auroc auprc aucpr ap map mrr ndcg dcg accuracy acc precision recall sensitivity specificity f1 f2 fbeta fscore score
    r2 r2score rsquared mcc kappa iou dice jaccard bleu rouge meteor psnr ssim gini ks lift hits hit tpr tnr ppv npv
    reward return gain profit revenue throughput speedup correct coverage agreement correlation pearson spearman win
    """.split()  # noqa: SIM905
)
_WORDS = re.compile(r"[a-z]+")
_NUMBERED = re.compile(r"(?<![a-z])[fr][12](?![0-9])")


@lru_cache(maxsize=8192)  # asked for each metric of each run
def lower_is_better(metric: str) -> bool:
    """Whether a smaller value of the metric is the better one, as far as its name tells: `val/rmse` and `eval_loss` are."""
    name = _plain(metric)
    return any(word in _SMALL for word in _words(name)) and not name.startswith(("neg_", "negative_"))


def tells_direction(metric: str) -> bool:
    """Whether the name of a metric says which way is better; of `layer3/grad_norm` nobody knows."""
    return any(word in _SMALL or word in _GREAT for word in _words(_plain(metric)))


def _plain(metric: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", metric).lower()


def _words(name: str) -> list[str]:
    words = _WORDS.findall(name)
    return [*words, *_NUMBERED.findall(name), *("".join(pair) for pair in pairwise(words))]  # log_loss, cross-entropy
