"""What may be the name of a parameter, metric or tag, an id, a value: MLflow's limits, in its words."""

from __future__ import annotations

import functools
import json
import math
import posixpath
import re
from typing import Final

from modelwright.server.mlflow.errors import MlflowError, invalid, missing
from modelwright.server.mlflow.messages import lacking

MAX_KEY = 250
MAX_PARAM = 6000  # characters; what is longer is cut off
MAX_TAG = 8000
MAX_BATCH = {"metrics": 1000, "params": 100, "tags": 100}
MAX_TOGETHER = 1000
MAX_INT64 = (1 << 63) - 1
MAX_MILLIS = 253_402_300_799_999  # the end of the year 9999
_KEY: Final = re.compile(r"[/\w.\- :]*")
_EXPERIMENT: Final = re.compile(r"[a-zA-Z0-9][\w\-]{0,63}")
_RUN: Final = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")
_FIGURE: Final = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_WORDS: Final = {"nan": math.nan, "infinity": math.inf, "inf": math.inf, "-infinity": -math.inf, "-inf": -math.inf}


def wrong(value: object, parameter: str, why: str = "") -> MlflowError:
    """What is told of a value that does not do."""
    shown = json.dumps(value, default=str)
    shown = shown if len(shown) <= 200 else shown[:200] + "…"
    return invalid(f"Invalid value {shown} for parameter '{parameter}' supplied: {why}".rstrip(": "))


@functools.lru_cache(4096)  # they are few, and come again and again
def check_key(key: str, parameter: str = "key", what: str = "") -> str:
    """The name of a parameter, metric or tag."""
    if not key:
        raise invalid(
            f"Missing value for required parameter '{parameter}'. See the API docs for more information about it."
        )
    if len(key) > MAX_KEY:
        raise invalid(f"'{what or parameter}' exceeds the maximum length of {MAX_KEY} characters")
    if _KEY.fullmatch(key) is None:
        allowed = "letters, digits, underscores (_), dashes (-), periods (.), spaces ( ), colons (:) and slashes (/)"
        raise wrong(key, parameter, f"Names may only contain {allowed}.")
    if posixpath.normpath(key) != key or key == "." or key.startswith(("/", "..")):
        raise wrong(key, parameter, "A name that is a path must not lead to another name.")
    return key


def experiment_number(text: str) -> int:
    """The number in an experiment's id; no experiment has another id, so it is one that does not exist."""
    if not text:
        raise invalid(
            "Missing value for required parameter 'experiment_id'. See the API docs for more information about it."
        )
    if _EXPERIMENT.fullmatch(text) is None:
        raise wrong(text, "experiment_id")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise missing(f"No Experiment with id={text} exists")
    return int(text)


def run_id(run: str, uuid: str = "") -> str:
    """The id of a run, by either of its names."""
    found = run or uuid
    if not found:
        raise lacking("run_id")
    if _RUN.fullmatch(found) is None:
        raise wrong(found, "run_id")
    return found


def figure_of(value: float | str | None, parameter: str = "value") -> float:
    """A metric's value: a number, or its text."""
    if isinstance(value, float | int):
        return float(value)
    if value is None:
        raise invalid(
            f"Missing value for required parameter '{parameter}'. See the API docs for more information about it."
        )
    if _FIGURE.fullmatch(value):
        return float(value)
    word = value.strip().lower()
    if word in _WORDS:
        return _WORDS[word]
    raise wrong(value, parameter, "It is not a number.")


def micros(millis: int | None, parameter: str = "timestamp") -> int:
    """A time as it is stored."""
    if millis is None:
        raise invalid(
            f"Missing value for required parameter '{parameter}'. See the API docs for more information about it."
        )
    if not 0 <= millis <= MAX_MILLIS:
        raise wrong(millis, parameter, "A time is in milliseconds since 1970, and not negative.")
    return millis * 1000


def whole(value: int, parameter: str = "step") -> int:
    """An integer of 64 bits."""
    if not -MAX_INT64 - 1 <= value <= MAX_INT64:
        raise wrong(value, parameter, "It does not fit into 64 bits.")
    return value
