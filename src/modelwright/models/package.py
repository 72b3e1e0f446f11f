"""From a fitted estimator to a package that serving loads: signature, file, and the proof that both predict alike."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from modelwright.core.errors import Invalid
from modelwright.core.hashing import digest_bytes
from modelwright.core.signature import Column, DataType, Signature
from modelwright.models.columns import as_batch, as_table, data_type, infer_columns
from modelwright.models.onnx import to_onnx
from modelwright.models.records import Parity
from modelwright.serving import Format, Manifest, check_batch, load

EXAMPLE_ROWS = 5  # kept with the version; the whole example serves signature and parity only
TOLERANCE = {Format.SKOPS: 1e-12, Format.ONNX: 1e-5}  # of a probability or value, absolute


@dataclass(frozen=True)
class Package:
    """What is stored: files by path, the signature, a few example rows, and how well the file repeats the estimator."""

    format: Format
    files: dict[str, bytes]
    signature: Signature
    example: bytes
    framework: str
    parity: Parity
    params: dict[str, Any]


def build(
    estimator: Any,
    example: Any,
    *,
    format: Format,
    nullable: Sequence[str] = (),
    categories: Mapping[str, Sequence[str]] | None = None,
    tolerance: float | None = None,
) -> Package:
    """Describe, serialise, load again, and compare. `Invalid` where any of it fails; parity is for the caller to judge.

    `example` is a table of inputs only; all of its rows are compared.
    """
    table = as_table(example)
    if table.num_rows == 0:
        raise Invalid("The example has no rows, so nothing can be learned from it.", mend="Pass a few rows of real input.")
    inputs = infer_columns(table, nullable=nullable, categories=categories)
    expected = predict_directly(estimator, example if hasattr(example, "iloc") else table)
    signature = Signature(inputs=inputs, outputs=[_output(name, values) for name, values in expected.items()])
    within = TOLERANCE[format] if tolerance is None else tolerance
    data, parity = _written(estimator, signature, format, table, expected, within)
    return Package(
        format=format,
        files={_path(format): data},
        signature=signature,
        example=_parquet(table.slice(0, EXAMPLE_ROWS)),
        framework=_framework(),
        parity=parity,
        params=plain_params(estimator),
    )


def _written(
    estimator: Any, signature: Signature, format: Format, table: pa.Table, expected: Mapping[str, Any], tolerance: float
) -> tuple[bytes, Parity]:
    """The model's file and its parity. Of several ways to write it, the first that holds, else the nearest.

    `Invalid`, as the first way had it, where none of them can be loaded.
    """
    tried: list[tuple[bytes, Parity]] = []
    failures: list[Invalid] = []
    for write in _WRITERS[format]:
        try:
            data = write(estimator, signature)
            gap = _gap(data, signature, format, table, expected)
        except Invalid as failure:
            failures.append(failure)
            continue
        tried.append((data, Parity(rows=table.num_rows, max_difference=gap, tolerance=tolerance)))
        if tried[-1][1].holds:
            break
    if not tried:
        raise failures[0]
    return min(tried, key=lambda each: each[1].max_difference)


_WRITERS: dict[Format, list[Callable[[Any, Signature], bytes]]] = {
    Format.SKOPS: [lambda estimator, _: _to_skops(estimator)],
    Format.ONNX: [to_onnx, lambda estimator, signature: to_onnx(estimator, signature, single_precision=True)],
}


def _gap(data: bytes, signature: Signature, format: Format, table: pa.Table, expected: Mapping[str, Any]) -> float:
    """The largest difference between what serving makes of the file and what the estimator says."""
    files = {_path(format): data}
    digests = {path: digest_bytes(content) for path, content in files.items()}
    manifest = Manifest(name="package", version=1, format=format, files=digests, signature=signature, digest="")
    given = load(manifest, files).predict(check_batch(signature, as_batch(table, signature)))
    return max(_difference(expected[name], given[name]) for name in expected)


def _path(format: Format) -> str:
    return f"model.{format.value}"


def predict_directly(estimator: Any, example: Any) -> dict[str, Any]:
    """What the estimator itself says, under the names that serving gives outputs.

    `probability` (of the second class) for two classes, `probability_<class>` and `prediction` for more, and
    `prediction` for everything without probabilities.
    """
    rows = _as_fitted(estimator, example)
    if not hasattr(estimator, "predict_proba"):
        return {"prediction": np.asarray(estimator.predict(rows)).reshape(-1)}
    chances = np.asarray(estimator.predict_proba(rows), dtype=np.float64)
    if chances.shape[1] == 2:
        return {"probability": chances[:, 1]}
    names = [f"probability_{label}" for label in estimator.classes_]
    return {"prediction": np.asarray(estimator.predict(rows)), **dict(zip(names, chances.T, strict=True))}


def plain_params(estimator: Any) -> dict[str, Any]:
    """The estimator's own parameters, as far as they are plain values; nested ones under their path."""
    return {
        name: value
        for name, value in sorted(estimator.get_params(deep=True).items())
        if isinstance(value, str | bool | int | float) or value is None
    }


def _as_fitted(estimator: Any, example: Any) -> Any:
    """The example in the form that the estimator was fitted on: a frame if it knows names, else an array."""
    frame = example.to_pandas() if isinstance(example, pa.Table) else example
    return frame if hasattr(estimator, "feature_names_in_") else frame.to_numpy()


def _output(name: str, values: Any) -> Column:
    if values.dtype.kind in "OU":
        return Column(name=name, dtype=DataType.STRING)
    return Column(name=name, dtype=data_type(name, pa.from_numpy_dtype(values.dtype)))


def _to_skops(estimator: Any) -> bytes:
    import skops.io

    data: bytes = skops.io.dumps(estimator)
    return data


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _difference(expected: Any, given: Any) -> float:
    """The largest absolute difference; labels that are not equal differ infinitely."""
    if expected.dtype.kind not in "fiub":
        return 0.0 if [str(e) for e in expected] == [str(g) for g in given] else float("inf")
    gaps = np.abs(expected.astype(np.float64) - np.asarray(given, dtype=np.float64))
    return float(gaps.max()) if np.isfinite(gaps).all() else float("inf")


def _framework() -> str:
    from importlib.metadata import version

    return f"scikit-learn {version('scikit-learn')}"
