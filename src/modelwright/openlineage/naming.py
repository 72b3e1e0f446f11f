"""Names, both ways: what a ref is called in OpenLineage, and by which ref the things of others go here. Pure.

Names of others are any text; ours are paths of few characters. So a ref shows what can be shown of a name and ends in a
digest of the whole of it, and the name itself stands in a table beside it.
"""

from __future__ import annotations

import re
import uuid

from modelwright.core.hashing import digest_value
from modelwright.core.ids import is_id
from modelwright.core.refs import Kind, Ref
from modelwright.openlineage.records import PartyKind

OURS = {Kind.DATASET: "dataset", Kind.FEATURES: "feature_view", Kind.MODEL: "model", Kind.DEPLOYMENT: "endpoint"}
_KINDS = {name: kind for kind, name in OURS.items()}
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_STRANGE = re.compile(r"[^A-Za-z0-9_.\-/]+")
SHOWN = 120  # characters of a name in a ref
HASHED = 12  # characters of its digest


def own_name(ref: Ref) -> str | None:
    """What a thing of ours is called; None for a kind that is no dataset in OpenLineage."""
    return f"{OURS[ref.kind]}/{ref.name}" if ref.kind in OURS else None


def own_ref(name: str, version: str) -> Ref | None:
    """The thing of ours that goes by a name, or None where that is none of ours."""
    kind, _, path = name.partition("/")
    if kind not in _KINDS or not path:
        return None
    try:
        return Ref(_KINDS[kind], path, int(version) if version.isdigit() else None)
    except ValueError:
        return None


def external(kind: PartyKind, namespace: str, name: str) -> Ref:
    """The ref of something of another system: always the same for the same two names."""
    whole = digest_value([namespace, name])[:HASHED]
    if kind is PartyKind.RUN:
        return Ref(Kind.EXTERNAL, f"run/{_shown(name)}-{whole}")
    return Ref(Kind.EXTERNAL, f"{kind.value}/{_shown(f'{namespace}/{name}')}-{whole}")


def _shown(text: str) -> str:
    """As much of a text as a path can say: its end, if it is too long."""
    parts = (part.strip(".-") for part in _STRANGE.sub("-", text.replace("://", "/"))[-SHOWN:].split("/"))
    return "/".join(part for part in parts if part) or "unnamed"


def run_id(identity: str) -> str:
    """The UUID of a run of ours: the 128 bits of its ULID, or of the 32 hexadecimal characters that MLflow gave it."""
    if is_id(identity):
        number = 0
        for letter in identity:
            number = number << 5 | _BASE32.index(letter)
        return str(uuid.UUID(int=number))
    try:
        return str(uuid.UUID(identity))
    except ValueError:
        return derived_id(identity)


def derived_id(*parts: str) -> str:
    """A UUID that follows from a few texts: for what has no id of its own, such as a step."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "urn:modelwright:" + "/".join(parts)))
