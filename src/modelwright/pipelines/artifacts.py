"""Results of steps as safe files. Nothing is ever pickled: what is read back cannot run code of its own.

A result becomes a tree of plain JSON. Tables, arrays, bytes and estimators lie in objects of their own, and the tree holds
their digests:

    {"auc": 0.71, "model": {"$object": {"format": "skops", "digest": "…", "size": 48211}}}

| value                                                         | kept as                                    |
| ------------------------------------------------------------- | ------------------------------------------ |
| None, bool, int, float, str, list, dict with text keys        | JSON as it is                              |
| tuple, set, other dicts, NaN and infinities, times, dates     | JSON under a `$` name                      |
| refs, enums, msgspec structs, dataclasses                     | JSON with the name of the type             |
| Arrow tables; pandas and Polars frames; any Arrow C stream    | Arrow IPC (Zstandard), and read back as such |
| NumPy arrays (no objects)                                     | `.npy`                                     |
| scikit-learn estimators                                       | skops                                      |
| bytes                                                         | as they are                                |

A part of a tree has a digest of its own, so a step that uses one part of a result is run again only if that part changed.
"""

from __future__ import annotations

import dataclasses
import importlib
import io
import math
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any

import msgspec

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Corrupt, Invalid, NotFound
from modelwright.core.hashing import digest_value
from modelwright.core.refs import Ref
from modelwright.core.skops import skops_io
from modelwright.core.wire import convert, to_plain

Tree = Any
"""Plain JSON values, with `$` names for what JSON does not have."""

LARGEST = 8 * 1024  # bytes of a tree that is kept in the journal; a larger one lies in an object


class Stored:
    """A value that is kept already: a tree standing in for it inside another value."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree


class Unsafe(Invalid):
    """A value has no safe form."""


def store(value: Any, blobs: Blobs, *, step: str = "") -> Tree:
    """A value as a tree, its large parts as objects; `Unsafe` names the place of what cannot be kept."""
    tree = _pack(value, blobs, step or "the value")
    data = msgspec.json.encode(tree)
    if len(data) > LARGEST and not (isinstance(tree, dict) and "$object" in tree):
        return _object("tree", data, blobs, refs=[{"$ref": str(ref)} for ref in refs_in(tree)], objects=objects_in(tree))
    return tree


def load(tree: Tree, blobs: Blobs) -> Any:
    """The value that a tree stands for."""
    if isinstance(tree, list):
        return [load(each, blobs) for each in tree]
    if not isinstance(tree, dict):
        return tree
    tag = next(iter(tree), "")
    if len(tree) == 1 and tag.startswith("$"):
        return _unpack(tag, tree[tag], blobs)
    return {key: load(each, blobs) for key, each in tree.items()}


def part(tree: Tree, path: tuple[str | int, ...], blobs: Blobs) -> Tree:
    """The part of a tree at a path, as in `value["model"][0]`; `NotFound` says what there is instead."""
    for position in path:
        tree = _opened(tree, blobs)
        inside = tree.get("$tuple", tree) if isinstance(tree, dict) else tree
        try:
            tree = inside[position]
        except (KeyError, IndexError, TypeError):
            has = ", ".join(map(str, inside)) if isinstance(inside, dict) else f"{type(inside).__name__}"
            raise NotFound(f"The result has no part {position!r}; it has {has}.") from None
    return tree


def digest_of(tree: Tree) -> str:
    """The digest of a value by its tree: equal values that are kept alike have equal digests."""
    return digest_value(tree)


def refs_in(tree: Tree) -> list[Ref]:
    """The refs in a tree, in order."""
    if isinstance(tree, list):
        return [ref for each in tree for ref in refs_in(each)]
    if not isinstance(tree, dict):
        return []
    if "$ref" in tree:
        return [Ref.parse(tree["$ref"])]
    for tag in ("$struct", "$object"):
        if tag in tree:
            return refs_in(tree[tag].get("refs", []))
    return [ref for each in tree.values() for ref in refs_in(each)]


def objects_in(tree: Tree) -> list[str]:
    """The digests of the objects that a tree needs."""
    if isinstance(tree, list):
        return [digest for each in tree for digest in objects_in(each)]
    if not isinstance(tree, dict):
        return []
    if "$object" in tree:
        return [tree["$object"]["digest"], *tree["$object"].get("objects", [])]
    return [digest for each in tree.values() for digest in objects_in(each)]


# Packing


def _pack(value: Any, blobs: Blobs, where: str) -> Tree:
    if isinstance(value, Stored):
        return value.tree
    if isinstance(value, Enum):
        return _pack_struct(value, where)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str.__str__(value)  # subclasses (NumPy's among them) as the text they are
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": str(float(value))}
    if isinstance(value, Ref):
        return {"$ref": str(value)}
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    if isinstance(value, timedelta):
        return {"$seconds": value.total_seconds()}
    if isinstance(value, msgspec.Struct) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        return _pack_struct(value, where)
    if isinstance(value, bytes | bytearray):
        return _object("bytes", bytes(value), blobs)
    if isinstance(value, list):
        return [_pack(each, blobs, f"{where}[{i}]") for i, each in enumerate(value)]
    if isinstance(value, tuple):
        return {"$tuple": [_pack(each, blobs, f"{where}[{i}]") for i, each in enumerate(value)]}
    if isinstance(value, set | frozenset):
        return {"$set": sorted((_pack(each, blobs, where) for each in value), key=digest_value)}
    if isinstance(value, dict):
        return _pack_dict(value, blobs, where)
    return _pack_data(value, blobs, where)


def _pack_dict(value: dict[Any, Any], blobs: Blobs, where: str) -> Tree:
    if all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {key: _pack(each, blobs, f"{where}[{key!r}]") for key, each in value.items()}
    return {"$map": [[_pack(key, blobs, where), _pack(each, blobs, f"{where}[{key!r}]")] for key, each in value.items()]}


def _pack_struct(value: Any, where: str) -> Tree:
    kind = type(value)
    if "<locals>" in kind.__qualname__:
        raise Unsafe(f"{where} is a {kind.__qualname__}, which nothing but its function can find again.")
    try:
        plain = to_plain(value)
    except (TypeError, ValueError) as error:
        raise Unsafe(
            f"{where} is a {kind.__qualname__} and holds what JSON cannot: {error}.",
            mend="Return its tables and arrays beside it, in a dict or a tuple.",
        ) from None
    refs = [{"$ref": str(ref)} for ref in _refs_of(value)]
    described = {"type": f"{kind.__module__}:{kind.__qualname__}", "value": plain}
    return {"$struct": described | ({"refs": refs} if refs else {})}


def _refs_of(value: Any) -> list[Ref]:
    own = getattr(value, "ref", None)
    if isinstance(own, Ref):
        return [own]
    names = getattr(value, "__struct_fields__", None) or [each.name for each in _fields(value)]
    return [found for name in names if isinstance(found := getattr(value, name), Ref)]


def _fields(value: Any) -> tuple[Any, ...]:
    return dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()


def _pack_data(value: Any, blobs: Blobs, where: str) -> Tree:
    library = type(value).__module__.partition(".")[0]
    if library == "numpy":
        return _pack_array(value, blobs, where)
    if hasattr(value, "__arrow_c_stream__") or library == "pyarrow":
        return _object("arrow", _arrow_bytes(value, where), blobs, flavour=library if library in _FRAMES else "pyarrow")
    if hasattr(value, "get_params") and hasattr(value, "fit"):
        return _object("skops", _skops_bytes(value, where), blobs)
    raise Unsafe(
        f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which has no safe form to be kept in.",
        mend="Steps may return plain values, tuples, dicts, refs, structs, dataclasses, tables, NumPy arrays, "
        "scikit-learn estimators and bytes (for a file, its bytes).",
    )


def _object(form: str, data: bytes, blobs: Blobs, **more: Any) -> Tree:
    return {"$object": {"format": form, "digest": blobs.put(data), "size": len(data), **more}}


def _pack_array(value: Any, blobs: Blobs, where: str) -> Tree:
    import numpy as np

    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        return _pack(value.item(), blobs, where)
    if not isinstance(value, np.ndarray) or value.dtype.hasobject:
        kind = getattr(value, "dtype", type(value).__name__)
        raise Unsafe(
            f"{where} is a NumPy value of {kind}, which can be kept only by pickling.",
            mend="Give it a numeric or text dtype, for example array.astype(str).",
        )
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=False)
    return _object("npy", buffer.getvalue(), blobs)


def _arrow_bytes(value: Any, where: str) -> bytes:
    import pyarrow as pa

    try:
        library = type(value).__module__.partition(".")[0]
        table = pa.Table.from_pandas(value) if library == "pandas" else pa.table(value)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise Unsafe(f"{where} is a {type(value).__qualname__} that is no table: {error}.") from None
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=1 << 17)
    return sink.getvalue()


def _skops_bytes(value: Any, where: str) -> bytes:
    try:
        skops = skops_io()
    except ImportError:
        raise Invalid(
            f"{where} is an estimator, and skops, which keeps it without pickling, is not installed.",
            mend="pip install 'modelwright[sklearn]'",
        ) from None
    data: bytes = skops.dumps(value)
    odd = _untrusted(data)
    if odd:
        raise Unsafe(
            f"{where} is a {type(value).__qualname__} that holds {', '.join(odd)}, which skops cannot vouch for.",
            mend="Use parts of scikit-learn, NumPy or SciPy, or classes of the project's own modules.",
        )
    return data


# Unpacking


def _unpack(tag: str, content: Any, blobs: Blobs) -> Any:
    if tag in _READERS:
        return _READERS[tag](content, blobs)
    raise Corrupt(f"A stored result holds {tag!r}, which this version of Modelwright does not know.")


def _unpack_object(content: dict[str, Any], blobs: Blobs) -> Any:
    data, form = blobs.read(content["digest"]), content["format"]
    if form == "bytes":
        return data
    if form == "tree":
        return load(msgspec.json.decode(data), blobs)
    if form == "npy":
        import numpy as np

        return np.load(io.BytesIO(data), allow_pickle=False)
    if form == "arrow":
        import pyarrow as pa

        table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
        return _FRAMES.get(content.get("flavour", ""), lambda same: same)(table)
    if form == "skops":
        return _skops_load(data)
    raise Corrupt(f"A stored result has the format {form!r}, which this version of Modelwright does not know.")


def _to_pandas(table: Any) -> Any:
    return table.to_pandas()


def _to_polars(table: Any) -> Any:
    return importlib.import_module("polars").from_arrow(table)


_FRAMES: dict[str, Callable[[Any], Any]] = {"pandas": _to_pandas, "polars": _to_polars}


def _skops_load(data: bytes) -> Any:
    skops = skops_io()

    odd = _untrusted(data)
    if odd:
        raise Unsafe(f"A stored estimator holds {', '.join(odd)}, which is not trusted; it is not loaded.")
    return skops.loads(data, trusted=skops.get_untrusted_types(data=data))


TRUSTED = ("sklearn.", "numpy.", "scipy.")


def _untrusted(data: bytes) -> list[str]:
    """The types in a skops file that neither skops vouches for nor the libraries above nor a loaded class stand for."""
    skops = skops_io()

    return [name for name in skops.get_untrusted_types(data=data) if not (name.startswith(TRUSTED) or _own_class(name))]


def _own_class(name: str) -> bool:
    """Whether it is a class, not a function, of a module that this process has loaded from a file of the user's."""
    module, _, last = name.rpartition(".")
    loaded = sys.modules.get(module)
    found = getattr(loaded, last, None)
    inside = "site-packages" in (getattr(loaded, "__file__", None) or "site-packages")
    return isinstance(found, type) and found.__module__ == module and not inside and module not in sys.stdlib_module_names


def _unpack_struct(content: dict[str, Any], _blobs: Blobs) -> Any:
    module, _, qualname = content["type"].partition(":")
    found: Any = importlib.import_module(module) if module.startswith("modelwright.") else sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    struct = isinstance(found, type) and (issubclass(found, msgspec.Struct | Enum) or dataclasses.is_dataclass(found))
    if not struct:
        raise NotFound(
            f"A stored result is a {qualname} of {module}, which is not loaded (any more).",
            mend="Keep the class in a module that pipeline.py imports, or run the step again with --force.",
        )
    return convert(content["value"], found)


def _opened(tree: Tree, blobs: Blobs) -> Tree:
    if isinstance(tree, dict) and tree.get("$object", {}).get("format") == "tree":
        return msgspec.json.decode(blobs.read(tree["$object"]["digest"]))
    return tree


_READERS: dict[str, Callable[[Any, Blobs], Any]] = {
    "$object": _unpack_object,
    "$struct": _unpack_struct,
    "$ref": lambda text, _: Ref.parse(text),
    "$float": lambda text, _: float(text),
    "$time": lambda text, _: datetime.fromisoformat(text),
    "$date": lambda text, _: date.fromisoformat(text),
    "$seconds": lambda seconds, _: timedelta(seconds=seconds),
    "$tuple": lambda items, blobs: tuple(load(each, blobs) for each in items),
    "$set": lambda items, blobs: {load(each, blobs) for each in items},
    "$map": lambda pairs, blobs: {load(key, blobs): load(each, blobs) for key, each in pairs},
}
