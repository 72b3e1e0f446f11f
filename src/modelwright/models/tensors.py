"""Named tensors in safetensors: arrays of NumPy or torch in, arrays of NumPy (or tensors of torch) out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from modelwright.core.errors import Invalid, Unavailable

PATH = "model.safetensors"


def dump(model: Any, metadata: Mapping[str, str]) -> bytes:
    """A mapping of names to arrays or tensors, or a network of torch, as the bytes of a file."""
    named = model.state_dict() if hasattr(model, "state_dict") else dict(model)
    if not named or not all(isinstance(name, str) for name in named):
        raise Invalid("There are no named tensors to store.", mend="Pass a dict of names to arrays, or a torch module.")
    said = {str(key): str(value) for key, value in metadata.items()}
    library = _library()
    if any(type(value).__module__.partition(".")[0] == "torch" for value in named.values()):
        from safetensors.torch import save

        tensors = {name: value.detach().cpu().contiguous() for name, value in named.items()}
        return bytes(save(tensors, said))
    arrays = {name: np.ascontiguousarray(value) for name, value in named.items()}
    wrong = next((name for name, array in arrays.items() if array.dtype.kind not in "fiubc"), None)
    if wrong is not None:
        raise Invalid(f"The tensor {wrong!r} holds {arrays[wrong].dtype} and not numbers.")
    return bytes(library.save(arrays, said))


def read(data: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """The arrays by name, and the file's metadata. A type that NumPy lacks (bfloat16) comes as torch's tensors."""
    library = _library()
    try:
        arrays: dict[str, Any] = library.load(data)
    except KeyError:
        from safetensors.torch import load

        arrays = load(data)
    except Exception as error:  # noqa: BLE001 - the library has a type of its own for a file that is none
        raise Invalid(f"The safetensors file cannot be read: {type(error).__name__}.") from None
    length = int.from_bytes(data[:8], "little")
    return arrays, json.loads(data[8 : 8 + length]).get("__metadata__", {})


def _library() -> Any:
    try:
        from safetensors import numpy
    except ImportError:
        raise Unavailable(
            "Tensors are stored by the package safetensors, which is not installed.",
            mend='pip install "modelwright[safetensors]"',
        ) from None
    return numpy
