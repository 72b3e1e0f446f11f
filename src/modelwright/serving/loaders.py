"""From a model package to something that predicts. One file per format, under `formats/`; none runs the code it reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from modelwright.core.errors import Corrupt, Invalid, NotFound, Refused
from modelwright.core.hashing import digest_bytes
from modelwright.serving.checks import Columns
from modelwright.serving.mlmodel import native, read_mlmodel
from modelwright.serving.records import MLMODEL, Format, Manifest
from modelwright.serving.seals import verify

Package: TypeAlias = Path | Mapping[str, bytes | Path]


class Predictor(Protocol):
    """A loaded model.

    Guarantees: it takes checked columns (see `checks`), gives every output of its signature in memory form, keeps the
    order of rows, answers an empty batch with empty outputs, holds no state between calls and may be called from
    several threads at once.
    """

    @property
    def manifest(self) -> Manifest: ...

    def predict(self, columns: Columns) -> Columns: ...


@runtime_checkable
class Gainful(Protocol):
    """A loaded model whose file says what each input brought while it was grown."""

    def gains(self) -> dict[str, float]: ...


_SUFFIXES: dict[Format, tuple[str, ...]] = {
    Format.SKOPS: (".skops",),
    Format.ONNX: (".onnx",),
    Format.LIGHTGBM: (".lgb", ".txt"),
    Format.XGBOOST: (".ubj", ".json"),
}
_NEVER: dict[Format, tuple[str, str]] = {
    Format.EXTERNAL: (
        "only an address is known; there is nothing to load",
        "Load it with the program that registered it.",
    ),
    Format.PICKLE: (
        "it is a pickle, which runs whatever it says when it is read; no server reads one",
        "Log the model as skops, ONNX, LightGBM or XGBoost.",
    ),
    Format.SAFETENSORS: (
        "it holds tensors and nothing that predicts with them",
        "Export the network as ONNX to serve it; load the tensors with models.load.",
    ),
}


def load(manifest: Manifest, package: Package) -> Predictor:
    """Load a package from its folder, or from a mapping of its paths to bytes or files.

    Every file that the manifest names is verified against its digest first (`Corrupt`); a file that is not there is
    `NotFound`; a signed package must hold exactly what was signed; a model whose content is not allowed, or not what the
    format promises, is `Invalid`.
    """
    check_servable(manifest)
    files = {path: _read(package, path, digest) for path, digest in manifest.files.items()}
    check_seal(manifest, files)
    if manifest.format is Format.MLFLOW:
        return _from_folder(manifest, files)
    suffixes = _SUFFIXES[manifest.format]
    models = [path for path in files if path.endswith(suffixes)]
    if len(models) != 1:
        told = " or ".join(suffixes)
        raise Invalid(
            f"The package of {manifest.name}@{manifest.version} holds {len(models)} files that end in {told}.",
            mend="A package of this format holds exactly one.",
        )
    return _loaded(manifest.format, manifest, files[models[0]])


def check_seal(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """`Corrupt`, naming the file, unless a signed package holds exactly what was signed."""
    if manifest.seal is not None:
        verify(manifest.seal, {path: hashlib.sha256(data).hexdigest() for path, data in files.items()})


@contextmanager
def telling_file(path: str, of: str = "") -> Iterator[None]:
    """Where an object is damaged or gone, say of which file it is the content: `of` is the version's ref."""
    whose = f"The file {path!r}{f' of {of}' if of else ''}"
    try:
        yield
    except NotFound as error:
        raise NotFound(f"{whose} is lost: {error.message}", mend=error.mend, details={"file": path}) from None
    except Corrupt as error:
        raise Corrupt(f"{whose} is damaged: {error.message}", mend=error.mend, details={"file": path}) from None


def check_servable(manifest: Manifest) -> None:
    """`Refused`, with the reason, for what no server loads whatever is in it."""
    if manifest.format in _NEVER:
        why, mend = _NEVER[manifest.format]
        raise Refused(f"{manifest.name}@{manifest.version} cannot be served: {why}.", mend=mend)


def _from_folder(manifest: Manifest, files: Mapping[str, bytes]) -> Predictor:
    """Load the native file of an MLflow folder; `Refused` where it has none."""
    if MLMODEL not in files:
        raise Invalid(f"The package of {manifest.name}@{manifest.version} has no file {MLMODEL}.")
    format, path = native(read_mlmodel(files[MLMODEL]))
    if path not in files:
        raise NotFound(f"The package of {manifest.name}@{manifest.version} has no file {path!r}, which {MLMODEL} names.")
    if not manifest.signature.inputs or not manifest.signature.outputs:
        raise Refused(
            f"{manifest.name}@{manifest.version} was logged without a signature of columns, so no request can be checked.",
            mend="Log it with a signature, or with an input example.",
        )
    return _loaded(format, manifest, files[path])


def _loaded(format: Format, manifest: Manifest, data: bytes) -> Predictor:
    """What a file of one of the formats in `formats/` predicts with; each is imported when there is something to load."""
    module = import_module(f"modelwright.serving.formats.{format.value}")
    predictor: Predictor = module.load(manifest, data)
    return predictor


def _read(package: Package, path: str, digest: str) -> bytes:
    source = _within(package, path) if isinstance(package, Path) else package.get(path)
    if isinstance(source, Path):
        try:
            source = source.read_bytes()
        except OSError as error:
            raise NotFound(f"The package has no readable file {path!r}: {error.strerror}.") from None
    if source is None:
        raise NotFound(f"The package has no file {path!r}.")
    found = digest_bytes(source)
    if found != digest:
        raise Corrupt(
            f"The file {path!r} is not the one that was registered: its digest is {found[:12]}, not {digest[:12]}.",
            mend="Fetch it again; if that does not help, restore the object from a backup.",
        )
    return source


def _within(folder: Path, path: str) -> Path:
    wanted = (folder / path).resolve()
    if not wanted.is_relative_to(folder.resolve()):
        raise Invalid(f"The path {path!r} leads out of the package.")
    return wanted
