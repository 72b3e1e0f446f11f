"""A run with what belongs to it, as plain values: what a search hands out by the thousand. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from modelwright.experiments.records import DatasetRead, ModelUse


class Head(NamedTuple):
    """A run's own row. Times are microseconds since 1970."""

    key: int
    id: str
    experiment: int
    name: str
    status: str
    started: int
    ended: int | None
    deleted: int | None
    user_id: str


class Detail:
    """A run and its values. A metric's figure is None where it is NaN."""

    __slots__ = ("datasets", "head", "metrics", "models", "params", "tags")

    def __init__(self, head: Head) -> None:
        self.head = head
        self.params: list[tuple[str, str]] = []
        self.tags: list[tuple[str, str]] = []
        self.metrics: list[tuple[str, float | None, int, int]] = []  # name, value, step, time
        self.datasets: list[DatasetRead] = []
        self.models: list[ModelUse] = []


def heads(rows: list[Any]) -> list[Head]:
    """Rows of the columns of a head, in their order."""
    return [Head(*row) for row in rows]
