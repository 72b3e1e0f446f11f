"""From one definition: the arguments, the permission, the path, the summary; the same to every caller."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from modelwright.core.blobs import Blobs
from modelwright.core.errors import BadRef, Invalid
from modelwright.core.operations import Operation, Resource, Room, operation, operations_of
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind, Ref


class Trains(Room):
    """A room for these tests."""

    room, kind = "trains", Kind.MODEL

    @operation("register", event="trains.train.added")
    def add(self, tx: Any, name: str, *, cars: int = 3, tags: dict[str, str] | None = None) -> str:
        """Add a train.

        More about it.
        """
        return f"{name}:{cars}:{tags}"

    @operation("read")
    def show(self, tx: Any, ref: Ref, at: datetime | None = None) -> Ref:
        """Show a train."""
        return ref

    @operation("deploy.{environment}", event="trains.train.sent")
    def send(self, tx: Any, ref: Ref, environment: str) -> str:
        """Send a train off."""
        return environment

    @operation("read", on="")
    def listed(self, tx: Any, name: str = "") -> list[str]:
        """List trains."""
        return [name]

    @operation("write", data=True)
    def journal(self, tx: Any, line: str) -> None:
        """Write a line that is data and no event."""


class Recorder:
    """A caller that runs the body at once and keeps what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    @property
    def blobs(self) -> Blobs:
        raise AssertionError("no objects here")

    @property
    def principal(self) -> Principal:
        return Principal(id="ada")

    def call(self, room: Room, operation: Operation[Any, Any, Any, Any], arguments: dict[str, Any]) -> Any:
        accepted = operation.accept(arguments)
        self.calls.append((operation.path, accepted))
        return operation.function(room, None, **accepted)


@pytest.fixture
def trains() -> Trains:
    return Trains(Recorder())


ADD, SHOW, SEND = Trains.operations["add"], Trains.operations["show"], Trains.operations["send"]


def test_calling_the_method_goes_through_the_caller_with_arguments_by_name(trains: Trains):
    assert trains.add("ice", cars=5) == "ice:5:None"
    assert trains.caller.calls == [("trains/add", {"name": "ice", "cars": 5, "tags": None})]


def test_an_operation_knows_its_path_summary_and_whether_it_writes():
    assert (ADD.path, ADD.summary, ADD.writes, SHOW.writes) == ("trains/add", "Add a train.", True, False)
    assert Trains.operations["journal"].writes
    assert Trains.operations["journal"].event is None


def test_the_permission_is_asked_on_the_ref_the_name_or_the_kind(trains: Trains):
    assert SHOW.resource_for(trains, None, SHOW.accept({"ref": "dataset:x@3"})) == Resource(Kind.DATASET, "x")
    assert ADD.resource_for(trains, None, ADD.accept({"name": "ice"})) == Resource(Kind.MODEL, "ice")
    listed = Trains.operations["listed"]
    assert listed.resource_for(trains, None, {"name": "ice"}) == Resource(Kind.MODEL, None)
    assert str(Resource(Kind.MODEL)) == "model:*"


def test_a_verb_takes_its_parts_from_the_arguments():
    assert SEND.verb_for({"ref": None, "environment": "prod"}) == "deploy.prod"
    assert SHOW.verb_for({}) == "read"


def test_plain_values_become_what_the_parameters_declare():
    accepted = SHOW.accept({"ref": "model:a@1", "at": "2026-01-01T00:00:00Z"})
    assert accepted["ref"] == Ref.parse("model:a@1")
    assert accepted["at"].year == 2026


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "needs 'name'"),
        ({"name": "x", "wagons": 1}, "no parameter 'wagons'"),
        ({"name": "x", "cars": "many"}, "cars"),
        ({"name": 7}, "name"),
    ],
)
def test_a_wrong_argument_is_named_with_the_operation(arguments: dict[str, Any], told: str):
    with pytest.raises(Invalid, match=told) as error:
        ADD.accept(arguments)
    assert "trains.add" in error.value.message


def test_a_wrong_ref_keeps_its_caret():
    with pytest.raises(BadRef, match=r"\^"):
        SHOW.accept({"ref": "model:a b"})


def test_too_many_arguments_are_said_in_the_words_of_the_operation(trains: Trains):
    with pytest.raises(Invalid, match=r"trains\.add"):
        trains.add("a", "b")  # type: ignore[misc]


def test_an_operation_without_a_docstring_is_refused():
    with pytest.raises(TypeError, match="no docstring"):

        @operation("read")
        def silent(self: Any, tx: Any) -> None:
            pass


def test_an_operation_that_asks_on_a_parameter_it_has_not_is_refused():
    with pytest.raises(TypeError, match="ghost"):

        @operation("read", on="ghost")
        def lost(self: Any, tx: Any) -> None:
            """Be lost."""


def test_rooms_inherit_operations_and_list_them_all(trains: Trains):
    class Express(Trains):
        """Trains that stop nowhere."""

        @operation("read")
        def skip(self, tx: Any) -> str:
            """Pass a station."""
            return "passed"

    express = Express(Recorder())
    assert express.skip() == "passed"
    assert {op.name for _, op in operations_of({"trains": express})} == {*Trains.operations, "skip"}
    assert "skip" not in Trains.operations
