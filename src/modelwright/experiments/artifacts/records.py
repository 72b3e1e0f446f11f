"""The nouns of files. Pure."""

from __future__ import annotations

import mimetypes
from datetime import datetime

import msgspec

from modelwright.core.refs import Ref
from modelwright.experiments.records import Artifact

TEXT_ENDINGS = frozenset({".yaml", ".yml", ".jsonl", ".toml", ".log", ".cfg", ".conf", ".ini", ".md"})
TEXT_NAMES = frozenset({"mlmodel", "mlproject", "dockerfile", "license"})


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """Where a place is: the thing that it belongs to, the name below it, and the file there if there is one."""

    ref: Ref
    name: str  # empty for the root of the thing
    file: Artifact | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a listing: a file, or a folder (which is there as long as something is in it)."""

    name: str  # below the thing, not below the folder listed
    is_folder: bool
    size: int | None = None  # bytes; of files only
    digest: str = ""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file that comes in parts."""

    id: str
    ref: Ref
    name: str
    parts: int


class LeftUpload(msgspec.Struct, frozen=True, kw_only=True):
    """A file that comes in parts, of which nothing was heard for long: whoever sent it is gone."""

    id: str
    ref: Ref
    name: str
    heard_at: datetime  # when it began, or its newest part came
    parts: int  # that came
    size: int  # bytes of them


class UploadPart(msgspec.Struct, frozen=True, kw_only=True):
    """One part of it, stored as an object."""

    number: int  # from 1
    digest: str
    size: int


def media_type_of(name: str) -> str:
    """The media type that a file's name speaks of. What is text to a reader is text; nothing is guessed from content."""
    file = name.rpartition("/")[2].lower()
    ending = file[file.rfind(".") :] if "." in file else ""
    if ending in TEXT_ENDINGS or file in TEXT_NAMES:
        return "text/plain; charset=utf-8"
    return mimetypes.guess_type(file)[0] or "application/octet-stream"
