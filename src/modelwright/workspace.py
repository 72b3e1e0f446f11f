"""The wiring: which rooms there are, what each is given, and where a workspace's things lie. The only place that knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from modelwright.core import config
from modelwright.core.clock import Clock, ManualClock, SystemClock, parse_time
from modelwright.core.errors import Conflict, Denied, NotFound
from modelwright.core.operations import Caller, Resource, Room, operation
from modelwright.core.principals import Principal, operating_system_user
from modelwright.core.refs import Kind, Ref

if TYPE_CHECKING:
    from modelwright.datasets import Contracts, Datasets
    from modelwright.datasets.packs import Packs
    from modelwright.datasets.privacy import Privacy
    from modelwright.deployments import Deployments, Unserved
    from modelwright.evaluation import Evaluation
    from modelwright.experiments import Artifacts, Experiments, LoggedModels
    from modelwright.experiments.intake import Intake
    from modelwright.experiments.reproduction import Reproductions
    from modelwright.experiments.views import Views
    from modelwright.features import Features, Pushes, ReadLog, Uses
    from modelwright.governance import Governance
    from modelwright.governance.minimisation import Minimisation
    from modelwright.governance.retention import Retention
    from modelwright.models import Models, Registry, Signatures
    from modelwright.models.intake import ModelIntake
    from modelwright.monitoring import Monitoring
    from modelwright.openlineage import OpenLineage
    from modelwright.pipelines import Pipelines, Triggers
    from modelwright.policy import Access, Policy
    from modelwright.store import Embedded, LedgerSettings, Record, Transaction
    from modelwright.store.storage import Storage
    from modelwright.traces import Traces
    from modelwright.traces.evalsets import EvaluationSets
    from modelwright.traces.scorers import Scorers
    from modelwright.webhooks import Webhooks


T = TypeVar("T", bound=msgspec.Struct)
READS = "online-reads"  # the purpose whose key the log of online reads about people is sealed with


class WorkspaceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[workspace]`: where things lie."""

    name: str = "workspace"
    database: str = ""  # a URL such as postgresql+psycopg://...; empty: SQLite in the workspace's own folder
    objects: str = ""  # a URL such as s3://bucket/prefix; empty: a folder in the workspace's own folder
    clock: Literal["system", "simulated"] = "system"  # simulated: stands still until told to move, to replay the past
    starts: str = "2013-01-01T00:00:00Z"  # when a simulated clock begins


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[server]`: the address, the names it answers to, and whether it wants to know who asks."""

    host: str = "127.0.0.1"
    port: int = 7878
    hosts: list[str] = []  # further names that requests may be addressed to
    authentication: Literal["none", "required"] = "none"
    max_body: int = 16 * 2**20  # bytes
    turn_every: float = 1.0  # seconds between two turns of the operator


class ProjectSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[project]`: the project's own files, relative to its folder."""

    features: str = "features.py"
    pipelines: str = "pipeline.py"
    policy: str = "policy.toml"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of `modelwright.toml`."""

    workspace: WorkspaceSettings = WorkspaceSettings()
    server: ServerSettings = ServerSettings()
    project: ProjectSettings = ProjectSettings()

    # What belongs to one room is read by it, when it is built: `section`
    ledger: dict[str, Any] = {}
    objects: dict[str, Any] = {}
    roles: dict[str, dict[str, Any]] = {}
    datasets: dict[str, Any] = {}
    features: dict[str, Any] = {}
    models: dict[str, Any] = {}
    pipelines: dict[str, Any] = {}
    deployments: dict[str, Any] = {}
    serving: dict[str, Any] = {}
    predictions: dict[str, Any] = {}
    webhooks: dict[str, Any] = {}
    openlineage: dict[str, Any] = {}
    tracking: dict[str, Any] = {}
    privacy: dict[str, Any] = {}
    retention: dict[str, Any] = {}

    def section(self, name: str, wanted: type[T]) -> T:
        """A room's own settings; `Invalid` names the key that is wrong."""
        return config.section(getattr(self, name), wanted, name)


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment says to a script that is run in it."""

    workspace: str = ""  # MODELWRIGHT_WORKSPACE: a project folder or a server's address
    mode: str = ""  # MODELWRIGHT_MODE: see `[tracking]`
    run: str = ""  # MODELWRIGHT_RUN: the id that a run gets which does another again,
    position: int = 0  # MODELWRIGHT_POSITION: and after how many of the process it comes
    reproduces: str = ""  # MODELWRIGHT_REPRODUCES: the run that is done again
    pins: list[str] = []  # MODELWRIGHT_PINS: versions to read of what is asked for without one, apart by spaces
    remade: str = ""  # MODELWRIGHT_REMADE: the file in which it is told which models were made again
    stand_in: str = ""  # MODELWRIGHT_STAND_IN: a checkout of the project of `workspace`, in which that is meant

    def meant(self, where: str | Path | None) -> str | Path | None:
        """The workspace that a caller means who names one, or none."""
        if where is None:
            return self.workspace or None
        stands_in = bool(self.stand_in) and not str(where).startswith(("http://", "https://"))
        return self.workspace if stands_in and Path(where).resolve() == Path(self.stand_in).resolve() else where


def surroundings() -> Surroundings:
    """Read them. They are for scripts: what belongs to a workspace stands in its `modelwright.toml`."""
    import os

    said = {name: os.environ.get(f"MODELWRIGHT_{name.upper()}", "") for name in Surroundings.__struct_fields__}
    pins, position = said.pop("pins").split(), said.pop("position")
    return Surroundings(**said, pins=pins, position=int(position) if position.isdigit() else 0)


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How a workspace stands."""

    name: str
    version: str
    now: datetime
    clock: str
    database: str
    turned_at: datetime | None  # when the operator last finished a turn in this process


class WorkspaceRoom(Room):
    """The workspace itself: how it stands, and, where its clock is simulated, what time it is."""

    room, kind = "workspace", Kind.WORKSPACE

    def __init__(self, caller: Caller, home: Home | None) -> None:
        super().__init__(caller)
        self._home = home

    @operation("read")
    def status(self, tx: Transaction) -> Status:
        """Say how the workspace stands: its name, time, clock and database, and when the operator last turned."""
        from modelwright import __version__

        home = self._here()
        return Status(
            name=home.settings.workspace.name,
            version=__version__,
            now=tx.now,
            clock=home.settings.workspace.clock,
            database=home.database.url.get_backend_name(),
            turned_at=home.turned_at,
        )

    @operation("grant", event="workspace.clock.advanced")
    def advance(self, tx: Transaction, to: datetime, reason: str = "") -> datetime:
        """Move a simulated clock to a later moment; `Conflict` where the clock is the machine's own."""
        home = self._here()
        if not isinstance(home.clock, ManualClock):
            raise Conflict(
                "This workspace's clock is the machine's and cannot be moved.",
                mend='Make a workspace with clock = "simulated" to replay the past.',
            )
        before = tx.now
        tx.now = home.clock.advance(to)
        tx.note(
            resource=Ref(Kind.WORKSPACE, home.settings.workspace.name),
            before={"now": before},
            after={"now": tx.now},
        )
        tx.committed.append(home.wake)
        return tx.now

    def settle(self, timeout: float = 60.0) -> Status:
        """Wait until the operator has done a turn at the present time; for replays, after `advance`."""
        import time

        from modelwright.core.errors import Unavailable

        wanted, deadline, pause = self.status().now, time.monotonic() + timeout, 0.01
        while True:
            status = self.status()
            if status.turned_at is not None and status.turned_at >= wanted:
                return status
            if time.monotonic() > deadline:
                raise Unavailable(f"The operator did not finish a turn within {timeout} s.", mend="Is `mw up` running?")
            time.sleep(pause)
            pause = min(1.4 * pause, 0.25)  # whoever asks keeps from its work whom it waits for

    def _here(self) -> Home:
        if self._home is None:
            raise RuntimeError("the body of an operation runs where the workspace is")
        return self._home


class Home:
    """Where an embedded workspace lies: its folder, database, objects, clock, and who uses it here."""

    def __init__(self, folder: Path, project: Path, settings: Settings, principal: Principal) -> None:
        from modelwright.policy import Authenticator, Rights, Role
        from modelwright.store import Database, Embedded
        from modelwright.store.buckets import S3Settings
        from modelwright.store.objects import Objects

        self.folder = folder
        self.project = project
        self.settings = settings
        self.principal = principal
        self.turned_at: datetime | None = None
        self.wakers: list[Callable[[], None]] = []
        self.failing: Callable[[], Sequence[Unserved]] = tuple  # of a process that serves: what it cannot load
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.clock = _clock(settings.workspace)
        self.database = Database(settings.workspace.database or f"sqlite:///{folder / 'workspace.db'}", self.clock)
        s3 = settings.section("objects", S3Settings)
        self.objects = Objects.open(settings.workspace.objects or folder / "objects", s3)
        self.roles = {name: config.section(role, Role, f"roles.{name}") for name, role in settings.roles.items()}
        self.rights = Rights(self.database, self.roles)
        self.authenticator = Authenticator(self.database, self.rights)
        self._caller = Embedded(self.database, self.objects, self.rights, principal)

    def prepare(self) -> None:
        """Bring the database to this version's tables, and a simulated clock to where the record ends."""
        from modelwright.store.upgrade import prepare

        mark = self.folder / config.RESTORING
        if mark.is_file():
            again = f"mw restore {mark.read_text(encoding='utf-8')} {self.project}"
            raise Conflict(
                f"A backup is being restored into {self.project}, or that was broken off.",
                mend=f"If nobody is at it, give the command again: {again}",
            )
        prepare(self.database, backups=self.folder / "backups")
        if isinstance(self.clock, ManualClock):
            with self.database.transaction(self.principal, write=False) as tx:
                last = tx.last_event_at
            if last is not None and last > self.clock.now():
                self.clock.advance(last)

    def require(self, resource: Resource, *verbs: str) -> None:
        """Raise unless the acting principal may do one of these: for doors that are no operations."""
        self.caller().require(resource, *verbs)

    def caller(self) -> Embedded:
        """The embedded caller on this workspace."""
        return self._caller

    def wake(self) -> None:
        """Tell whoever turns the operator that there may be something to do."""
        for waker in self.wakers:
            waker()

    def close(self) -> None:
        """Give files and connections back."""
        self.database.dispose()


class Workspace:
    """One workspace and its rooms; the same object whether it lies here (`home`) or behind a server.

    A room is imported and built when it is first asked for: a command pays only for the rooms that it uses.
    """

    def __init__(self, caller: Caller, home: Home | None = None, *, address: str = "") -> None:
        """`address` is what `connect` takes to open the same workspace in another process."""
        self.caller = caller
        self.home = home
        self.address = address
        self.settings = home.settings if home else Settings()
        self._read_log: ReadLog | None = None

    @cached_property
    def workspace(self) -> WorkspaceRoom:
        return WorkspaceRoom(self.caller, self.home)

    @cached_property
    def record(self) -> Record:
        from modelwright.store import Record

        return Record(
            self.caller,
            ledger=self.ledger,
            homes={
                Kind.EXPERIMENT: lambda: self.experiments,
                Kind.RUN: lambda: self.experiments,
                Kind.LOGGED_MODEL: lambda: self.logged_models,
                Kind.TRACE: lambda: self.traces,
                Kind.EXECUTION: lambda: self.pipelines,
                Kind.ALERT: lambda: self.monitoring,
                Kind.INCIDENT: lambda: self.monitoring,
            },
        )

    @cached_property
    def storage(self) -> Storage:
        from modelwright.store.storage import Storage

        return Storage(self.caller)

    @cached_property
    def access(self) -> Access:
        from modelwright.policy import Access

        return Access(self.caller, roles=self.home.roles if self.home else None)

    @cached_property
    def policy(self) -> Policy:
        from modelwright.policy import Policy

        return Policy(self.caller, afresh=lambda tx, ref: self.signatures.afresh(tx, ref))

    @cached_property
    def datasets(self) -> Datasets:
        from modelwright.datasets import Datasets, DatasetSettings
        from modelwright.store.buckets import S3Settings

        cache = config.datasets_cache(self.home.folder) if self.home else None
        indexes = None if self.home or not self.address else config.user_cache(self.address) / "trees"
        s3 = self.home.settings.section("objects", S3Settings) if self.home else None
        return Datasets(
            self.caller,
            cache=cache,
            indexes=indexes,
            address=self.address,
            s3=s3,
            privacy=self.privacy,
            settings=self.settings.section("datasets", DatasetSettings),
        )

    @cached_property
    def privacy(self) -> Privacy:
        from modelwright.datasets.privacy import Privacy, PrivacySettings, PurposeKeys

        if self.home is None:
            return Privacy(self.caller)
        settings = self.settings.section("privacy", PrivacySettings)
        keys = Path(settings.keys) if settings.keys else self.home.folder / "keys" / "purposes"
        return Privacy(self.caller, settings=settings, keys=PurposeKeys(keys))

    @cached_property
    def packs(self) -> Packs:
        from modelwright.datasets.packs import Packs

        return Packs(self.caller)

    @cached_property
    def contracts(self) -> Contracts:
        from modelwright.datasets import Contracts

        return Contracts(self.caller)

    @cached_property
    def experiments(self) -> Experiments:
        from modelwright.experiments import Experiments

        return Experiments(self.caller)

    @cached_property
    def reproductions(self) -> Reproductions:
        from modelwright.experiments.reproduction import Reproductions

        return Reproductions(self.caller, experiments=self.experiments)

    @cached_property
    def views(self) -> Views:
        from modelwright.experiments.views import Views

        return Views(self.caller)

    @cached_property
    def artifacts(self) -> Artifacts:
        from modelwright.experiments import Artifacts

        return Artifacts(self.caller)

    @cached_property
    def logged_models(self) -> LoggedModels:
        from modelwright.experiments import LoggedModels

        return LoggedModels(self.caller)

    @cached_property
    def intake(self) -> Intake:
        from modelwright.experiments.intake import Intake

        return Intake(self.caller)

    @cached_property
    def model_intake(self) -> ModelIntake:
        from modelwright.models.intake import ModelIntake

        return ModelIntake(self.caller)

    @cached_property
    def evaluation(self) -> Evaluation:
        from modelwright.evaluation import Evaluation

        return Evaluation(
            self.caller,
            load=lambda ref: self.models.load(ref),
            read=lambda ref, where: self.datasets.read(ref, where=where),
        )

    @cached_property
    def features(self) -> Features:
        from modelwright.features import Features, FeatureSettings

        settings, pushes = self.settings.section("features", FeatureSettings), self.pushes
        if self.home is None:
            return Features(self.caller, datasets=self.datasets, pushes=pushes, uses=self.uses, settings=settings)
        return Features(
            self.caller,
            datasets=self.datasets,
            pushes=pushes,
            uses=self.uses,
            settings=settings,
            online=pushes.online,
            log=self.read_log,
            now=self.home.clock.now,
        )

    @cached_property
    def uses(self) -> Uses:
        from modelwright.features import Uses

        return Uses(self.caller, datasets=self.datasets)

    @cached_property
    def pushes(self) -> Pushes:
        from modelwright.features import FeatureSettings, Pushes, load_views, look_in

        if self.home is None:
            return Pushes(self.caller, datasets=self.datasets)
        from modelwright.features.backends import open_store

        defined = self.home.project / self.home.settings.project.features
        look_in(defined, lambda: load_views(defined))
        address = self.settings.section("features", FeatureSettings).online
        online = open_store(address, self.home.folder / "online.db")
        return Pushes(self.caller, datasets=self.datasets, online=online, now=self.home.clock.now)

    @cached_property
    def models(self) -> Models:
        from modelwright.models import Models

        return Models(self.caller, signatures=self.signatures, people=self._about_people)

    def _about_people(self, sources: Sequence[Ref]) -> set[str]:
        """The columns of datasets, views and inputs of runs that are about people; of what one may not see, none."""
        names = set[str]()
        for ref in sources:
            with suppress(NotFound, Denied):
                if ref.kind is Kind.DATASET:
                    names |= {column.name for column in self.datasets.show(ref).columns if column.personal}
                elif ref.kind is Kind.FEATURES:
                    names |= self.features.show(ref).people
                elif ref.kind is Kind.RUN:
                    names |= self._about_people(self.experiments.show(ref).inputs)
        return names

    @cached_property
    def signatures(self) -> Signatures:
        from modelwright.models import ModelSettings, Signatures

        settings = self.settings.section("models", ModelSettings)
        if self.home is not None:  # paths of keys are relative to the project
            own, project = settings.signing_key, self.home.project
            trusted = [str(project / each) for each in settings.trusted_keys]
            settings = ModelSettings(signing_key=str(project / own) if own else "", trusted_keys=trusted)
        return Signatures(self.caller, settings=settings)

    @cached_property
    def registry(self) -> Registry:
        from modelwright.models import Registry

        return Registry(self.caller)

    @cached_property
    def deployments(self) -> Deployments:
        from modelwright.deployments import Deployments, DeploymentSettings

        settings = self.settings.section("deployments", DeploymentSettings)
        home = self.home
        if home is None:
            return Deployments(self.caller, models=self.models, settings=settings)
        failing = lambda: home.failing()  # noqa: E731 - the process says later who it asks
        return Deployments(self.caller, models=self.models, settings=settings, changed=home.wake, failing=failing)

    @cached_property
    def traces(self) -> Traces:
        from modelwright.traces import Traces

        return Traces(self.caller, experiments=self.experiments)

    @cached_property
    def evaluation_sets(self) -> EvaluationSets:
        from modelwright.traces.evalsets import EvaluationSets

        return EvaluationSets(self.caller, experiments=self.experiments)

    @cached_property
    def scorers(self) -> Scorers:
        from modelwright.traces.scorers import Scorers

        return Scorers(self.caller, experiments=self.experiments)

    @cached_property
    def webhooks(self) -> Webhooks:
        from modelwright.webhooks import Webhooks, WebhookSettings

        settings = self.settings.section("webhooks", WebhookSettings)
        key = None
        if self.home is not None:
            key = Path(settings.key) if settings.key else self.home.folder / "keys" / "webhooks.key"
        return Webhooks(self.caller, settings=settings, key=key)

    @cached_property
    def monitoring(self) -> Monitoring:
        from modelwright.monitoring import Monitoring

        return Monitoring(self.caller)

    @cached_property
    def pipelines(self) -> Pipelines:
        from modelwright.pipelines import Pipelines, PipelineSettings

        return Pipelines(
            self.caller,
            experiments=self.experiments,
            settings=self.settings.section("pipelines", PipelineSettings),
            lease_clock=SystemClock(),
            workspace=lambda: self,
            opener=("modelwright.client:connect", self.address),
        )

    @cached_property
    def triggers(self) -> Triggers:
        from modelwright.pipelines import Triggers

        return Triggers(self.caller, pipelines=self.pipelines)

    @cached_property
    def openlineage(self) -> OpenLineage:
        from modelwright.openlineage import OpenLineage, OpenLineageSettings

        return OpenLineage(
            self.caller,
            settings=self.settings.section("openlineage", OpenLineageSettings),
            name=self.settings.workspace.name,
            experiments=self.experiments,
            pipelines=self.pipelines,
        )

    @cached_property
    def governance(self) -> Governance:
        from modelwright.governance import Governance

        return Governance(
            self.caller,
            models=self.models,
            datasets=self.datasets,
            deployments=self.deployments,
            policy=self.policy,
            monitoring=self.monitoring,
        )

    @cached_property
    def retention(self) -> Retention:
        from modelwright.governance.retention import Places, Retention, RetentionSettings

        settings = self.settings.section("retention", RetentionSettings)
        if self.home is None:
            return Retention(self.caller, datasets=self.datasets, settings=settings)
        folder, log = self.home.folder, self.read_log
        online, cache = self.pushes.online, config.datasets_cache(folder)
        if online is None:
            raise RuntimeError("the online store is where the workspace is")
        places = Places(folder / "predictions", folder / "reads", cache, log, online)
        return Retention(self.caller, datasets=self.datasets, settings=settings, places=places)

    @cached_property
    def minimisation(self) -> Minimisation:
        from modelwright.governance.minimisation import Minimisation

        datasets, features = self.datasets, self.features
        return Minimisation(self.caller, datasets=datasets, features=features, retention=self.retention)

    @property
    def read_log(self) -> ReadLog:
        """The log of online reads, where the workspace is; the one of the process, which holds what is not written yet."""
        from modelwright.features import FeatureSettings
        from modelwright.features.reads import ReadLog

        if self.home is None:
            raise RuntimeError("the log of reads is where the workspace is")
        if self._read_log is None:
            settings = self.settings.section("features", FeatureSettings)
            place, now = self.home.folder / "reads", self.home.clock.now
            keys = partial(self.privacy.secrets, READS)
            self._read_log = ReadLog(place, settings.log_share, settings.log_days, now, keys)
        return self._read_log

    @property
    def ledger(self) -> LedgerSettings:
        """Where the ledger's signing keys lie, and how often it is sealed."""
        from modelwright.store import LedgerSettings

        if self.home is None:
            return LedgerSettings()
        settings = self.settings.section("ledger", LedgerSettings)
        return settings if settings.keys else msgspec.structs.replace(settings, keys=str(self.home.folder / "keys"))

    @property
    def rooms(self) -> Mapping[str, Room]:
        """Every room by the name it has on the workspace, in the API and in the CLI."""
        names = [name for name, value in vars(Workspace).items() if isinstance(value, cached_property)]
        return {type(room).room: room for room in (getattr(self, name) for name in names)}

    @property
    def principal(self) -> Principal:
        """Who this workspace is used by."""
        return self.caller.principal

    def close(self) -> None:
        """Give connections back."""
        if "datasets" in vars(self):  # only if it was built
            self.datasets.close()
        if "features" in vars(self):
            self.features.close()
        if "pushes" in vars(self):
            self.pushes.close()
        if self.home is not None:
            self.home.close()
        closing = getattr(self.caller, "close", None)
        if closing is not None:
            closing()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_workspace(
    folder: Path | None = None, *, settings: Settings | None = None, principal: Principal | None = None
) -> Workspace:
    """Open the workspace of a project folder (by default, of the one around the working directory).

    `NotFound` where there is no project; `settings` stand in for its `modelwright.toml`.
    """
    project = (folder or config.find_project(Path.cwd()) or Path.cwd()).resolve()  # one address, whatever led here
    if settings is None:
        settings = config.load(project / config.PROJECT_FILE, Settings)
    home = Home(project / config.HOME, project, settings, principal or operating_system_user())
    workspace = Workspace(home.caller(), home, address=str(project))
    home.prepare()
    return workspace


def _nothing() -> None:
    """Nobody needs to be told."""


def _clock(settings: WorkspaceSettings) -> Clock:
    return ManualClock(parse_time(settings.starts)) if settings.clock == "simulated" else SystemClock()
