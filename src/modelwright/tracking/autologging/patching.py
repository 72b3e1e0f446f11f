"""Wrapping what a library offers, once it is imported, and putting it back."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import logging
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Final

LOG: Final = logging.getLogger("modelwright")
_told: set[str] = set()


class Patches:
    """What was replaced, to be put back in the opposite order."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], Any]] = []

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Put `make(original)` in the place of an attribute."""
        original = vars(owner)[name]
        setattr(owner, name, make(original))
        self._undo.append(lambda: setattr(owner, name, original))

    def remember(self, undo: Callable[[], Any]) -> None:
        """How something else is taken back."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Put everything back."""
        while self._undo:
            self._undo.pop()()


class AfterImport(importlib.abc.MetaPathFinder):
    """Tells of modules of some packages once they are imported; of those that are there already, at once."""

    def __init__(self, packages: Sequence[str], told: Callable[[ModuleType], None]) -> None:
        self._packages = frozenset(packages)
        self._told = told

    def begin(self) -> None:
        """Look at what is there, and at what comes."""
        sys.meta_path.insert(0, self)
        for name, module in list(sys.modules.items()):
            if self._wants(name) and isinstance(module, ModuleType):
                self.tell(module)

    def end(self) -> None:
        """Look no more."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec that the other finders give, with a loader that tells."""
        if not self._wants(fullname):
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(fullname, path, target) if finder is not self and find is not None else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Telling(spec.loader, self)
                found: importlib.machinery.ModuleSpec = spec
                return found
        return None

    def tell(self, module: ModuleType) -> None:
        """Tell of a module."""
        safely(f"wrapping {module.__name__}", lambda: self._told(module))

    def _wants(self, name: str) -> bool:
        return name.partition(".")[0] in self._packages


class _Telling(importlib.abc.Loader):
    """A loader that hands everything on, and tells when the module is there."""

    def __init__(self, loader: Any, after: AfterImport) -> None:
        self._loader, self._after = loader, after

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._after.tell(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def safely(what: str, body: Callable[[], Any]) -> Any:
    """Do something that must not disturb the training; what goes wrong is told, once for each kind."""
    try:
        return body()
    except Exception as error:  # noqa: BLE001 - the training is not ours to end
        if what not in _told:
            _told.add(what)
            LOG.warning("Autologging: %s failed and is left out: %s: %s", what, type(error).__name__, error)
        return None
