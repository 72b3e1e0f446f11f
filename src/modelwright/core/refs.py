"""A thing has a ref: `kind:name@selector`.

    dataset:flights@7            a version, counted from 1
    model:pricing/delay@champion an alias; `latest` is the newest version
    model:delay@b3:1f0c9a        a digest, or the first eight or more characters of one
    run:01JD0ZK3T8V1M2N3P4Q5R6S7T8   things that have no versions are named by their id

A name is a path: one or more segments of letters, digits, `-`, `_` and `.`, joined by `/`. Access rules and search work
on that path. Only these ASCII characters are allowed and no segment starts or ends with a dot, so a name is never a way
out of a folder, and no two spellings of one name exist through encoding.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

from modelwright.core.errors import BadRef


class Kind(StrEnum):
    """Whatever has a life."""

    DATASET = "dataset"
    CONTRACT = "contract"  # what the producer of a dataset promises
    FEATURES = "features"
    EXPERIMENT = "experiment"
    RUN = "run"
    LOGGED_MODEL = "logged-model"  # as a run left it, before anybody registered it
    TRACE = "trace"
    MODEL = "model"
    EVALUATION = "evaluation"
    EVALSET = "evalset"  # examples with what should come out, to evaluate on
    SCORER = "scorer"
    PIPELINE = "pipeline"
    EXECUTION = "execution"  # one run of a pipeline: its steps and their journal
    DEPLOYMENT = "deployment"
    ROLLOUT = "rollout"
    MONITOR = "monitor"
    ALERT = "alert"
    INCIDENT = "incident"
    POLICY = "policy"
    RETENTION = "retention"  # how long data are kept, and what of them went
    HOLD = "hold"  # a legal hold
    EXTERNAL = "external"  # a dataset, job or run of another system, that OpenLineage told of
    EVIDENCE = "evidence"
    PRINCIPAL = "principal"
    WEBHOOK = "webhook"
    OBJECT = "object"
    WORKSPACE = "workspace"

    @property
    def noun(self) -> str:
        """What one of them is called in a sentence."""
        return "feature view" if self is Kind.FEATURES else self.value.replace("-", " ")


_SEGMENT: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_\-])?")
_ALIAS: Final = re.compile(r"(?=[0-9]*[A-Za-z_.\-])[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_\-])?")  # no number
MAX_ALIAS: Final = 255  # characters
_DIGEST: Final = re.compile(r"[0-9a-f]{8,64}")
_LOGGED: Final = re.compile(r"m-[0-9a-f]{32}")
_VERSION: Final = re.compile(r"[1-9][0-9]{0,8}")
_KINDS: Final = {kind.value: kind for kind in Kind}
DIGEST_PREFIX: Final = "b3:"
LATEST: Final = "latest"
MAX_NAME: Final = 200


class Ref:
    """A parsed ref: immutable, hashable, equal by value; `str()` gives the text it was parsed from.

    `selector` is None (the thing as a whole, or its latest version where a version is needed), an int (a version), or a
    str (an alias, or a digest prefix that starts with `b3:`).
    """

    __slots__ = ("kind", "name", "selector")
    kind: Kind
    name: str
    selector: int | str | None

    def __init__(self, kind: Kind | str, name: str, selector: int | str | None = None) -> None:
        text = f"{kind}:{name}" if selector is None else f"{kind}:{name}@{selector}"
        found = _scan(text)
        if isinstance(selector, str) and isinstance(found[2], int):
            raise BadRef(f"{selector!r} in {text!r} is a version number, not an alias.")
        _fill(self, found)

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Read a ref, or an address of MLflow's.

        Those are `models:/name/3`, `models:/name@alias`, `models:/name/latest`, `models:/m-id` (a logged model) and
        `runs:/id`.
        Raises `BadRef`, whose message shows the text with a caret under the character that is wrong.
        """
        ref = object.__new__(cls)
        _fill(ref, _scan(_from_mlflow(text)))
        return ref

    def at(self, selector: int | str | None) -> Ref:
        """The same thing at another version, alias or digest."""
        return Ref(self.kind, self.name, selector)

    @property
    def whole(self) -> Ref:
        """The thing itself, without a selector."""
        return self.at(None) if self.selector is not None else self

    @property
    def version(self) -> int | None:
        """The version number, if the selector is one."""
        return self.selector if isinstance(self.selector, int) else None

    @property
    def alias(self) -> str | None:
        """The alias, if the selector is one (`latest` included)."""
        s = self.selector
        return s if isinstance(s, str) and not s.startswith(DIGEST_PREFIX) else None

    @property
    def digest(self) -> str | None:
        """The digest prefix (hexadecimal), if the selector is one."""
        s = self.selector
        return s[len(DIGEST_PREFIX) :] if isinstance(s, str) and s.startswith(DIGEST_PREFIX) else None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Ref is immutable")

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name}" + ("" if self.selector is None else f"@{self.selector}")

    def __repr__(self) -> str:
        return f"Ref({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Ref)
            and self.name == other.name
            and self.selector == other.selector
            and self.kind is other.kind
        )

    def __lt__(self, other: Ref) -> bool:
        return (self.kind, self.name, str(self.selector)) < (other.kind, other.name, str(other.selector))

    def __hash__(self) -> int:
        return hash((self.name, self.selector))

    def __reduce__(self) -> tuple[Any, ...]:
        return Ref.parse, (str(self),)


def _fill(ref: Ref, parts: tuple[Kind, str, int | str | None]) -> None:
    for slot, value in zip(Ref.__slots__, parts, strict=True):
        object.__setattr__(ref, slot, value)


def _bad(text: str, at: int, why: str) -> BadRef:
    shown = text if len(text) <= 240 else text[:240] + "…"
    return BadRef(
        f"{why}\n  {shown}\n  {' ' * min(at, 240)}^",
        mend="A ref is kind:name@selector, for example model:delay@champion.",
        details={"text": shown, "position": at},
    )


def _scan(text: str) -> tuple[Kind, str, int | str | None]:
    colon = text.find(":")
    if colon < 0:
        raise _bad(text, len(text), "A ref needs a kind and a colon before the name.")
    kind = _KINDS.get(text[:colon])
    if kind is None:
        raise _bad(text, 0, f"{text[:colon]!r} is not a kind; the kinds are {', '.join(sorted(_KINDS))}.")
    at = text.find("@", colon)
    name = text[colon + 1 :] if at < 0 else text[colon + 1 : at]
    _check_name(text, name, colon + 1)
    return kind, name, None if at < 0 else _selector(text, at + 1)


def _check_name(text: str, name: str, start: int) -> None:
    if len(name) > MAX_NAME:
        raise _bad(text, start + MAX_NAME, f"A name has at most {MAX_NAME} characters.")
    position = start
    for segment in name.split("/"):
        match = _SEGMENT.match(segment)
        if match is None or match.end() != len(segment):
            wrong = match.end() if match else 0
            what = f"{segment[wrong]!r} cannot stand here" if wrong < len(segment) else "A part of the name is empty"
            raise _bad(text, position + wrong, f"{what}: names are letters, digits, '-', '_' and '.', joined by '/'.")
        position += len(segment) + 1


def _selector(text: str, start: int) -> int | str:
    selector = text[start:]
    if _VERSION.fullmatch(selector):
        return int(selector)
    if selector.startswith(DIGEST_PREFIX):
        if not _DIGEST.fullmatch(selector[len(DIGEST_PREFIX) :]):
            raise _bad(text, start + len(DIGEST_PREFIX), "A digest is 8 to 64 lower-case hexadecimal characters.")
        return selector
    match = _ALIAS.match(selector)
    if match is None or match.end() != len(selector) or len(selector) > MAX_ALIAS:
        wrong = match.end() if match else 0
        why = "A selector is a version counted from 1, an alias that is not just digits, or b3: and a digest."
        raise _bad(text, start + wrong, why)
    return selector


def _from_mlflow(text: str) -> str:
    if text.startswith("runs:/"):
        return "run:" + text[len("runs:/") :].lstrip("/").split("/", 1)[0]
    if not text.startswith("models:/"):
        return text
    rest = text[len("models:/") :].lstrip("/")
    if "@" in rest:
        return f"model:{rest}"
    if _LOGGED.fullmatch(rest):
        return f"{Kind.LOGGED_MODEL}:{rest}"
    name, _, version = rest.rpartition("/")
    if not name:
        raise _bad(text, len(text), "An MLflow model URI needs a version or an alias after the name.")
    return f"model:{name}@{version.lower() if version.lower() == LATEST else version}"


def of_kind(ref: Ref, kind: Kind) -> Ref:
    """The ref itself, or `BadRef` where it names a thing of another kind."""
    if ref.kind is not kind:
        raise BadRef(f"{ref} is no {kind.value}.", mend=f"See what there is: mw list {kind.value}")
    return ref


def as_ref(ref: Ref | str) -> Ref:
    """A ref, however it was given; `BadRef` for text that is none."""
    return Ref.parse(ref) if isinstance(ref, str) else ref


def as_refs(refs: Sequence[Ref | str] | Ref | str) -> list[Ref]:
    """Refs, however they were given: one by itself is a list of one."""
    return [as_ref(refs)] if isinstance(refs, Ref | str) else [as_ref(each) for each in refs]
