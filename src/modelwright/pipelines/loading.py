"""Loading the pipelines of a project from its file, by path."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.hashing import digest_file
from modelwright.pipelines.graph import Pipeline

_loaded: dict[str, Path] = {}  # modules that came from a project's folder, by name
_digests: dict[str, tuple[Path, str]] = {}  # their files, as they were when they were loaded


def load_pipelines(path: Path, *, root: Path | None = None) -> dict[str, Pipeline[..., Any]]:
    """The pipelines that a file defines (or imports), by name; read anew each time.

    `root` is the project's folder, by default the file's own: modules in it can be imported by the file. `NotFound` where
    there is no such file or no pipeline in it; an error in the file itself goes up as it is.
    """
    module = load_module(path, root=root)
    found: dict[str, Pipeline[..., Any]] = {}
    for value in vars(module).values():
        if isinstance(value, Pipeline):
            if found.get(value.name, value) is not value:
                raise Invalid(
                    f"{path.name} has two pipelines named {value.name!r}.", mend="Rename one: @pipeline(name=...)."
                )
            found[value.name] = value
    if not found:
        raise NotFound(f"{path} defines no pipeline.", mend="Decorate a function with @pipeline.")
    return found


def load_module(path: Path, *, root: Path | None = None) -> ModuleType:
    """A file as a module under its own name, with the project's other modules read anew."""
    path = path.resolve()
    if not path.is_file():
        raise NotFound(f"There is no file {path}.", mend="Name the project's pipelines in modelwright.toml, [project].")
    for name in list(_loaded):
        _forget(name)
    with project_on_path((root or path.parent).resolve()) as folder:
        base = path.parent if not path.is_relative_to(folder) else folder
        name = ".".join(path.relative_to(base).with_suffix("").parts)
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise Invalid(f"{path} is not a file of Python.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        _note(name, path, folder)
        try:
            exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102 - the user's own code
        except BaseException:
            _forget(name)
            raise
    return module


def loaded_digests() -> dict[Path, str]:
    """The files of project modules that are loaded now, with their digests as they were then."""
    return dict(_digests.values())


@contextmanager
def project_on_path(root: Path) -> Iterator[Path]:
    """Let the modules in a project's folder (and in its `src`) be imported, and no other project's in their place.

    No bytecode is written meanwhile: Python tells stale bytecode by whole seconds and sizes, and an edit can be quicker.
    """
    for name, folder in list(_loaded.items()):
        if folder != root:
            _forget(name)
    before = set(sys.modules)
    paths = [str(root), *([str(root / "src")] if (root / "src").is_dir() else [])]
    sys.path[:0] = paths
    importlib.invalidate_caches()
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield root
    finally:
        sys.dont_write_bytecode = writes
        for path in paths:
            if path in sys.path:
                sys.path.remove(path)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and _inside(Path(file), root):
                _note(name, Path(file).resolve(), root)


def _note(name: str, file: Path, root: Path) -> None:
    _loaded[name] = root
    _digests[name] = file, digest_file(file)


def _forget(name: str) -> None:
    sys.modules.pop(name, None)
    _loaded.pop(name, None)
    _digests.pop(name, None)


def _inside(file: Path, root: Path) -> bool:
    return file.is_relative_to(root) and "site-packages" not in file.parts
