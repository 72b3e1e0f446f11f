"""`@step` and `@pipeline`: plain functions that can be joined into a graph.

    @step(retries=2)
    def load(month: int) -> pa.Table: ...

    @pipeline
    def train(month: int = 3) -> Ref:
        table = load(month)
        return fit(table, depth=6)

Called by themselves both are the functions they wrap: `train(month=4)` runs in order, in this process, without a workspace.
`train.graph(month=4)` runs the pipeline's body with promises in place of values, and so learns which step needs what.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, overload

from modelwright.core.errors import Invalid
from modelwright.core.refs import Ref
from modelwright.core.wire import convert
from modelwright.pipelines.context import Context

P = ParamSpec("P")
R = TypeVar("R")


class Step(Generic[P, R]):
    """A function whose result can be kept and reused, and what to do when it fails."""

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str = "",
        cache: bool = True,
        retries: int = 0,
        timeout: float | None = None,
        files: Sequence[str] = (),
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name or function.__name__
        self.cache = cache
        self.retries = retries
        self.timeout = timeout
        self.files = tuple(files)
        self.signature = inspect.signature(function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        builder = _building.get()
        if builder is not None:
            return typing.cast(R, builder.add(self, args, kwargs))
        if not self.contexts or any(isinstance(each, Context) for each in (*args, *kwargs.values())):
            return self.function(*args, **kwargs)
        return self.call(self.inputs.bind(*args, **kwargs).arguments, Context.current())

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    def call(self, arguments: Mapping[str, Any], context: Context) -> R:
        """Call the function with its inputs by name, and the context where it asks for one."""
        values = {**arguments, **dict.fromkeys(self.contexts, context)}
        bound = self.signature.bind_partial()
        bound.arguments = {name: values[name] for name in self.signature.parameters if name in values}
        return self.function(*bound.args, **bound.kwargs)

    @functools.cached_property
    def contexts(self) -> list[str]:
        """The parameters that ask for the running step's `Context` rather than for a value."""
        return [name for name in self.signature.parameters if self.hints.get(name) in (Context, "Context")]

    @functools.cached_property
    def inputs(self) -> inspect.Signature:
        """What a pipeline gives the step: its parameters without those for the context."""
        kept = [each for name, each in self.signature.parameters.items() if name not in self.contexts]
        return self.signature.replace(parameters=kept)

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        """The types of the parameters and of `return`, as far as they are annotated and can be found."""
        try:
            return typing.get_type_hints(self.function)
        except NameError:  # an annotation that exists for type checkers only
            return dict(getattr(self.function, "__annotations__", {}))


class Node:
    """One call of a step inside a pipeline: its arguments are plain values and promises of other nodes."""

    def __init__(self, key: str, step: Step[..., Any], arguments: dict[str, Any]) -> None:
        self.key = key
        self.step = step
        self.arguments = arguments
        self.needs = list(dict.fromkeys(promise.node.key for promise in promises_in(arguments)))


class Promise:
    """What a step will give, or (by `promise["name"]`, `promise[0]`, `a, b = promise`) a part of it."""

    def __init__(self, node: Node, path: tuple[str | int, ...] = (), length: int | None = None) -> None:
        self.node = node
        self.path = path
        self._length = length

    def __getitem__(self, part: str | int) -> Promise:
        return Promise(self.node, (*self.path, part))

    def __iter__(self) -> Iterator[Promise]:
        if self._length is None:
            raise self._unknown("cannot be taken apart", "Annotate what the step returns as tuple[X, Y], or index it.")
        return (self[position] for position in range(self._length))

    def __bool__(self) -> bool:
        raise self._unknown("has no truth yet", "Decide inside a step, or on a parameter of the pipeline.")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self._unknown(f"has no attribute {name!r} yet", "Use it inside a step.")

    def __repr__(self) -> str:
        return f"<promise of {self.node.key}{''.join(f'[{part!r}]' for part in self.path)}>"

    def _unknown(self, what: str, mend: str) -> Invalid:
        return Invalid(f"The result of step {self.node.key} {what}: the pipeline is only being planned.", mend=mend)


class Graph:
    """The calls of a pipeline in an order in which they can run, and what it returns."""

    def __init__(self, name: str, params: dict[str, Any], nodes: list[Node], result: Any) -> None:
        self.name = name
        self.params = params
        self.nodes = nodes
        self.result = result

    def outline(self) -> list[dict[str, Any]]:
        """The shape as plain values: each call, its step, and the calls it needs."""
        return [{"key": node.key, "step": node.step.name, "needs": node.needs} for node in self.nodes]


class Pipeline(Generic[P, R]):
    """A function that joins steps."""

    def __init__(self, function: Callable[P, R], *, name: str = "", experiment: str = "") -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name or function.__name__.replace("_", "-")
        self.experiment = experiment or self.name
        self.signature = inspect.signature(function)
        self.description = inspect.getdoc(function) or ""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"

    @property
    def file(self) -> Path:
        """The file it was written in."""
        return Path(inspect.getsourcefile(self.function) or "")

    def graph(self, **params: Any) -> Graph:
        """Plan the pipeline for these parameters; `Invalid` names one that is missing, unknown or of a wrong type."""
        bound = self.bind(params)
        builder = _Builder()
        token = _building.set(builder)
        try:
            result = self.function(**bound)  # type: ignore[call-arg]
        finally:
            _building.reset(token)
        return Graph(self.name, bound, builder.nodes, result)

    def bind(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters made into their types, with the defaults filled in."""
        for unknown in params.keys() - self.signature.parameters.keys():
            takes = ", ".join(self.signature.parameters) or "none"
            raise Invalid(f"Pipeline {self.name} has no parameter {unknown!r}.", mend=f"It takes {takes}.")
        try:
            hints = typing.get_type_hints(self.function)
        except NameError:
            hints = {}
        bound: dict[str, Any] = {}
        for name, parameter in self.signature.parameters.items():
            if name in params:
                try:
                    bound[name] = convert(params[name], hints.get(name, Any))
                except Invalid as error:
                    raise Invalid(f"Pipeline {self.name}, parameter {name}: {error.message}", mend=error.mend) from None
            elif parameter.default is not parameter.empty:
                bound[name] = parameter.default
            else:
                raise Invalid(f"Pipeline {self.name} needs the parameter {name!r}.")
        return bound


class _Builder:
    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._calls: dict[str, int] = {}

    def add(self, step: Step[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Promise:
        try:
            bound = step.inputs.bind(*args, **kwargs)
        except TypeError as error:
            raise Invalid(f"Step {step.name}: {error}.") from None
        bound.apply_defaults()
        for name, parameter in step.inputs.parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise Invalid(f"Step {step.name} takes *{name}.", mend="A step names each of its parameters.")
        self._calls[step.name] = self._calls.get(step.name, 0) + 1
        count = self._calls[step.name]
        node = Node(step.name if count == 1 else f"{step.name}-{count}", step, dict(bound.arguments))
        self.nodes.append(node)
        return Promise(node, length=_tuple_length(step))


_building: ContextVar[_Builder | None] = ContextVar("modelwright_building", default=None)


def promises_in(value: Any) -> Iterator[Promise]:
    """The promises in an argument: itself, or inside lists, tuples and dicts."""
    if isinstance(value, Promise):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from promises_in(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from promises_in(each)


def replace_in(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same value with promises and refs in it (also inside lists, tuples and dicts) changed."""
    if isinstance(value, Promise | Ref):
        return change(value)
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(replace_in(each, change) for each in value)
    if isinstance(value, dict):
        return {key: replace_in(each, change) for key, each in value.items()}
    return value


def _tuple_length(step: Step[..., Any]) -> int | None:
    returns = step.hints.get("return")
    if typing.get_origin(returns) is tuple:
        parts = typing.get_args(returns)
        return len(parts) if Ellipsis not in parts else None
    fields = getattr(returns, "_fields", None)
    return len(fields) if fields is not None else None


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    name: str = "",
    cache: bool = True,
    retries: int = 0,
    timeout: float | None = None,
    files: Sequence[str] = (),
) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(function: Callable[P, R] | None = None, /, **options: Any) -> Step[P, R] | Callable[[Callable[P, R]], Step[P, R]]:
    """Make a function a step.

    `cache=False` for one that must run each time; `retries` is how often it is tried again after an error; `timeout` in
    seconds (such a step runs in a process of its own, which is ended when the time is up); `files` are further files that
    its result rests on, relative to the project.
    """
    if function is not None:
        return Step(function)
    return lambda wrapped: Step(wrapped, **options)


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...
@overload
def pipeline(*, name: str = "", experiment: str = "") -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...
def pipeline(
    function: Callable[P, R] | None = None, /, **options: Any
) -> Pipeline[P, R] | Callable[[Callable[P, R]], Pipeline[P, R]]:
    """Make a function a pipeline; its name (underscores as dashes) is the pipeline's, and its experiment's."""
    if function is not None:
        return Pipeline(function)
    return lambda wrapped: Pipeline(wrapped, **options)
