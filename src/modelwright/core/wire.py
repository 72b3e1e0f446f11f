"""How values travel: JSON through msgspec, with refs as text and times in UTC. One encoder for every door."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from modelwright.core.clock import isoformat
from modelwright.core.errors import Invalid, ModelwrightError
from modelwright.core.refs import Ref

T = TypeVar("T")


def _plain(value: Any) -> Any:
    if isinstance(value, Ref | Path):
        return str(value)
    if hasattr(value, "item") and hasattr(value, "dtype"):  # a NumPy scalar
        return value.item()
    raise TypeError(f"{type(value).__name__} does not travel as JSON")


def _rich(wanted: type, value: Any) -> Any:
    if wanted is Ref:
        if isinstance(value, Ref):
            return value
        if isinstance(value, str):
            return Ref.parse(value)
    if wanted is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"cannot read {wanted.__name__} from {type(value).__name__}")


def encode(value: Any) -> bytes:
    """JSON bytes. Struct fields in their order, NaN and infinity as null."""
    return msgspec.json.encode(value, enc_hook=_plain)


def encode_text(value: Any) -> str:
    """JSON as text, for a database column or a page."""
    return encode(value).decode()


def decode(data: bytes | str, wanted: type[T]) -> T:
    """Read JSON into a type; `Invalid` says which field is wrong and why."""
    try:
        return msgspec.json.decode(data, type=wanted, dec_hook=_rich)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(error) from None


def decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    """A decoder to keep, for many values of one type; what does not fit raises msgspec's own error."""
    return msgspec.json.Decoder(wanted, dec_hook=_rich)


def convert(value: Any, wanted: Any) -> Any:
    """Make plain values (and text refs) into the type wanted; values that already fit pass through."""
    try:
        return msgspec.convert(value, type=wanted, dec_hook=_rich, from_attributes=False)
    except msgspec.MsgspecError as error:
        raise _invalid(error) from None


def to_plain(value: Any) -> Any:
    """Structs and refs as dicts, lists and text; times as RFC 3339."""
    return msgspec.to_builtins(value, enc_hook=_plain)


def time_text(moment: datetime | None) -> str | None:
    """A moment as it is stored and sent, or None."""
    return None if moment is None else isoformat(moment)


def _invalid(error: Exception) -> ModelwrightError:
    cause = error.__cause__
    if isinstance(cause, ModelwrightError):
        return cause
    return Invalid(f"The value does not fit: {error}.")
