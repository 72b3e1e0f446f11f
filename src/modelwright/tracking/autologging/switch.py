"""`mw.autolog()`: on and off."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import ModuleType

from modelwright.core.errors import Invalid
from modelwright.tracking.autologging import boosting, sklearn, torch
from modelwright.tracking.autologging.patching import AfterImport, Patches

LIBRARIES = ("sklearn", "lightgbm", "xgboost", "torch")

_lock = threading.Lock()
_patches = Patches()
_watcher: AfterImport | None = None


def autolog(*, disable: bool = False, libraries: Sequence[str] = LIBRARIES, models: bool = True, every: int = 10) -> None:
    """Log what libraries do when they train; with `disable`, put everything back as it was.

    scikit-learn: the parameters of `fit`, figures on the training rows (`training_...`), the results of a search; LightGBM
    and XGBoost: the parameters of `train`, every evaluation of every round, the gain of each feature; PyTorch: the
    optimizer, its learning rate, one in `every` of the values of a loss module. A training logs to the active run, or makes
    one; within another (a search, a pipeline) it is part of that. `models` keeps the fitted model as an artifact under
    `model/`, in skops or the library's own format, never as a pickle.
    """
    global _watcher
    unknown = sorted(set(libraries) - set(LIBRARIES))
    if unknown:
        raise Invalid(f"There is no autologging of {unknown[0]!r}.", mend=f"There is of {', '.join(LIBRARIES)}.")
    if every < 1:
        raise Invalid(f"One in {every} cannot be logged.", mend="Say every=1 for all.")
    with _lock:
        if _watcher is not None:
            _watcher.end()
            _watcher = None
        _patches.undo()
        if not disable:
            _watcher = AfterImport(libraries, lambda module: _wrap(module, models=models, every=every))
            _watcher.begin()


def _wrap(module: ModuleType, *, models: bool, every: int) -> None:
    package = module.__name__.partition(".")[0]
    if package == sklearn.PACKAGE:
        sklearn.wrap(module, _patches, models=models)
    elif package == torch.PACKAGE:
        torch.wrap(module, _patches, every=every)
    else:
        boosting.wrap(module, _patches, models=models)
