"""Scorers, as MLflow's protocol has them. They are kept as they come and never run here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from modelwright.core.errors import NotFound
from modelwright.core.refs import Ref
from modelwright.server.mlflow.errors import MlflowError, missing
from modelwright.server.mlflow.keys import experiment_number
from modelwright.server.mlflow.messages import Message
from modelwright.server.mlflow.routing import Call, Endpoint
from modelwright.server.mlflow.tracking import Tracking
from modelwright.server.routing import SIGNED_IN
from modelwright.traces.scorers import Scorer

T = TypeVar("T")
AT = "/3.0/mlflow/scorers"


class Register(Message):
    needs: ClassVar[Sequence[str]] = ("experiment_id", "name", "serialized_scorer")
    experiment_id: str = ""
    name: str = ""
    serialized_scorer: str = ""


class Named(Message):
    needs: ClassVar[Sequence[str]] = ("experiment_id", "name")
    experiment_id: str = ""
    name: str = ""
    version: int | None = None


class List(Message):
    experiment_id: str = ""
    experiment_ids: list[str] = []


class ScorerEndpoints:
    """What answers below `scorers`. Rights are asked by the operations behind it, on the experiment."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking
        self._scorers = tracking.workspace.scorers

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        answers = [
            ("POST", f"{AT}/register", self.register),
            ("GET", f"{AT}/list", self.list),
            ("GET", f"{AT}/versions", self.versions),
            ("GET", f"{AT}/get", self.get),
            ("DELETE", f"{AT}/delete", self.delete),
            ("GET", f"{AT}/online-configs", self.online),
        ]
        return [Endpoint(method, path, answer, needs=SIGNED_IN) for method, path, answer in answers]

    async def register(self, call: Call) -> Any:
        """The next version of one."""
        asked = await call.message(Register)
        ref = await self._home(call, asked.experiment_id)
        made = await call.run(lambda: self._scorers.register(ref, asked.name, asked.serialized_scorer))
        return {
            "version": made.version,
            "scorer_id": made.id,
            "experiment_id": str(made.experiment_id),
            "name": made.name,
            "serialized_scorer": made.serialized,
            "creation_time": made.created,
        }

    async def list(self, call: Call) -> Any:
        """The newest of each."""
        asked = await call.message(List)
        ids = [*asked.experiment_ids, *([asked.experiment_id] if asked.experiment_id else [])]
        refs = [await self._home(call, identity) for identity in dict.fromkeys(ids)]
        return _listed(await call.run(lambda: self._scorers.latest(refs)))

    async def versions(self, call: Call) -> Any:
        """All versions of one."""
        asked = await call.message(Named)
        return _listed(await self._of(call, asked, lambda ref: self._scorers.versions(ref, asked.name)))

    async def get(self, call: Call) -> Any:
        """One version, by default the newest."""
        asked = await call.message(Named)
        version = asked.version or None
        found = await self._of(call, asked, lambda ref: self._scorers.show(ref, asked.name, version=version))
        return {"scorer": form(found)}

    async def delete(self, call: Call) -> Any:
        """One version, or all of them."""
        asked = await call.message(Named)
        version = asked.version or None
        await self._of(call, asked, lambda ref: self._scorers.delete(ref, asked.name, version=version))

    async def online(self, call: Call) -> Any:
        """How scorers judge what happens as it happens: none does here. MLflow's client asks whenever it reads one."""
        await call.principal()
        return {"configs": []}

    async def _home(self, call: Call, experiment_id: str) -> Ref:
        found = await self._tracking.experiment(call, experiment_number(experiment_id))
        if found is None:
            raise missing(f"No Experiment with id={experiment_id} exists")
        return found.ref

    async def _of(self, call: Call, asked: Named, work: Callable[[Ref], T]) -> T:
        ref = await self._home(call, asked.experiment_id)
        try:
            return await call.run(lambda: work(ref))
        except NotFound:
            raise _unknown(asked) from None


def form(scorer: Scorer) -> dict[str, Any]:
    """A version in MLflow's words."""
    return {
        "experiment_id": scorer.experiment_id,
        "scorer_name": scorer.name,
        "scorer_version": scorer.version,
        "serialized_scorer": scorer.serialized,
        "creation_time": scorer.created,
        "scorer_id": scorer.id,
    }


def _listed(found: Sequence[Scorer]) -> dict[str, Any]:
    return {"scorers": [form(each) for each in found]} if found else {}


def _unknown(asked: Named) -> MlflowError:
    version = f" and version {asked.version}" if asked.version else ""
    return missing(f"Scorer with name '{asked.name[:250]}'{version} not found for experiment {asked.experiment_id}.")
