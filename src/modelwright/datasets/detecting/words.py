"""The words that tell what a column holds, from `words.toml`: names, streets and places, closed vocabularies."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Final

_TEXT: Final = resources.files("modelwright.datasets.detecting").joinpath("words.toml").read_text("utf-8")
_WORDS: Final = {name: frozenset(text.split()) for name, text in tomllib.loads(_TEXT).items()}

GIVEN, FAMILY = _WORDS["given"], _WORDS["family"]
TITLES, AFTER, PARTICLES = _WORDS["titles"], _WORDS["after"], _WORDS["particles"]
STREET, PLACE, FIRM = _WORDS["street"], _WORDS["place"], _WORDS["firm"]
RELIGIONS, ETHNICITIES, ORIENTATIONS = _WORDS["religions"], _WORDS["ethnicities"], _WORDS["orientations"]
PARTIES, HEALTH, BLOOD = _WORDS["parties"], _WORDS["health"], _WORDS["blood"]
SEXES, MARITAL = _WORDS["sexes"], _WORDS["marital"]
ABOUT = _WORDS["about"]

STREET_ENDS: Final = ("strasse", "str.", "weg", "platz", "gasse", "allee", "ring", "straat", "laan", "gracht", "plein",
                      "dreef", "singel", "kade", "gatan", "vagen", "vej", "gade", "gata")  # fmt: skip
