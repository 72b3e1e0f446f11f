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
from modelwright.pipelines.graph import Pipeline

_loaded: dict[str, Path] = {}  # modules that came from a project's folder, by name


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
        _loaded[name] = folder
        try:
            spec.loader.exec_module(module)
        except BaseException:
            _forget(name)
            raise
    return module


@contextmanager
def project_on_path(root: Path) -> Iterator[Path]:
    """Let the modules in a project's folder (and in its `src`) be imported, and no other project's in their place."""
    for name, folder in list(_loaded.items()):
        if folder != root:
            _forget(name)
    before = set(sys.modules)
    paths = [str(root), *([str(root / "src")] if (root / "src").is_dir() else [])]
    sys.path[:0] = paths
    importlib.invalidate_caches()
    try:
        yield root
    finally:
        for path in paths:
            if path in sys.path:
                sys.path.remove(path)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and _inside(Path(file), root):
                _loaded[name] = root


def _forget(name: str) -> None:
    sys.modules.pop(name, None)
    _loaded.pop(name, None)


def _inside(file: Path, root: Path) -> bool:
    return file.is_relative_to(root) and "site-packages" not in file.parts
