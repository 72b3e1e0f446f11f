"""The house rules that import-linter cannot say."""

from __future__ import annotations

import ast
import functools
import gc
import importlib
import inspect
import pkgutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import modelwright
from modelwright.core.operations import Room, operations_of
from modelwright.workspace import Workspace

SOURCE = Path(modelwright.__file__).parent
ROOT = Path(__file__).parents[2]
MODULES = sorted(SOURCE.rglob("*.py"))


def _name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@pytest.fixture(scope="module", autouse=True)
def trees() -> None:
    """Every module parsed: a million objects that stay, and no collection looks through them again and again."""
    gc.disable()
    for path in MODULES:
        _tree(path)
    gc.freeze()
    gc.enable()


@functools.cache
def _nodes(path: Path) -> list[ast.AST]:
    """What the rules look at, in order: imports, calls and handlers of errors."""
    looked_at = (ast.Import, ast.ImportFrom, ast.Call, ast.ExceptHandler)
    return [node for node in ast.walk(_tree(path)) if isinstance(node, looked_at)]


@functools.cache
def _imports(path: Path) -> frozenset[str]:
    found: set[str] = set()
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return frozenset(found)


def test_every_module_says_what_it_is() -> None:
    assert not [_name(path) for path in MODULES if not ast.get_docstring(_tree(path))]


def test_sql_stands_only_in_the_store_and_in_a_rooms_own_files() -> None:
    allowed = {"tables", "service", "queries", "writing"}  # writing: the data path of a room with high volume
    for path in MODULES:
        if any(name.split(".")[0] == "sqlalchemy" for name in _imports(path)):
            within = path.relative_to(SOURCE).parts
            foreign = within[0] == "exchange" and path.stem in (
                "database",
                "database_traces",
            )  # a database that is not ours
            assert within[0] == "store" or path.stem in allowed or foreign, f"{_name(path)} imports SQLAlchemy"


def test_the_web_framework_stands_only_in_the_server_and_in_servings_http_face() -> None:
    for path in MODULES:
        if {"starlette", "uvicorn"} & {name.split(".")[0] for name in _imports(path)}:
            within = path.relative_to(SOURCE).parts
            assert within[0] in {"server", "testing", "cli"} or within[:2] == ("serving", "http.py"), _name(path)


def test_no_module_is_named_for_nothing() -> None:
    nothing = {"utils", "helpers", "common", "misc", "manager", "handlers", "util", "helper"}
    assert not [path for path in MODULES if path.stem in nothing]


NOW = {"now", "utcnow", "today"}


def test_nothing_reads_the_machines_clock_but_the_clock() -> None:
    for path in MODULES:
        if path.relative_to(SOURCE).parts == ("core", "clock.py"):
            continue
        for node in _nodes(path):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in NOW:
                assert ast.unparse(node.func) not in {"datetime.now", "datetime.utcnow", "date.today"}, (
                    f"{_name(path)}:{node.lineno} reads the machine's clock"
                )


UNPICKLES = "modelwright.models.unpickling"


def test_one_module_unpickles_and_only_whoever_loads_for_a_caller_imports_it() -> None:
    for path in MODULES:
        unpickles = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"} & _imports(path)
        assert not unpickles or _name(path) == UNPICKLES, _name(path)
        text = path.read_text()
        if "unpickling" in text:
            assert _name(path) in {UNPICKLES, "modelwright.models.service", "modelwright.models.package"}, _name(path)
        if "allow_unsafe=True" in text.replace("pass allow_unsafe=True", ""):
            raise AssertionError(f"{_name(path)} reads what may run code, without anybody having asked for it")


def test_no_error_is_swallowed_in_silence() -> None:
    for path in MODULES:
        for node in _nodes(path):
            if isinstance(node, ast.ExceptHandler):
                bare = node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
                empty = all(isinstance(each, ast.Pass) for each in node.body)
                assert not (bare and empty), f"{_name(path)}:{node.lineno} swallows every error"


def test_every_operation_is_documented_and_travels(embedded: Workspace) -> None:
    for room, operation in operations_of(embedded.rooms):
        assert operation.summary.endswith((".", ":")), f"{operation.path} has no first sentence"
        types, result = operation.types()
        for each in (*types.values(), result):
            assert each is not inspect.Parameter.empty, f"{operation.path} has an untyped parameter or result"
        assert room.room


def test_every_room_keeps_its_operations_few(embedded: Workspace) -> None:
    for room in embedded.rooms.values():
        assert len(type(room).operations) <= 20, f"{room.room} has grown into two rooms"


def test_every_floor_of_the_house_is_in_the_contract() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    floors = {name.strip() for layer in contract["layers"] for name in layer.split("|")}
    there = {each.name for each in pkgutil.iter_modules([str(SOURCE)])}
    assert there <= floors, f"give these a floor first: {there - floors}"


def test_what_the_front_door_names_is_there() -> None:
    for name in modelwright.__all__:
        assert getattr(modelwright, name) is not None


def test_records_are_pure() -> None:
    impure = {"sqlalchemy", "starlette", "httpx", "duckdb", "os", "subprocess", "random", "time"}
    for path in SOURCE.glob("*/records.py"):
        assert not impure & {name.split(".")[0] for name in _imports(path)}, _name(path)


def test_rooms_are_operations_all_the_way() -> None:
    for path in SOURCE.glob("*/service.py"):
        module = importlib.import_module(_name(path))
        rooms = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Room)]
        assert any(room.operations for room in rooms), _name(path)


def test_nothing_lies_in_the_project_that_a_program_left_there() -> None:
    """What runs and models leave, and databases, belongs to whoever made them."""
    top = {"benchmarks", "docs", "examples", "src", "tests"}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no checkout of git")
    folders = {name.partition("/")[0] for name in listed.stdout.splitlines() if "/" in name and not name.startswith(".")}
    assert folders <= top, folders - top
