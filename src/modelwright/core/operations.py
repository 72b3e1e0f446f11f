"""An operation is written once. This is the one clever file.

    class Models(Room):
        room, kind = "models", Kind.MODEL

        @operation("register", event="models.version.registered")
        def register(self, tx: Transaction, name: str, *, digest: str) -> ModelVersion: ...

From that one definition follow the permission (the verb, on the resource), the transaction (joined if one is open), the
ledger entry (`event`; an operation without one only reads, or writes mere `data`), `POST /api/v1/models/register`, its
OpenAPI, the remote client and the CLI's help. A room holds a `Caller`; the embedded one opens a transaction and runs the
body, the remote one sends the arguments. To whoever calls `rooms.models.register("delay", digest=...)` they are the same
object.
"""

from __future__ import annotations

import inspect
import string
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from types import SimpleNamespace
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

import msgspec

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Invalid
from modelwright.core.principals import Principal
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Room")
T = TypeVar("T")


class Resource(msgspec.Struct, frozen=True):
    """What a permission is asked on: one thing by kind and name, or (name None) a kind as a whole."""

    kind: Kind
    name: str | None = None

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name or '*'}"


class Caller(Protocol):
    """Carries out operations: here, in a transaction, or there, over HTTP."""

    @property
    def blobs(self) -> Blobs: ...

    @property
    def principal(self) -> Principal: ...

    def call(self, room: Room, operation: Operation[Any, Any, Any, Any], arguments: dict[str, Any]) -> Any:
        """Check the permission, run the operation and return its result, or raise a `ModelwrightError`."""
        ...


class Room:
    """The base of every service: names its kind, holds its caller, knows its operations."""

    room: ClassVar[str] = ""
    kind: ClassVar[Kind]
    operations: ClassVar[Mapping[str, Operation[Any, Any, Any, Any]]] = {}

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def __init_subclass__(cls) -> None:
        found = {key: value for key, value in vars(cls).items() if isinstance(value, Operation)}
        cls.operations = {**cls.operations, **found}
        for each in found.values():
            each.room = cls.room

    @property
    def blobs(self) -> Blobs:
        """The content-addressed objects, wherever they are."""
        return self.caller.blobs

    def resource_of(self, tx: Any, ref: Ref) -> Resource:
        """The resource that rights on a ref are asked on; a room whose things belong to another thing overrides this."""
        return Resource(ref.kind, ref.name)

    def resource_named(self, tx: Any, parameter: str, value: str) -> Resource:
        """The resource that a parameter names in words; a room whose things have other names besides overrides this."""
        return Resource(self.kind, value)


class Operation(Generic[S, T, P, R]):
    """One public method of a room, with everything that is derived from its definition."""

    room: str = ""

    def __init__(
        self,
        function: Callable[Concatenate[S, T, P], R],
        *,
        verb: str,
        event: str | None,
        on: str | None,
        data: bool = False,
    ) -> None:
        self.function = function
        self.name = function.__name__
        self.verb = verb
        self.event = event
        self.data = data
        self.__doc__ = inspect.cleandoc(function.__doc__ or "")
        if not self.__doc__:
            raise TypeError(f"{function.__qualname__} is an operation and has no docstring")
        code = function.__code__
        names = code.co_varnames[2 : code.co_argcount + code.co_kwonlyargcount]
        self.on = on if on is not None else next((n for n in ("ref", "name") if n in names), "")
        if self.on and self.on not in names:
            raise TypeError(f"{function.__qualname__} has no parameter {self.on!r} to ask its permission on")
        self._types: tuple[dict[str, Any], Any] | None = None

    @cached_property
    def signature(self) -> inspect.Signature:
        """Of the method, with the room itself and the transaction."""
        return inspect.signature(self.function)

    @cached_property
    def parameters(self) -> list[inspect.Parameter]:
        """What a caller gives."""
        return list(self.signature.parameters.values())[2:]

    @property
    def writes(self) -> bool:
        """Whether it changes anything: then it runs under the write lock, and (unless it writes data) has an event."""
        return self.event is not None or self.data

    @property
    def path(self) -> str:
        """The HTTP path below `/api/v1/`."""
        return f"{self.room}/{self.name}"

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (self.__doc__ or "").partition("\n")[0]

    def types(self) -> tuple[dict[str, Any], Any]:
        """The types of the parameters by name, and of the result."""
        if self._types is None:
            wanted = {p.name for p in self.parameters} | {"return"}  # not the transaction: its import is for type checkers
            kept = {name: hint for name, hint in self.function.__annotations__.items() if name in wanted}
            hints = typing.get_type_hints(SimpleNamespace(__annotations__=kept), self.function.__globals__)
            self._types = {p.name: hints.get(p.name, Any) for p in self.parameters}, hints.get("return", Any)
        return self._types

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by name, or `Invalid` in the words of a caller of this operation."""
        try:
            bound = self.signature.bind(None, None, *args, **kwargs)
        except TypeError as error:
            raise Invalid(f"{self.room}.{self.name}: {error}.") from None
        return dict(list(bound.arguments.items())[2:])

    def accept(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments made into their declared types, defaults filled in; `Invalid` names the one that is wrong."""
        types, accepted = self.types()[0], {}
        for unknown in arguments.keys() - types.keys():
            raise Invalid(
                f"{self.room}.{self.name} has no parameter {unknown!r}.",
                mend=f"It takes {', '.join(types) or 'none'}.",
            )
        for parameter in self.parameters:
            if parameter.name in arguments:
                try:
                    accepted[parameter.name] = convert(arguments[parameter.name], types[parameter.name])
                except Invalid as error:
                    if type(error) is not Invalid:
                        raise
                    raise Invalid(f"{self.room}.{self.name}, {parameter.name}: {error.message}") from None
            elif parameter.default is not parameter.empty:
                accepted[parameter.name] = parameter.default
            else:
                raise Invalid(f"{self.room}.{self.name} needs {parameter.name!r}.")
        return accepted

    def verb_for(self, arguments: Mapping[str, Any]) -> str:
        """The verb, with parts such as `deploy.{environment}` filled in from the arguments."""
        fields = [name for _, name, _, _ in string.Formatter().parse(self.verb) if name]
        return self.verb.format(**{name: arguments[name] for name in fields}) if fields else self.verb

    def resource_for(self, room: Room, tx: Any, arguments: Mapping[str, Any]) -> Resource:
        """What the permission is asked on: the ref, the name, or the room's kind as a whole."""
        value = arguments.get(self.on) if self.on else None
        if isinstance(value, Ref):
            return room.resource_of(tx, value)
        return Resource(room.kind) if value is None else room.resource_named(tx, self.on, str(value))

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Operation[S, T, P, R]: ...
    @overload
    def __get__(self, instance: S, owner: type) -> Bound[P, R]: ...
    def __get__(self, instance: S | None, owner: type) -> Operation[S, T, P, R] | Bound[P, R]:
        return self if instance is None else Bound(instance, self)


class Bound(Generic[P, R]):
    """An operation on one room, ready to be called."""

    def __init__(self, room: Room, operation: Operation[Any, Any, P, R]) -> None:
        self.room = room
        self.operation = operation
        self.__doc__ = operation.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        arguments = self.operation.bind(args, kwargs)
        return typing.cast(R, self.room.caller.call(self.room, self.operation, arguments))


def operation(
    verb: str, *, event: str | None = None, on: str | None = None, data: bool = False
) -> Callable[[Callable[Concatenate[S, T, P], R]], Operation[S, T, P, R]]:
    """Declare a method an operation.

    `verb` is the right it needs (`read`, `register`, `deploy.{environment}`); `on` names the parameter that holds the
    resource (by default `ref` or `name`; `""` asks on the kind as a whole). `event` is what the ledger says happened; an
    operation that has none only reads. `data=True` is for what is data and not an event (metric points, the journal of
    running steps): it writes without an entry in the ledger.
    """
    return lambda function: Operation(function, verb=verb, event=event, on=on, data=data)


def operations_of(rooms: Mapping[str, Room]) -> Iterator[tuple[Room, Operation[Any, Any, Any, Any]]]:
    """Every operation of every room."""
    for room in rooms.values():
        for each in type(room).operations.values():
            yield room, each
