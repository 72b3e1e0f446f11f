"""Names for runs that people can say to each other: an adjective, a noun, and three characters of the id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelwright.core.hashing import digest_value
from modelwright.core.texts import line

if TYPE_CHECKING:
    from modelwright.experiments.records import Run

LONGEST = 60  # characters of a name that stand at the head of a column or beside a curve
ADJECTIVES = """
    able amber ample apt azure bold brave breezy bright brisk calm candid clear clever cobalt cosy crisp curious deft
    eager early even fair fleet fond frank fresh gentle glad golden grand hardy hearty honest humble jade jolly keen
    kind level light lively lucid mellow merry mild neat nimble noble patient plain plucky proud quick quiet ready
    robust ruby sage serene sharp silver simple sleek smooth sober spry steady still stout sturdy sunny supple swift
    tidy true upbeat vivid warm wise witty
""".split()  # noqa: SIM905 - a list to read, not to edit by quote marks
NOUNS = """
    acorn alder anchor anvil arch aspen badger beacon bell birch bobbin bramble bridge brook canyon cedar chisel clover
    comet compass copper coral crane creek dale dune elm ember falcon fern finch fjord forge fox gable garnet glade
    grove gull harbour hawk hazel heron hinge hollow ibis iris juniper kestrel kiln lantern larch lathe ledge linnet
    lupin maple marsh meadow mill mortar oak orchard osprey otter pebble pine plane plover poplar quarry quill rafter
    raven reed ridge robin rowan rudder sail sparrow spruce swallow thicket thistle tide timber trellis walnut willow
    wren yarrow
""".split()  # noqa: SIM905 - a list to read, not to edit by quote marks


def name_for(identity: str) -> str:
    """The name of a run without one: the same for the same id, hardly ever the same for two."""
    pick = int(digest_value(identity)[:12], 16)
    adjective = ADJECTIVES[pick % len(ADJECTIVES)]
    noun = NOUNS[pick // len(ADJECTIVES) % len(NOUNS)]
    return f"{adjective}-{noun}-{identity[-3:].lower()}"


def labels(runs: Sequence[Run]) -> list[str]:
    """What each run is called among these, on one line: its name, and where others are called the same, the end of its id.

    Of a long name it is the beginning, and what would steer a terminal or turn the direction of writing is spelled out.
    """
    names = [line(run.name, LONGEST) if run.name else "" for run in runs]
    counts = Counter(names)
    pairs = [*zip(names, (run.id for run in runs), strict=True)]
    short = [name if name and counts[name] == 1 else f"{name} …{each[-6:]}".strip() for name, each in pairs]
    return short if len({*short}) == len(short) else [f"{name} {each}".strip() for name, each in pairs]
