"""The nouns of serving. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from modelwright.core.signature import Signature


class Format(StrEnum):
    """How a model is written down. Formats that run code when they are read (pickle, joblib) are none of ours."""

    SKOPS = "skops"
    ONNX = "onnx"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a model package is: a named version, its files (path to BLAKE3 digest), its format and its signature."""

    name: str
    version: int
    format: Format
    files: dict[str, str]
    signature: Signature
    digest: str  # of the version, as the registry has it


class Extras(StrEnum):
    """What to do with a column that the signature does not know."""

    REFUSE = "refuse"
    DROP = "drop"
