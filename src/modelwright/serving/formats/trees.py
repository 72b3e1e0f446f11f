"""What boosted trees take and give, whichever library grew them: a matrix of numbers in, raw scores out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modelwright.core.errors import Invalid
from modelwright.core.signature import DataType, Signature
from modelwright.serving.checks import Array, Columns
from modelwright.serving.formats.outputs import PROBABILITY, name_outputs
from modelwright.serving.records import Manifest

FEW_ROWS = 2_000  # up to so many, more threads than one cost more than they bring


def order_of(manifest: Manifest, features: Sequence[str]) -> list[str]:
    """The inputs in the order of the model's features: by name where they have the same names, else as they stand."""
    names = [column.name for column in manifest.signature.inputs]
    if len(features) != len(names):
        raise Invalid(
            f"{manifest.name}@{manifest.version} was fitted on {len(features)} features; its signature has {len(names)}."
        )
    plain = {name.replace(" ", "_"): name for name in names}  # LightGBM writes no spaces
    return [plain[each] for each in features] if set(features) == plain.keys() else names


def levels_of(manifest: Manifest, known: Sequence[Sequence[Any]]) -> dict[str, dict[Any, float]]:
    """For each input of text, which number the model knows each level by; `known` are its levels, in order of column."""
    texts = [column for column in manifest.signature.inputs if column.dtype is DataType.STRING]
    if len(known) != len(texts):
        raise Invalid(
            f"{manifest.name}@{manifest.version} knows levels of {len(known)} columns, and its signature has "
            f"{len(texts)} columns of text.",
            mend="Fit it on columns of numbers, and of texts that are categories.",
        )
    return {column.name: _numbered(levels) for column, levels in zip(texts, known, strict=True)}


def _numbered(levels: Sequence[Any]) -> dict[Any, float]:
    return {str(level): float(number) for number, level in enumerate(levels)}


def matrix(columns: Columns, order: Sequence[str], levels: Mapping[str, Mapping[Any, float]]) -> Array:
    """Rows by features; a level that the model never saw is missing, as both libraries have it."""
    return np.column_stack([_numbers(columns[name], levels.get(name)) for name in order])


def _numbers(values: Array, levels: Mapping[Any, float] | None) -> Array:
    if levels is not None:
        return np.array([levels.get(value, np.nan) for value in values], dtype=np.float64)
    if values.dtype.kind == "M":
        numbers = values.astype(np.int64).astype(np.float64)
        numbers[np.isnat(values)] = np.nan
        return numbers
    return values.astype(np.float64, copy=False)


def answers(signature: Signature, raw: Array, *, chances: bool) -> Columns:
    """The outputs of a signature from raw scores: one a row, or one for each class.

    `chances` says that the scores are probabilities. A prediction is then the likeliest class: by its name where the
    signature has a column for each, by its number where it is a whole number, and else the score itself.
    """
    both = raw if raw.ndim == 2 and raw.shape[1] > 1 else np.column_stack([1 - raw.reshape(-1), raw.reshape(-1)])
    return name_outputs(signature, lambda: _predicted(signature, raw, both, chances), lambda: both)


def _predicted(signature: Signature, raw: Array, both: Array, chances: bool) -> Array:
    names = [column.name for column in signature.outputs if column.name.startswith(f"{PROBABILITY}_")]
    labels = [name.removeprefix(f"{PROBABILITY}_") for name in names]
    column = next(each for each in signature.outputs if not each.name.startswith(PROBABILITY))
    likeliest: Array = both.argmax(axis=1)
    if labels:
        as_text = column.dtype is DataType.STRING
        classes: Array = np.array(
            labels if as_text else [float(label) for label in labels], dtype=object if as_text else None
        )
        chosen: Array = classes[likeliest]
        return chosen
    if chances and column.dtype in (DataType.BOOL, DataType.INT32, DataType.INT64):
        return likeliest
    if raw.ndim == 2 and raw.shape[1] > 1:
        raise Invalid(f"The model gives {raw.shape[1]} numbers a row, and its signature one output {column.name!r}.")
    return raw.reshape(-1)


def empty(signature: Signature) -> Columns:
    """The outputs for no rows."""
    classes = max(2, sum(column.name.startswith(f"{PROBABILITY}_") for column in signature.outputs))
    return name_outputs(signature, lambda: np.empty(0), lambda: np.empty((0, classes)))


def told(error: Exception) -> str:
    """What a failure may be passed on as: our own words, and of a library's only what kind it is."""
    return error.message if isinstance(error, Invalid) else f"{type(error).__name__}."
