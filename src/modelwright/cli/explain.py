"""Where a command is one operation, it is explained once: by the operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from modelwright.core.operations import Operation

F = TypeVar("F", bound=Callable[..., Any])


def carries_out(operation: Operation[Any, Any, Any, Any]) -> Callable[[F], F]:
    """Give a command the docstring of its operation as help, and note the operation for those who check the table."""

    def explain(command: F) -> F:
        command.__doc__ = (operation.__doc__ or "").replace("`", "")
        vars(command)["operation"] = operation
        return command

    return explain
