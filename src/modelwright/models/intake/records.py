"""Registered models that come from another store; times are milliseconds since 1970, as MLflow counts. Pure."""

from __future__ import annotations

import msgspec


class ForeignModel(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model."""

    name: str
    description: str = ""
    created: int = 0
    updated: int = 0
    tags: dict[str, str] = {}
    aliases: dict[str, int] = {}


class ForeignVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a registered model."""

    name: str
    number: int
    source: str = ""
    location: str = ""  # where its files lie, if that is said
    run: str = ""
    run_link: str = ""
    logged_as: str = ""
    stage: str = ""
    description: str = ""
    user: str = ""
    created: int = 0
    updated: int = 0
    tags: dict[str, str] = {}


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """What a registered model has here."""

    tags: dict[str, str] = {}
    description: str = ""
    aliases: dict[str, int] = {}
    versions: dict[int, ForeignVersion] = {}
