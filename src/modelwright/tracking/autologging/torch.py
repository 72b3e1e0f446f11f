"""PyTorch: what an optimizer was set to, the learning rate as it changes, the loss.

A training loop of PyTorch has no beginning and no end that anybody could see, so it logs to the active run, and to nothing
where none is active.
"""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

from modelwright.experiments.records import RunStatus
from modelwright.tracking.active import active_run
from modelwright.tracking.autologging.patching import Patches, safely
from modelwright.tracking.autologging.session import short
from modelwright.tracking.run import TrackedRun

PACKAGE = "torch"


class _Seen:
    """What has been logged of the modules and optimizers of one run."""

    def __init__(self) -> None:
        self.optimizers: weakref.WeakSet[Any] = weakref.WeakSet()
        self.rates: weakref.WeakKeyDictionary[Any, list[float]] = weakref.WeakKeyDictionary()
        self.calls: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self.steps = 0


_runs: weakref.WeakKeyDictionary[TrackedRun, _Seen] = weakref.WeakKeyDictionary()


def wrap(module: ModuleType, patches: Patches, *, every: int) -> None:
    """Put PyTorch's own hooks in place: after every step of an optimizer, and after every loss."""
    if module.__name__ != PACKAGE:
        return
    optimizers, modules = (importlib.import_module(name) for name in ("torch.optim.optimizer", "torch.nn.modules.module"))
    loss = importlib.import_module("torch.nn.modules.loss")._Loss

    def after_step(optimizer: Any, args: Any, kwargs: Any) -> None:
        safely("the optimizer", lambda: _step(optimizer))

    def after_forward(module: Any, inputs: Any, output: Any) -> None:
        if isinstance(module, loss):
            safely("the loss", lambda: _loss(module, output, "loss", every))

    patches.remember(optimizers.register_optimizer_step_post_hook(after_step).remove)
    patches.remember(modules.register_module_forward_hook(after_forward).remove)


def watch(module: Any, *, name: str = "loss", every: int = 10) -> Callable[[], None]:
    """Log a PyTorch module to the active run: its size and text now, and, where it gives a single number, that as `name`.

    Of the numbers one in `every` calls is logged, since asking a GPU for one makes the training wait for it. Returns what
    stops it.
    """
    run = active_run()
    if run is not None:
        safely("the module", lambda: _describe(run, module))
    handle = module.register_forward_hook(
        lambda module, inputs, output: safely("the module's output", lambda: _loss(module, output, name, every))
    )
    stop: Callable[[], None] = handle.remove
    return stop


def _describe(run: TrackedRun, module: Any) -> None:
    sizes = [(each.numel(), each.requires_grad) for each in module.parameters()]
    kind = type(module).__name__
    values = {"parameters": sum(n for n, _ in sizes), "trainable": sum(n for n, trained in sizes if trained)}
    run.log_params({f"{kind}.{key}": value for key, value in values.items()})
    run.log_text(str(module), f"modules/{kind}.txt")


def _loss(module: Any, output: Any, name: str, every: int) -> None:
    run = _active()
    if run is None or not hasattr(output, "numel") or output.numel() != 1 or not output.requires_grad:
        return  # no number, or no training: an evaluation under no_grad() is none
    calls = _seen(run).calls
    count = calls[module] = calls.get(module, -1) + 1
    if count % every == 0:
        run.log_metric(name, output.detach().item(), step=count)


def _step(optimizer: Any) -> None:
    run = _active()
    if run is None:
        return
    seen = _seen(run)
    rates = [float(group["lr"]) for group in optimizer.param_groups if "lr" in group]
    if optimizer not in seen.optimizers:
        prefix = "optimizer" if not seen.optimizers else f"optimizer-{len(seen.optimizers) + 1}"
        seen.optimizers.add(optimizer)
        run.log_param(prefix, type(optimizer).__name__)
        run.log_params({f"{prefix}.{name}": short(value) for name, value in optimizer.defaults.items()})
    seen.steps += 1
    if rates and seen.rates.get(optimizer) != rates:
        seen.rates[optimizer] = rates
        run.log_metric("learning_rate", rates[0], step=seen.steps - 1)


def _active() -> TrackedRun | None:
    run = active_run()
    return run if run is not None and run.status is RunStatus.RUNNING else None


def _seen(run: TrackedRun) -> _Seen:
    return _runs.setdefault(run, _Seen())
