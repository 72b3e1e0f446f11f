"""The nouns of the registry: a model version, the stages it passes, and what belongs to the model as a whole. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from modelwright.core.errors import Conflict, Refused
from modelwright.core.refs import Ref
from modelwright.core.signature import Column, Signature
from modelwright.core.wire import convert
from modelwright.serving.records import Format, Manifest, Seal
from modelwright.store.records import State, Version

CHAMPION = "champion"  # what is live in production; it moves only to a version that the production gate let through

PROMPT_TAG, PROMPT_TEXT = "mlflow.prompt.is_prompt", "mlflow.prompt.text"  # as MLflow's protocol marks prompts


class Stage(StrEnum):
    """How far a version has come."""

    CANDIDATE = "candidate"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"  # set aside: may come back as a candidate, and then passes every gate again
    RETIRED = "retired"  # for good


MOVES: dict[Stage, frozenset[Stage]] = {
    Stage.CANDIDATE: frozenset({Stage.STAGING, Stage.ARCHIVED, Stage.RETIRED}),
    Stage.STAGING: frozenset({Stage.PRODUCTION, Stage.CANDIDATE, Stage.ARCHIVED, Stage.RETIRED}),
    Stage.PRODUCTION: frozenset({Stage.STAGING, Stage.ARCHIVED, Stage.RETIRED}),
    Stage.ARCHIVED: frozenset({Stage.CANDIDATE, Stage.RETIRED}),
    Stage.RETIRED: frozenset(),
}
GATED = frozenset({Stage.STAGING, Stage.PRODUCTION})  # on the way up, these stages ask the policy


def check_move(ref: Ref, before: Stage, after: Stage) -> None:
    """`Conflict` unless a version may move from one stage to the other; the message says where it may go."""
    if after in MOVES[before]:
        return
    ways = " or ".join(sorted(stage.value for stage in MOVES[before])) or "nowhere"
    raise Conflict(f"{ref} cannot move from {before} to {after}.", mend=f"From {before} it may move to {ways}.")


def is_gated(before: Stage, after: Stage) -> bool:
    """Whether a move must pass the policy: the way up does, the way back does not."""
    order = list(Stage)
    return after in GATED and order.index(after) > order.index(before)


def way(before: Stage, after: Stage) -> list[Stage]:
    """The fewest moves that lead from one stage to another, none of them through retirement; empty if there are none."""
    ways = {before: list[Stage]()}
    for at in (queue := [before]):
        for following in sorted(MOVES[at] - {Stage.RETIRED}, key=list(Stage).index):
            if following not in ways:
                ways[following] = [*ways[at], following]
                queue.append(following)
    return ways.get(after, [])


def together(refusals: Sequence[Refused]) -> Refused:
    """Several refusals as one, which says all that each of them says."""
    if len(refusals) == 1:
        return refusals[0]
    return Refused(
        "\n".join(each.message for each in refusals),
        mend=refusals[0].mend,
        details={"unmet": list(dict.fromkeys(name for each in refusals for name in each.details.get("unmet", ())))},
    )


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How far the stored model's predictions lie from those of the estimator it was made of, on the same rows."""

    rows: int  # of the example
    sampled: int = 0  # further ones, made like them
    max_difference: float
    tolerance: float

    @property
    def n(self) -> int:
        """How many rows were compared."""
        return self.rows + self.sampled

    @property
    def holds(self) -> bool:
        """Whether the stored model may stand for the estimator; a difference that is no number never does."""
        return self.max_difference <= self.tolerance


def check_parity(ref: Ref, parity: Parity) -> None:
    """`Refused` unless the stored model repeats its estimator."""
    if not parity.holds:
        raise Refused(
            f"{ref}: the stored model differs from the estimator by {parity.max_difference:g} on {parity.n} rows, "
            f"more than {parity.tolerance:g}.",
            mend='Log it with format="skops", or accept the difference with a larger tolerance.',
            details={"max_difference": parity.max_difference, "tolerance": parity.tolerance},
        )


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a version is made of and what it was made from. Never changes: the version's digest covers all of it."""

    format: Format
    files: dict[str, str]  # path in the package to the digest of its content
    signature: Signature
    size: int  # bytes of all files
    framework: str = ""  # for example `scikit-learn 1.7.2`
    example: str | None = None  # digest of a few input rows, in Parquet
    run: Ref | None = None
    datasets: list[Ref] = []
    features: list[Ref] = []
    params: dict[str, Any] = {}
    source: str = ""  # where the program that registered it said that it lies; never opened from here
    logged_as: str = ""  # the id of MLflow's logged model, if it is one
    link: str = ""  # to the run, as that program gave it
    flavours: list[str] = []  # of an MLflow folder: the ways in which it says that it can be loaded
    entry: str = ""  # of an MLflow folder: the file that serving loads; none, if all of them are code or pickles
    licence: str = ""
    authors: list[str] = []  # whoever made it; none of them may approve it

    @property
    def needs(self) -> list[Ref]:
        """What it was made from and cannot be explained without."""
        return [*self.datasets, *self.features, *([self.run] if self.run else [])]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to the model as a whole, across its versions."""

    owner: str = ""  # who answers for it
    purpose: str = ""  # what it is for, in a sentence


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version as the registry shows it: the immutable record, and where it stands today."""

    ref: Ref
    title: str  # the model's name as people and other programs write it; mostly that of the ref
    digest: str
    record: ModelRecord
    stage: Stage
    profile: Profile
    created_at: datetime
    created_by: str
    changed_at: datetime  # when its standing, tags or description last changed
    description: str = ""
    seal: Seal | None = None  # the signature over its files
    successor: Ref | None = None  # of a retired version: what to use in its place
    aliases: list[str] = []
    tags: dict[str, str] = {}

    @classmethod
    def of(cls, version: Version, stage: Stage, profile: Profile, *, title: str, seal: Seal | None = None) -> ModelVersion:
        """Put together what the catalog and this room's tables say."""
        return cls(
            ref=version.ref,
            title=title,
            digest=version.digest,
            record=convert(version.record, ModelRecord),
            stage=Stage.RETIRED if version.state is State.RETIRED else stage,
            profile=profile,
            created_at=version.created_at,
            created_by=version.created_by,
            changed_at=version.changed_at,
            description=version.description,
            seal=seal,
            successor=version.successor,
            aliases=version.aliases,
            tags=version.tags,
        )

    @property
    def is_prompt(self) -> bool:
        """Whether it is a prompt, which MLflow's protocol keeps as a model with a tag: a text, which no gate waits for."""
        return self.tags.get(PROMPT_TAG, "").lower() == "true"

    @property
    def manifest(self) -> Manifest:
        """What serving needs to know to load it."""
        assert self.ref.version is not None
        return Manifest(
            name=self.ref.name,
            version=self.ref.version,
            format=self.record.format,
            files=self.record.files,
            signature=self.record.signature,
            digest=self.digest,
            seal=self.seal,
        )

    def _repr_html_(self) -> str:
        from modelwright.models.display import version

        return version(self)


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model as a whole, with or without versions."""

    ref: Ref  # without a selector
    title: str  # unique, any text; renaming a model changes this and never the ref
    profile: Profile
    created_at: datetime
    created_by: str
    changed_at: datetime
    versions: int  # how many were ever made
    latest: list[ModelVersion]  # the newest on each stage that has any, the newest of all first
    description: str = ""
    tags: dict[str, str] = {}
    aliases: dict[str, int] = {}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between two versions: before or after is None where it was added or taken away."""

    what: str  # a path such as `inputs.distance` or `params.max_depth`
    before: Any = None
    after: Any = None

    @property
    def sides(self) -> tuple[Any, Any]:
        """Before and after as people read them: a column of the signature in words."""
        if not self.what.startswith(("inputs.", "outputs.")):
            return self.before, self.after
        before, after = (None if side is None else convert(side, Column) for side in (self.before, self.after))
        return before and before.told(after), after and after.told(before)


class ModelDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What changed from one version to another."""

    before: Ref
    after: Ref
    changes: list[Change]
    compatible: bool  # whoever calls the earlier version may call the later one as they do now


class SignatureStanding(msgspec.Struct, frozen=True, kw_only=True):
    """What the key of a signature is worth at this moment."""

    key: str  # SHA-256 of its PEM
    counts: bool  # it is the workspace's own, or one of those that it trusts
    why: str = ""  # it does not


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[models]`: who signs versions here, and whose signatures count."""

    signing_key: str = ""  # the PEM file of a private key: what is registered here is signed with it
    trusted_keys: list[str] = []  # PEM files of public keys, besides that of `signing_key`
