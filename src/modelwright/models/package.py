"""From a fitted estimator to a package that serving loads: signature, file, and the proof that both predict alike."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from modelwright.core.errors import Invalid, Refused
from modelwright.core.hashing import digest_bytes
from modelwright.core.signature import Column, DataType, Signature
from modelwright.core.skops import skops_io
from modelwright.models import tensors
from modelwright.models.columns import as_batch, as_table, data_type, infer_columns
from modelwright.models.frameworks import default_format, framework_of, plain_params, predict_directly, written
from modelwright.models.onnx import to_onnx
from modelwright.models.records import Parity
from modelwright.models.sampling import sample
from modelwright.serving import Format, Manifest, check_batch, load

EXAMPLE_ROWS = 5  # kept with the version; the whole example serves signature and parity only
TOLERANCE = {  # of a probability or value, absolute
    Format.SKOPS: 1e-12,
    Format.ONNX: 1e-5,
    Format.LIGHTGBM: 1e-12,
    Format.XGBOOST: 1e-6,
}


@dataclass(frozen=True)
class Package:
    """What is stored: files by path, the signature, a few example rows, and how well the file repeats the estimator."""

    format: Format
    files: dict[str, bytes]
    signature: Signature
    example: bytes | None
    framework: str
    parity: Parity | None
    params: dict[str, Any]


def build(
    estimator: Any,
    example: Any,
    *,
    format: Format | None = None,
    nullable: Sequence[str] = (),
    categories: Mapping[str, Sequence[str]] | None = None,
    tolerance: float | None = None,
    allow_unsafe: bool = False,
    metadata: Mapping[str, str] | None = None,
    hidden: Set[str] = frozenset(),
) -> Package:
    """Describe, serialise, load again, and compare. `Invalid` where any of it fails; parity is for the caller to judge.

    `example` is a table of inputs only; all of its rows are compared, and as many that are sampled like them. Of the rows
    that are kept the columns in `hidden` are missing.
    """
    format = default_format(estimator) if format is None else format
    if format is Format.SAFETENSORS:
        return _tensors(estimator, metadata or {})
    if format is Format.PICKLE:
        return _pickled(estimator, example, hidden, nullable=nullable, categories=categories, allow_unsafe=allow_unsafe)
    if format not in _WRITERS:
        raise Invalid(f"Nothing is logged as {format}.", mend="Register an MLflow folder with models.log_folder.")
    if example is None:
        raise Invalid("A model is logged with an example of its input.", mend="Pass a table of a few rows as `example`.")
    table = as_table(example)
    if table.num_rows == 0:
        raise Invalid("The example has no rows, so nothing can be learned from it.", mend="Pass a few rows of real input.")
    inputs = infer_columns(table, nullable=nullable, categories=categories)
    expected = predict_directly(estimator, example if hasattr(example, "iloc") else table)
    signature = Signature(inputs=inputs, outputs=[_output(name, values) for name, values in expected.items()])
    within = TOLERANCE[format] if tolerance is None else tolerance
    cases = [Case(table, expected), *_sampled(estimator, example, table, inputs)]
    data, parity = _written(estimator, signature, format, cases, within)
    return Package(
        format=format,
        files={_path(format): data},
        signature=signature,
        example=_kept(table, hidden),
        framework=framework_of(estimator),
        parity=parity,
        params=plain_params(estimator),
    )


def _tensors(model: Any, metadata: Mapping[str, str]) -> Package:
    """Tensors do not predict by themselves: there is nothing to compare."""
    return Package(
        format=Format.SAFETENSORS,
        files={tensors.PATH: tensors.dump(model, metadata)},
        signature=Signature(inputs=[], outputs=[]),
        example=None,
        framework=framework_of(model),
        parity=None,
        params=plain_params(model),
    )


def _pickled(
    model: Any,
    example: Any,
    hidden: Set[str],
    *,
    nullable: Sequence[str],
    categories: Mapping[str, Sequence[str]] | None,
    allow_unsafe: bool,
) -> Package:
    """A pickle is not read again to be compared; what it takes and gives is told by the model itself."""
    from modelwright.models import unpickling

    if not allow_unsafe:
        raise Refused(
            "A pickle runs whatever is written in it when it is read: no server serves one, and a policy may forbid it.",
            mend="Log the model as skops, ONNX, LightGBM or XGBoost; or pass allow_unsafe=True.",
        )
    signature, kept = Signature(inputs=[], outputs=[]), None
    if example is not None:
        table = as_table(example)
        given = predict_directly(model, example if hasattr(example, "iloc") else table)
        outputs = [_output(name, values) for name, values in given.items()]
        signature = Signature(inputs=infer_columns(table, nullable=nullable, categories=categories), outputs=outputs)
        kept = _kept(table, hidden)
    return Package(
        format=Format.PICKLE,
        files={unpickling.PATH: unpickling.dump(model)},
        signature=signature,
        example=kept,
        framework=framework_of(model),
        parity=None,
        params=plain_params(model),
    )


def _kept(table: pa.Table, hidden: Set[str]) -> bytes:
    """The first rows, in which what is hidden is missing."""
    rows = table.slice(0, EXAMPLE_ROWS)
    for place, field in enumerate(rows.schema):
        if field.name in hidden:
            rows = rows.set_column(place, field.with_nullable(True), pa.nulls(rows.num_rows, field.type))
    return _parquet(rows)


@dataclass(frozen=True)
class Case:
    """Rows, and what the estimator says about them."""

    table: pa.Table
    expected: Mapping[str, Any]


def _sampled(estimator: Any, example: Any, table: pa.Table, inputs: Sequence[Column]) -> list[Case]:
    """Rows beyond the example; with gaps where the estimator itself bears them, none where it takes only the example."""
    for gaps in (True, False) if any(column.nullable for column in inputs) else (False,):
        rows = sample(table, inputs, gaps=gaps)
        frame = rows.to_pandas().astype(dict(example.dtypes), errors="ignore") if hasattr(example, "iloc") else rows
        try:
            return [Case(rows, predict_directly(estimator, frame))]
        except Exception:  # noqa: BLE001, S112 - whatever an estimator raises at values that it was never meant for
            continue
    return []


def _written(
    estimator: Any, signature: Signature, format: Format, cases: Sequence[Case], tolerance: float
) -> tuple[bytes, Parity]:
    """The model's file and its parity. Of several ways to write it, the first that holds, else the nearest.

    `Invalid`, as the first way had it, where none of them can be loaded.
    """
    tried: list[tuple[bytes, Parity]] = []
    failures: list[Invalid] = []
    rows, sampled = cases[0].table.num_rows, sum(case.table.num_rows for case in cases[1:])
    for write in _WRITERS[format]:
        try:
            data = write(estimator, signature)
            gap = _gap(data, signature, format, cases)
        except Invalid as failure:
            failures.append(failure)
            continue
        tried.append((data, Parity(rows=rows, sampled=sampled, max_difference=gap, tolerance=tolerance)))
        if tried[-1][1].holds:
            break
    if not tried:
        raise failures[0]
    return min(tried, key=lambda each: each[1].max_difference)


_WRITERS: dict[Format, list[Callable[[Any, Signature], bytes]]] = {
    Format.SKOPS: [lambda estimator, _: _to_skops(estimator)],
    Format.ONNX: [to_onnx, lambda estimator, signature: to_onnx(estimator, signature, single_precision=True)],
    Format.LIGHTGBM: [lambda estimator, _: written(estimator, Format.LIGHTGBM)],
    Format.XGBOOST: [lambda estimator, _: written(estimator, Format.XGBOOST)],
}
_PATHS = {Format.LIGHTGBM: "model.lgb", Format.XGBOOST: "model.ubj"}


def _gap(data: bytes, signature: Signature, format: Format, cases: Sequence[Case]) -> float:
    """The largest difference between what serving makes of the file and what the estimator says."""
    files = {_path(format): data}
    digests = {path: digest_bytes(content) for path, content in files.items()}
    manifest = Manifest(name="package", version=1, format=format, files=digests, signature=signature, digest="")
    loaded, found = load(manifest, files), []
    for case in cases:
        given = loaded.predict(check_batch(signature, as_batch(case.table, signature)))
        found += [_difference(case.expected[name], given[name]) for name in case.expected]
    return max(found)


def _path(format: Format) -> str:
    return _PATHS.get(format, f"model.{format.value}")


def _output(name: str, values: Any) -> Column:
    if values.dtype.kind in "OU":
        return Column(name=name, dtype=DataType.STRING)
    return Column(name=name, dtype=data_type(name, pa.from_numpy_dtype(values.dtype)))


def _to_skops(estimator: Any) -> bytes:
    data: bytes = skops_io().dumps(estimator)
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
