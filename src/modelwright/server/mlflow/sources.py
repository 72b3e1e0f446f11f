"""Where a version says that it comes from: read and judged as text. Nothing here, and nothing later, opens it.

An address of our own (a run's folder, a logged model, another version) leads to objects that are stored already. One of
somebody else's store is kept as it was given, for the client that reads it with its own rights. What names a place on this
machine, or hides one, is refused, however often it is encoded.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from urllib.parse import unquote

import msgspec

from modelwright.server.mlflow.errors import MlflowError, invalid

LONGEST = 2048  # characters
PLACEHOLDERS = frozenset({"dummy-source", "prompt-template"})  # what MLflow's clients say for a prompt, which has none
LOGGED_MODEL = re.compile(r"m-[0-9a-f]{32}")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):")  # one letter is a drive
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,255}")
_PROXY_ROUTE = "/2.0/mlflow-artifacts/artifacts"
_LOCAL = frozenset({"file", "jar", "unix", "local", "data", "javascript", "vbscript", "blob", "about", "view-source"})
_WITHOUT_HOST = frozenset({"dbfs"})
_LOOKALIKES = str.maketrans({"\u3002": ".", "\u2044": "/", "\u2215": "/", "\u29f8": "/"})  # beyond what NFKC folds
_DOTS = re.compile(r"\s*\.+\s*")


class Origin(StrEnum):
    """What an address leads to."""

    RUN = "run"  # files of a run
    LOGGED = "logged"  # a logged model
    VERSION = "version"  # another version of the registry
    ELSEWHERE = "elsewhere"  # a store that is none of ours


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """An address, taken apart."""

    origin: Origin
    text: str
    run: str = ""  # the id of the run, if it is of one
    logged: str = ""  # the id of the logged model
    path: str = ""  # below the root of the run or the logged model
    name: str = ""  # of the model, if it is another version
    selector: str = ""  # which of its versions: a number, a stage, `latest`, or `@` and an alias


def read_source(text: str) -> Source:
    """Take an address apart; INVALID_PARAMETER_VALUE for what is none, or leads where it must not."""
    decoded = _harmless(text)
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    if not scheme or scheme in _LOCAL:
        raise _wrong(
            text,
            "A path on some machine is no source here: artifacts are stored by the server. "
            "To use a run's files, give runs:/<run_id>/<path> and its run_id.",
        )
    rest = decoded[len(scheme) + 1 :]
    if scheme in ("runs", "models", "mlflow-artifacts") and rest.startswith("//"):
        raise _wrong(text, f"{scheme}:/ is followed by a path, not by a host.")
    if decoded != text and scheme in ("runs", "models", "mlflow-artifacts"):
        raise _wrong(text, "An address of this server is written without percent signs.")
    if scheme == "runs":
        return _of_run(text, rest)
    if scheme == "models":
        return _of_model(text, rest)
    if scheme == "mlflow-artifacts":
        return _of_proxy(text, rest)
    if scheme in ("http", "https") and _PROXY_ROUTE in re.sub(r"/+", "/", rest):
        raise _wrong(text, "An artifact of a server is named by mlflow-artifacts:/, runs:/ or models:/.")
    _check_host(text, scheme, rest)
    return Source(origin=Origin.ELSEWHERE, text=text)


def check_claims(source: Source, run_id: str, model_id: str) -> None:
    """INVALID_PARAMETER_VALUE unless the request names the run or logged model that its source belongs to."""
    if source.origin is Origin.RUN and run_id != source.run:
        raise _wrong(source.text, f"It is of the run {source.run}; the request's run_id must be that.")
    if source.origin is Origin.LOGGED and model_id != source.logged:
        raise _wrong(source.text, f"It is the logged model {source.logged}; the request's model_id must be that.")
    if source.origin is Origin.RUN and model_id:
        raise _wrong(source.text, f"It is of a run, and the request's model_id names the logged model {model_id[:80]}.")


def check_placeholder(text: str) -> None:
    """INVALID_PARAMETER_VALUE unless it is what stands for the source of a prompt."""
    if text not in PLACEHOLDERS:
        raise invalid(f"Invalid prompt source: '{text[:200]}'. Prompt sources must use an MLflow placeholder.")


def check_link(text: str) -> None:
    """INVALID_PARAMETER_VALUE unless a link to a run is empty or one that a browser may follow."""
    if text and (len(text) > LONGEST or re.match(r"https?://[^\s\\]+\Z", text) is None or _hidden(text)):
        raise invalid(f"Invalid value for parameter 'run_link' supplied: '{text[:200]}' is not an http or https address.")


def _harmless(text: str) -> str:
    """The text with every encoding undone, unless that brings out something that points elsewhere than it looks."""
    if len(text) > LONGEST:
        raise invalid(f"'source' exceeds the maximum length of {LONGEST} characters")
    decoded = text
    while (once := unquote(decoded)) != decoded:
        decoded = once
    plain = unicodedata.normalize("NFKC", decoded).translate(_LOOKALIKES)
    if "\ufffd" in decoded or _hidden(decoded) or decoded != decoded.strip():
        raise _wrong(text, "It holds characters that cannot be seen.")
    if "\\" in plain:
        raise _wrong(text, "It holds a backslash.")
    if any(letter in plain for letter in "?#"):
        raise _wrong(text, "It has a query or a fragment. Leave out what comes after ? or #; secrets do not belong here.")
    if any(_DOTS.fullmatch(part.partition(";")[0]) for part in plain.split("/")):
        raise _wrong(text, "It must be an absolute address without relative parts such as '..'.")
    return decoded


def _hidden(text: str) -> bool:
    return any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for letter in text)


def _of_run(text: str, rest: str) -> Source:
    run, slash, path = rest.lstrip("/").partition("/")
    if not slash or not path.strip("/") or _RUN_ID.fullmatch(run) is None:
        raise _wrong(text, "It is not of the form runs:/<run_id>/<path>.")
    return Source(origin=Origin.RUN, text=text, run=run, path=path.strip("/"))


def _of_model(text: str, rest: str) -> Source:
    named = rest.lstrip("/").rstrip("/")
    if LOGGED_MODEL.fullmatch(named):
        return Source(origin=Origin.LOGGED, text=text, logged=named)
    for divider, keep in (("@", "@"), ("/", "")):
        name, found, selector = named.rpartition(divider)
        if found and name and selector and "/" not in selector:
            return Source(origin=Origin.VERSION, text=text, name=name, selector=keep + selector)
    raise _wrong(text, "It is not of the form models:/<model_id>, models:/<name>/<version> or models:/<name>@<alias>.")


def _of_proxy(text: str, rest: str) -> Source:
    parts = rest.strip("/").split("/")
    if len(parts) >= 3 and parts[2] == "artifacts" and _RUN_ID.fullmatch(parts[1]) and parts[0].isdecimal():
        if len(parts) > 3:
            return Source(origin=Origin.RUN, text=text, run=parts[1], path="/".join(parts[3:]))
    elif len(parts) >= 4 and parts[1] == "models" and parts[3] == "artifacts" and LOGGED_MODEL.fullmatch(parts[2]):
        return Source(origin=Origin.LOGGED, text=text, logged=parts[2], path="/".join(parts[4:]))
    raise _wrong(text, "It is neither below the artifacts of a run nor below those of a logged model.")


def _check_host(text: str, scheme: str, rest: str) -> None:
    host = rest[2:].partition("/")[0] if rest.startswith("//") else ""
    if scheme in _WITHOUT_HOST and rest.startswith("/") and not rest.startswith("//"):
        return
    if not host:
        raise _wrong(text, f"It does not say which store: {scheme}://<bucket or host>/<path>.")
    if ":" in host.rpartition("@")[0]:
        raise invalid("Invalid model version source: it holds a password, and what is registered is kept for good.")


def _wrong(text: str, why: str) -> MlflowError:
    shown = text if len(text) <= 200 else text[:200] + "…"
    return invalid(f"Invalid model version source: '{shown}'. {why}")
