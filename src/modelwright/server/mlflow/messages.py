"""Reading requests and writing answers: JSON in the manner of proto3.

A request is a `Message`: a struct whose fields all have defaults. Unknown fields are ignored, a null is as if the field
were not there, an integer may come as text, and a GET carries the same fields as query parameters. What a request must have
is named in `needs`; missing and empty are the same. An answer leaves out what is unset or empty: answer with a struct that
omits its defaults, or with a dict.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar
from urllib.parse import parse_qsl

import msgspec

from modelwright.server.mlflow.errors import MlflowError, invalid

SEEN = 200  # characters of a wrong value that an error shows
MAX_PARAMETERS = 10_000  # of a query


class Message(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The base of requests and answers."""

    needs: ClassVar[Sequence[str]] = ()  # fields that must be there and not empty


M = TypeVar("M", bound=Message)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def read_body(body: bytes, wanted: type[M]) -> M:
    """A message from a JSON body; none stands for an empty object. Raises INVALID_PARAMETER_VALUE, naming the field."""
    if not body:
        return _checked(wanted())
    try:
        return _checked(msgspec.json.decode(body, type=wanted, strict=False))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _converted(_loads(body), wanted)  # a bare NaN, a null, or something to complain of in MLflow's words
    except RecursionError:
        raise invalid("The request body is nested too deeply.") from None


def read_query(query: bytes, wanted: type[M]) -> M:
    """A message from query parameters; a list is a parameter that is repeated."""
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="strict")
    except ValueError:
        raise invalid("The query is not one that can be read.") from None
    lists = _lists(wanted)
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name in lists:
            given.setdefault(name, []).append(value)
        else:
            given[name] = value
    return _converted(given, wanted)


def encode(answer: Any) -> bytes:
    """The JSON of an answer; None stands for an empty object. Figures that JSON has no words for must be text already."""
    return b"{}" if answer is None else msgspec.json.encode(answer)


def figure(value: float) -> float | str:
    """A number as it travels: NaN as text, and infinities as the largest floats, as MLflow's own store gives them."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return math.copysign(1.7976931348623157e308, value)


def milliseconds(moment: datetime) -> int:
    """A time as it travels: milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def _loads(body: bytes) -> Any:
    try:
        found = json.loads(body)
        json.dumps(found, ensure_ascii=False).encode()  # half a character, which no database and no answer can hold
    except (ValueError, RecursionError):
        raise MlflowError("BAD_REQUEST", "The request body is not JSON.") from None
    return found


def _converted(given: Any, wanted: type[M]) -> M:
    if not isinstance(given, Mapping):
        raise invalid("The request body is not a JSON object.")
    given = _said(given, wanted)
    try:
        return _checked(msgspec.convert(given, wanted, strict=False))
    except msgspec.ValidationError as error:
        name = _field(str(error))
        if name in given:
            shown = json.dumps(given[name], default=str)
            shown = shown if len(shown) <= SEEN else shown[:SEEN] + "…"
            raise invalid(f"Invalid value {shown} for parameter '{name}' supplied: {_why(str(error))}") from None
        raise invalid(str(error)) from None


def _said(given: Mapping[str, Any], wanted: type[Message]) -> dict[str, Any]:
    """The fields that a message knows and that hold something, in the messages within it as well."""
    known, within = wanted.__struct_encode_fields__, _within(wanted)
    said = {name: value for name, value in given.items() if name in known and value is not None}
    for name, message in within.items():
        value = said.get(name)
        if isinstance(value, Mapping):
            said[name] = _said(value, message)
        elif isinstance(value, list):
            said[name] = [_said(each, message) if isinstance(each, Mapping) else each for each in value]
    return said


def _checked(message: M) -> M:
    for name in message.needs:
        if getattr(message, name) in (None, "", msgspec.UNSET):
            raise lacking(name)
    return message


def lacking(name: str) -> MlflowError:
    """What a request without a field that it needs is told."""
    return invalid(f"Missing value for required parameter '{name}'. See the API docs for more information about it.")


def _field(complaint: str) -> str:
    """The field that msgspec complains of: "... - at `$.metrics[0].value`" is about `metrics`."""
    _, _, path = complaint.rpartition("`$.")
    return path.rstrip("`").partition(".")[0].partition("[")[0]


def _why(complaint: str) -> str:
    return complaint.partition(" - at ")[0]


_WITHIN: dict[type[Message], Mapping[str, type[Message]]] = {}


def _within(wanted: type[Message]) -> Mapping[str, type[Message]]:
    """The messages that a message holds, one or a list of them, by the name of the field."""
    if wanted not in _WITHIN:
        kinds = msgspec.inspect.type_info(wanted)
        assert isinstance(kinds, msgspec.inspect.StructType)
        found = {each.encode_name: _message_in(each.type) for each in kinds.fields}
        _WITHIN[wanted] = {name: message for name, message in found.items() if message is not None}
    return _WITHIN[wanted]


def _message_in(kind: msgspec.inspect.Type) -> type[Message] | None:
    if isinstance(kind, msgspec.inspect.StructType):
        return kind.cls if issubclass(kind.cls, Message) else None
    if isinstance(kind, msgspec.inspect.ListType):
        return _message_in(kind.item_type)
    if isinstance(kind, msgspec.inspect.UnionType):
        return next((found for each in kind.types if (found := _message_in(each)) is not None), None)
    return None


_LISTS: dict[type[Message], frozenset[str]] = {}


def _lists(wanted: type[Message]) -> frozenset[str]:
    if wanted not in _LISTS:
        kinds = msgspec.inspect.type_info(wanted)
        assert isinstance(kinds, msgspec.inspect.StructType)
        found = [each.encode_name for each in kinds.fields if isinstance(each.type, msgspec.inspect.ListType)]
        _LISTS[wanted] = frozenset(found)
    return _LISTS[wanted]
