"""The way from a request about a run or an experiment to the database: who may, and then in one write or one read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from modelwright.core.errors import NotFound
from modelwright.core.names import path_for
from modelwright.core.operations import Resource
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Experiment, receiving
from modelwright.experiments.records import DEFAULT
from modelwright.experiments.writing import ParamTaken
from modelwright.server.mlflow.errors import MlflowError, invalid, missing
from modelwright.server.mlflow.routing import Call
from modelwright.server.requests import Doorkeeper
from modelwright.store import Transaction, acting_as
from modelwright.workspace import Workspace

T = TypeVar("T")
REMEMBERED = 100_000  # runs whose experiment is known


class Tracking:
    """Reads and writes for the endpoints of tracking.

    Rights are asked on the experiment. Which one a run belongs to is remembered; the write itself looks again, and where an
    experiment was renamed meanwhile the question is asked once more.
    """

    def __init__(self, workspace: Workspace, door: Doorkeeper) -> None:
        home = workspace.home
        assert home is not None
        self.workspace = workspace
        self.database = home.database
        self._home = home
        self._door = door
        self._experiment_of: OrderedDict[str | int, str] = OrderedDict()
        self._default = False

    async def read(self, call: Call, work: Callable[[Transaction], T]) -> T:
        """Run something that reads, in a thread; it asks for itself what may be seen."""

        def reading() -> T:
            with self._home.caller().transaction(write=False) as tx:
                return work(tx)

        return await call.run(reading)

    async def read_run(self, call: Call, identity: str, work: Callable[[Transaction], T | None]) -> T:
        """Run something that reads one run; it returns None only where there is no such run."""
        for _ in range(3):
            asked = await self._ask(call, "read", identity)

            def looking(tx: Transaction, asked: str | None = asked) -> T | None:
                if asked is not None and receiving.experiment_of(tx, identity) != asked:
                    return None
                return work(tx)

            found = await self.read(call, looking)
            if found is not None:
                return found
            self._experiment_of.pop(identity, None)
        raise missing(f"Run with id={identity} not found")

    async def write_run(self, call: Call, identity: str, work: Callable[[Transaction, str | None], T]) -> T:
        """Run something that writes to one run. `work` is given the name of the experiment that was asked on."""
        try:
            return await self._write(call, identity, work)
        except receiving.RunMissing:
            raise missing(f"Run with id={identity} not found") from None
        except receiving.RunDeleted:
            raise invalid(f"The run {identity} must be in the 'active' state. Current state is deleted.") from None
        except ParamTaken as error:
            told = error.details
            raise invalid(
                f"Changing param values is not allowed. Param with key='{told['name']}' was already logged with "
                f"value='{told['old'][:300]}' for run ID='{identity}'. Attempted logging new value '{told['new'][:300]}'."
            ) from None

    async def write_experiment(self, call: Call, number: int, work: Callable[[Transaction, str | None], T]) -> T:
        """The same for an experiment, by its number."""
        if number == 0:
            await self.default(call)
        try:
            return await self._write(call, number, work)
        except receiving.ExperimentMissing:
            raise missing(f"No Experiment with id={number} exists") from None
        except receiving.ExperimentDeleted:
            raise not_active(number) from None

    async def experiment(self, call: Call, wanted: int | str) -> Experiment | None:
        """The experiment with that number or exactly that title, deleted or not; None where there is none to be seen."""
        if wanted in (0, DEFAULT):
            await self.default(call)

        def work(tx: Transaction) -> Experiment | None:
            name = receiving.experiment_of(tx, wanted) if isinstance(wanted, int) else path_for(wanted)
            try:
                found = None if name is None else self.workspace.experiments.experiment(Ref(Kind.EXPERIMENT, name))
            except NotFound:
                return None
            return found if found is None or isinstance(wanted, int) or found.title == wanted else None

        try:
            return await self.read(call, work)
        except NotFound:  # it is there, but not for whoever asks: its name, which they did not give, is not for them either
            return None

    async def default(self, call: Call) -> None:
        """See to it that the experiment with the number 0 is there."""
        if self._default:
            return

        def make() -> None:
            with self._home.caller().transaction(write=False) as tx:
                there = receiving.experiment_of(tx, 0) is not None
            if not there:
                with acting_as(self._home.principal):
                    self.workspace.experiments.create(DEFAULT)

        await call.run(make)
        self._default = True

    async def _write(self, call: Call, what: str | int, work: Callable[[Transaction, str | None], T]) -> T:
        principal = await call.principal()
        for attempt in range(3):
            experiment = await self._ask(call, "write", what)
            done = receiving.fitting(lambda tx, asked=experiment: work(tx, asked))  # type: ignore[misc]
            try:
                return await self.database.write(done, principal)
            except receiving.Moved:
                self._experiment_of.pop(what, None)
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    async def _ask(self, call: Call, verb: str, what: str | int) -> str | None:
        """Raise unless whoever asks may; the name of the experiment that was asked on, None where nothing had to be."""
        principal = await call.principal()
        if principal.trusted:
            return None
        named = f"Run with id={what} not found" if isinstance(what, str) else f"No Experiment with id={what} exists"
        experiment = self._experiment_of.get(what)
        if experiment is None:
            experiment = await self.read(call, lambda tx: receiving.experiment_of(tx, what))
            if experiment is None:
                raise missing(named)
            self._experiment_of[what] = experiment
            if len(self._experiment_of) > REMEMBERED:
                self._experiment_of.popitem(last=False)
        try:
            await self._door.allowed(principal, verb, Resource(Kind.RUN, experiment))
        except NotFound:
            raise missing(named) from None
        return experiment


def not_active(number: int | str) -> MlflowError:
    """What is told of a discarded experiment."""
    return invalid(f"The experiment {number} must be in the 'active' state. Current state is deleted.")


Answering = Callable[[Call], Awaitable[Any]]
