"""The only place that reads a pickle: in the caller's own process, asked for by name, and after its scan found nothing.

No server imports this (a test holds the house to it): what is served, is served from formats that run no code.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from modelwright.core.errors import Invalid, Refused
from modelwright.models.files import write_folder
from modelwright.models.frameworks import predict_directly
from modelwright.models.records import ModelVersion
from modelwright.models.scan import Scan, scan
from modelwright.serving import Manifest, check_batch, conform_outputs
from modelwright.serving.records import MLMODEL

PATH = "model.pkl"


def dump(model: Any) -> bytes:
    """A model as a pickle."""
    try:
        return pickle.dumps(model, protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise Invalid(f"A {type(model).__name__} cannot be pickled: {error}.") from None


def load(version: ModelVersion, files: Mapping[str, bytes], *, trust: Collection[str] = ()) -> Unpickled:
    """Read a version of the format pickle; `Refused` with its findings, if its scan has any."""
    _check(version, scan(files, named=files.keys(), trust=trust))
    return Unpickled(version.manifest, pickle.loads(files[PATH]))  # noqa: S301 - scanned, and asked for by name


def load_folder(version: ModelVersion, files: Mapping[str, bytes], flavour: str, *, trust: Collection[str] = ()) -> Any:
    """What MLflow makes of a folder in one of its flavours; `Refused` with the findings, if its pickles have any."""
    if flavour not in version.record.flavours or not flavour.isidentifier():
        raise Invalid(f"{version.ref} has no flavour {flavour!r}.", mend=f"It has {', '.join(version.record.flavours)}.")
    _check(version, scan({path: data for path, data in files.items() if path != MLMODEL}, trust=trust))
    module = import_module("mlflow.pyfunc" if flavour == "python_function" else f"mlflow.{flavour}")
    with tempfile.TemporaryDirectory(prefix="modelwright-") as folder:
        write_folder(Path(folder), files)
        return module.load_model(folder)


class Unpickled:
    """An unpickled estimator behind the `Predictor` interface."""

    def __init__(self, manifest: Manifest, model: Any) -> None:
        self.manifest = manifest
        self.model = model

    def predict(self, columns: Any) -> Any:
        """See `serving.Predictor.predict`."""
        checked = check_batch(self.manifest.signature, columns)
        return conform_outputs(self.manifest.signature, predict_directly(self.model, pa.table(checked)))


def _check(version: ModelVersion, found: Scan) -> None:
    if found.findings:
        told = "; ".join(str(finding) for finding in found.findings[:3])
        raise Refused(
            f"{version.ref} is not read: {told}.",
            mend="If you know what these names are, pass them: trust=[...]; better, log the model as skops or ONNX.",
            details={"findings": [str(finding) for finding in found.findings[:50]]},
        )
