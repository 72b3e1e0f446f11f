"""Calling a step's function: with its context, with its seeds, and leaving the process as it was."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from modelwright.pipelines.context import Context
from modelwright.pipelines.graph import Step


def call(step: Step[..., Any], arguments: Mapping[str, Any], context: Context) -> Any:
    """Call the function in its context; `random` and NumPy's global generator begin at the step's own seed."""
    with context.entered(), _seeded(context.seed):
        return step.call(arguments, context)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    numpy = sys.modules.get("numpy")
    plain, arrays = random.getstate(), numpy.random.get_state() if numpy else None
    random.seed(seed)
    if numpy:
        numpy.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(plain)
        if numpy and arrays is not None:
            numpy.random.set_state(arrays)
