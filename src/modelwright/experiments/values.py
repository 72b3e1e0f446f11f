"""What may be logged: names, parameters, figures and tags, checked and made plain where they are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelwright.core.errors import Invalid
from modelwright.core.wire import encode_text
from modelwright.experiments.records import Number, number

MAX_TITLE = 500  # characters of an experiment's title
MAX_NAME = 250  # characters of a parameter's, metric's or tag's name
MAX_PARAM = 64 * 1024  # characters of a parameter's value as JSON
MAX_TAG = 64 * 1024  # characters of a tag's value
_NOT_FINITE = (float("inf"), float("-inf"))


def check_title(title: str) -> None:
    """Raise unless a text can be the title of an experiment."""
    if not isinstance(title, str):
        raise Invalid(f"The title of an experiment is text, not {title!r}.")
    if not title or len(title) > MAX_TITLE:
        raise Invalid(f"The title of an experiment has 1 to {MAX_TITLE} characters, not {len(title)}.")
    if "\0" in title or whole(title) != title:
        raise Invalid(
            "The title of an experiment cannot hold the character NUL or half a character, which no text in PostgreSQL can."
        )


def check_name(name: str) -> None:
    """Raise `Invalid` for what cannot name a parameter or a metric."""
    if not isinstance(name, str):
        raise Invalid(f"The name of a parameter, metric or tag is text, not {name!r}.")
    if not name or len(name) > MAX_NAME:
        raise Invalid(f"The name of a parameter, metric or tag has 1 to {MAX_NAME} characters, not {len(name)}.")
    if "\0" in name or whole(name) != name:
        raise Invalid(f"The name {name!r} holds the character NUL, or half a character: no database keeps that.")


def whole(text: str) -> str:
    """A text as it can be written down: half a character, as file names hold that are not in UTF-8, as its number."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def plain(value: Any) -> Any:
    """A parameter's value as JSON can hold it; what is neither a plain value nor a list or dict of them, by its text."""
    if isinstance(value, float) and (value != value or value in _NOT_FINITE):
        return str(value)
    if isinstance(value, str):
        return whole(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {whole(str(key)): plain(each) for key, each in value.items()}
    if hasattr(value, "item") and hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0:
        return plain(value.item())
    return whole(str(value))


def param(name: str, value: Any) -> Any:
    """A parameter as it will be stored, or `Invalid`."""
    check_name(name)
    made = plain(value)
    length = len(encode_text(made))
    if length > MAX_PARAM:
        raise Invalid(f"Parameter {name!r} has {length} characters.", mend="Log it as an artifact.")
    return made


def figure(name: str, value: Any) -> Number:
    """A metric's value as it travels: any real number, NumPy's and a tensor's of one element too, NaN and infinities."""
    if isinstance(value, str | bytes) or value is None:
        raise _no_figure(name, value)
    try:
        return number(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise _no_figure(name, value) from None


def tag(key: str, value: Any) -> str:
    """A tag's value as text, or `Invalid`."""
    check_name(key)
    text = whole(str(value))
    if len(text) > MAX_TAG:
        raise Invalid(f"The tag {key!r} has {len(text)} characters.", mend="Log it as an artifact.")
    return text


def _no_figure(name: str, value: Any) -> Invalid:
    return Invalid(
        f"The metric {name!r} is a number, not {value!r} of type {type(value).__name__}.",
        mend="Log text as a tag or a parameter, and tables with log_table.",
    )
