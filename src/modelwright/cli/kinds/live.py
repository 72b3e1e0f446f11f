"""Deployments and rollouts at the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from modelwright.cli.kinds.base import Face
from modelwright.cli.output import day, facts, number, say, section, when
from modelwright.core.errors import NotFound
from modelwright.core.paging import Filter, Page, every
from modelwright.core.refs import Kind, Ref

if TYPE_CHECKING:
    from modelwright.deployments.records import Deployment, Placement, Rollout
    from modelwright.workspace import Workspace


class DeploymentFace(Face):
    """Named places where a model answers."""

    kind = Kind.DEPLOYMENT
    columns = ("deployment", "environment", "live", "since", "rollout", "switch")

    def show(self, rooms: Workspace, ref: Ref) -> Deployment:
        return rooms.deployments.show(ref.name)

    def tell(self, rooms: Workspace, found: Deployment) -> None:
        facts(
            str(found.ref),
            {
                "about": found.description,
                "state": "retired" if found.retired_at else "active",
                "successor": found.successor,
                "latency goal": f"{found.slow_after * 1000:g} ms",
                "made": f"{when(found.created_at)} by {found.created_by}",
            },
        )
        if not found.placements:
            say(f"  Nothing is deployed yet. Begin: mw deploy {found.name} model:NAME@VERSION staging")
        lost = {each.environment: each.why for each in rooms.deployments.unserved() if each.deployment == found.ref}
        for placement in found.placements:
            self._tell_placement(placement, lost.get(placement.environment, ""))

    def _tell_placement(self, placement: Placement, lost: str) -> None:
        stable, previous = placement.stable, placement.previous
        say("")
        facts(
            f"{placement.environment}  (endpoint {placement.endpoint})",
            {
                "not served": f"{stable.model} cannot be loaded: {lost}" if lost else None,
                "live": f"{stable.model}, since {when(stable.at)}, by {stable.by}",
                "traffic": [f"{model} {weight:g} %" for model, weight in placement.weights.items()],
                "before it": previous.model if previous else None,
                "switch": placement.switch.value,
            },
        )
        if placement.rollout is not None:
            tell_rollout(placement.rollout)

    def list(self, rooms: Workspace, where: Filter) -> Page[Deployment]:
        return rooms.deployments.list(where)

    def within(self, rooms: Workspace, ref: Ref, where: Filter) -> tuple[Face, Page[Rollout]]:
        deployment = rooms.deployments.show(ref.name)
        return RolloutFace(), Page(items=list(_rollouts(rooms, deployment))[: where.limit])

    def row(self, item: Deployment) -> Sequence[Any]:
        def lines(values: list[Any]) -> str:
            return "\n".join(str(value) for value in values)

        places = item.placements
        return [
            item.name,
            lines([p.environment for p in places]),
            lines([str(p.stable.model).removeprefix("model:") for p in places]),
            lines([day(p.stable.at) for p in places]),
            lines([f"{str(p.active.candidate.model)[6:]} {p.active.weight:g} %" if p.active else "" for p in places]),
            lines([p.switch.value for p in places]),
        ]

    def retire(self, rooms: Workspace, ref: Ref, successor: Ref | None, reason: str) -> Deployment:
        return rooms.deployments.retire(ref.name, successor=successor.name if successor else None, reason=reason)


class RolloutFace(Face):
    """Versions on their way to take over."""

    kind = Kind.ROLLOUT
    columns = ("rollout", "where", "candidate", "state, verdict", "began")

    def show(self, rooms: Workspace, ref: Ref) -> Rollout:
        for found in self._all(rooms, Filter()):
            if found.id == ref.name:
                return found
        raise NotFound(f"There is no {ref}.", mend="See what there is: mw list rollout")

    def tell(self, rooms: Workspace, found: Rollout) -> None:
        tell_rollout(found)

    def list(self, rooms: Workspace, where: Filter) -> Page[Rollout]:
        found = [each for each in self._all(rooms, where) if where.state in (None, each.state.value)]
        return Page(items=sorted(found, key=lambda each: each.started_at, reverse=True)[: where.limit])

    def row(self, item: Rollout) -> Sequence[Any]:
        where, model = f"{item.deployment.name}\n{item.environment}", str(item.candidate.model).removeprefix("model:")
        state = f"{item.state.value}\n{item.judgement.outcome.value}"
        return [item.id, where, model, state, day(item.started_at)]

    def _all(self, rooms: Workspace, where: Filter) -> Iterator[Rollout]:
        for deployment in every(rooms.deployments.list, Filter(under=where.under)):
            yield from _rollouts(rooms, deployment)


def tell_rollout(found: Rollout) -> None:
    """A rollout: what takes over from what, how far it is, and why."""
    judgement = found.judgement
    steps = f"step {found.step + 1} of {len(found.strategy.steps)}, " if found.strategy.steps else ""
    facts(
        str(found.ref),
        {
            "state": found.state.value,
            "candidate": f"{found.candidate.model}  (instead of {found.baseline})",
            "by": f"{found.by}, {when(found.started_at)}",
            "strategy": f"{found.strategy.name}: {steps}{found.weight:g} % of the units",
            "ended": when(found.ended_at),
            "outcome": found.outcome,
            "verdict": judgement.outcome.value,
            "because": judgement.why,
        },
    )
    if judgement.readings:
        rows = [
            [
                reading.guardrail,
                reading.outcome.value,
                f"{reading.seen.baseline_bad:,} of {reading.seen.baseline:,}",
                f"{reading.seen.candidate_bad:,} of {reading.seen.candidate:,}",
                f"{number(reading.harm)} / {number(reading.harm_needed)}",
                f"{number(reading.safety)} / {number(reading.safety_needed)}",
            ]
            for reading in judgement.readings
        ]
        section(["guardrail", "verdict", "bad now", "bad in candidate", "harm", "safety"], rows)


def _rollouts(rooms: Workspace, deployment: Deployment) -> Iterator[Rollout]:
    for placement in deployment.placements:
        yield from rooms.deployments.rollouts(deployment.name, placement.environment)
