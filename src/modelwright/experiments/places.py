"""Places: where MLflow's addresses say that a file lies, `<experiment>/<run>/artifacts/<name>` and the like. Pure."""

from __future__ import annotations

import re

import msgspec

from modelwright.experiments.filenames import check_folder

MODELS = "models"
FOLDER = "artifacts"
SCHEME = "mlflow-artifacts:/"
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MODEL = re.compile(r"m-[0-9a-f]{32}")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A place as its text says: below an experiment, and perhaps below a run or a logged model of it."""

    below: str  # everything after the experiment; empty for the experiment itself
    run: str = ""
    model: str = ""
    name: str = ""  # below the run, the model or, where neither is named, the experiment


def read(below: str) -> Place:
    """A place from what follows the experiment in its address. `BadFileName` if that is no path."""
    below = check_folder(below)
    parts = below.split("/", 3)
    if len(parts) > 2 and parts[0] == MODELS and parts[2] == FOLDER and _MODEL.fullmatch(parts[1]):
        return Place(below=below, model=parts[1], name=parts[3] if len(parts) > 3 else "")
    if len(parts) > 1 and parts[1] == FOLDER and parts[0] not in (MODELS, "traces") and _RUN.fullmatch(parts[0]):
        return Place(below=below, run=parts[0], name="/".join(parts[2:]))
    return Place(below=below, name=below)


def location(experiment: int, given: str) -> str:
    """Where the files of an experiment lie: where it was told they should, or below its number in our own store."""
    return given.rstrip("/") or f"{SCHEME}{experiment}"


def of_model(model: str, name: str = "") -> str:
    """Where a file of a logged model lies below its experiment."""
    return f"{MODELS}/{model}/{FOLDER}" + (f"/{name}" if name else "")


def roots(place: str) -> list[str]:
    """The addresses of which a place could be a part: what an experiment's own location is compared with."""
    parts = place.split("/")
    return [SCHEME + "/".join(parts[:count]) for count in range(len(parts), 0, -1)]
