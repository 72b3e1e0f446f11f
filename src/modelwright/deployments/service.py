"""The service: deployments, rollouts, the way back. Each change is one operation; what serves follows (`controller`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from modelwright.core.errors import Conflict, Invalid, NotFound, Refused
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.deployments import queries, tables, verdict
from modelwright.deployments.moves import Mover, admit
from modelwright.deployments.records import (
    PRODUCTION,
    STRATEGIES,
    Arms,
    Deployment,
    Interval,
    Judgement,
    Live,
    Outcome,
    Placement,
    Release,
    Rollout,
    RolloutState,
    Strategy,
    Unserved,
    endpoint_of,
)
from modelwright.deployments.rollout import Action, decide
from modelwright.models import Models, ModelVersion
from modelwright.serving.records import Intake, Switch
from modelwright.store import Transaction, catalog, scopes


class DeploymentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[deployments]`: which environments there are, and how versions take over."""

    environments: tuple[str, ...] = ("staging", "production")  # in the order that a version passes through them
    strategies: dict[str, Strategy] = {}  # further ones by name, or other settings for those that are shipped
    keep: int = 5  # former versions that a rollback can go back to, one after the other


class Deployments(Room):
    """Where models answer: versions in environments, rollouts with a verdict, rollback, and what was live when."""

    room, kind = "deployments", Kind.DEPLOYMENT

    def __init__(
        self,
        caller: Caller,
        *,
        models: Models,
        settings: DeploymentSettings = DeploymentSettings(),
        changed: Callable[[], None] = lambda: None,
        failing: Callable[[], Sequence[Unserved]] = lambda: (),
    ) -> None:
        super().__init__(caller)
        self._models = models
        self._settings = settings
        self._failing = failing
        self._strategies = STRATEGIES | settings.strategies
        self._mover = Mover(models, keep=settings.keep, changed=changed)

    # What there is

    @operation("write", event="deployments.deployment.created")
    def create(
        self,
        tx: Transaction,
        name: str,
        *,
        description: str = "",
        intake: Intake = Intake(),
        slow_after: float = 0.25,
    ) -> Deployment:
        """Make a deployment, before any version goes there: how it reads requests, and its latency objective in seconds."""
        if not slow_after > 0:
            raise Invalid(f"The latency objective is {slow_after} s; it must be more than 0.")
        made = Deployment(
            name=Ref(Kind.DEPLOYMENT, name).name,
            description=description,
            intake=intake,
            slow_after=slow_after,
            created_at=tx.now,
            created_by=tx.principal.id,
        )
        tables.insert_deployment(tx, made)
        tx.note(resource=made.ref, after={"intake": intake, "slow_after": str(slow_after)})
        return made

    @operation("read")
    def show(self, tx: Transaction, name: str) -> Deployment:
        """Show a deployment: what is live in each environment, with which weights, and how its rollout stands."""
        return tables.get_deployment(tx, name)

    @operation("read", on="")
    def list(self, tx: Transaction, where: Filter = Filter()) -> Page[Deployment]:
        """List deployments, the most recently changed first. `state` is `active` or `retired`."""
        return queries.list_deployments(tx, where)

    @operation("read")
    def rollouts(self, tx: Transaction, name: str, environment: str) -> Sequence[Rollout]:
        """List the rollouts of a deployment in an environment, newest first, each with its last verdict."""
        return tables.rollouts_of(tx, tables.get_deployment(tx, name).name, environment)

    @operation("read", on="")
    def live(self, tx: Transaction, as_of: datetime | None = None, name: str | None = None) -> Sequence[Live]:
        """Say what was live at a moment (by default, now), since when, who put it there and who had approved it."""
        return queries.live_at(tx, as_of or tx.now, name)

    @operation("read", on="")
    def unserved(self, tx: Transaction) -> Sequence[Unserved]:
        """Name what should answer and does not, because its model cannot be loaded; each with the reason.

        It is what the process knows that is asked: of a project folder that no server has open, nothing.
        """
        may = scopes.may_read(tx, Kind.DEPLOYMENT)
        return [each for each in self._failing() if may(each.deployment.name)]

    # New versions

    @operation("deploy.{environment}", event="deployments.rollout.started")
    def deploy(
        self,
        tx: Transaction,
        name: str,
        model: Ref,
        environment: str,
        *,
        strategy: str | Strategy | None = None,
        reason: str = "",
    ) -> Deployment:
        """Begin to put a model version live in an environment, by a strategy.

        The strategy is a name (`canary`, `all_at_once`, `ramp`) or a whole one; by default canary in production and
        all_at_once elsewhere. The first version of an environment is always live at once: there is nothing to compare it
        with. A rollout that is under way there is superseded. `Refused` names whatever the policy still asks for.
        """
        plan = self._plan(strategy, environment)
        deployment = self._open_or_made(tx, name)
        version = self._admitted(tx, model, environment)
        release = Release(model=version.ref, manifest=version.manifest, at=tx.now, by=tx.principal.id, reason=reason)
        placement = deployment.placement(environment)
        if placement is not None and placement.stable.digest == release.digest and placement.active is None:
            tx.unchanged()
            return deployment
        after = {"model": str(version.ref), "strategy": plan.name}
        tx.note(
            resource=deployment.ref, inputs=[version.ref], outputs=[deployment.ref], after=after, environment=environment
        )
        if placement is None:
            placement = Placement(environment=environment, endpoint=endpoint_of(name, environment), stable=release)
            self._mover.live(tx, deployment, placement, before=None, reason=reason)
        elif not plan.steps:
            self._mover.supersede(tx, deployment, placement, by=version.ref)
            self._mover.replace(tx, deployment, placement, release, reason=reason)
        else:
            self._mover.supersede(tx, deployment, placement, by=version.ref)
            self._mover.begin(tx, deployment, placement, release, plan, reason=reason)
        return tables.get_deployment(tx, name)

    @operation("deploy.{environment}", event="deployments.rollout.promoted")
    def promote(self, tx: Transaction, name: str, environment: str, reason: str = "") -> Deployment:
        """Let the candidate take over now, whatever its verdict; the policy is asked again."""
        deployment, placement, rollout = self._active(tx, name, environment)
        self._mover.promote(tx, deployment, placement, rollout, why=reason or f"promoted by {tx.principal.id}")
        return tables.get_deployment(tx, name)

    @operation("deploy.{environment}", event="deployments.rollout.rolled_back")
    def abort(self, tx: Transaction, name: str, environment: str, reason: str = "") -> Deployment:
        """End the rollout that is under way: the candidate gets nothing more."""
        deployment, placement, rollout = self._active(tx, name, environment)
        self._mover.roll_back(tx, deployment, placement, rollout, why=reason or f"aborted by {tx.principal.id}")
        return tables.get_deployment(tx, name)

    @operation("deploy.{environment}", event="deployments.rollout.paused")
    def pause(self, tx: Transaction, name: str, environment: str, reason: str = "") -> Deployment:
        """Hold the rollout at its weight until somebody decides. A failing verdict still ends it."""
        deployment, _, rollout = self._active(tx, name, environment)
        self._mover.move(tx, deployment, rollout, RolloutState.PAUSED, why=reason or f"paused by {tx.principal.id}")
        return tables.get_deployment(tx, name)

    @operation("deploy.{environment}", event="deployments.rollout.resumed")
    def resume(self, tx: Transaction, name: str, environment: str, reason: str = "") -> Deployment:
        """Go on with a rollout that waits for a person (with its next step) or is paused (with the same step, anew)."""
        deployment, placement, rollout = self._active(tx, name, environment)
        if rollout.state not in (RolloutState.WAITING, RolloutState.PAUSED):
            raise Conflict(f"{rollout.ref} is {rollout.state}: there is nothing to resume.")
        why = reason or f"resumed by {tx.principal.id}"
        if rollout.state is RolloutState.PAUSED:
            self._mover.move(tx, deployment, rollout, RolloutState.ANALYSING, why=why)
        elif rollout.step + 1 < len(rollout.strategy.steps):
            self._mover.move(tx, deployment, rollout, RolloutState.ANALYSING, why=why, step=rollout.step + 1)
        else:
            self._mover.promote(tx, deployment, placement, rollout, why=why)
        return tables.get_deployment(tx, name)

    # The way back

    @operation("rollback", event="deployments.release.rolled_back")
    def rollback(self, tx: Transaction, name: str, environment: str, reason: str = "") -> Deployment:
        """Go back at once: out of the rollout that is under way, or else to the version that was live before.

        It needs neither the registry nor the gate: whatever it goes back to was live here, and is still loaded.
        """
        deployment = self._open(tx, name)
        placement = self._placed(deployment, environment)
        if placement.active is not None:
            self._mover.roll_back(tx, deployment, placement, placement.active, why=reason or "rollback")
        else:
            self._mover.restore(tx, deployment, placement, reason=reason or "rollback")
        return tables.get_deployment(tx, name)

    @operation("kill", event="deployments.switch.turned")
    def switch(
        self,
        tx: Transaction,
        name: str,
        environment: str,
        to: Switch,
        *,
        fallback: dict[str, Any] | None = None,
        reason: str = "",
    ) -> Deployment:
        """Turn the kill switch: `off` (nothing answers), `fallback` (a fixed answer stands in), `live`.

        `fallback` maps every output to its value: `{"probability": 0.2}`.
        """
        deployment = self._open(tx, name)
        placement = self._placed(deployment, environment)
        answer = placement.fallback if fallback is None else fallback
        if to is Switch.FALLBACK:
            missing = {column.name for column in placement.stable.manifest.signature.outputs} - answer.keys()
            for output in sorted(missing):
                raise Invalid(f"The fallback answer lacks the output {output!r}.", mend="Give every output a value.")
        if placement.switch is to and placement.fallback == answer:
            tx.unchanged()
            return deployment
        tables.put_placement(tx, name, msgspec.structs.replace(placement, switch=to, fallback=answer))
        self._mover.announce(tx)
        tx.note(
            resource=deployment.ref,
            environment=environment,
            before={"switch": placement.switch.value},
            after={"switch": to.value},
        )
        return tables.get_deployment(tx, name)

    @operation("deploy.production", event="deployments.deployment.retired")
    def retire(self, tx: Transaction, name: str, *, successor: str | None = None, reason: str = "") -> Deployment:
        """Take a deployment out of use for good, in every environment; whoever still calls it is told the successor."""
        deployment = self._open(tx, name)
        for placement in deployment.placements:
            if placement.active is not None:
                self._mover.roll_back(tx, deployment, placement, placement.active, why="the deployment is retired")
            self._mover.gone(tx, deployment, placement, reason=reason)
        to = None if successor is None else tables.get_deployment(tx, successor).ref
        tables.touch(tx, name, retired_at=tx.stamp, successor=str(to) if to else None)
        catalog.release(tx, deployment.ref)
        self._mover.announce(tx)
        tx.note(resource=deployment.ref, after={"successor": str(to) if to else None})
        return tables.get_deployment(tx, name)

    # What was seen, and what follows from it

    @operation("write", data=True)
    def observe(self, tx: Transaction, name: str, environment: str, interval: Interval) -> Rollout | None:
        """Add what was seen since the last look to the rollout under way, and judge; None if there is none."""
        placement = tables.get_deployment(tx, name).placement(environment)
        if placement is None or placement.active is None:
            return None
        rollout, engine = tables.get_rollout(tx, placement.active.id)
        rollout, engine = _add(rollout, engine, interval)
        return tables.update_rollout(tx, rollout, engine)

    def report_outcomes(self, name: str, environment: str, outcomes: dict[str, Arms]) -> Rollout | None:
        """Add good and bad outcomes per guardrail that became known later (labels), for the rollout under way."""
        return self.observe(name, environment, Interval(guardrails=outcomes))

    @operation("deploy.{environment}", event="deployments.rollout.turned")
    def turn(
        self, tx: Transaction, name: str, environment: str, *, loaded: bool, broken: str = "", revision: int
    ) -> Rollout | None:
        """Do what is due in the rollout under way, if anything: the next step, the promotion, the way back.

        `revision` is that of the rollout which the caller looked at; if it has changed since, nothing is done.
        """
        deployment = tables.get_deployment(tx, name)
        placement = deployment.placement(environment)
        rollout = placement.active if placement is not None else None
        action = None
        if rollout is not None and rollout.revision == revision:
            action = decide(rollout, tx.now, loaded=loaded, broken=broken)
        if placement is None or rollout is None or action is None:
            tx.unchanged()
            return rollout
        self._act(tx, deployment, placement, rollout, action)
        return tables.get_rollout(tx, rollout.id)[0]

    def _act(self, tx: Transaction, deployment: Deployment, placement: Placement, rollout: Rollout, action: Action) -> None:
        try:
            self._mover.act(tx, deployment, placement, rollout, action)
        except Refused as refusal:
            # The gate was open when the rollout began and is closed now. Nothing was written yet; a person must look.
            self._mover.move(tx, deployment, rollout, RolloutState.PAUSED, why=f"the gate refused: {refusal.message}")

    # Finding things

    def _open(self, tx: Transaction, name: str) -> Deployment:
        found = tables.get_deployment(tx, name)
        if found.retired_at is not None:
            mend = f"Use {found.successor} in its place." if found.successor else ""
            raise Conflict(f"{found.ref} is retired.", mend=mend)
        return found

    def _open_or_made(self, tx: Transaction, name: str) -> Deployment:
        """Whoever may deploy to a name may begin it, with the defaults."""
        if tables.find_deployment(tx, name) is not None:
            return self._open(tx, name)
        made = Deployment(name=Ref(Kind.DEPLOYMENT, name).name, created_at=tx.now, created_by=tx.principal.id)
        tables.insert_deployment(tx, made)
        tx.record("deployments.deployment.created", made.ref, reason="with its first version")
        return made

    def _placed(self, deployment: Deployment, environment: str) -> Placement:
        placement = deployment.placement(environment)
        if placement is None:
            raise NotFound(f"{deployment.ref} has nothing in {environment}.")
        return placement

    def _active(self, tx: Transaction, name: str, environment: str) -> tuple[Deployment, Placement, Rollout]:
        deployment = tables.get_deployment(tx, name)
        placement = self._placed(deployment, environment)
        if placement.active is None:
            raise Conflict(f"{deployment.ref} has no rollout under way in {environment}.")
        return deployment, placement, placement.active

    def _plan(self, strategy: str | Strategy | None, environment: str) -> Strategy:
        if environment not in self._settings.environments:
            raise Invalid(
                f"There is no environment {environment!r}.",
                mend=f"The environments are {', '.join(self._settings.environments)}.",
            )
        if isinstance(strategy, Strategy):
            return strategy
        name = strategy or ("canary" if environment == PRODUCTION else "all_at_once")
        if name not in self._strategies:
            raise Invalid(
                f"There is no strategy {name!r}.", mend=f"The strategies are {', '.join(sorted(self._strategies))}."
            )
        return self._strategies[name]

    def _admitted(self, tx: Transaction, model: Ref, environment: str) -> ModelVersion:
        if model.kind is not Kind.MODEL:
            raise Invalid(f"{model} is not a model.", mend="Deploy a model version, for example model:delay@3.")
        version = self._models.show(model)
        self._models.check_servable(version)
        self._models.renew_signature(tx, version)
        admit(tx, version, environment)
        return version


def _add(rollout: Rollout, engine: verdict.State, interval: Interval) -> tuple[Rollout, verdict.State]:
    """The rollout and its engine after one more interval."""
    rails = {rail.name: rail for rail in rollout.strategy.guardrails}
    for name, arms in interval.guardrails.items():
        if name in rails:
            engine = verdict.observe(engine, rails[name], arms)
    if interval.weight is not None:
        engine = verdict.observe_routing(
            engine, baseline=interval.units_baseline, candidate=interval.units_candidate, weight=interval.weight
        )
    seen = rollout.step_seen
    if interval.weight is not None and interval.weight == rollout.weight:
        seen = seen + interval.guardrails.get("errors", Arms())
    judgement = judge_of(rollout, engine)
    streak = rollout.streak if interval.streak is None else interval.streak
    return msgspec.structs.replace(rollout, step_seen=seen, streak=streak, judgement=judgement), engine


def judge_of(rollout: Rollout, engine: verdict.State) -> Judgement:
    """The verdict by the rollout's own strategy."""
    plan = rollout.strategy
    if not plan.guardrails:
        return Judgement(outcome=Outcome.INCONCLUSIVE, why="no guardrails were set")
    return verdict.judge(engine, plan.guardrails, alpha=plan.alpha, beta=plan.beta)
