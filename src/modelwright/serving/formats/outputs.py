"""How a classifier's or regressor's raw answers become the named outputs of a signature.

probability           the probability of the positive (second) class of a binary classifier
probability_<class>   one column per class, in the order of the model's classes
anything else         what the model predicts: the class, or the value
"""

from __future__ import annotations

from collections.abc import Callable

from modelwright.core.errors import Invalid
from modelwright.core.signature import Signature
from modelwright.serving.checks import Array, Columns, conform_outputs

PROBABILITY = "probability"


def wants_probabilities(signature: Signature) -> bool:
    """Whether any output is a probability."""
    return any(_is_probability(column.name) for column in signature.outputs)


def name_outputs(signature: Signature, predicted: Callable[[], Array], probabilities: Callable[[], Array]) -> Columns:
    """The named outputs; each source is asked at most once, and only if an output needs it. Shapes [N] and [N, classes]."""
    named: Columns = {}
    chances = probabilities() if wants_probabilities(signature) else None
    per_class = [column.name for column in signature.outputs if column.name.startswith(PROBABILITY + "_")]
    if chances is not None and per_class and len(per_class) != chances.shape[1]:
        raise Invalid(f"The model has {chances.shape[1]} classes and its signature {len(per_class)} probability columns.")
    for column in signature.outputs:
        if chances is not None and column.name == PROBABILITY:
            if chances.shape[1] != 2:
                raise Invalid(
                    f"An output {PROBABILITY!r} is that of the second of two classes; this model has {chances.shape[1]}.",
                    mend=f"Name the outputs {PROBABILITY}_<class>, one per class.",
                )
            named[column.name] = chances[:, 1]
        elif chances is not None and column.name in per_class:
            named[column.name] = chances[:, per_class.index(column.name)]
        else:
            named[column.name] = predicted()
    return conform_outputs(signature, named)


def _is_probability(name: str) -> bool:
    return name == PROBABILITY or name.startswith(PROBABILITY + "_")
