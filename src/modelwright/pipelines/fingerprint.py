"""What a step's result rests on in the code: the first half of its key in the cache.

Of the file that a step is written in: the step itself, and every module-level name that it uses, and that those use. Of
every project module that it imports, by whatever way and at whatever depth: the whole file. Of every other package that any
of these import: its installed version. Comments, layout and docstrings do not count. In the step's own file, statements
that bind no name (`np.seterr(...)`) and definitions with a decorator of an unknown kind (it may register them somewhere)
count for every step, since nobody can tell by reading who uses them.

What reading cannot see, it cannot count: a module imported under a name computed at run time, code fetched from elsewhere,
a file that is opened by name (declare it: `@step(files=["config.toml"])`), an environment variable. Pass such things as
parameters.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata, util
from pathlib import Path
from typing import Any

from modelwright import __version__
from modelwright.core.errors import Conflict, Invalid
from modelwright.core.hashing import digest_bytes, digest_file, digest_value
from modelwright.pipelines.records import Component, ComponentKind

Import = ast.Import | ast.ImportFrom
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

HARMLESS = frozenset(
    {"step", "pipeline", "dataclass", "cache", "lru_cache", "overload", "contextmanager", "final", "wraps"}
)
"""Decorators that do not put what they decorate anywhere."""


class Unreadable(Exception):
    """The code of a step cannot be read, so nothing can be said about its result on another day."""


class Sources:
    """The files of one project, each parsed once. Make a new one for every run: files change."""

    def __init__(self, root: Path, *, loaded: Mapping[Path, str] | None = None) -> None:
        """`loaded`: the digests of files as they were when this process loaded them. What runs is that, so a file that
        has changed since is refused rather than read."""
        self.root = root.resolve()
        self._loaded = loaded or {}
        self._parsed: dict[Path, Module] = {}

    def components(self, function: Callable[..., Any], files: tuple[str, ...] = ()) -> list[Component]:
        """What the result of `function` rests on; `Unreadable` where its source is not in a file."""
        function = inspect.unwrap(function)
        reading = _Reading(self, function)
        found = reading.run()
        for name in files:
            path = self.root / name
            if not path.is_file():
                raise Invalid(f"Step {function.__name__} rests on {name}, which is not a file of the project.")
            found.append(Component(kind=ComponentKind.FILE, name=name, digest=digest_bytes(path.read_bytes())))
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        found.append(Component(kind=ComponentKind.PYTHON, name="python", digest=version, shown=version))
        return found

    def module(self, path: Path) -> Module:
        """A file, parsed."""
        if path not in self._parsed:
            if path in self._loaded and digest_file(path) != self._loaded[path]:
                raise Conflict(
                    f"{self.label(path)} has changed since it was loaded, so what would run is not what is written there.",
                    mend="Load the pipeline again.",
                )
            self._parsed[path] = Module(path, self.label(path))
        return self._parsed[path]

    def label(self, path: Path) -> str:
        """How a file is named to people."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name

    def find(self, dotted: str) -> list[Path]:
        """The project's files that importing `a.b.c` runs: the packages on the way and the module; none if not ours."""
        for base in (self.root, self.root / "src"):
            files, folder, parts = [], base, dotted.split(".")
            for number, part in enumerate(parts):
                package, plain = folder / part / "__init__.py", folder / f"{part}.py"
                if package.is_file():
                    files.append(package)
                elif plain.is_file():
                    return [*files, plain]
                elif not (folder / part).is_dir() or number == len(parts) - 1:
                    break
                folder = folder / part
            if files:
                return files
        return []


class Module:
    """One file: its statements, and which of them bind which name."""

    def __init__(self, path: Path, label: str) -> None:
        self.path = path
        self.label = label
        try:
            self.tree = ast.parse(path.read_bytes(), filename=str(path))
        except (OSError, SyntaxError) as error:
            raise Unreadable(f"{label} cannot be read: {error}") from None
        self.bindings: dict[str, list[ast.stmt]] = {}
        self.loose: list[ast.stmt] = []
        for statement in self.tree.body:
            names = set(_bound(statement))
            for name in names:
                self.bindings.setdefault(name, []).append(statement)
            if _is_loose(statement, names):
                self.loose.append(statement)

    @functools.cached_property
    def digest(self) -> str:
        """The digest of all its code."""
        return _digest(self.tree)


class _Reading:
    """One walk from a step through the code it rests on."""

    def __init__(self, sources: Sources, function: Callable[..., Any]) -> None:
        self.sources = sources
        self.function = function
        self.found: dict[tuple[ComponentKind, str], Component] = {}
        file = inspect.getsourcefile(function)
        if file is None or not Path(file).is_file():
            raise Unreadable("its source is not in a file")
        self.home = sources.module(Path(file).resolve())

    def run(self) -> list[Component]:
        own = _locate(self.home.tree, self.function)
        self._add(ComponentKind.CODE, self.function.__name__, _digest(own))
        self._closure()
        self._follow(self.home, own)
        if self.home.loose:
            digest = digest_value([_digest(statement) for statement in self.home.loose])
            self._add(ComponentKind.CODE, f"{self.home.label} (loose statements)", digest)
        for statement in self.home.loose:
            self._follow(self.home, statement)
        return list(self.found.values())

    def _add(self, kind: ComponentKind, name: str, digest: str, shown: str = "") -> bool:
        """Whether it is new."""
        if (kind, name) in self.found:
            return False
        self.found[kind, name] = Component(kind=kind, name=name, digest=digest, shown=shown)
        return True

    def _follow(self, module: Module, node: ast.AST) -> None:
        for inner in ast.walk(_plain(node)):
            if isinstance(inner, Import):
                self._import(module, inner)
            elif isinstance(inner, ast.Call):
                self._import_call(inner)
            elif isinstance(inner, ast.Name) and inner.id in module.bindings:
                self._name(module, inner.id)
        for statement in module.tree.body:
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                self._import(module, statement)

    def _name(self, module: Module, name: str) -> None:
        statements = module.bindings[name]
        if name == self.function.__name__ or (ComponentKind.NAME, name) in self.found:
            return
        if all(isinstance(statement, Import) for statement in statements):
            for statement in statements:
                self._import(module, statement, name)
            return
        digest = digest_value([_digest(statement) for statement in statements])
        self._add(ComponentKind.NAME, name, digest)
        if any(not _is_literal(statement) for statement in statements):
            self._value(name, self.function.__globals__.get(name))
        for statement in statements:
            self._follow(module, statement)

    def _value(self, name: str, value: Any) -> None:
        """A module-level name may hold another value with the same code: `RATE = float(os.environ["RATE"])`."""
        if isinstance(value, bool | int | float | str):
            self._add(ComponentKind.VALUE, name, digest_value(value), repr(value)[:80])

    def _closure(self) -> None:
        cells = self.function.__closure__ or ()
        for name, cell in zip(self.function.__code__.co_freevars, cells, strict=True):
            value = cell.cell_contents
            if not isinstance(value, bool | int | float | str | None):
                raise Unreadable(f"it uses {name} of the function around it, which is a {type(value).__name__}")
            self._add(ComponentKind.VALUE, name, digest_value(value), repr(value)[:80])

    def _import(self, module: Module, statement: ast.stmt, name: str | None = None) -> None:
        """Follow an import; with `name`, only the part of it that binds that name."""
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if name in (None, alias.asname or alias.name.partition(".")[0]):
                    self._module(alias.name)
        elif isinstance(statement, ast.ImportFrom):
            base = _absolute(self.sources, module, statement)
            self._module(base)
            for alias in statement.names:
                if name in (None, alias.asname or alias.name) and self.sources.find(base):
                    self._module(f"{base}.{alias.name}", optional=True)

    def _import_call(self, call: ast.Call) -> None:
        called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if called in ("import_module", "__import__") and call.args and isinstance(call.args[0], ast.Constant):
            self._module(str(call.args[0].value))

    def _module(self, dotted: str, *, optional: bool = False) -> None:
        files = self.sources.find(dotted)
        if not files:
            if not optional:
                self._package(dotted)
            return
        for file in files:
            module = self.sources.module(file)
            if self._add(ComponentKind.MODULE, module.label, module.digest):
                for inner in ast.walk(module.tree):
                    if isinstance(inner, Import):
                        self._import(module, inner)
                    elif isinstance(inner, ast.Call):
                        self._import_call(inner)

    def _package(self, dotted: str) -> None:
        top = dotted.partition(".")[0]
        if not top or top in sys.stdlib_module_names:
            return
        if top == "modelwright":
            self._add(ComponentKind.PACKAGE, top, __version__, __version__)
            return
        for name in _distributions().get(top, ()):
            version = metadata.version(name)
            self._add(ComponentKind.PACKAGE, name, version, version)
            return
        spec = util.find_spec(top)
        if spec is not None and spec.origin and spec.origin.endswith(".py"):
            self._add(ComponentKind.MODULE, top, digest_bytes(Path(spec.origin).read_bytes()))


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return {top: sorted(set(names)) for top, names in metadata.packages_distributions().items()}


def _locate(tree: ast.Module, function: Callable[..., Any]) -> ast.AST:
    first = function.__code__.co_firstlineno
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            lines = [node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))]
            if min(lines) == first and getattr(node, "name", "<lambda>") == function.__name__:
                return node
    raise Unreadable("its source has changed since it was loaded")


def _absolute(sources: Sources, module: Module, statement: ast.ImportFrom) -> str:
    if not statement.level:
        return statement.module or ""
    parts = list(Path(module.label).with_suffix("").parts)
    if parts and parts[0] == "src":
        parts = parts[1:]
    package = parts[: len(parts) - statement.level]
    return ".".join([*package, *([statement.module] if statement.module else [])])


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The module-level names that a statement binds or changes."""
    if isinstance(statement, Definition):
        yield statement.name
        return
    if isinstance(statement, Import):
        for alias in statement.names:
            yield alias.asname or (alias.name.partition(".")[0] if isinstance(statement, ast.Import) else alias.name)
        return
    for field, value in ast.iter_fields(statement):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.stmt):
                yield from _bound(child)
            elif isinstance(child, ast.expr) and field in ("target", "targets"):
                for inner in ast.walk(child):
                    if isinstance(inner, ast.Name):
                        yield inner.id
            elif isinstance(child, ast.withitem) and child.optional_vars is not None:
                yield from (inner.id for inner in ast.walk(child.optional_vars) if isinstance(inner, ast.Name))
            elif isinstance(child, ast.ExceptHandler | ast.match_case):
                for inner_statement in child.body:
                    yield from _bound(inner_statement)


def _is_loose(statement: ast.stmt, names: set[str]) -> bool:
    """Whether a statement may matter to every step of its file, whatever names they use."""
    if isinstance(statement, Definition):
        return any(_decorator_name(each) not in HARMLESS for each in statement.decorator_list)
    if names or _is_docstring(statement) or isinstance(statement, ast.Pass):
        return False
    return not (isinstance(statement, ast.If) and "__name__" in ast.dump(statement.test))


def _decorator_name(decorator: ast.expr) -> str:
    inner = decorator.func if isinstance(decorator, ast.Call) else decorator
    return inner.attr if isinstance(inner, ast.Attribute) else getattr(inner, "id", "")


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_literal(statement: ast.stmt) -> bool:
    if isinstance(statement, Definition | Import):
        return True
    value = getattr(statement, "value", None)
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or value is None:
        return False
    try:
        ast.literal_eval(value)
    except ValueError:
        return False
    return True


class _Plain(ast.NodeTransformer):
    """Takes out what does not change what code does: docstrings, and the decorators that only name a step."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(node, Definition | ast.Module) and body and _is_docstring(body[0]):
            node.body = body[1:] or [ast.Pass()]
        if isinstance(node, Definition):
            node.decorator_list = [
                each for each in node.decorator_list if _decorator_name(each) not in ("step", "pipeline")
            ]
        return node


def _plain(node: ast.AST) -> ast.AST:
    plain: ast.AST = _Plain().visit(copy.deepcopy(node))
    return plain


def _digest(node: ast.AST) -> str:
    return digest_bytes(ast.dump(_plain(node)).encode())
