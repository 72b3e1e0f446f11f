"""What a policy is made of: tiers, and in each the requirements that an action must meet. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from modelwright.core.hashing import digest_value
from modelwright.store.records import Verdict

APPROVAL, WAIVER = "approval", "waiver"  # consent is evidence too
SUBJECT = "subject"
CHAMPION = "champion"


class Tier(StrEnum):
    """How much harm a model can do, in rising order. What nobody has classified counts as `high`."""

    LOW = "low"
    STANDARD = "standard"
    HIGH = "high"

    @property
    def rank(self) -> int:
        """Its place in the order."""
        return list(Tier).index(self)


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One figure of a piece of evidence against one comparator. `figure` is a path such as `auc.low`."""

    figure: str
    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None
    equals: str | bool | int | None = None
    one_of: list[str] | None = None
    none_of: list[str] | None = None

    def comparators(self) -> dict[str, object]:
        """The comparators that were written, by name."""
        names = ("at_least", "at_most", "above", "below", "equals", "one_of", "none_of")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class Requirement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that must be known, or one consent that must be given, before an action.

    Either `evidence` names a kind and the other fields say what it must look like, or `approvals` is the number of
    people who must consent. `actions` and `environments` narrow where it is asked; empty lists stand for all.
    """

    id: str
    because: str = ""
    mend: str = ""  # what puts it right; {subject}, {target} (the version that lacks it) and {environment} are filled in
    actions: list[str] = []
    environments: list[str] = []
    waivable: bool = True

    evidence: str = ""
    about: str = SUBJECT  # or the kind of the related things that each must have it, such as dataset
    verdicts: list[Verdict] = msgspec.field(default_factory=lambda: [Verdict.PASS])
    figures: list[Condition] = []
    min_n: int | None = None  # read from the figure `n`
    max_age_days: float | None = None
    independent: bool = False  # made by nobody among the authors
    against: str = ""  # champion: computed against the one that is live now
    any: bool = False  # one of them suffices; otherwise the newest decides

    approvals: int = 0
    roles: list[str] = []  # whose consent counts; empty: anybody with the right to approve
    each_role: bool = False  # every role that is named must be among those who consent
    after: list[str] = []  # kinds of evidence that the approver must have been able to see

    def applies(self, action: str, environment: str) -> bool:
        """Whether it is asked of this action in this environment."""
        return (not self.actions or action in self.actions) and (not self.environments or environment in self.environments)


class TierRules(msgspec.Struct, frozen=True, kw_only=True):
    """The requirements of one tier, those of the tier that it extends included."""

    description: str = ""
    require: list[Requirement] = []


class PolicyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A policy as it was written, parsed and complete."""

    name: str
    description: str = ""
    tiers: dict[Tier, TierRules]

    @property
    def digest(self) -> str:
        """Equal policies have equal digests; comments and order of keys do not count."""
        return digest_value(self)

    def kinds_read(self) -> frozenset[str]:
        """The kinds of evidence that its requirements may look at, in whatever tier."""
        rules = [rule for tier in self.tiers.values() for rule in tier.require]
        return frozenset({APPROVAL, WAIVER, *(r.evidence for r in rules), *(kind for r in rules for kind in r.after)})

    def every(self, tier: Tier) -> list[Requirement]:
        """The requirements of a tier; one that the policy leaves out falls to the next stricter tier that it has."""
        stricter = [each for each in Tier if each.rank >= tier.rank and each in self.tiers]
        held = stricter[0] if stricter else max(self.tiers, key=lambda t: t.rank)
        return self.tiers[held].require

    def requirements(self, tier: Tier, action: str, environment: str) -> list[Requirement]:
        """What is asked of an action in an environment."""
        return [rule for rule in self.every(tier) if rule.applies(action, environment)]
